import type { Pod } from '../api/gen/types.ts';
import { containersOf } from './pod-names.ts';

/**
 * `Guaranteed`: every container has cpu and memory limits equal to its requests. `BestEffort`: nobody asks for anything.
 * Else `Burstable`. The API server writes it on create; this is for pods that lack it.
 */
export function qosClassOf(pod: Pod): 'Guaranteed' | 'Burstable' | 'BestEffort' {
  const resources = containersOf(pod).map(({ container }) => container.resources ?? {});
  const asks = (list: Readonly<Record<string, string>> | undefined, name: string): boolean =>
    list?.[name] !== undefined && list[name] !== '0';
  const names = ['cpu', 'memory'];
  const anyAsks = resources.some(({ requests, limits }) =>
    names.some((name) => asks(requests, name) || asks(limits, name)),
  );
  if (!anyAsks) return 'BestEffort';
  const allGuaranteed = resources.every(({ requests, limits }) =>
    names.every((name) => asks(limits, name) && (requests?.[name] === undefined || requests[name] === limits?.[name])),
  );
  return allGuaranteed ? 'Guaranteed' : 'Burstable';
}
