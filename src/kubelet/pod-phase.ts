import type { ContainerStatus, Pod } from '../api/gen/types.ts';
import { isSidecar, restartPolicyOf } from './pod-names.ts';

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed';

interface Tally {
  unknown: number;
  running: number;
  waiting: number;
  stopped: number;
  succeeded: number;
}

/**
 * A pod's phase from its container statuses (section 6.1 of the behaviour sheet). `isTornDown`: the kubelet has ended
 * it, and nothing of it will run again, whatever the restart policy. Upstream: `getPhase`.
 */
export function podPhaseOf(pod: Pod, statuses: readonly ContainerStatus[], isTornDown: boolean): PodPhase {
  const statusByName = new Map(statuses.map((status) => [status.name, status]));
  const init = initProgress(pod, statusByName);
  if (init.failed && restartPolicyOf(pod) === 'Never') return 'Failed';
  const tally: Tally = { unknown: 0, running: 0, waiting: 0, stopped: 0, succeeded: 0 };
  const sidecarsPending = tallySidecars(pod, statusByName, tally);
  for (const { name } of pod.spec?.containers ?? []) tallyRegular(statusByName.get(name), tally);

  if (init.pending || (sidecarsPending && !anyRegularStarted(pod, statuses)) || tally.waiting > 0) return 'Pending';
  if (tally.unknown > 0) return 'Pending';
  if (tally.running > 0) return 'Running';
  if (tally.stopped === 0) return 'Pending';
  const allSucceeded = tally.stopped === tally.succeeded;
  if (isTornDown) return allSucceeded ? 'Succeeded' : 'Failed';
  if (restartPolicyOf(pod) === 'Always') return 'Running';
  if (allSucceeded) return 'Succeeded';
  return restartPolicyOf(pod) === 'Never' ? 'Failed' : 'Running';
}

/** Whether a regular container runs or has run: then the pod has been initialised, whatever its sidecars do now. */
export function anyRegularStarted(pod: Pod, statuses: readonly ContainerStatus[]): boolean {
  const names = new Set((pod.spec?.containers ?? []).map((container) => container.name));
  return statuses.some(
    ({ name, state, lastState }) =>
      names.has(name) &&
      (state?.running !== undefined || state?.terminated !== undefined || lastState?.terminated !== undefined),
  );
}

function initProgress(
  pod: Pod,
  statusByName: ReadonlyMap<string, ContainerStatus>,
): { readonly pending: boolean; readonly failed: boolean } {
  let pending = false;
  let failed = false;
  for (const container of pod.spec?.initContainers ?? []) {
    if (isSidecar(container)) continue;
    const status = statusByName.get(container.name);
    const ended = status?.state?.terminated ?? (status?.state?.waiting && status.lastState?.terminated);
    if (ended === undefined) pending = true;
    else if (ended.exitCode !== 0) failed = true;
  }
  return { pending, failed };
}

/** Adds the sidecars to `tally`; tells whether one of them still has to start. */
function tallySidecars(pod: Pod, statusByName: ReadonlyMap<string, ContainerStatus>, tally: Tally): boolean {
  let pending = false;
  for (const container of pod.spec?.initContainers ?? []) {
    if (!isSidecar(container)) continue;
    const status = statusByName.get(container.name);
    if (status?.state?.running !== undefined) {
      tally.running += 1;
      if (status.started !== true) pending = true;
    } else if (status?.state?.waiting !== undefined && status.lastState?.terminated === undefined) {
      tally.waiting += 1;
      pending = true;
    } else if (status?.state?.waiting === undefined && status?.state?.terminated === undefined) {
      tally.unknown += 1;
      pending ||= status !== undefined;
    }
  }
  return pending;
}

function tallyRegular(status: ContainerStatus | undefined, tally: Tally): void {
  if (status?.state?.running !== undefined) {
    tally.running += 1;
  } else if (status?.state?.terminated !== undefined) {
    tally.stopped += 1;
    if (status.state.terminated.exitCode === 0) tally.succeeded += 1;
  } else if (status?.state?.waiting !== undefined) {
    if (status.lastState?.terminated === undefined) tally.waiting += 1;
    else tally.stopped += 1;
  } else {
    tally.unknown += 1;
  }
}
