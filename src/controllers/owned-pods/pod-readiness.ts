import type { Pod } from '../../api/gen/types.ts';
import { parseTime } from '../../api/time.ts';

/** Neither ended nor being deleted. Upstream: `IsPodActive`. */
export function isPodActive(pod: Pod): boolean {
  return !hasEnded(pod) && pod.metadata?.deletionTimestamp === undefined;
}

export function hasEnded({ status }: Pod): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed';
}

export function isPodReady(pod: Pod): boolean {
  return readyCondition(pod)?.status === 'True';
}

function readyCondition({
  status,
}: Pod): { readonly status: string; readonly lastTransitionTime?: string } | undefined {
  return status?.conditions?.find(({ type }) => type === 'Ready');
}

/** Since when it is ready, in milliseconds since 1970; `undefined` if it is not, or does not say. */
export function readySinceWallMs(pod: Pod): number | undefined {
  const condition = readyCondition(pod);
  if (condition?.status !== 'True' || condition.lastTransitionTime === undefined) return undefined;
  return parseTime(condition.lastTransitionTime);
}

/**
 * How long until a ready pod counts as available, in ms; 0: it does; `undefined`: it is not ready. Upstream:
 * `IsPodAvailable`.
 */
export function availableInMs(pod: Pod, minReadySeconds: number, nowWallMs: number): number | undefined {
  if (!isPodReady(pod)) return undefined;
  if (minReadySeconds === 0) return 0;
  const sinceMs = readySinceWallMs(pod);
  return sinceMs === undefined ? undefined : Math.max(0, sinceMs + minReadySeconds * 1_000 - nowWallMs);
}
