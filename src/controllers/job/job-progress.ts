/** Where a job stands, from its status and its pods. Pure. */
import type { Job, JobCondition, JobStatus, Pod } from '../../api/gen/types.ts';
import { formatTime, parseTime } from '../../api/time.ts';
import { uidOf } from '../owned-pods/pod-batches.ts';
import { hasEnded, isPodActive } from '../owned-pods/pod-readiness.ts';
import { judgeFailure } from './failure-policy.ts';

/**
 * On each pod of a job until it is counted: while it is there the pod cannot go, so that none is counted twice or not
 * at all.
 */
export const trackingFinalizer = 'batch.kubernetes.io/job-tracking';

export interface Verdict {
  readonly type: 'Complete' | 'Failed';
  readonly reason: string;
  readonly message: string;
}

export interface Progress {
  readonly active: readonly Pod[];
  /** Being deleted, and not ended yet. */
  readonly terminating: readonly Pod[];
  /** Ended, with the finalizer, and not in the status: to be counted. */
  readonly newSucceeded: readonly Pod[];
  readonly newFailed: readonly Pod[];
  /** Ended, and not to be counted. */
  readonly ignored: readonly Pod[];
  /** With those to be counted. */
  readonly succeeded: number;
  readonly failed: number;
  /** Of the failure policy: the job has failed. */
  readonly failsJob: string | undefined;
}

export function isTracked({ metadata }: Pod): boolean {
  return metadata?.finalizers?.includes(trackingFinalizer) === true;
}

export function conditionOf({ status }: Job, type: string): JobCondition | undefined {
  return status?.conditions?.find((condition) => condition.type === type && condition.status === 'True');
}

export function isFinished(job: Job): boolean {
  return conditionOf(job, 'Complete') !== undefined || conditionOf(job, 'Failed') !== undefined;
}

/** What has been decided and is not final yet, because pods are still ending. */
export function decidedVerdict(job: Job): Verdict | undefined {
  for (const [interim, type] of [
    ['FailureTarget', 'Failed'],
    ['SuccessCriteriaMet', 'Complete'],
  ] as const) {
    const condition = conditionOf(job, interim);
    if (condition !== undefined) {
      return { type, reason: condition.reason ?? '', message: condition.message ?? '' };
    }
  }
  return undefined;
}

/** `isOver`: the job is decided, so that what is still being deleted counts as failed. */
export function progressOf(job: Job, pods: readonly Pod[], isOver: boolean): Progress {
  const { status = {}, spec } = job;
  const { succeeded: countedSucceeded = [], failed: countedFailed = [] } = status.uncountedTerminatedPods ?? {};
  const known = new Set([...countedSucceeded, ...countedFailed]);
  const fresh = pods.filter((pod) => isTracked(pod) && !known.has(uidOf(pod)));
  const newSucceeded = fresh.filter(({ status: of }) => of?.phase === 'Succeeded');
  const waitsForPhase = spec?.podReplacementPolicy === 'Failed' && !isOver;
  const hasFailed = ({ metadata, status: of }: Pod): boolean =>
    of?.phase === 'Failed' ||
    (!waitsForPhase && metadata?.deletionTimestamp !== undefined && of?.phase !== 'Succeeded');
  const failures = fresh.filter(hasFailed).map((pod) => ({
    pod,
    verdict: hasEnded(pod) ? judgeFailure(spec?.podFailurePolicy, pod) : ({ kind: 'counts' } as const),
  }));
  const newFailed = failures.filter(({ verdict }) => verdict.kind !== 'ignored').map(({ pod }) => pod);
  const fatal = failures.map(({ verdict }) => verdict).find((verdict) => verdict.kind === 'failsJob');
  return {
    active: pods.filter(isPodActive),
    terminating: pods.filter((pod) => pod.metadata?.deletionTimestamp !== undefined && !hasEnded(pod)),
    newSucceeded,
    newFailed,
    ignored: failures.filter(({ verdict }) => verdict.kind === 'ignored').map(({ pod }) => pod),
    succeeded: (status.succeeded ?? 0) + countedSucceeded.length + newSucceeded.length,
    failed: (status.failed ?? 0) + countedFailed.length + newFailed.length,
    failsJob: fatal?.kind === 'failsJob' ? fatal.message : undefined,
  };
}

/** Whether it is decided now. Upstream: the middle of `syncJob`. */
export function verdictOn(job: Job, progress: Progress, nowWallMs: number): Verdict | undefined {
  const { spec } = job;
  const { backoffLimit = 6, completions } = spec ?? {};
  const failed = (reason: string, message: string): Verdict => ({ type: 'Failed', reason, message });
  if (progress.failsJob !== undefined) return failed('PodFailurePolicy', progress.failsJob);
  if (progress.failed > backoffLimit || restartsExceed(job, progress.active)) {
    return failed('BackoffLimitExceeded', 'Job has reached the specified backoff limit');
  }
  const deadlineMs = deadlineInMs(job, nowWallMs);
  if (deadlineMs !== undefined && deadlineMs <= 0) {
    return failed('DeadlineExceeded', 'Job was active longer than specified deadline');
  }
  const isEnough = completions === undefined ? progress.succeeded > 0 : progress.succeeded >= completions;
  if (!isEnough || progress.active.length > 0) return undefined;
  return { type: 'Complete', reason: 'CompletionsReached', message: 'Reached expected number of succeeded pods' };
}

/** Containers that are started again in their pods count like pods that fail. Upstream: `pastBackoffLimitOnFailure`. */
function restartsExceed({ spec }: Job, active: readonly Pod[]): boolean {
  if (spec?.template.spec?.restartPolicy !== 'OnFailure') return false;
  let restarts = 0;
  for (const { status } of active) {
    if (status?.phase !== 'Running' && status?.phase !== 'Pending') continue;
    for (const container of [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])]) {
      restarts += container.restartCount;
    }
  }
  const { backoffLimit = 6 } = spec;
  return backoffLimit === 0 ? restarts > 0 : restarts >= backoffLimit;
}

/** Until its active deadline, in ms; `undefined`: it has none, or its time does not run. */
export function deadlineInMs({ spec, status }: Job, nowWallMs: number): number | undefined {
  const { activeDeadlineSeconds: seconds, suspend } = spec ?? {};
  if (seconds === undefined || suspend === true || status?.startTime === undefined) return undefined;
  return (parseTime(status.startTime) ?? nowWallMs) + seconds * 1_000 - nowWallMs;
}

/** How many pods are to be active. Upstream: the first half of `manageJob`. */
export function wantedActive({ spec }: Job, progress: Progress): number {
  const { parallelism = 1, completions, suspend } = spec ?? {};
  if (suspend === true) return 0;
  if (completions === undefined) return progress.succeeded > 0 ? progress.active.length : parallelism;
  return Math.max(0, Math.min(parallelism, completions - progress.succeeded));
}

/** With the condition set; the same conditions if it is so already. */
export function withCondition(
  conditions: readonly JobCondition[],
  wanted: { readonly type: string; readonly status: string; readonly reason: string; readonly message: string },
  nowWallMs: number,
): readonly JobCondition[] {
  const before = conditions.find(({ type }) => type === wanted.type);
  if (before?.status === wanted.status && before.reason === wanted.reason && before.message === wanted.message) {
    return conditions;
  }
  const now = formatTime(nowWallMs);
  const next = { ...wanted, lastProbeTime: now, lastTransitionTime: now };
  if (before === undefined) return [...conditions, next];
  return conditions.map((condition) => (condition === before ? next : condition));
}

const firstDelayMs = 10_000;
const delayMsMax = 600_000;

/** After so many failures without a success, the last of them `sinceMs` ago: how long no pod is made. */
export function failureDelayMs(failures: number, sinceMs: number): number {
  if (failures === 0) return 0;
  return Math.max(0, Math.min(delayMsMax, firstDelayMs * 2 ** Math.min(failures - 1, 20)) - sinceMs);
}

/** When the pod ended, in ms since 1970. */
export function endedAtMs({ status, metadata }: Pod, nowWallMs: number): number {
  const ends = (status?.containerStatuses ?? [])
    .map(({ state }) => state?.terminated?.finishedAt)
    .map((time) => (typeof time === 'string' ? parseTime(time) : undefined))
    .filter((ms) => ms !== undefined);
  if (ends.length > 0) return Math.max(...ends);
  return metadata?.deletionTimestamp === undefined
    ? nowWallMs
    : Math.min(nowWallMs, parseTime(metadata.deletionTimestamp) ?? nowWallMs);
}

/** The status without what is zero. */
export function compact(status: JobStatus): JobStatus {
  const { uncountedTerminatedPods: { succeeded = [], failed = [] } = {}, ...rest } = status;
  const kept = Object.entries(rest).filter(
    ([name, value]) => value !== 0 || name === 'ready' || name === 'terminating',
  );
  return {
    ...Object.fromEntries(kept),
    uncountedTerminatedPods: {
      ...(succeeded.length === 0 ? {} : { succeeded }),
      ...(failed.length === 0 ? {} : { failed }),
    },
  };
}
