import type { PodSpec } from './gen/types.ts';
import { compareQuantities, quantityOf } from './quantity.ts';

export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort';

const counted = ['cpu', 'memory'] as const;

function amountsOf(amounts: Readonly<Record<string, string>> | undefined): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of counted) {
    const text = amounts?.[name];
    if (text !== undefined && quantityOf(text).nanos > 0n) found.set(name, text);
  }
  return found;
}

/**
 * `Guaranteed` if every container (or the pod as a whole) limits cpu and memory and requests as much, `BestEffort` if
 * none asks for anything, else `Burstable`. Upstream: `ComputePodQOS`.
 */
export function qosClassOf(spec: PodSpec): QosClass {
  const owners =
    spec.resources === undefined
      ? [...spec.containers, ...(spec.initContainers ?? [])]
      : [{ resources: spec.resources }];
  let asksForSomething = false;
  let isGuaranteed = true;
  for (const { resources } of owners) {
    const requests = amountsOf(resources?.requests);
    const limits = amountsOf(resources?.limits);
    if (requests.size > 0 || limits.size > 0) asksForSomething = true;
    if (limits.size < counted.length) isGuaranteed = false;
    for (const [name, request] of requests) {
      const limit = limits.get(name);
      if (limit === undefined || compareQuantities(quantityOf(limit), quantityOf(request)) !== 0) isGuaranteed = false;
    }
  }
  if (!asksForSomething) return 'BestEffort';
  return isGuaranteed ? 'Guaranteed' : 'Burstable';
}
