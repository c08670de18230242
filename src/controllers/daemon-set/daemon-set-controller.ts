import type { ControllerRevision, DaemonSet, DaemonSetStatus, Node, Pod } from '../../api/gen/types.ts';
import { matcherOfSelector } from '../../api/label-selector.ts';
import { resources } from '../../api/resources.ts';
import { sameValue } from '../../api/validation/same-value.ts';
import type { Outcome, Reconciler } from '../../base/run-reconciler.ts';
import type { TaskScope } from '../../base/task-scope.ts';
import { WorkQueue } from '../../base/work-queue.ts';
import { CorrelatingEventRecorder } from '../../client/correlating-event-recorder.ts';
import type { EventRecorder } from '../../client/event-recorder.ts';
import type { Informer } from '../../client/informer.ts';
import { DoublingDelays } from '../owned-pods/doubling-delays.ts';
import type { ByController } from '../owned-pods/by-controller.ts';
import { claimObjects } from '../owned-pods/claim-objects.ts';
import { keyOf, refOf } from '../owned-pods/controller-ref.ts';
import { Expectations } from '../owned-pods/expectations.ts';
import { LostAnswers } from '../owned-pods/lost-answers.ts';
import { changePods } from '../owned-pods/pod-batches.ts';
import { referenceOf } from '../owned-pods/pod-control.ts';
import type { PodControl } from '../owned-pods/pod-control.ts';
import { availableInMs } from '../owned-pods/pod-readiness.ts';
import { watchPods } from '../owned-pods/watch-pods.ts';
import { startWorkers } from '../run-controller.ts';
import type { ControllerDeps } from '../run-controller.ts';
import {
  changesOnNode,
  countDaemons,
  decideNode,
  noChanges,
  podForNode,
  targetNodeOf,
  updateChanges,
} from './daemon-pods.ts';
import type { DaemonChanges, NodeDecision } from './daemon-pods.ts';
import { mergeDoubles, recordTemplate, trimHistory } from './template-history.ts';

const burstMax = 250; // upstream: BurstReplicas of daemon sets
const relabelledMs = 1_000; // for the cache to show pods with their new hash
const workers = 2; // upstream: ConcurrentDaemonSetSyncs

export interface DaemonSetDeps extends ControllerDeps {
  readonly daemonSets: Informer<DaemonSet>;
  readonly revisions: Informer<ControllerRevision>;
  readonly revisionsByController: ByController<ControllerRevision>;
  readonly pods: Informer<Pod>;
  readonly podsByController: ByController<Pod>;
  readonly nodes: Informer<Node>;
}

/** Keeps a pod on every node that a daemon set asks for. Upstream: `DaemonSetsController`. */
export function startDaemonSets(scope: TaskScope, deps: DaemonSetDeps): void {
  const { daemonSets, pods, nodes, revisions, clock } = deps;
  const events = new CorrelatingEventRecorder({ ...deps, source: { component: 'daemonset-controller' } });
  const queue = new WorkQueue<string>({ clock, signal: scope.signal });
  const expectations = new Expectations(clock);
  daemonSets.onChange(({ previous, current }) => {
    const object = current ?? previous ?? {};
    if (previous?.metadata?.uid !== current?.metadata?.uid) expectations.forget(keyOf(object));
    queue.add(keyOf(object));
  });
  nodes.onChange(({ previous, current }) => {
    const facts = (node: Node | undefined): unknown =>
      node === undefined ? undefined : [node.metadata?.name, node.metadata?.labels ?? {}, node.spec?.taints];
    if (sameValue(facts(previous), facts(current))) return; // its status says nothing here
    for (const daemonSet of daemonSets.list()) queue.add(keyOf(daemonSet));
  });
  watchPods(
    pods,
    { type: resources.daemonsets, informer: daemonSets, selectorOf: ({ spec }) => matcherOfSelector(spec?.selector) },
    {
      created: (key) => expectations.creationSeen(key),
      gone: (key, uid) => expectations.deletionSeen(key, uid),
      changed: (key) => queue.add(key),
    },
  );
  scope.start((signal) => events.run(signal));
  const reconciler = new DaemonSetReconciler(deps, events, expectations);
  startWorkers(scope, deps, reconciler, queue, { workers, synced: [daemonSets, revisions, pods, nodes] });
}

interface NodeView {
  readonly name: string;
  readonly decision: NodeDecision;
  readonly pods: readonly Pod[];
}

class DaemonSetReconciler implements Reconciler<string> {
  readonly name = 'daemonSet';
  readonly #deps: DaemonSetDeps;
  readonly #control: PodControl;
  readonly #expectations: Expectations;
  readonly #lost: LostAnswers;
  /** Of pods that a node refused or lost, by daemon set and node. Upstream: `failedPodsBackoff`. */
  readonly #failures: DoublingDelays;

  constructor(deps: DaemonSetDeps, events: EventRecorder, expectations: Expectations) {
    this.#deps = deps;
    this.#control = { client: deps.client, events, ownerType: resources.daemonsets };
    this.#expectations = expectations;
    this.#lost = new LostAnswers({ ...deps, expectations });
    this.#failures = new DoublingDelays(deps.clock, { firstMs: 1_000, maxMs: 900_000 });
  }

  async reconcile(key: string, signal: AbortSignal): Promise<Outcome> {
    const { client, clock, daemonSets, revisionsByController } = this.#deps;
    const { namespace, name } = refOf(key);
    const daemonSet = daemonSets.get(namespace, name);
    if (daemonSet === undefined) {
      this.#expectations.forget(key);
      this.#lost.forget(key);
    }
    if (daemonSet === undefined || daemonSet.metadata?.deletionTimestamp !== undefined) return { kind: 'settled' };
    const { uid = '' } = daemonSet.metadata ?? {};
    const candidates = [...revisionsByController.ownedBy(uid), ...revisionsByController.orphansIn(namespace)];
    const history = await recordTemplate(client, daemonSet, candidates, signal);
    const { hash } = history;
    await this.#lost.clear(key, daemonSet, matcherOfSelector(daemonSet.spec?.selector), signal);
    const mayManage = this.#expectations.areMet(key);
    const pods = await this.#claimPods(daemonSet, signal);
    if (!(await mergeDoubles(client, history, pods, signal))) return { kind: 'again', afterMs: relabelledMs };
    const views = this.#viewNodes(daemonSet, pods);
    let retryMs: number | undefined;
    let failure: unknown;
    if (mayManage) {
      const { changes, delayMs } = this.#changes(key, daemonSet, views, pods, hash);
      retryMs = delayMs;
      const rolls = daemonSet.spec?.updateStrategy?.type === 'RollingUpdate' && isEmpty(changes);
      const next = rolls ? this.#updates(daemonSet, views, hash) : changes;
      failure = await this.#apply(key, daemonSet, next, hash, signal);
      if (isEmpty(next)) await trimHistory(client, daemonSet, history, pods, signal);
    }
    await this.#writeStatus(daemonSet, views, { hash, hasActed: mayManage }, signal);
    if (failure !== undefined) throw failure;
    const minReadySeconds = daemonSet.spec?.minReadySeconds ?? 0;
    const later = pods.map((pod) => availableInMs(pod, minReadySeconds, clock.wallMs()));
    const waits = [...later, retryMs, this.#expectations.patienceMs(key)].filter((ms) => ms !== undefined && ms > 0);
    return waits.length === 0 ? { kind: 'settled' } : { kind: 'again', afterMs: Math.min(...waits.map(Number)) };
  }

  #claimPods(daemonSet: DaemonSet, signal: AbortSignal): Promise<readonly Pod[]> {
    const { client, podsByController } = this.#deps;
    const { uid = '', namespace = '' } = daemonSet.metadata ?? {};
    const selector = matcherOfSelector(daemonSet.spec?.selector);
    const claim = { client, ownerType: resources.daemonsets, owner: daemonSet, selector, type: resources.pods };
    return claimObjects(claim, [...podsByController.ownedBy(uid), ...podsByController.orphansIn(namespace)], signal);
  }

  #viewNodes(daemonSet: DaemonSet, pods: readonly Pod[]): readonly NodeView[] {
    const podsByNode = new Map<string, Pod[]>();
    for (const pod of pods) {
      const target = targetNodeOf(pod) ?? '';
      podsByNode.set(target, [...(podsByNode.get(target) ?? []), pod]);
    }
    return this.#deps.nodes.list().map((node) => {
      const name = node.metadata?.name ?? '';
      return { name, decision: decideNode(daemonSet, node), pods: podsByNode.get(name) ?? [] };
    });
  }

  /** What is missing or too much on each node; pods that have failed are replaced later and later. */
  #changes(
    key: string,
    daemonSet: DaemonSet,
    views: readonly NodeView[],
    pods: readonly Pod[],
    hash: string,
  ): { readonly changes: DaemonChanges; readonly delayMs: number | undefined } {
    const nowWallMs = this.#deps.clock.wallMs();
    const create: string[] = [];
    const remove: Pod[] = [];
    const delays: number[] = [];
    for (const view of views) {
      const wanted = changesOnNode(daemonSet, view.name, view.decision, view.pods, hash, nowWallMs);
      create.push(...wanted.create);
      for (const pod of wanted.remove) {
        const delayMs = pod.status?.phase === 'Failed' ? this.#failures.delayMs(`${key}/${view.name}`, pod) : 0;
        if (delayMs > 0) delays.push(delayMs);
        else remove.push(pod);
      }
    }
    for (const pod of remove) this.#sayEnded(daemonSet, pod);
    // Made for a node that is gone, and never bound to it.
    const known = new Set(views.map(({ name }) => name));
    const lost = pods.filter((pod) => (pod.spec?.nodeName ?? '') === '' && !known.has(targetNodeOf(pod) ?? ''));
    remove.push(...lost.filter(({ metadata }) => metadata?.deletionTimestamp === undefined));
    return { changes: { create, remove }, delayMs: delays.length === 0 ? undefined : Math.min(...delays) };
  }

  #sayEnded(daemonSet: DaemonSet, pod: Pod): void {
    const about = referenceOf(resources.daemonsets, daemonSet);
    const what = `daemon pod ${keyOf(pod)} on node ${targetNodeOf(pod) ?? ''}`;
    const { events } = this.#control;
    if (pod.status?.phase === 'Failed') {
      events.event(about, 'Warning', 'FailedDaemonPod', `Found failed ${what}, will try to kill it`);
    } else if (pod.status?.phase === 'Succeeded') {
      events.event(about, 'Normal', 'SucceededDaemonPod', `Found succeeded ${what}, will try to delete it`);
    }
  }

  #updates(daemonSet: DaemonSet, views: readonly NodeView[], hash: string): DaemonChanges {
    const wanted = views.filter(({ decision }) => decision === 'runs');
    if (wanted.length === 0) return noChanges;
    const podsByNode = new Map(views.filter(({ pods }) => pods.length > 0).map(({ name, pods }) => [name, pods]));
    return updateChanges(daemonSet, podsByNode, wanted.length, hash, this.#deps.clock.wallMs());
  }

  /** Resolves to the first failure. */
  async #apply(
    key: string,
    daemonSet: DaemonSet,
    changes: DaemonChanges,
    hash: string,
    signal: AbortSignal,
  ): Promise<unknown> {
    const create = changes.create.slice(0, burstMax).map((name) => podForNode(daemonSet, name, hash));
    const batch = { control: this.#control, owner: daemonSet, expectations: this.#expectations, key };
    const failure = await changePods(batch, create, changes.remove.slice(0, burstMax), signal);
    this.#lost.note(key, failure);
    return failure;
  }

  /** `hasActed`: what this generation asks for has been seen to. */
  async #writeStatus(
    daemonSet: DaemonSet,
    views: readonly NodeView[],
    { hash, hasActed }: { readonly hash: string; readonly hasActed: boolean },
    signal: AbortSignal,
  ): Promise<void> {
    const counts = countDaemons(daemonSet, views, hash, this.#deps.clock.wallMs());
    const { updatedNumberScheduled, numberAvailable, ...always } = counts;
    const unavailable = counts.desiredNumberScheduled - numberAvailable;
    const { collisionCount, conditions, observedGeneration: before } = daemonSet.status ?? {};
    const observedGeneration = hasActed ? (daemonSet.metadata?.generation ?? 0) : before;
    const status: DaemonSetStatus = {
      ...always,
      ...(updatedNumberScheduled === 0 ? {} : { updatedNumberScheduled }),
      ...(numberAvailable === 0 ? {} : { numberAvailable }),
      ...(unavailable === 0 ? {} : { numberUnavailable: unavailable }),
      ...(observedGeneration === undefined ? {} : { observedGeneration }),
      ...(collisionCount === undefined ? {} : { collisionCount }),
      ...(conditions === undefined ? {} : { conditions }),
    };
    if (sameValue(status, daemonSet.status)) return;
    const { namespace = '', name = '' } = daemonSet.metadata ?? {};
    const ref = { namespace, name, subresource: 'status' };
    await this.#deps.client.update(resources.daemonsets, ref, { ...daemonSet, status }, signal);
  }
}

function isEmpty({ create, remove }: DaemonChanges): boolean {
  return create.length === 0 && remove.length === 0;
}
