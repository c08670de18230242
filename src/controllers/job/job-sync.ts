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
import { changePods, uidOf } from '../owned-pods/pod-batches.ts';
import { podFromTemplate, referenceOf } from '../owned-pods/pod-control.ts';
import type { PodControl } from '../owned-pods/pod-control.ts';
import { isPodReady } from '../owned-pods/pod-readiness.ts';
import {
  compact,
  deadlineInMs,
  decidedVerdict,
  endedAtMs,
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
import type { ReleasedPods } from './released-pods.ts';

const burstMax = 500;
const patchesAtOnce = 16;

/** Failures since the last success: how long to wait before the next pod. Kept from one look to the next. */
export interface RecentFailures {
  count: number;
  lastWallMs: number;
  readonly notedUids: Set<string>; // of pods that are not counted yet, so that none is noted twice
}

export interface JobSyncDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly events: EventRecorder;
  readonly expectations: Expectations;
  readonly released: ReleasedPods;
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
    const progress = progressOf(this.#job, pods, decided !== undefined);
    this.#noteFailures(progress, nowWallMs);
    const isGoing = this.#job.metadata?.deletionTimestamp !== undefined;
    const verdict = decided ?? verdictOn(this.#job, progress, nowWallMs);
    let waitMs: number | undefined;
    let removed = 0;
    if (verdict?.type === 'Failed' && mayManage) removed = await this.#delete(progress.active, signal);
    else if (verdict === undefined && mayManage && !isGoing) waitMs = await this.#manage(progress, nowWallMs, signal);
    await this.#track(progress, verdict, removed, nowWallMs, signal);
    const waits = [waitMs, deadlineInMs(this.#job, nowWallMs)].filter((ms) => ms !== undefined && ms > 0);
    return waits.length === 0 ? undefined : Math.min(...waits.map(Number));
  }

  #noteFailures({ newSucceeded, newFailed }: Progress, nowWallMs: number): void {
    const { failures, pods } = this.#view;
    const tracked = new Set(pods.filter(isTracked).map(uidOf));
    for (const uid of failures.notedUids) if (!tracked.has(uid)) failures.notedUids.delete(uid);
    const noted = [...newSucceeded, ...newFailed]
      .filter((pod) => !failures.notedUids.has(uidOf(pod)))
      // By the clock of its node, which may be ahead: nothing has ended in the future.
      .map((pod) => ({
        pod,
        atMs: Math.min(nowWallMs, endedAtMs(pod, nowWallMs)),
        hasFailed: newFailed.includes(pod),
      }));
    for (const { pod, atMs, hasFailed } of noted.sort((a, b) => a.atMs - b.atMs)) {
      failures.notedUids.add(uidOf(pod));
      failures.count = hasFailed ? failures.count + 1 : 0;
      if (hasFailed) failures.lastWallMs = atMs;
    }
  }

  /** Makes and deletes pods; when to try again, in ms. Upstream: `manageJob`. */
  async #manage(progress: Progress, nowWallMs: number, signal: AbortSignal): Promise<number | undefined> {
    const { active, terminating } = progress;
    const wanted = wantedActive(this.#job, progress);
    if (active.length > wanted) {
      const order = inDeletionOrder(active, () => 0, nowWallMs);
      await this.#delete(order.slice(0, active.length - wanted), signal);
      return undefined;
    }
    const waiting = this.#job.spec?.podReplacementPolicy === 'Failed' ? terminating.length : 0;
    const count = Math.min(burstMax, wanted - active.length - waiting);
    if (count <= 0) return undefined;
    const { failures } = this.#view;
    const delayMs = failureDelayMs(failures.count, nowWallMs - failures.lastWallMs);
    if (delayMs > 0) return delayMs;
    await this.#create(count, signal);
    return undefined;
  }

  async #create(count: number, signal: AbortSignal): Promise<void> {
    const made = podFromTemplate(resources.jobs, this.#job, this.#job.spec?.template ?? {});
    const finalizers = [...(made.metadata?.finalizers ?? []), trackingFinalizer];
    const pod = { ...made, metadata: { ...made.metadata, finalizers } };
    await this.#change(
      Array.from({ length: count }, () => pod),
      [],
      signal,
    );
  }

  /** How many are going now. */
  async #delete(pods: readonly Pod[], signal: AbortSignal): Promise<number> {
    const chosen = pods.slice(0, burstMax);
    await this.#change([], chosen, signal);
    return chosen.length;
  }

  async #change(create: readonly Pod[], remove: readonly Pod[], signal: AbortSignal): Promise<void> {
    const { expectations } = this.#deps;
    const batch = { control: this.#control, owner: this.#job, expectations, key: this.#view.key };
    const failure = await changePods(batch, create, remove, signal);
    if (failure !== undefined) throw failure;
  }

  /**
   * Counts what has ended: its UIDs go into the status, then its finalizer goes, then the UIDs become numbers. After a
   * crash between any two of these it goes on where it was. Upstream: `trackJobStatusAndRemoveFinalizers`.
   */
  async #track(
    progress: Progress,
    verdict: Verdict | undefined,
    removed: number,
    nowWallMs: number,
    signal: AbortSignal,
  ): Promise<void> {
    const { pods } = this.#view;
    const tracked = new Set(pods.filter(isTracked).map(uidOf));
    const before = this.#job.status ?? {};
    const uncounted = before.uncountedTerminatedPods ?? {};
    const still = (uids: readonly string[] = []): readonly string[] => uids.filter((uid) => tracked.has(uid));
    const done = (uids: readonly string[] = []): number => uids.length - still(uids).length;
    const status: JobStatus = {
      ...before,
      active: progress.active.length - removed,
      ready: progress.active.filter(isPodReady).length,
      terminating: progress.terminating.length + removed,
      succeeded: (before.succeeded ?? 0) + done(uncounted.succeeded),
      failed: (before.failed ?? 0) + done(uncounted.failed),
      uncountedTerminatedPods: {
        succeeded: [...still(uncounted.succeeded), ...progress.newSucceeded.map(uidOf)],
        failed: [...still(uncounted.failed), ...progress.newFailed.map(uidOf)],
      },
      ...this.#lifeOf(nowWallMs),
    };
    await this.#write({ ...status, conditions: this.#conditions(verdict, nowWallMs) }, signal);
    const counted = new Set([
      ...(status.uncountedTerminatedPods?.succeeded ?? []),
      ...(status.uncountedTerminatedPods?.failed ?? []),
    ]);
    const toLetGo = pods.filter((pod) => isTracked(pod) && (counted.has(uidOf(pod)) || progress.ignored.includes(pod)));
    await this.#letGo(toLetGo, signal);
    await this.#write(this.#settledStatus(verdict, progress, removed, nowWallMs), signal);
  }

  /** After the finalizers are gone: only numbers are left, and with no pod left the verdict becomes final. */
  #settledStatus(verdict: Verdict | undefined, progress: Progress, removed: number, nowWallMs: number): JobStatus {
    const status = this.#job.status ?? {};
    const { succeeded = [], failed = [] } = status.uncountedTerminatedPods ?? {};
    const settled: JobStatus = {
      ...status,
      succeeded: (status.succeeded ?? 0) + succeeded.length,
      failed: (status.failed ?? 0) + failed.length,
      uncountedTerminatedPods: {},
    };
    const isQuiet = progress.active.length === 0 && progress.terminating.length === 0;
    if (verdict === undefined || !isQuiet || removed > 0) return settled;
    const { type, reason, message } = verdict;
    const conditions = withCondition(status.conditions ?? [], { type, status: 'True', reason, message }, nowWallMs);
    const about = referenceOf(resources.jobs, this.#job);
    if (type === 'Complete') this.#deps.events.event(about, 'Normal', 'Completed', 'Job completed');
    else this.#deps.events.event(about, 'Warning', reason, message);
    const isComplete = type === 'Complete';
    return { ...settled, ready: 0, conditions, ...(isComplete ? { completionTime: formatTime(nowWallMs) } : {}) };
  }

  /** Its time runs from when it is first not suspended, and anew from when it is resumed. */
  #lifeOf(nowWallMs: number): Pick<JobStatus, 'startTime'> {
    const { status, spec } = this.#job;
    if (spec?.suspend === true) return {};
    const wasSuspended = status?.conditions?.some(
      ({ type, status: value }) => type === 'Suspended' && value === 'True',
    );
    return status?.startTime === undefined || wasSuspended === true ? { startTime: formatTime(nowWallMs) } : {};
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
    const { namespace = '', name = '' } = this.#job.metadata ?? {};
    const ref = { namespace, name, subresource: 'status' };
    this.#job = await this.#deps.client.update(resources.jobs, ref, { ...this.#job, status: next }, signal);
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
