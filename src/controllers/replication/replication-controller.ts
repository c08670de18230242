import type { Pod, ReplicaSetStatus } from '../../api/gen/types.ts';
import { resources } from '../../api/resources.ts';
import { sameValue } from '../../api/validation/same-value.ts';
import type { Outcome, Reconciler } from '../../base/run-reconciler.ts';
import { StatusError, hasReason } from '../../base/status-error.ts';
import type { TaskScope } from '../../base/task-scope.ts';
import { WorkQueue } from '../../base/work-queue.ts';
import { CorrelatingEventRecorder } from '../../client/correlating-event-recorder.ts';
import type { EventRecorder } from '../../client/event-recorder.ts';
import type { Informer } from '../../client/informer.ts';
import type { ByController } from '../owned-pods/by-controller.ts';
import { claimObjects } from '../owned-pods/claim-objects.ts';
import { controllerOf, keyOf, refOf } from '../owned-pods/controller-ref.ts';
import { inDeletionOrder } from '../owned-pods/deletion-order.ts';
import { Expectations } from '../owned-pods/expectations.ts';
import { LostAnswers } from '../owned-pods/lost-answers.ts';
import { changePods } from '../owned-pods/pod-batches.ts';
import { podFromTemplate } from '../owned-pods/pod-control.ts';
import type { PodControl } from '../owned-pods/pod-control.ts';
import { isPodActive, isPodReady, readySinceWallMs } from '../owned-pods/pod-readiness.ts';
import { watchPods } from '../owned-pods/watch-pods.ts';
import { startWorkers } from '../run-controller.ts';
import type { ControllerDeps } from '../run-controller.ts';
import type { ReplicaKind, Replicated } from './replica-kinds.ts';
import { countReplicas, hasStatus } from './replica-status.ts';

/** Of pods that one reconciliation creates or deletes. Upstream: `BurstReplicas`. */
export const burstMax = 500;
const workers = 5; // upstream: ConcurrentRSSyncs, ConcurrentRCSyncs

export interface ReplicationDeps<T extends Replicated> extends ControllerDeps {
  readonly pods: Informer<Pod>;
  readonly podsByController: ByController<Pod>;
  readonly owners: Informer<T>;
  /** The siblings of an owner: all that have the same controller as it. */
  readonly ownersByController: ByController<T>;
}

/**
 * Keeps as many pods as a ReplicaSet or a ReplicationController wants. Upstream: `ReplicaSetController`.
 */
export function startReplication<T extends Replicated>(
  scope: TaskScope,
  deps: ReplicationDeps<T>,
  kind: ReplicaKind<T>,
): void {
  const { pods, owners, clock } = deps;
  const events = new CorrelatingEventRecorder({ ...deps, source: { component: kind.component } });
  const queue = new WorkQueue<string>({ clock, signal: scope.signal });
  const expectations = new Expectations(clock);
  owners.onChange(({ previous, current }) => {
    const object = current ?? previous;
    if (object === undefined) return;
    // Another one of the same name starts anew.
    if (previous?.metadata?.uid !== current?.metadata?.uid) expectations.forget(keyOf(object));
    queue.add(keyOf(object));
  });
  watchPods(
    pods,
    { type: kind.type, informer: owners, selectorOf: kind.selectorOf },
    {
      created: (key) => expectations.creationSeen(key),
      gone: (key, uid) => expectations.deletionSeen(key, uid),
      changed: (key) => queue.add(key),
      isNews: isWorthCounting,
    },
  );
  scope.start((signal) => events.run(signal));
  const reconciler = new Replication(deps, kind, events, expectations);
  startWorkers(scope, deps, reconciler, queue, { workers, synced: [owners, pods] });
}

class Replication<T extends Replicated> implements Reconciler<string> {
  readonly name: string;
  readonly #deps: ReplicationDeps<T>;
  readonly #kind: ReplicaKind<T>;
  readonly #control: PodControl;
  readonly #expectations: Expectations;
  readonly #lost: LostAnswers;

  constructor(deps: ReplicationDeps<T>, kind: ReplicaKind<T>, events: EventRecorder, expectations: Expectations) {
    this.name = kind.component;
    this.#deps = deps;
    this.#kind = kind;
    this.#control = { client: deps.client, events, ownerType: kind.type };
    this.#expectations = expectations;
    this.#lost = new LostAnswers({ ...deps, expectations });
  }

  async reconcile(key: string, signal: AbortSignal): Promise<Outcome> {
    const { namespace, name } = refOf(key);
    const owner = this.#deps.owners.get(namespace, name);
    if (owner === undefined) {
      this.#expectations.forget(key);
      this.#lost.forget(key);
      return { kind: 'settled' };
    }
    await this.#lost.clear(key, owner, this.#kind.selectorOf(owner), signal);
    const isCurrent = this.#expectations.areMet(key);
    const pods = await this.#claimPods(owner, signal);
    const isGoing = owner.metadata?.deletionTimestamp !== undefined;
    const failure = isCurrent && !isGoing ? await this.#manage(key, owner, pods, signal) : undefined;
    const nowWallMs = this.#deps.clock.wallMs();
    const { status, nextAvailableInMs } = countReplicas(owner, pods, failure?.message, nowWallMs);
    await this.#writeStatus(owner, status, signal);
    if (failure !== undefined) throw failure;
    const patienceMs = this.#expectations.patienceMs(key);
    const waits = [nextAvailableInMs ?? 0, patienceMs].filter((waitMs) => waitMs > 0);
    return waits.length === 0 ? { kind: 'settled' } : { kind: 'again', afterMs: Math.min(...waits) };
  }

  #claimPods(owner: T, signal: AbortSignal): Promise<readonly Pod[]> {
    const { client, podsByController } = this.#deps;
    const { uid = '', namespace = '' } = owner.metadata ?? {};
    const candidates = [...podsByController.ownedBy(uid), ...podsByController.orphansIn(namespace)];
    const selector = this.#kind.selectorOf(owner);
    const claim = { client, ownerType: this.#kind.type, owner, selector, type: resources.pods };
    return claimObjects(claim, candidates.filter(isPodActive), signal);
  }

  /** What could not be done; the rest of the reconciliation goes on. */
  async #manage(key: string, owner: T, pods: readonly Pod[], signal: AbortSignal): Promise<StatusError | undefined> {
    const surplus = pods.length - (owner.spec?.replicas ?? 1);
    const batch = { control: this.#control, owner, expectations: this.#expectations, key };
    const missing = Math.min(Math.max(0, -surplus), burstMax);
    const pod = podFromTemplate(this.#kind.type, owner, owner.spec?.template ?? {});
    const create = Array.from({ length: missing }, () => pod);
    const remove = surplus > 0 ? this.#surplusOf(owner, pods, surplus) : [];
    const failure = await changePods(batch, create, remove, signal);
    if (failure === undefined) return undefined;
    if (!(failure instanceof StatusError)) throw failure;
    this.#lost.note(key, failure);
    return failure;
  }

  #surplusOf(owner: T, pods: readonly Pod[], surplus: number): readonly Pod[] {
    const siblingsByNode = new Map<string, number>();
    for (const { spec } of this.#relatedPods(owner)) {
      const nodeName = spec?.nodeName ?? '';
      siblingsByNode.set(nodeName, (siblingsByNode.get(nodeName) ?? 0) + 1);
    }
    const siblingsOn = (nodeName: string): number => siblingsByNode.get(nodeName) ?? 0;
    return inDeletionOrder(pods, siblingsOn, this.#deps.clock.wallMs()).slice(0, Math.min(surplus, burstMax));
  }

  /** Pods of all owners that this one's controller has: those of old replica sets count where they run, too. */
  #relatedPods(owner: T): readonly Pod[] {
    const controller = controllerOf(owner);
    const related = controller === undefined ? [owner] : this.#deps.ownersByController.ownedBy(controller.uid);
    return related
      .flatMap(({ metadata }) => this.#deps.podsByController.ownedBy(metadata?.uid ?? ''))
      .filter(isPodActive);
  }

  async #writeStatus(owner: T, status: ReplicaSetStatus, signal: AbortSignal): Promise<void> {
    if (hasStatus(owner, status)) return;
    const { namespace = '', name = '' } = owner.metadata ?? {};
    const { type } = this.#kind;
    const ref = { namespace, name, subresource: 'status' };
    try {
      await this.#deps.client.update<T>(type, ref, { ...owner, status }, signal);
    } catch (error) {
      if (hasReason(error, 'NotFound')) return;
      if (!hasReason(error, 'Conflict')) throw error;
      // It has changed meanwhile; what is counted is what counts, said of the generation that was looked at.
      const fresh = await this.#deps.client.get<T>(type, { namespace, name }, signal);
      if (fresh.metadata?.uid !== owner.metadata?.uid) return;
      await this.#deps.client.update<T>(type, ref, { ...fresh, status }, signal);
    }
  }
}

/** Whether it may change what is claimed or counted: a pod changes some four times before it is Ready. */
function isWorthCounting(previous: Pod, current: Pod): boolean {
  return (
    isPodActive(previous) !== isPodActive(current) ||
    isPodReady(previous) !== isPodReady(current) ||
    readySinceWallMs(previous) !== readySinceWallMs(current) ||
    !sameValue(previous.metadata?.labels, current.metadata?.labels)
  );
}
