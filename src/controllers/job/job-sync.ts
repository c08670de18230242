import type { Job, JobStatus, Pod } from '../../api/gen/types.ts';
import { resources } from '../../api/resources.ts';
import { formatTime } from '../../api/time.ts';
import { sameValue } from '../../api/validation/same-value.ts';
import type { Clock } from '../../base/clock.ts';
import { hasReason } from '../../base/status-error.ts';
import type { Client } from '../../client/client.ts';
import type { EventRecorder } from '../../client/event-recorder.ts';
import { inDeletionOrder } from '../owned-pods/deletion-order.ts';
import type { Expectations } from '../owned-pods/expectations.ts';
import type { LostAnswers } from '../owned-pods/lost-answers.ts';
import { changePods, uidOf } from '../owned-pods/pod-batches.ts';
import { podFromTemplate, referenceOf } from '../owned-pods/pod-control.ts';
import type { PodControl } from '../owned-pods/pod-control.ts';
import { isPodReady } from '../owned-pods/pod-readiness.ts';
import { judgeFailure } from './failure-policy.ts';
import { failuresOf, indexStatusOf, indexesToStart, superfluousPods } from './index-progress.ts';
import {
  compact,
  deadlineInMs,
  decidedVerdict,
  failureDelayMs,
  isFinished,
  isTracked,
  progressOf,
  trackingFinalizer,
  verdictOn,
  wantedActive,
  withCondition,
} from './job-progress.ts';
import type { Progress, Verdict } from './job-progress.ts';
import { accountFor } from './pod-accounting.ts';
import { endedAtMs, replacesOnlyFailed } from './pod-ends.ts';
import { countsPerIndex, isIndexed, podOfIndex } from './pod-index.ts';
import type { JobWrites } from './job-writes.ts';
import type { ReleasedPods } from './released-pods.ts';

const burstMax = 500;
const patchesAtOnce = 16;

/** Failures since the last success: how long to wait before the next pod. Kept from one look to the next. */
export interface RecentFailures {
  count: number;
  lastWallMs: number;
  /** By UID, when each pod ended that is not counted yet: none is noted twice, and its end stays where it was. */
  readonly endsWallMs: Map<string, number>;
}

export interface JobSyncDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly events: EventRecorder;
  readonly expectations: Expectations;
  readonly lost: LostAnswers;
  readonly released: ReleasedPods;
  readonly writes: JobWrites;
}

export interface JobView {
  readonly key: string;
  readonly job: Job;
  /** All of its own, ended ones too. */
  readonly pods: readonly Pod[];
  readonly failures: RecentFailures;
  /** The cache shows what was asked for before. */
  readonly mayManage: boolean;
}

/** What one look has found and done. */
interface Look {
  readonly progress: Progress;
  readonly verdict: Verdict | undefined;
  readonly removed: readonly Pod[];
}

/** One look at one job. Upstream: `syncJob`. */
export class JobSync {
  readonly #deps: JobSyncDeps;
  readonly #view: JobView;
  readonly #control: PodControl;
  #job: Job; // as the server answered last

  constructor(deps: JobSyncDeps, view: JobView) {
    this.#deps = deps;
    this.#view = view;
    this.#job = view.job;
    this.#control = { client: deps.client, events: deps.events, ownerType: resources.jobs };
  }

  /** When to look again, in ms, if nothing happens before. */
  async run(signal: AbortSignal): Promise<number | undefined> {
    const { pods, mayManage } = this.#view;
    if (isFinished(this.#job)) {
      await this.#letGo(pods.filter(isTracked), signal);
      return undefined;
    }
    const nowWallMs = this.#deps.clock.wallMs();
    const decided = decidedVerdict(this.#job);
    const progress = progressOf(this.#job, pods);
    this.#noteEnds(progress, nowWallMs);
    const isGoing = this.#job.metadata?.deletionTimestamp !== undefined;
    const verdict = decided ?? verdictOn(this.#job, progress, nowWallMs);
    let waitMs: number | undefined;
    let removed: readonly Pod[] = [];
    if (verdict !== undefined && mayManage) removed = await this.#delete(progress.active, signal);
    else if (verdict === undefined && mayManage && !isGoing) waitMs = await this.#manage(progress, nowWallMs, signal);
    await this.#track({ progress, verdict, removed }, nowWallMs, signal);
    const waits = [waitMs, deadlineInMs(this.#job, nowWallMs)].filter((ms) => ms !== undefined && ms > 0);
    return waits.length === 0 ? undefined : Math.min(...waits.map(Number));
  }

  /** Upstream: `newBackoffRecord`. */
  #noteEnds({ newSucceeded, newFailed }: Progress, nowWallMs: number): void {
    const { failures, pods } = this.#view;
    const { endsWallMs } = failures;
    const tracked = new Set(pods.filter(isTracked).map(uidOf));
    for (const uid of endsWallMs.keys()) if (!tracked.has(uid)) endsWallMs.delete(uid);
    const failed = new Set(newFailed);
    const fresh = [...newSucceeded, ...newFailed]
      .filter((pod) => !endsWallMs.has(uidOf(pod)))
      // By the clock of its node, which may be ahead: nothing has ended in the future.
      .map((pod) => ({ pod, atMs: Math.min(nowWallMs, endedAtMs(pod)) }));
    for (const { pod, atMs } of fresh.sort((a, b) => a.atMs - b.atMs)) {
      endsWallMs.set(uidOf(pod), atMs);
      failures.count = failed.has(pod) ? failures.count + 1 : 0;
      if (failed.has(pod)) failures.lastWallMs = atMs;
    }
  }

  /** Makes and deletes pods; when to try again, in ms. Upstream: `manageJob`. */
  async #manage(progress: Progress, nowWallMs: number, signal: AbortSignal): Promise<number | undefined> {
    const { active, terminating } = progress;
    const wanted = wantedActive(this.#job, progress);
    const surplus = this.#surplus(active, Math.max(0, active.length - wanted), nowWallMs);
    if (surplus.length > 0) {
      // What it ends itself has neither succeeded nor failed.
      await this.#letGo(surplus.filter(isTracked), signal);
      await this.#delete(surplus, signal);
      return undefined;
    }
    const onlyFailed = replacesOnlyFailed(this.#job);
    const count = Math.min(burstMax, wanted - active.length - (onlyFailed ? terminating.length : 0));
    if (count <= 0) return undefined;
    const busy = onlyFailed ? [...active, ...terminating] : active;
    const { pods, delayMs } = this.#newPods(progress, busy, count, nowWallMs);
    await this.#change(pods, [], signal);
    return delayMs > 0 ? delayMs : undefined;
  }

  /** `atLeast` pods, and those that have no place. Upstream: `activePodsForRemoval`. */
  #surplus(active: readonly Pod[], atLeast: number, nowWallMs: number): readonly Pod[] {
    const misplaced = isIndexed(this.#job) ? superfluousPods(this.#job, active, nowWallMs) : [];
    const without = new Set(misplaced);
    const rest = active.filter((pod) => !without.has(pod));
    const more = inDeletionOrder(rest, () => 0, nowWallMs).slice(0, Math.max(0, atLeast - misplaced.length));
    return [...misplaced, ...more].slice(0, burstMax);
  }

  /** Those that can come now; `delayMs` until the next one can, if any has to wait. */
  #newPods(
    progress: Progress,
    busy: readonly Pod[],
    count: number,
    nowWallMs: number,
  ): { readonly pods: readonly Pod[]; readonly delayMs: number } {
    const { failures } = this.#view;
    const job = this.#job;
    const pod = this.#madeOfTemplate();
    const { indexes } = progress;
    if (!countsPerIndex(job)) {
      const delayMs = failureDelayMs(failures.count, nowWallMs - failures.lastWallMs);
      if (delayMs > 0) return { pods: [], delayMs };
      if (indexes === undefined) return { pods: Array.from({ length: count }, () => pod), delayMs: 0 };
    }
    if (indexes === undefined) return { pods: [], delayMs: 0 };
    const delays: number[] = [];
    const pods: Pod[] = [];
    for (const index of indexesToStart(job, indexes, busy, count)) {
      const before = indexes.waiting.get(index);
      const delayMs = before === undefined ? 0 : this.#indexDelayMs(before, nowWallMs);
      if (delayMs > 0) {
        delays.push(delayMs);
        continue;
      }
      const isIgnored = before !== undefined && judgeFailure(job.spec?.podFailurePolicy, before).kind === 'ignored';
      pods.push(podOfIndex(job, pod, index, before === undefined ? undefined : { pod: before, isIgnored }));
    }
    return { pods, delayMs: delays.length === 0 ? 0 : Math.min(...delays) };
  }

  /** Upstream: `getRemainingTimePerIndex`. */
  #indexDelayMs(before: Pod, nowWallMs: number): number {
    const endedMs = this.#view.failures.endsWallMs.get(uidOf(before)) ?? nowWallMs;
    return failureDelayMs(failuresOf(before) + 1, nowWallMs - endedMs);
  }

  #madeOfTemplate(): Pod {
    const made = podFromTemplate(resources.jobs, this.#job, this.#job.spec?.template ?? {});
    const finalizers = [...new Set([...(made.metadata?.finalizers ?? []), trackingFinalizer])];
    return { ...made, metadata: { ...made.metadata, finalizers } };
  }

  /** Those that are going now. */
  async #delete(pods: readonly Pod[], signal: AbortSignal): Promise<readonly Pod[]> {
    const chosen = pods.slice(0, burstMax);
    await this.#change([], chosen, signal);
    return chosen;
  }

  async #change(create: readonly Pod[], remove: readonly Pod[], signal: AbortSignal): Promise<void> {
    const { expectations, lost } = this.#deps;
    const { key } = this.#view;
    const batch = { control: this.#control, owner: this.#job, expectations, key };
    const failure = await changePods(batch, create, remove, signal);
    if (failure === undefined) return;
    lost.note(key, failure);
    throw failure;
  }

  /**
   * Counts what has ended: its UIDs go into the status, then its finalizer goes, then the UIDs become numbers. After a
   * crash between any two of these it goes on where it was. Upstream: `trackJobStatusAndRemoveFinalizers`.
   */
  async #track(look: Look, nowWallMs: number, signal: AbortSignal): Promise<void> {
    const { progress, verdict, removed } = look;
    const { pods, mayManage } = this.#view;
    const gone = new Set(removed);
    const left = progress.active.filter((pod) => !gone.has(pod));
    const isFinal = verdict !== undefined && mayManage && left.length === 0;
    const accounting = accountFor(this.#job, pods, progress, isFinal ? verdict : undefined);
    const before = this.#job.status ?? {};
    const { succeeded: oldSucceeded = [], failed: oldFailed = [] } = before.uncountedTerminatedPods ?? {};
    const done = (old: readonly string[], now: readonly string[]): number =>
      old.filter((uid) => !now.includes(uid)).length;
    const { failedIndexes: _failedIndexes, ...kept } = before;
    const status: JobStatus = {
      ...kept,
      active: left.length,
      ready: left.filter(isPodReady).length,
      terminating: progress.terminating.length + removed.length,
      succeeded: (before.succeeded ?? 0) + done(oldSucceeded, accounting.succeeded),
      failed: (before.failed ?? 0) + done(oldFailed, accounting.failed),
      uncountedTerminatedPods: { succeeded: accounting.succeeded, failed: accounting.failed },
      ...(progress.indexes === undefined ? {} : indexStatusOf(progress.indexes)),
      ...this.#lifeOf(verdict, nowWallMs),
    };
    await this.#write({ ...status, conditions: this.#conditions(verdict, nowWallMs) }, signal);
    await this.#letGo(accounting.letGo, signal);
    const isQuiet = accounting.isAll && (this.#job.status?.terminating ?? 0) === 0;
    const end = isFinal && isQuiet ? verdict : undefined;
    await this.#write(this.#settledStatus(accounting.letGo, end, nowWallMs), signal);
    if (end !== undefined) this.#sayEnded(end);
  }

  /** After the finalizers are gone: numbers are left of them, and with no pod left the verdict becomes final. */
  #settledStatus(letGo: readonly Pod[], end: Verdict | undefined, nowWallMs: number): JobStatus {
    const status = this.#job.status ?? {};
    const { succeeded = [], failed = [] } = status.uncountedTerminatedPods ?? {};
    const released = new Set(letGo.map(uidOf));
    const stay = (uids: readonly string[]): readonly string[] => uids.filter((uid) => !released.has(uid));
    const rest = { succeeded: stay(succeeded), failed: stay(failed) };
    const settled: JobStatus = {
      ...status,
      succeeded: (status.succeeded ?? 0) + succeeded.length - rest.succeeded.length,
      failed: (status.failed ?? 0) + failed.length - rest.failed.length,
      uncountedTerminatedPods: rest,
    };
    if (end === undefined) return settled;
    const { type, reason, message } = end;
    const conditions = withCondition(status.conditions ?? [], { type, status: 'True', reason, message }, nowWallMs);
    const now = formatTime(nowWallMs);
    // One that was suspended all along has none.
    const { startTime = now } = status;
    return { ...settled, startTime, conditions, ...(type === 'Complete' ? { completionTime: now } : {}) };
  }

  /** Upstream: `recordJobFinished`. */
  #sayEnded({ type, reason, message }: Verdict): void {
    const { events } = this.#deps;
    const { succeeded = 0 } = this.#job.status ?? {};
    const about = referenceOf(resources.jobs, this.#job);
    if (type === 'Failed') return events.event(about, 'Warning', reason, message);
    if (succeeded > (this.#job.spec?.completions ?? succeeded)) {
      const text = 'Too many succeeded pods running after completion count reached';
      events.event(about, 'Warning', 'TooManySucceededPods', text);
    }
    events.event(about, 'Normal', 'Completed', 'Job completed');
  }

  /** Its time runs from when it is first not suspended, and anew from when it is resumed. */
  #lifeOf(verdict: Verdict | undefined, nowWallMs: number): Pick<JobStatus, 'startTime'> {
    const { status, spec } = this.#job;
    if (spec?.suspend === true) return {};
    const wasSuspended = status?.conditions?.some(
      ({ type, status: value }) => type === 'Suspended' && value === 'True',
    );
    // It is said at the same time.
    const isResumed = wasSuspended === true && verdict === undefined && this.#view.mayManage;
    return status?.startTime === undefined || isResumed ? { startTime: formatTime(nowWallMs) } : {};
  }

  #conditions(verdict: Verdict | undefined, nowWallMs: number): NonNullable<JobStatus['conditions']> {
    const conditions = this.#job.status?.conditions ?? [];
    if (verdict !== undefined) {
      const type = verdict.type === 'Failed' ? 'FailureTarget' : 'SuccessCriteriaMet';
      const { reason, message } = verdict;
      return withCondition(conditions, { type, status: 'True', reason, message }, nowWallMs);
    }
    if (!this.#view.mayManage) return conditions;
    const isSuspended = this.#job.spec?.suspend === true;
    const hadSaid = conditions.some(({ type }) => type === 'Suspended');
    if (!isSuspended && !hadSaid) return conditions;
    const [status, reason, message, event] = isSuspended
      ? (['True', 'JobSuspended', 'Job suspended', 'Suspended'] as const)
      : (['False', 'JobResumed', 'Job resumed', 'Resumed'] as const);
    const next = withCondition(conditions, { type: 'Suspended', status, reason, message }, nowWallMs);
    if (next !== conditions) {
      this.#deps.events.event(referenceOf(resources.jobs, this.#job), 'Normal', event, message);
    }
    return next;
  }

  async #letGo(pods: readonly Pod[], signal: AbortSignal): Promise<void> {
    for (let start = 0; start < pods.length; start += patchesAtOnce) {
      const chosen = pods.slice(start, start + patchesAtOnce);
      await Promise.all(chosen.map((pod) => this.#release(pod, signal)));
    }
  }

  async #release(pod: Pod, signal: AbortSignal): Promise<void> {
    const { client, released } = this.#deps;
    released.add(pod);
    try {
      await removeTracking(client, pod, signal);
    } catch (error) {
      released.remove(pod);
      throw error;
    }
  }

  async #write(status: JobStatus, signal: AbortSignal): Promise<void> {
    const next = compact(status);
    if (sameValue(next, this.#job.status ?? {})) return;
    this.#job = await this.#deps.writes.write(this.#job, next, signal);
  }
}

/** Takes the finalizer of the job controller from a pod, if that is still there. */
export async function removeTracking(client: Client, pod: Pod, signal: AbortSignal): Promise<void> {
  const { namespace = '', name = '', uid = '' } = pod.metadata ?? {};
  const body = { metadata: { uid, '$deleteFromPrimitiveList/finalizers': [trackingFinalizer] } };
  try {
    await client.patch(resources.pods, { namespace, name }, { type: 'strategic', body }, signal);
  } catch (error) {
    // A Conflict is about the UID: another pod has the name now.
    if (!hasReason(error, 'NotFound', 'Conflict')) throw error;
  }
}
