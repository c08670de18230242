/** Where an Indexed job stands, index by index. Pure. */
import {
  countIndexes,
  countShared,
  firstFreeIndexes,
  formatIndexRanges,
  hasIndex,
  mergeIndexRanges,
  parseIndexRanges,
  rangesOfIndexes,
} from '../../api/index-ranges.ts';
import type { IndexRanges } from '../../api/index-ranges.ts';
import type { Job, JobStatus, Pod } from '../../api/gen/types.ts';
import { inDeletionOrder } from '../owned-pods/deletion-order.ts';
import { isPodActive } from '../owned-pods/pod-readiness.ts';
import { judgeFailure } from './failure-policy.ts';
import { countsAsFailed, endedAtMs } from './pod-ends.ts';
import { countsPerIndex, failuresBefore, indexOf } from './pod-index.ts';

export interface IndexProgress {
  /** As the status has it. */
  readonly known: IndexRanges;
  /** With those of pods that are to be counted. */
  readonly succeeded: IndexRanges;
  /** The same; `undefined` if the job does not count failures by index. */
  readonly failed: IndexRanges | undefined;
  /**
   * By index, the failed pod that stays uncounted until another one has its place: that one takes over how often the
   * index has failed. Upstream: `podsWithDelayedDeletionPerIndex`.
   */
  readonly waiting: ReadonlyMap<number, Pod>;
}

/** `tracked`: those pods that are not counted yet. */
export function indexProgressOf(job: Job, pods: readonly Pod[], tracked: readonly Pod[]): IndexProgress {
  const completions = job.spec?.completions ?? 0;
  const indexesOf = (chosen: readonly Pod[]): IndexRanges => {
    return rangesOfIndexes(chosen.map((pod) => indexOf(job, pod)).filter((index) => index !== undefined));
  };
  const known = parseIndexRanges(job.status?.completedIndexes ?? '', completions);
  const ended = tracked.filter(({ status }) => status?.phase === 'Succeeded');
  const succeeded = mergeIndexRanges(known, indexesOf(ended));
  if (!countsPerIndex(job)) return { known, succeeded, failed: undefined, waiting: new Map() };
  const knownFailed = parseIndexRanges(job.status?.failedIndexes ?? '', completions);
  const failing = tracked.filter((pod) => failsIndex(job, pod));
  const failed = mergeIndexRanges(knownFailed, indexesOf(failing));
  const settled = mergeIndexRanges(mergeIndexRanges(succeeded, failed), indexesOf(pods.filter(isPodActive)));
  return { known, succeeded, failed, waiting: waitingPods(job, tracked, settled) };
}

/** Upstream: `isIndexFailed`. */
function failsIndex(job: Job, pod: Pod): boolean {
  if (!countsAsFailed(job, pod)) return false;
  const { kind } = judgeFailure(job.spec?.podFailurePolicy, pod);
  if (kind === 'failsIndex') return true;
  return kind !== 'ignored' && failuresBefore(pod).counted >= (job.spec?.backoffLimitPerIndex ?? 0);
}

/** `settled`: indexes that have succeeded, have failed, or have an active pod. */
function waitingPods(job: Job, tracked: readonly Pod[], settled: IndexRanges): ReadonlyMap<number, Pod> {
  const waiting = new Map<number, Pod>();
  for (const pod of tracked) {
    const index = indexOf(job, pod);
    if (index === undefined || hasIndex(settled, index) || !countsAsFailed(job, pod)) continue;
    const other = waiting.get(index);
    const isLater = other === undefined || (failuresOf(other) <= failuresOf(pod) && endedAtMs(other) <= endedAtMs(pod));
    if (isLater) waiting.set(index, pod);
  }
  return waiting;
}

/** How often its index had failed before it, counted or not. */
export function failuresOf(pod: Pod): number {
  const { counted, ignored } = failuresBefore(pod);
  return counted + ignored;
}

export interface IndexVerdict {
  readonly type: 'Complete' | 'Failed';
  readonly reason: string;
  readonly message: string;
}

/** What the indexes alone decide. */
export function indexVerdictOn({ spec }: Job, { succeeded, failed }: IndexProgress): IndexVerdict | undefined {
  const { completions = 0, maxFailedIndexes, successPolicy } = spec ?? {};
  const failedCount = countIndexes(failed ?? []);
  if (failed !== undefined && maxFailedIndexes !== undefined && failedCount > maxFailedIndexes) {
    const message = 'Job has exceeded the specified maximal number of failed indexes';
    return { type: 'Failed', reason: 'MaxFailedIndexesExceeded', message };
  }
  if (failedCount > 0 && failedCount + countIndexes(succeeded) >= completions) {
    return { type: 'Failed', reason: 'FailedIndexes', message: 'Job has failed indexes' };
  }
  if (succeeded.length === 0) return undefined;
  const rules = successPolicy?.rules ?? [];
  const met = rules.findIndex(({ succeededIndexes, succeededCount }) => {
    if (succeededIndexes === undefined) return countIndexes(succeeded) >= (succeededCount ?? completions);
    const wanted = parseIndexRanges(succeededIndexes, completions);
    return wanted.length > 0 && countShared(wanted, succeeded) >= (succeededCount ?? countIndexes(wanted));
  });
  if (met < 0) return undefined;
  return { type: 'Complete', reason: 'SuccessPolicy', message: `Matched rules at index ${met}` };
}

/** The lowest indexes that still need a pod, `count` at most. `busy`: pods whose indexes need none now. */
export function indexesToStart(
  job: Job,
  { succeeded, failed = [] }: IndexProgress,
  busy: readonly Pod[],
  count: number,
): readonly number[] {
  const taken = rangesOfIndexes(busy.map((pod) => indexOf(job, pod)).filter((index) => index !== undefined));
  const done = mergeIndexRanges(succeeded, failed);
  return firstFreeIndexes(mergeIndexRanges(done, taken), count, job.spec?.completions ?? 0);
}

/** Active pods without an index, and all but one of each. Upstream: `appendDuplicatedIndexPodsForRemoval`. */
export function superfluousPods(job: Job, active: readonly Pod[], nowWallMs: number): readonly Pod[] {
  const best = new Map<number, Pod>(); // the last of each that would go
  for (const pod of inDeletionOrder(active, () => 0, nowWallMs)) {
    const index = indexOf(job, pod);
    if (index !== undefined) best.set(index, pod);
  }
  const kept = new Set(best.values());
  return active.filter((pod) => !kept.has(pod));
}

export function indexStatusOf({
  succeeded,
  failed,
}: IndexProgress): Pick<JobStatus, 'succeeded' | 'completedIndexes' | 'failedIndexes'> {
  return {
    succeeded: countIndexes(succeeded),
    completedIndexes: formatIndexRanges(succeeded),
    ...(failed === undefined ? {} : { failedIndexes: formatIndexRanges(failed) }),
  };
}
