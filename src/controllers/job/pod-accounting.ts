/** Which pods of a job are counted now, and as what. Pure. */
import { hasIndex } from '../../api/index-ranges.ts';
import type { Job, Pod } from '../../api/gen/types.ts';
import { uidOf } from '../owned-pods/pod-batches.ts';
import { judgeFailure } from './failure-policy.ts';
import { isTracked } from './job-progress.ts';
import type { Progress, Verdict } from './job-progress.ts';
import { countsAsFailed } from './pod-ends.ts';
import { indexOf, isIndexed } from './pod-index.ts';

/** How many UIDs a status holds; the rest is counted at the next look. Upstream: `MaxUncountedPods`. */
const uncountedMax = 500;

export interface Accounting {
  /** They lose their finalizer when the status has been written. */
  readonly letGo: readonly Pod[];
  /** UIDs in the status until then; a pod of before that is not let go now stays there. */
  readonly succeeded: readonly string[];
  readonly failed: readonly string[];
  /** False: there are more. */
  readonly isAll: boolean;
}

/**
 * `final`: what is decided, once none of its pods is active any more: then all of them go, and those of a job that has
 * failed have failed with it. Upstream: the loop of `trackJobStatusAndRemoveFinalizers`.
 */
export function accountFor(
  job: Job,
  pods: readonly Pod[],
  { indexes }: Progress,
  final: Verdict | undefined,
): Accounting {
  const tracked = pods.filter(isTracked);
  const here = new Set(tracked.map(uidOf));
  const { succeeded: oldSucceeded = [], failed: oldFailed = [] } = job.status?.uncountedTerminatedPods ?? {};
  const succeeded = new Set(oldSucceeded.filter((uid) => here.has(uid)));
  const failed = new Set(oldFailed.filter((uid) => here.has(uid)));
  const waiting = new Set(indexes?.waiting.values());
  const letGo: Pod[] = [];
  let newIndexes = 0;
  let isAll = true;
  for (const pod of tracked) {
    const isKnown = succeeded.has(uidOf(pod)) || failed.has(uidOf(pod));
    if (!isKnown && newIndexes + succeeded.size + failed.size >= uncountedMax) {
      isAll = false;
      continue;
    }
    const hasSucceeded = pod.status?.phase === 'Succeeded';
    const hasFailed = countsAsFailed(job, pod);
    const isOver = job.metadata?.deletionTimestamp !== undefined || final !== undefined;
    if (!isOver && !hasSucceeded && (!hasFailed || waiting.has(pod))) continue;
    letGo.push(pod);
    const index = indexOf(job, pod);
    if (isIndexed(job) && index === undefined) continue;
    if (hasSucceeded && !failed.has(uidOf(pod))) {
      // The index says enough to count no success twice.
      if (indexes === undefined) succeeded.add(uidOf(pod));
      else if (index !== undefined && !hasIndex(indexes.known, index)) newIndexes += 1;
    } else if (hasFailed || final?.type === 'Failed') {
      if (judgeFailure(job.spec?.podFailurePolicy, pod).kind !== 'ignored') failed.add(uidOf(pod));
    }
  }
  return { letGo, succeeded: [...succeeded], failed: [...failed], isAll };
}
