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
import { watchPods } from '../owned-pods/watch-pods.ts';
import { startWorkers } from '../run-controller.ts';
import type { ControllerDeps } from '../run-controller.ts';
import { isManagedElsewhere, trackingFinalizer } from './job-progress.ts';
import { JobSync } from './job-sync.ts';
import type { RecentFailures } from './job-sync.ts';
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
  readonly #released: ReleasedPods;
  readonly #failuresByUid = new Map<string, RecentFailures>(); // of jobs that are there

  constructor(deps: JobDeps, events: EventRecorder, expectations: Expectations) {
    this.#deps = deps;
    this.#events = events;
    this.#expectations = expectations;
    this.#released = new ReleasedPods(deps.pods);
    deps.jobs.onChange(({ previous, current }) => {
      const uid = previous?.metadata?.uid;
      if (uid !== undefined && uid !== current?.metadata?.uid) this.#failuresByUid.delete(uid);
    });
  }

  async reconcile(key: string, signal: AbortSignal): Promise<Outcome> {
    const { client, clock, jobs, podsByController } = this.#deps;
    const { namespace, name } = refOf(key);
    const job = jobs.get(namespace, name);
    if (job === undefined) {
      this.#expectations.forget(key);
      return { kind: 'settled' };
    }
    if (isManagedElsewhere(job)) return { kind: 'settled' };
    const { uid = '' } = job.metadata ?? {};
    const isCurrent = this.#expectations.areMet(key);
    const claim = {
      client,
      ownerType: resources.jobs,
      owner: job,
      selector: matcherOfSelector(job.spec?.selector),
      type: resources.pods,
      finalizer: trackingFinalizer,
    };
    const candidates = [...podsByController.ownedBy(uid), ...podsByController.orphansIn(namespace)];
    const claimed = await claimObjects(claim, candidates, signal);
    const pods = claimed.map((pod) => this.#released.asReleased(pod));
    let failures = this.#failuresByUid.get(uid);
    if (failures === undefined)
      this.#failuresByUid.set(uid, (failures = { count: 0, lastWallMs: 0, endsWallMs: new Map() }));
    const deps = { client, clock, events: this.#events, expectations: this.#expectations, released: this.#released };
    const sync = new JobSync(deps, { key, job, pods, failures, mayManage: isCurrent });
    const waits = [await sync.run(signal), this.#expectations.patienceMs(key)];
    const afterMs = Math.min(...waits.filter((waitMs) => waitMs !== undefined && waitMs > 0).map(Number));
    return Number.isFinite(afterMs) ? { kind: 'again', afterMs } : { kind: 'settled' };
  }
}
