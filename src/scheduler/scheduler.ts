import type { Node, ObjectReference, Pod, PodCondition } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import { formatTime } from '../api/time.ts';
import type { Clock } from '../base/clock.ts';
import type { Entropy } from '../base/entropy.ts';
import type { Log } from '../base/log.ts';
import { runReconciler } from '../base/run-reconciler.ts';
import type { Outcome } from '../base/run-reconciler.ts';
import { StatusError, hasReason, messageOf } from '../base/status-error.ts';
import { TaskScope } from '../base/task-scope.ts';
import { WorkQueue } from '../base/work-queue.ts';
import type { Client } from '../client/client.ts';
import type { Informer, InformerChange } from '../client/informer.ts';
import { SeriesEventRecorder } from '../client/series-event-recorder.ts';
import { ClusterView } from './cluster-view.ts';
import { needsOf } from './pod-needs.ts';
import type { PodNeeds } from './pod-needs.ts';
import { schedulePod } from './schedule-pod.ts';
import { SchedulingQueue } from './scheduling-queue.ts';

const writesMax = 64; // bindings and conditions under way at once; more pods wait
const gatedMessage = 'Scheduling is blocked due to non-empty scheduling gates';

export interface SchedulerDeps {
  readonly client: Client;
  /** All pods. Run by the caller; may be shared with controllers. */
  readonly pods: Informer<Pod>;
  /** All nodes; likewise. */
  readonly nodes: Informer<Node>;
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

/**
 * Binds pods to nodes.
 *
 *     const scheduler = new Scheduler({ client, pods, nodes, clock, entropy, log, hostName });
 *     scope.start((signal) => pods.run(signal));
 *     scope.start((signal) => nodes.run(signal));
 *     scope.start((signal) => scheduler.run(signal));
 *
 * Construct it before the informers run. A node that is not Ready takes no pods, also before a controller has tainted
 * it. There is no preemption; pods with required pod affinity or DoNotSchedule spreading are told that they are not
 * supported.
 */
export class Scheduler {
  readonly #deps: SchedulerDeps;
  readonly #schedulerName: string;
  readonly #events: SeriesEventRecorder;
  readonly #cluster = new ClusterView();
  readonly #queue = new SchedulingQueue();
  readonly #waiting = new Map<string, WaitingPod>(); // by uid; exactly those in #queue
  readonly #gated = new Map<string, Pod>(); // by uid; their condition is still to be written
  #writeCount = 0; // under way
  #cycles: WorkQueue<'cycle'> | undefined; // set while run() is under way

  constructor(deps: SchedulerDeps) {
    this.#deps = deps;
    this.#schedulerName = deps.schedulerName ?? 'default-scheduler';
    this.#events = new SeriesEventRecorder({
      ...deps,
      reportingController: this.#schedulerName,
      reportingInstance: `${this.#schedulerName}-${deps.hostName}`,
    });
    deps.pods.onChange((change) => this.#onPod(change));
    deps.nodes.onChange((change) => this.#onNode(change));
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
      await Promise.all([this.#deps.pods.synced(inner), this.#deps.nodes.synced(inner)]);
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
    if (current === undefined) this.#cluster.removeNode(previous?.metadata?.name ?? '');
    else if (this.#cluster.setNode(current)) this.#clusterChanged();
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
      // Most updates of a bound pod are of its status, and change nothing here.
      if (!isSameSpec(previous, current)) this.#cluster.place(needsOf(current), current.spec?.nodeName ?? '');
    } else {
      this.#onUnbound(current, uid);
    }
  }

  /** The pod takes no more room, wherever it was. */
  #forget(uid: string): void {
    this.#stopWaiting(uid);
    if (this.#cluster.remove(uid)) this.#clusterChanged();
  }

  #stopWaiting(uid: string): void {
    this.#waiting.delete(uid);
    this.#queue.remove(uid);
  }

  #onUnbound(pod: Pod, uid: string): void {
    const isOurs = pod.spec?.schedulerName === undefined || pod.spec.schedulerName === this.#schedulerName;
    const isGated = (pod.spec?.schedulingGates ?? []).length > 0;
    if (!isOurs || isGated || pod.metadata?.deletionTimestamp !== undefined) {
      this.#stopWaiting(uid);
      if (isOurs && isGated) this.#gate(pod);
      return;
    }
    const before = this.#waiting.get(uid);
    const needs = needsOf(pod);
    this.#waiting.set(uid, { pod, needs });
    // Our own write of its condition is no reason to try it again.
    if (before !== undefined && sameWishes(before.pod, pod)) return;
    this.#queue.add(uid, needs.priority);
    this.#wake();
  }

  /** The API server says so too when such a pod is created. */
  #gate(pod: Pod): void {
    if (conditionOf(pod)?.reason === 'SchedulingGated') return;
    this.#gated.set(pod.metadata?.uid ?? '', pod);
    this.#wake();
  }

  #clusterChanged(): void {
    this.#queue.clusterChanged(this.#deps.clock.monoMs());
    this.#wake();
  }

  #wake(): void {
    this.#cycles?.add('cycle');
  }

  /** Tries every pod that is due. Bindings go on in the background. */
  #cycle(scope: TaskScope): Outcome {
    const { clock } = this.#deps;
    for (const [uid, pod] of this.#gated) {
      if (this.#writeCount >= writesMax) break;
      this.#gated.delete(uid);
      this.#write(scope, (signal) => this.#writeCondition(pod, 'SchedulingGated', gatedMessage, signal));
    }
    while (this.#writeCount < writesMax) {
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

  /** Runs in the background; its end may let the next pod in. */
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

  #try(waiting: WaitingPod, scope: TaskScope): void {
    const { pod, needs } = waiting;
    const placement = schedulePod(needs, this.#cluster, this.#deps.entropy);
    if (placement.kind === 'none') {
      this.#queue.failed(needs.uid, 'unschedulable', this.#deps.clock.monoMs());
      this.#sayFailed(pod, 'Unschedulable', placement.message, scope);
      return;
    }
    this.#cluster.place(needs, placement.nodeName); // assumed: the next pod must see it
    this.#write(scope, (signal) => this.#bind(pod, needs, placement.nodeName, scope, signal));
  }

  async #bind(pod: Pod, needs: PodNeeds, nodeName: string, scope: TaskScope, signal: AbortSignal): Promise<void> {
    const { namespace, name, uid } = needs;
    const binding = {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { namespace, name, uid },
      target: { kind: 'Node', name: nodeName },
    };
    try {
      await this.#deps.client.create(resources.pods, { namespace, name, subresource: 'binding' }, binding, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof StatusError)) throw error;
      this.#bindFailed(pod, needs, error, scope);
      return;
    }
    this.#deps.log.info('podBound', { namespace, pod: name, podUid: uid, node: nodeName });
    const note = `Successfully assigned ${namespace}/${name} to ${nodeName}`;
    this.#events.event({ regarding: referenceTo(pod), type: 'Normal', reason: 'Scheduled', action: 'Binding', note });
  }

  #bindFailed(pod: Pod, needs: PodNeeds, error: StatusError, scope: TaskScope): void {
    const { uid, namespace, name } = needs;
    this.#deps.log.warn('bindFailed', { namespace, pod: name, reason: error.reason, error: error.message });
    if (!this.#waiting.has(uid)) return; // the informer has told us meanwhile what became of it
    this.#cluster.remove(uid);
    this.#queue.failed(uid, 'error', this.#deps.clock.monoMs());
    this.#clusterChanged();
    if (hasReason(error, 'NotFound')) return; // deleted: the informer will say so
    const message = `binding rejected: running Bind plugin "DefaultBinder": ${messageOf(error)}`;
    this.#sayFailed(pod, 'SchedulerError', message, scope);
  }

  #sayFailed(pod: Pod, reason: 'Unschedulable' | 'SchedulerError', message: string, scope: TaskScope): void {
    const regarding = referenceTo(pod);
    const event = { regarding, type: 'Warning', reason: 'FailedScheduling', action: 'Scheduling' } as const;
    this.#events.event({ ...event, note: message });
    if (!isSaid(conditionOf(pod), reason, message)) {
      this.#write(scope, (signal) => this.#writeCondition(pod, reason, message, signal));
    }
  }

  async #writeCondition(pod: Pod, reason: string, message: string, signal: AbortSignal): Promise<void> {
    const { namespace = '', name = '', uid = '', generation } = pod.metadata ?? {};
    const before = conditionOf(pod);
    const now = formatTime(this.#deps.clock.wallMs());
    const condition: PodCondition = {
      type: 'PodScheduled',
      status: 'False',
      lastProbeTime: null,
      lastTransitionTime: before?.status === 'False' ? (before.lastTransitionTime ?? now) : now,
      reason,
      message,
      ...(generation === undefined ? {} : { observedGeneration: generation }),
    };
    const body = { metadata: { uid }, status: { conditions: [condition] } };
    try {
      const ref = { namespace, name, subresource: 'status' };
      await this.#deps.client.patch(resources.pods, ref, { type: 'strategic', body }, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof StatusError)) throw error;
      // It is written again at the next try, if the pod is still there.
      this.#deps.log.warn('conditionNotWritten', { namespace, pod: name, reason: error.reason, error: error.message });
    }
  }
}

function conditionOf(pod: Pod): PodCondition | undefined {
  return pod.status?.conditions?.find((condition) => condition.type === 'PodScheduled');
}

function isSaid(condition: PodCondition | undefined, reason: string, message: string): boolean {
  return condition?.status === 'False' && condition.reason === reason && condition.message === message;
}

function referenceTo(pod: Pod): ObjectReference {
  const { namespace = '', name = '', uid = '', resourceVersion = '' } = pod.metadata ?? {};
  return { apiVersion: 'v1', kind: 'Pod', namespace, name, uid, resourceVersion };
}

/** Both bound, and of one generation: the API server counts every change of the spec (labels do not matter here). */
function isSameSpec(previous: Pod | undefined, current: Pod): boolean {
  const { uid, generation } = current.metadata ?? {};
  if (generation === undefined || previous?.metadata?.uid !== uid) return false;
  return previous?.metadata?.generation === generation && previous.spec?.nodeName === current.spec?.nodeName;
}

function sameWishes(a: Pod, b: Pod): boolean {
  const wishes = (pod: Pod): string => JSON.stringify([pod.spec, pod.metadata?.labels]);
  return wishes(a) === wishes(b);
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
