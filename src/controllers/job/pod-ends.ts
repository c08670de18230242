/** When and how pods of a job ended. Pure. */
import type { ContainerStatus, Job, Pod } from '../../api/gen/types.ts';
import { isSidecar } from '../../api/pod-resources.ts';
import { parseTime } from '../../api/time.ts';

/** It is replaced only when it has ended, not when it begins to. Upstream: `onlyReplaceFailedPods`. */
export function replacesOnlyFailed({ spec }: Job): boolean {
  return spec?.podReplacementPolicy === 'Failed' || spec?.podFailurePolicy !== undefined;
}

/** Upstream: `isPodFailed`. */
export function countsAsFailed(job: Job, { metadata, status }: Pod): boolean {
  if (status?.phase === 'Failed') return true;
  return !replacesOnlyFailed(job) && metadata?.deletionTimestamp !== undefined && status?.phase !== 'Succeeded';
}

/** In ms since 1970, by the clock of its node or of the server. Upstream: `getFinishedTime`. */
export function endedAtMs(pod: Pod): number {
  const { status, metadata } = pod;
  const deletedMs = timeOf(metadata?.deletionTimestamp);
  const graceMs = (metadata?.deletionGracePeriodSeconds ?? 0) * 1_000;
  const unready = status?.conditions?.find(({ type, status: value }) => type === 'Ready' && value === 'False');
  return (
    lastContainerEndMs(pod) ??
    timeOf(unready?.lastTransitionTime) ??
    (deletedMs === undefined ? undefined : deletedMs - graceMs) ??
    timeOf(metadata?.creationTimestamp) ??
    0
  );
}

/** `undefined` unless all have ended; sidecars end after the others. */
function lastContainerEndMs({ spec, status }: Pod): number | undefined {
  const sidecars = new Set((spec?.initContainers ?? []).filter(isSidecar).map(({ name }) => name));
  const containers: readonly ContainerStatus[] = [
    ...(status?.containerStatuses ?? []),
    ...(status?.initContainerStatuses ?? []).filter(({ name }) => sidecars.has(name)),
  ];
  const ends = containers.map(({ state }) => timeOf(state?.terminated?.finishedAt));
  const known = ends.filter((ms) => ms !== undefined);
  return known.length === 0 || known.length < ends.length ? undefined : Math.max(...known);
}

function timeOf(time: unknown): number | undefined {
  return typeof time === 'string' ? parseTime(time) : undefined;
}
