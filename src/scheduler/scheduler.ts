import type { Namespace, Node, Pod } from '../api/gen/types.ts';
import type { KubernetesObject, ResourceType } from '../api/resources.ts';
import { resources } from '../api/resources.ts';
import type { Clock } from '../base/clock.ts';
import type { Entropy } from '../base/entropy.ts';
import type { Log } from '../base/log.ts';
import { runReconciler } from '../base/run-reconciler.ts';
import type { Outcome } from '../base/run-reconciler.ts';
import { StatusError, messageOf } from '../base/status-error.ts';
import { TaskScope } from '../base/task-scope.ts';
import { WorkQueue } from '../base/work-queue.ts';
import type { Client } from '../client/client.ts';
import type { Informer, InformerChange } from '../client/informer.ts';
import { SeriesEventRecorder } from '../client/series-event-recorder.ts';
import { defaultSpreadOf } from './affinity-terms.ts';
import { ApiWrites, referenceTo, scheduledCondition } from './api-writes.ts';
import { ClusterView } from './cluster-view.ts';
import type { Rejector } from './filters.ts';
import { ownerSelector } from './owner-selector.ts';
import type { OwnerInformers } from './owner-selector.ts';
import { needsOf } from './pod-needs.ts';
import type { PodNeeds } from './pod-needs.ts';
import { mayHelp, rejectorsConcerned } from './queueing-hints.ts';
import type { ClusterChange } from './queueing-hints.ts';
import { schedulePod } from './schedule-pod.ts';
import type { Placement, Victims } from './schedule-pod.ts';
import { SchedulingQueue } from './scheduling-queue.ts';

const writesMax = 64; // bindings, conditions and preemptions under way at once; more pods wait
const triesPerTurnMax = 16; // then others of this process have their turn
const gated = {
  reason: 'SchedulingGated',
  message: 'Scheduling is blocked due to non-empty scheduling gates',
} as const;

export interface SchedulerDeps {
  readonly client: Client;
  /** All objects of a kind. Run by the caller, after the scheduler is made; may be shared with controllers. */
  informers<T extends KubernetesObject>(type: ResourceType<T>): Informer<T>;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
  /** The host's name, for `reportingInstance`. */
  readonly hostName: string;
  /** Only pods with this `spec.schedulerName` are ours. Default `default-scheduler`. */
  readonly schedulerName?: string;
}

interface WaitingPod {
  readonly pod: Pod;
  readonly needs: PodNeeds;
}

type Unplaced = Extract<Placement, { readonly kind: 'none' }>;

/**
 * Binds pods to nodes, and ends pods of lower priority for those that find none.
 *
 *     const informers = (type) => shared.of(type);
 *     const scheduler = new Scheduler({ client, informers, clock, entropy, log, hostName });
 *     shared.run(scope);
 *     scope.start((signal) => scheduler.run(signal));
 *
 * A node that is not Ready takes no pods, also before a controller has tainted
 * it. Looks at every node for each pod, where upstream looks at a part of them in large clusters.
 */
export class Scheduler {
  readonly #deps: SchedulerDeps;
  readonly #pods: Informer<Pod>;
  readonly #owners: OwnerInformers;
  readonly #informers: readonly Pick<Informer<KubernetesObject>, 'synced'>[]; // all of them
  readonly #schedulerName: string;
  readonly #events: SeriesEventRecorder;
  readonly #writes: ApiWrites;
  readonly #cluster: ClusterView;
  readonly #queue = new SchedulingQueue<Rejector>();
  readonly #waiting = new Map<string, WaitingPod>(); // by uid; exactly those in #queue
  readonly #gated = new Map<string, Pod>(); // by uid; their condition is still to be written
  #writeCount = 0; // under way
  #cycles: WorkQueue<'cycle'> | undefined; // set while run() is under way

  constructor(deps: SchedulerDeps) {
    this.#deps = deps;
    this.#schedulerName = deps.schedulerName ?? 'default-scheduler';
    this.#writes = new ApiWrites(deps);
    this.#events = new SeriesEventRecorder({
      ...deps,
      reportingController: this.#schedulerName,
      reportingInstance: `${this.#schedulerName}-${deps.hostName}`,
    });
    this.#pods = deps.informers(resources.pods);
    const nodes = deps.informers(resources.nodes);
    const budgets = deps.informers(resources.poddisruptionbudgets);
    this.#cluster = new ClusterView(() => budgets.list());
    const namespaces = deps.informers(resources.namespaces);
    const replicationControllers = deps.informers(resources.replicationcontrollers);
    const replicaSets = deps.informers(resources.replicasets);
    this.#owners = { replicationControllers, replicaSets };
    this.#informers = [this.#pods, nodes, budgets, namespaces, replicationControllers, replicaSets];
    this.#pods.onChange((change) => this.#onPod(change));
    nodes.onChange((change) => this.#onNode(change));
    namespaces.onChange((change) => this.#onNamespace(change));
  }

  /** Schedules until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, entropy, log } = this.#deps;
    const scope = new TaskScope(signal);
    const cycles = new WorkQueue<'cycle'>({ clock, signal: scope.signal });
    const onError = (error: unknown): void => {
      if (!(error instanceof StatusError)) throw error;
      log.error('schedulingFailed', { error: error.message });
    };
    scope.start((inner) => this.#events.run(inner));
    scope.start(async (inner) => {
      await Promise.all(this.#informers.map((informer) => informer.synced(inner)));
      this.#cycles = cycles;
      cycles.add('cycle');
      const reconcile = async (): Promise<Outcome> => this.#cycle(scope);
      await runReconciler({ name: 'scheduler', reconcile }, cycles, { entropy, onError }, inner);
    });
    await aborted(scope.signal);
    this.#cycles = undefined;
    await scope.close(signal.reason);
  }

  /** Writes the events that are still queued, after `run` has ended; gives up when `signal` aborts. */
  flush(signal: AbortSignal): Promise<void> {
    return this.#events.flush(signal);
  }

  #onNode({ previous, current }: InformerChange<Node>): void {
    if (current === undefined) {
      const before = this.#cluster.removeNode(previous?.metadata?.name ?? '');
      if (before !== undefined) this.#changed({ kind: 'nodeGone', before });
    } else {
      const change = this.#cluster.setNode(current);
      if (change !== undefined) this.#changed({ kind: 'node', ...change });
    }
  }

  #onNamespace({ previous, current }: InformerChange<Namespace>): void {
    const name = (current ?? previous)?.metadata?.name ?? '';
    this.#cluster.setNamespaceLabels(name, current?.metadata?.labels ?? (current === undefined ? undefined : {}));
    if (!sameLabels(previous?.metadata?.labels, current?.metadata?.labels)) this.#changed({ kind: 'namespace' });
  }

  #onPod({ previous, current }: InformerChange<Pod>): void {
    const before = previous?.metadata?.uid ?? '';
    if (current === undefined || (previous !== undefined && current.metadata?.uid !== before)) this.#forget(before);
    if (current === undefined) return;
    const uid = current.metadata?.uid ?? '';
    const { phase } = current.status ?? {};
    if (phase === 'Succeeded' || phase === 'Failed') {
      this.#forget(uid);
    } else if ((current.spec?.nodeName ?? '') !== '') {
      this.#stopWaiting(uid);
      this.#onBound(previous, current, uid);
    } else {
      this.#onUnbound(previous, current, uid);
    }
  }

  #onBound(previous: Pod | undefined, current: Pod, uid: string): void {
    const nodeName = current.spec?.nodeName ?? '';
    const isThere = this.#cluster.placementOf(uid) === nodeName;
    // Most updates of a bound pod are of its status, and change nothing here.
    if (isThere && isSameForUs(previous, current)) return;
    this.#place(needsOf(current), nodeName);
  }

  #place(needs: PodNeeds, nodeName: string): void {
    const before = this.#cluster.placed(needs.uid);
    this.#cluster.place(needs, nodeName);
    if (before?.groupKey === needs.groupKey) return; // no other pod can tell the difference
    this.#changed({ kind: 'podPlaced', now: needs, before });
  }

  /** The pod takes no more room, wherever it was. */
  #forget(uid: string): void {
    this.#stopWaiting(uid);
    const before = this.#cluster.remove(uid);
    if (before !== undefined) this.#changed({ kind: 'podGone', before });
  }

  #stopWaiting(uid: string): void {
    const waiting = this.#waiting.get(uid);
    const hadRoom = this.#cluster.nominationOf(uid) !== '';
    if (waiting !== undefined) this.#cluster.nominate(waiting.needs, '');
    this.#waiting.delete(uid);
    this.#queue.remove(uid);
    if (waiting !== undefined && hadRoom) this.#changed({ kind: 'podGone', before: waiting.needs });
  }

  #onUnbound(previous: Pod | undefined, pod: Pod, uid: string): void {
    const isOurs = pod.spec?.schedulerName === undefined || pod.spec.schedulerName === this.#schedulerName;
    const isGated = (pod.spec?.schedulingGates ?? []).length > 0;
    if (!isOurs || isGated || pod.metadata?.deletionTimestamp !== undefined) {
      this.#stopWaiting(uid);
      if (isOurs && isGated) this.#gate(pod);
      return;
    }
    const before = this.#waiting.get(uid);
    // Our own write of its condition is no reason to try it again.
    const isSame = before !== undefined && isSameForUs(before.pod, pod);
    const needs = isSame ? before.needs : needsOf(pod);
    this.#waiting.set(uid, { pod, needs });
    // What the API server has of it counts when that changes; until our own write of it comes back, ours does.
    const nominated = pod.status?.nominatedNodeName ?? '';
    const isNews = before === undefined || (previous?.status?.nominatedNodeName ?? '') !== nominated;
    const isAssumed = this.#cluster.placementOf(uid) !== undefined;
    if (!isAssumed) this.#cluster.nominate(needs, isNews ? nominated : this.#cluster.nominationOf(uid));
    if (isSame) return;
    this.#queue.add(uid, needs.priority);
    this.#wake();
  }

  /** The API server says so too when such a pod is created. */
  #gate(pod: Pod): void {
    if (scheduledCondition(pod)?.reason === gated.reason) return;
    this.#gated.set(pod.metadata?.uid ?? '', pod);
    this.#wake();
  }

  #changed(change: ClusterChange): void {
    const helps = (uid: string, rejectedBy: Rejector): boolean => {
      const waiting = this.#waiting.get(uid);
      return waiting !== undefined && mayHelp(change, waiting.needs, rejectedBy, this.#cluster);
    };
    this.#queue.clusterChanged(rejectorsConcerned(change), helps, this.#deps.clock.monoMs());
    this.#wake();
  }

  #wake(): void {
    this.#cycles?.add('cycle');
  }

  /** Tries pods that are due. Bindings go on in the background. */
  #cycle(scope: TaskScope): Outcome {
    const { clock } = this.#deps;
    for (const [uid, pod] of this.#gated) {
      if (this.#writeCount >= writesMax) break;
      this.#gated.delete(uid);
      this.#write(scope, (signal) => this.#writes.setPending(pod, gated, undefined, signal));
    }
    for (let tries = 0; this.#writeCount < writesMax; tries++) {
      if (tries === triesPerTurnMax) return { kind: 'again', afterMs: 0 };
      const uid = this.#queue.take(clock.monoMs());
      if (uid === undefined) break;
      const waiting = this.#waiting.get(uid);
      if (waiting === undefined) this.#queue.remove(uid);
      else this.#try(waiting, scope);
    }
    const waitMs = this.#queue.nextDueMs() - clock.monoMs();
    if (this.#writeCount >= writesMax || !Number.isFinite(waitMs)) return { kind: 'settled' };
    return { kind: 'again', afterMs: Math.max(0, waitMs) };
  }

  #write(scope: TaskScope, body: (signal: AbortSignal) => Promise<void>): void {
    this.#writeCount += 1;
    scope.start(async (signal) => {
      try {
        await body(signal);
      } finally {
        this.#writeCount -= 1;
        if (this.#writeCount === writesMax - 1) this.#wake();
      }
    });
  }

  #try({ pod, needs }: WaitingPod, scope: TaskScope): void {
    const { entropy } = this.#deps;
    const nominatedNodeName = this.#cluster.nominationOf(needs.uid);
    const selector = ownerSelector(needs, this.#owners);
    const spread = selector === undefined ? [] : defaultSpreadOf(selector);
    const placement = schedulePod({ ...needs, nominatedNodeName }, this.#cluster, entropy, spread);
    if (placement.kind === 'none') {
      this.#unplaced(pod, needs, placement, scope);
      return;
    }
    this.#cluster.nominate(needs, '');
    this.#place(needs, placement.nodeName); // assumed: the next pod must see it
    // The room that it was to have elsewhere is free. Only now: one that finds no node may be back at once.
    if (!['', placement.nodeName].includes(nominatedNodeName)) this.#changed({ kind: 'podGone', before: needs });
    this.#write(scope, (signal) => this.#bind(pod, needs, placement.nodeName, scope, signal));
  }

  #unplaced(pod: Pod, needs: PodNeeds, placement: Unplaced, scope: TaskScope): void {
    const { message, rejectedBy, victims, nomination } = placement;
    this.#queue.rejected(needs.uid, rejectedBy, victims !== undefined, this.#deps.clock.monoMs());
    if (nomination !== undefined) this.#cluster.nominate(needs, nomination);
    this.#sayFailed(pod, 'Unschedulable', message, nomination, scope);
    if (victims !== undefined) this.#preempt(pod, needs, victims, scope);
  }

  #preempt(pod: Pod, needs: PodNeeds, victims: Victims, scope: TaskScope): void {
    this.#denominate(needs, victims.nodeName, scope);
    this.#write(scope, async (signal) => {
      const ended = await Promise.all(victims.pods.map((victim) => this.#end(victim, pod, needs, victims, signal)));
      const hasWorked = ended.every((isEnding) => isEnding);
      this.#queue.preempted(needs.uid, hasWorked, this.#deps.clock.monoMs());
      this.#wake();
    });
  }

  /** Pods of lower priority that were to come to this node look for another. */
  #denominate(needs: PodNeeds, nodeName: string, scope: TaskScope): void {
    const nominated = [...(this.#cluster.node(nodeName)?.nominated.values() ?? [])];
    for (const { uid, priority } of nominated.filter((other) => other.priority < needs.priority)) {
      const waiting = this.#waiting.get(uid);
      if (waiting === undefined) continue;
      this.#cluster.nominate(waiting.needs, '');
      this.#queue.add(uid, priority);
      this.#write(scope, (signal) => this.#writes.clearNomination(waiting.pod, signal));
    }
  }

  async #end(
    victim: PodNeeds,
    preemptor: Pod,
    needs: PodNeeds,
    { nodeName }: Victims,
    signal: AbortSignal,
  ): Promise<boolean> {
    const pod = this.#pods.get(victim.namespace, victim.name);
    if (pod?.metadata?.uid !== victim.uid || pod.metadata.deletionTimestamp !== undefined) return true;
    if (!(await this.#writes.preempt(pod, needs, signal))) return false;
    const note = `Preempted by pod ${needs.uid} on node ${nodeName}`;
    const regarding = referenceTo(pod);
    const related = referenceTo(preemptor);
    this.#events.event({ regarding, related, type: 'Normal', reason: 'Preempted', action: 'Preempting', note });
    return true;
  }

  async #bind(pod: Pod, needs: PodNeeds, nodeName: string, scope: TaskScope, signal: AbortSignal): Promise<void> {
    const { namespace, name, uid } = needs;
    const outcome = await this.#writes.bind(needs, nodeName, signal);
    if (outcome.kind === 'unbound') {
      this.#bindFailed(pod, needs, outcome.error, scope);
      return;
    }
    this.#deps.log.info('podBound', { namespace, pod: name, podUid: uid, node: nodeName });
    const note = `Successfully assigned ${namespace}/${name} to ${nodeName}`;
    this.#events.event({ regarding: referenceTo(pod), type: 'Normal', reason: 'Scheduled', action: 'Binding', note });
  }

  #bindFailed(pod: Pod, needs: PodNeeds, error: StatusError, scope: TaskScope): void {
    const { uid, namespace, name } = needs;
    this.#deps.log.warn('bindFailed', { namespace, pod: name, reason: error.reason, error: error.message });
    // The informer may have told us meanwhile that it is bound after all.
    const known = this.#pods.get(namespace, name);
    const isBound = known?.metadata?.uid === uid && (known.spec?.nodeName ?? '') !== '';
    const before = isBound ? undefined : this.#cluster.remove(uid);
    const waiting = this.#waiting.get(uid);
    if (waiting !== undefined) this.#cluster.nominate(needs, waiting.pod.status?.nominatedNodeName ?? '');
    this.#queue.failed(uid, this.#deps.clock.monoMs());
    if (before !== undefined) this.#changed({ kind: 'podGone', before });
    if (waiting === undefined) return;
    if (error.reason === 'NotFound') return; // deleted: the informer will say so
    const message = `binding rejected: running Bind plugin "DefaultBinder": ${messageOf(error)}`;
    this.#sayFailed(pod, 'SchedulerError', message, undefined, scope);
  }

  #sayFailed(
    pod: Pod,
    reason: 'Unschedulable' | 'SchedulerError',
    message: string,
    nomination: string | undefined,
    scope: TaskScope,
  ): void {
    const regarding = referenceTo(pod);
    const event = { regarding, type: 'Warning', reason: 'FailedScheduling', action: 'Scheduling' } as const;
    this.#events.event({ ...event, note: message });
    const condition = scheduledCondition(pod);
    const isSaid = condition?.status === 'False' && condition.reason === reason && condition.message === message;
    const isNominated = nomination === undefined || nomination === (pod.status?.nominatedNodeName ?? '');
    if (isSaid && isNominated) return;
    const said = { reason, message };
    this.#write(scope, (signal) => this.#writes.setPending(pod, said, isNominated ? undefined : nomination, signal));
  }
}

/** Of one generation (the API server counts every change of the spec), with the same labels, and as far in its life. */
function isSameForUs(previous: Pod | undefined, current: Pod): boolean {
  const { metadata: before = {}, status: was = {} } = previous ?? {};
  const { metadata: now = {}, status: is = {} } = current;
  return (
    now.generation !== undefined &&
    before.uid === now.uid &&
    before.generation === now.generation &&
    before.deletionTimestamp === now.deletionTimestamp &&
    was.startTime === is.startTime &&
    sameLabels(before.labels, now.labels)
  );
}

function sameLabels(a: Readonly<Record<string, string>> = {}, b: Readonly<Record<string, string>> = {}): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
