import type { Job, Pod } from '../../api/gen/types.ts';
import { matcherOfSelector } from '../../api/label-selector.ts';
import { resources } from '../../api/resources.ts';
import type { Outcome, Reconciler } from '../../base/run-reconciler.ts';
import type { TaskScope } from '../../base/task-scope.ts';
import { WorkQueue } from '../../base/work-queue.ts';
import { CorrelatingEventRecorder } from '../../client/correlating-event-recorder.ts';
import type { EventRecorder } from '../../client/event-recorder.ts';
import type { Informer } from '../../client/informer.ts';
import type { ByController } from '../owned-pods/by-controller.ts';
import { claimObjects } from '../owned-pods/claim-objects.ts';
import { keyOf, refOf } from '../owned-pods/controller-ref.ts';
import { Expectations } from '../owned-pods/expectations.ts';
import { LostAnswers } from '../owned-pods/lost-answers.ts';
import { watchPods } from '../owned-pods/watch-pods.ts';
import { startWorkers } from '../run-controller.ts';
import type { ControllerDeps } from '../run-controller.ts';
import { isManagedElsewhere, trackingFinalizer } from './job-progress.ts';
import { JobSync } from './job-sync.ts';
import type { RecentFailures } from './job-sync.ts';
import { JobWrites } from './job-writes.ts';
import { startOrphanedPods } from './orphaned-pods.ts';
import { startJobExpiry } from './job-expiry.ts';
import { ReleasedPods } from './released-pods.ts';

const workers = 5; // upstream: ConcurrentJobSyncs

export interface JobDeps extends ControllerDeps {
  readonly jobs: Informer<Job>;
  readonly pods: Informer<Pod>;
  readonly podsByController: ByController<Pod>;
}

/** Runs pods until enough of them have succeeded, or too many have failed. Upstream: the job controller. */
export function startJobs(scope: TaskScope, deps: JobDeps): void {
  const { jobs, pods, clock } = deps;
  const events = new CorrelatingEventRecorder({ ...deps, source: { component: 'job-controller' } });
  const queue = new WorkQueue<string>({ clock, signal: scope.signal });
  const expectations = new Expectations(clock);
  jobs.onChange(({ previous, current }) => {
    const object = current ?? previous ?? {};
    if (previous?.metadata?.uid !== current?.metadata?.uid) expectations.forget(keyOf(object));
    queue.add(keyOf(object));
  });
  watchPods(
    pods,
    { type: resources.jobs, informer: jobs, selectorOf: ({ spec }) => matcherOfSelector(spec?.selector) },
    {
      created: (key) => expectations.creationSeen(key),
      gone: (key, uid) => expectations.deletionSeen(key, uid),
      changed: (key) => queue.add(key),
    },
  );
  scope.start((signal) => events.run(signal));
  const reconciler = new JobReconciler(deps, events, expectations);
  startWorkers(scope, deps, reconciler, queue, { workers, synced: [jobs, pods] });
  startOrphanedPods(scope, deps);
  startJobExpiry(scope, deps);
}

class JobReconciler implements Reconciler<string> {
  readonly name = 'job';
  readonly #deps: JobDeps;
  readonly #events: EventRecorder;
  readonly #expectations: Expectations;
  readonly #lost: LostAnswers;
  readonly #released: ReleasedPods;
  readonly #writes: JobWrites;
  readonly #failuresByUid = new Map<string, RecentFailures>(); // of jobs that are there

  constructor(deps: JobDeps, events: EventRecorder, expectations: Expectations) {
    this.#deps = deps;
    this.#events = events;
    this.#expectations = expectations;
    this.#lost = new LostAnswers({ ...deps, expectations });
    this.#released = new ReleasedPods(deps.pods);
    this.#writes = new JobWrites(deps.client, deps.jobs);
    deps.jobs.onChange(({ previous, current }) => {
      const uid = previous?.metadata?.uid;
      if (uid !== undefined && uid !== current?.metadata?.uid) this.#failuresByUid.delete(uid);
    });
  }

  async reconcile(key: string, signal: AbortSignal): Promise<Outcome> {
    const { client, clock, jobs, podsByController } = this.#deps;
    const { namespace, name } = refOf(key);
    const cached = jobs.get(namespace, name);
    if (cached === undefined) {
      this.#expectations.forget(key);
      this.#lost.forget(key);
      return { kind: 'settled' };
    }
    if (isManagedElsewhere(cached)) return { kind: 'settled' };
    const job = await this.#writes.newest(cached, signal);
    if (job === undefined) return { kind: 'settled' };
    const { uid = '' } = job.metadata ?? {};
    const selector = matcherOfSelector(job.spec?.selector);
    await this.#lost.clear(key, job, selector, signal);
    const isCurrent = this.#expectations.areMet(key);
    const ownerType = resources.jobs;
    const claim = { client, ownerType, owner: job, selector, type: resources.pods, finalizer: trackingFinalizer };
    // Both at the same moment: while it claims, the cache may show a release, and what was read before does not.
    const candidates = [...podsByController.ownedBy(uid), ...podsByController.orphansIn(namespace)].map((pod) =>
      this.#released.asReleased(pod),
    );
    const pods = await claimObjects(claim, candidates, signal);
    let failures = this.#failuresByUid.get(uid);
    if (failures === undefined)
      this.#failuresByUid.set(uid, (failures = { count: 0, lastWallMs: 0, endsWallMs: new Map() }));
    const deps = {
      client,
      clock,
      events: this.#events,
      expectations: this.#expectations,
      lost: this.#lost,
      released: this.#released,
      writes: this.#writes,
    };
    const sync = new JobSync(deps, { key, job, pods, failures, mayManage: isCurrent });
    const waits = [await sync.run(signal), this.#expectations.patienceMs(key)];
    const afterMs = Math.min(...waits.filter((waitMs) => waitMs !== undefined && waitMs > 0).map(Number));
    return Number.isFinite(afterMs) ? { kind: 'again', afterMs } : { kind: 'settled' };
  }
}
