import { ageOf } from './age.ts';
import type { ContainerStatus, Pod } from './gen/types.ts';
import { isSidecar } from './pod-resources.ts';
import { parseTime } from './time.ts';

/** What `kubectl get pods` says of a pod: columns READY, STATUS and RESTARTS. */
export interface PodStatusText {
  /** `1/2`: ready of all regular containers and sidecars. */
  readonly ready: string;
  /** `Running`, `CrashLoopBackOff`, `Init:0/1`, `Terminating` ... */
  readonly status: string;
  /** `0`, or `5 (2m ago)`. */
  readonly restarts: string;
}

interface Tally {
  reason: string;
  ready: number;
  restarts: number;
  /** The newest end of an instance before the current one. */
  lastRestart: string | undefined;
}

/** Upstream: the first half of `printPod`. */
export function podStatusText(pod: Pod, nowWallMs: number): PodStatusText {
  const status = pod.status ?? {};
  const phase = status.phase ?? '';
  const initContainers = pod.spec?.initContainers ?? [];
  const sidecarNames = new Set(initContainers.filter(isSidecar).map(({ name }) => name));
  const tally: Tally = { reason: startReason(pod), ready: 0, restarts: 0, lastRestart: undefined };
  const sidecars: Tally = { reason: '', ready: 0, restarts: 0, lastRestart: undefined };
  const isInitializing = tallyInit(
    tally,
    sidecars,
    status.initContainerStatuses ?? [],
    initContainers.length,
    sidecarNames,
  );
  const isInitialized = status.conditions?.some(
    ({ type, status: value }) => type === 'Initialized' && value === 'True',
  );
  if (!isInitializing || isInitialized === true) {
    tally.restarts = sidecars.restarts;
    tally.lastRestart = sidecars.lastRestart;
    tallyRegular(tally, pod);
  }
  const isTerminal = phase === 'Succeeded' || phase === 'Failed';
  if (pod.metadata?.deletionTimestamp !== undefined) {
    if (status.reason === 'NodeLost') tally.reason = 'Unknown';
    else if (!isTerminal) tally.reason = 'Terminating';
  }
  const total = (pod.spec?.containers.length ?? 0) + sidecarNames.size;
  const ago = tally.lastRestart === undefined ? '' : ` (${ageOf(tally.lastRestart, nowWallMs)} ago)`;
  return {
    ready: `${tally.ready}/${total}`,
    status: tally.reason,
    restarts: `${tally.restarts}${tally.restarts === 0 ? '' : ago}`,
  };
}

function startReason(pod: Pod): string {
  const status = pod.status ?? {};
  const isGated = status.conditions?.some(
    ({ type, reason }) => type === 'PodScheduled' && reason === 'SchedulingGated',
  );
  if (isGated === true) return 'SchedulingGated';
  return (status.reason ?? '') === '' ? (status.phase ?? '') : (status.reason ?? '');
}

function countRestarts(tally: Tally, container: ContainerStatus): void {
  tally.restarts += container.restartCount;
  const finished = container.lastState?.terminated?.finishedAt ?? undefined;
  if (finished === undefined) return;
  const isNewer = tally.lastRestart === undefined || (parseTime(finished) ?? 0) > (parseTime(tally.lastRestart) ?? 0);
  if (isNewer) tally.lastRestart = finished;
}

/** Goes through the init containers up to the first that is not done; whether there was one. */
function tallyInit(
  tally: Tally,
  sidecars: Tally,
  statuses: readonly ContainerStatus[],
  initCount: number,
  sidecarNames: ReadonlySet<string>,
): boolean {
  for (const [index, container] of statuses.entries()) {
    const isOne = sidecarNames.has(container.name);
    countRestarts(tally, container);
    if (isOne) countRestarts(sidecars, container);
    const { terminated, waiting } = container.state ?? {};
    if (terminated?.exitCode === 0) continue;
    if (isOne && container.started === true) {
      if (container.ready) tally.ready += 1;
      continue;
    }
    const waitingReason = waiting?.reason ?? '';
    if (terminated !== undefined) tally.reason = `Init:${endReason(terminated)}`;
    else if (waitingReason !== '' && waitingReason !== 'PodInitializing') tally.reason = `Init:${waitingReason}`;
    else tally.reason = `Init:${index}/${initCount}`;
    return true;
  }
  return false;
}

function endReason(terminated: {
  readonly reason?: string;
  readonly signal?: number;
  readonly exitCode: number;
}): string {
  const { reason = '', signal = 0, exitCode } = terminated;
  if (reason !== '') return reason;
  return signal === 0 ? `ExitCode:${exitCode}` : `Signal:${signal}`;
}

/** From last to first, so that the first with something to say wins. */
function tallyRegular(tally: Tally, pod: Pod): void {
  const statuses = pod.status?.containerStatuses ?? [];
  let hasRunning = false;
  for (const container of [...statuses].reverse()) {
    countRestarts(tally, container);
    const { waiting, terminated, running } = container.state ?? {};
    const waitingReason = waiting?.reason ?? '';
    if (waitingReason !== '') tally.reason = waitingReason;
    else if (terminated !== undefined) tally.reason = endReason(terminated);
    else if (container.ready && running !== undefined) {
      hasRunning = true;
      tally.ready += 1;
    }
  }
  if (tally.reason !== 'Completed' || !hasRunning) return;
  const isReady = pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True');
  tally.reason = isReady === true ? 'Running' : 'NotReady';
}
