/** Where a job stands, from its status and its pods. Pure. */
import type { Job, JobCondition, JobStatus, Pod } from '../../api/gen/types.ts';
import { formatTime, parseTime } from '../../api/time.ts';
import { uidOf } from '../owned-pods/pod-batches.ts';
import { countIndexes } from '../../api/index-ranges.ts';
import { hasEnded, isPodActive } from '../owned-pods/pod-readiness.ts';
import { judgeFailure } from './failure-policy.ts';
import { indexProgressOf, indexVerdictOn } from './index-progress.ts';
import type { IndexProgress } from './index-progress.ts';
import { countsAsFailed } from './pod-ends.ts';
import { indexOf, isIndexed } from './pod-index.ts';

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
  /** Ended, with the finalizer, and not in the status yet; of an Indexed job only those with an index. */
  readonly newSucceeded: readonly Pod[];
  /** The same, also those that are not to be counted. */
  readonly newFailed: readonly Pod[];
  /** With those to be counted. */
  readonly succeeded: number;
  readonly failed: number;
  /** Of the failure policy: the job has failed. */
  readonly failsJob: string | undefined;
  /** Of an Indexed job. */
  readonly indexes: IndexProgress | undefined;
}

/** Another controller's: left alone. Upstream: `managedByExternalController`. */
export function isManagedElsewhere({ spec }: Job): boolean {
  return spec?.managedBy !== undefined && spec.managedBy !== 'kubernetes.io/job-controller';
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

export function progressOf(job: Job, pods: readonly Pod[]): Progress {
  const { status = {}, spec } = job;
  const { succeeded: countedSucceeded = [], failed: countedFailed = [] } = status.uncountedTerminatedPods ?? {};
  const known = new Set([...countedSucceeded, ...countedFailed]);
  const tracked = pods.filter((pod) => isTracked(pod) && (!isIndexed(job) || indexOf(job, pod) !== undefined));
  const fresh = tracked.filter((pod) => !known.has(uidOf(pod)));
  const newSucceeded = fresh.filter(({ status: of }) => of?.phase === 'Succeeded');
  const newFailed = fresh.filter((pod) => countsAsFailed(job, pod));
  const verdicts = newFailed.map((pod) => judgeFailure(spec?.podFailurePolicy, pod));
  const fatal = verdicts.find((verdict) => verdict.kind === 'failsJob');
  const indexes = isIndexed(job) ? indexProgressOf(job, pods, tracked) : undefined;
  return {
    active: pods.filter(isPodActive),
    terminating: pods.filter((pod) => pod.metadata?.deletionTimestamp !== undefined && !hasEnded(pod)),
    newSucceeded,
    newFailed,
    succeeded:
      indexes === undefined
        ? (status.succeeded ?? 0) + countedSucceeded.length + newSucceeded.length
        : countIndexes(indexes.succeeded),
    failed: (status.failed ?? 0) + countedFailed.length + verdicts.filter(({ kind }) => kind !== 'ignored').length,
    failsJob: fatal?.kind === 'failsJob' ? fatal.message : undefined,
    indexes,
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
  const ofIndexes = progress.indexes === undefined ? undefined : indexVerdictOn(job, progress.indexes);
  if (ofIndexes !== undefined) return ofIndexes;
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

/** The status without what is zero or empty. */
export function compact(status: JobStatus): JobStatus {
  const { uncountedTerminatedPods: { succeeded = [], failed = [] } = {}, ...rest } = status;
  const kept = Object.entries(rest).filter(
    ([name, value]) =>
      (value !== 0 || name === 'ready' || name === 'terminating') && (value !== '' || name === 'failedIndexes'),
  );
  return {
    ...Object.fromEntries(kept),
    uncountedTerminatedPods: {
      ...(succeeded.length === 0 ? {} : { succeeded }),
      ...(failed.length === 0 ? {} : { failed }),
    },
  };
}
