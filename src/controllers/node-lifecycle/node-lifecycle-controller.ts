import type { Lease, Node, Pod, Taint } from '../../api/gen/types.ts';
import { resources } from '../../api/resources.ts';
import { formatTime } from '../../api/time.ts';
import type { Outcome, Reconciler } from '../../base/run-reconciler.ts';
import { StatusError, hasReason } from '../../base/status-error.ts';
import type { TaskScope } from '../../base/task-scope.ts';
import { WorkQueue } from '../../base/work-queue.ts';
import type { EventRecorder } from '../../client/event-recorder.ts';
import type { Informer } from '../../client/informer.ts';
import { isPodReady } from '../owned-pods/pod-readiness.ts';
import { startWorkers } from '../run-controller.ts';
import type { ControllerDeps } from '../run-controller.ts';
import { EvictionZone } from './eviction-zone.ts';
import type { EvictionRates } from './eviction-zone.ts';
import { conditionOf, heardOf, isReadyNode, silencedConditions } from './node-health.ts';
import type { NodeHealth } from './node-health.ts';
import { currentEvictionTaint, evictionTaintOf, withEvictionTaint, withTaintsOfConditions } from './node-taints.ts';
import { zoneOf, zoneStateOf } from './zone-state.ts';

/** How soon a silent node counts as lost. */
export interface NodeLifecycleOptions extends EvictionRates {
  /** Between two looks at all nodes. */
  readonly monitorPeriodMs: number;
  /** Silence, by the controller's clock, after which the conditions of a node become Unknown. */
  readonly gracePeriodMs: number;
  /** Likewise for a node that never posted a status. */
  readonly startupGracePeriodMs: number;
  /** Silence after which a node counts as lost even if it answers when it is asked (`isAlive`). */
  readonly answeringGracePeriodMs: number;
  /** A zone with this share of nodes not Ready (and at least three) is partly disrupted. */
  readonly unhealthyZoneFraction: number;
}

/** Upstream 1.34's. */
export const nodeLifecycleDefaults: NodeLifecycleOptions = {
  monitorPeriodMs: 5_000,
  gracePeriodMs: 50_000,
  startupGracePeriodMs: 60_000,
  answeringGracePeriodMs: 60_000,
  perSecond: 0.1,
  secondaryPerSecond: 0.01,
  largeZoneSizeMin: 50,
  unhealthyZoneFraction: 0.55,
};

export interface NodeLifecycleDeps extends ControllerDeps {
  readonly nodes: Informer<Node>;
  readonly pods: Informer<Pod>;
  /** Of `kube-node-lease`. */
  readonly leases: Informer<Lease>;
  /** Of the component `node-controller`. Run by the caller. */
  readonly events: EventRecorder;
  /**
   * Asks a node that was silent for too long, before it counts as lost: one that starves is not evicted. Default: it is
   * not asked, as upstream. Must not throw but for its signal, and must have a time limit of its own.
   */
  readonly isAlive?: (nodeName: string, signal: AbortSignal) => Promise<boolean>;
}

const writeTriesMax = 5; // of one change of a node, upstream: NodeHealthUpdateRetry
const nodesAtOnce = 16;

/**
 * Notices nodes that were silent for too long, tells it in their conditions and on their pods, and taints them. What
 * the taints do to the pods is the taint eviction's business. Upstream: the node lifecycle controller (section 8.3).
 */
export function startNodeLifecycle(scope: TaskScope, deps: NodeLifecycleDeps, options: NodeLifecycleOptions): void {
  const { clock, nodes, pods, leases } = deps;
  const tainting = new WorkQueue<string>({ clock, signal: scope.signal });
  const evicting = new WorkQueue<string>({ clock, signal: scope.signal });
  const controller = new NodeLifecycle({ ...deps, evicting, scope }, options);
  nodes.onChange(({ previous, current }) => {
    if (current === undefined) controller.forget(previous?.metadata?.name ?? '');
    else tainting.add(current.metadata?.name ?? '');
  });
  const synced = [nodes, pods, leases];
  startWorkers(scope, deps, controller.noScheduleTaints, tainting, { workers: 4, synced });
  startWorkers(scope, deps, controller.evictions, evicting, { workers: 1, synced });
  scope.start(async (signal) => {
    for (const informer of synced) await informer.synced(signal);
    for (;;) {
      await controller.monitor(signal);
      const sinceMonoMs = clock.monoMs();
      await clock.sleep(options.monitorPeriodMs, 'nodeLifecycle.monitor', signal);
      controller.excuse(clock.monoMs() - sinceMonoMs - options.monitorPeriodMs);
    }
  });
}

/** A silent node was asked how it is. */
interface Asked {
  answer: 'awaited' | 'alive' | 'none';
}

type OwnDeps = NodeLifecycleDeps & {
  readonly evicting: WorkQueue<string>;
  readonly scope: TaskScope;
};

class NodeLifecycle {
  readonly #deps: OwnDeps;
  readonly #options: NodeLifecycleOptions;
  readonly #healths = new Map<string, NodeHealth>(); // by node name
  readonly #asked = new Map<string, Asked>(); // by node name; since it fell silent
  readonly #zones = new Map<string, EvictionZone>(); // by zone; made at first sight and kept
  #isHalted = false; // no node at all is Ready

  constructor(deps: OwnDeps, options: NodeLifecycleOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** Keeps the NoSchedule taints of a node as its conditions want them. */
  readonly noScheduleTaints: Reconciler<string> = {
    name: 'nodeTaints',
    reconcile: async (nodeName, signal) => {
      await this.#changeTaints(nodeName, withTaintsOfConditions, signal);
      return { kind: 'settled' };
    },
  };

  /** Taints the nodes of a zone for eviction, one at a time. */
  readonly evictions: Reconciler<string> = {
    name: 'nodeEviction',
    reconcile: async (zoneKey, signal): Promise<Outcome> => {
      const zone = this.#zoneNamed(zoneKey);
      const { clock } = this.#deps;
      const afterMs = zone.nextAfterMs(clock.monoMs());
      if (afterMs === undefined) return { kind: 'settled' };
      if (afterMs > 0) return { kind: 'again', afterMs };
      const nodeName = zone.take(clock.monoMs());
      try {
        if (nodeName !== undefined) await this.#taintForEviction(nodeName, signal);
      } catch (error) {
        if (nodeName !== undefined) zone.add(nodeName);
        throw error;
      }
      return { kind: 'again', afterMs: zone.nextAfterMs(clock.monoMs()) ?? 0 };
    },
  };

  forget(nodeName: string): void {
    this.#healths.delete(nodeName);
    this.#asked.delete(nodeName);
    for (const zone of this.#zones.values()) zone.remove(nodeName);
  }

  /** So long this process itself stood still: what nodes said meanwhile it has not heard yet. */
  excuse(lateMs: number): void {
    if (lateMs < this.#options.monitorPeriodMs) return;
    this.#deps.log.warn('nodeMonitorWasLate', { lateMs });
    for (const [name, health] of this.#healths) {
      this.#healths.set(name, { ...health, heardMonoMs: health.heardMonoMs + lateMs });
    }
  }

  /** Looks at every node once. Upstream: `monitorNodeHealth`. */
  async monitor(signal: AbortSignal): Promise<void> {
    const readyPodsOf = this.#readyPods();
    const look = (node: Node): Promise<Node> => this.#look(node, readyPodsOf, signal);
    const nodes = await this.#forEach(this.#deps.nodes.list(), look, signal);
    await this.#judgeZones(nodes, signal); // before anything is evicted: it may be the control plane that is cut off
    await this.#forEach(nodes, (node) => this.#wantEviction(node, signal), signal);
  }

  /** A node that could not be written is left for the next time. */
  async #forEach(
    nodes: readonly Node[],
    body: (node: Node) => Promise<Node>,
    signal: AbortSignal,
  ): Promise<readonly Node[]> {
    const { log } = this.#deps;
    const results: Node[] = [];
    const guarded = async (node: Node): Promise<Node> => {
      try {
        return await body(node);
      } catch (error) {
        if (signal.aborted || !(error instanceof StatusError)) throw error;
        log.warn('nodeNotUpdated', { node: node.metadata?.name, reason: error.reason, error: error.message });
        return node;
      }
    };
    for (let start = 0; start < nodes.length; start += nodesAtOnce) {
      results.push(...(await Promise.all(nodes.slice(start, start + nodesAtOnce).map(guarded))));
    }
    return results;
  }

  /** By the name of their node; made when it is asked for first. */
  #readyPods(): (nodeName: string) => readonly Pod[] {
    let byNode: ReadonlyMap<string, readonly Pod[]> | undefined;
    return (nodeName) => {
      byNode ??= readyPodsByNode(this.#deps.pods.list());
      return byNode.get(nodeName) ?? [];
    };
  }

  /** The node as it is after that. Its pods are marked as long as one of them is Ready, also after a restart. */
  async #look(node: Node, readyPodsOf: (nodeName: string) => readonly Pod[], signal: AbortSignal): Promise<Node> {
    const current = await this.#silenceIfSilent(node, signal);
    if (isReadyNode(current)) return current;
    if (isReadyNode(node)) this.#tellNotReady(current);
    for (const pod of readyPodsOf(node.metadata?.name ?? '')) await this.#markNotReady(pod, signal);
    return current;
  }

  /** The node, with its conditions made Unknown if it was silent for too long. */
  async #silenceIfSilent(node: Node, signal: AbortSignal): Promise<Node> {
    const { clock, client, leases, log } = this.#deps;
    const { gracePeriodMs, startupGracePeriodMs, answeringGracePeriodMs } = this.#options;
    const name = node.metadata?.name ?? '';
    const lease = leases.get('kube-node-lease', name);
    const health = heardOf(this.#healths.get(name), node, lease, clock.monoMs());
    this.#healths.set(name, health);
    const graceMs = conditionOf(node, 'Ready') === undefined ? startupGracePeriodMs : gracePeriodMs;
    const silentMs = clock.monoMs() - health.heardMonoMs;
    if (silentMs <= graceMs) {
      this.#asked.delete(name);
      return node;
    }
    const conditions = silencedConditions(node, formatTime(clock.wallMs()));
    if (conditions === undefined) return node;
    if (silentMs <= answeringGracePeriodMs && this.#mayAnswer(name)) return node;
    log.warn('nodeSilent', { node: name, silentMs });
    const body = { metadata: { uid: node.metadata?.uid }, status: { conditions } };
    return client.patch(resources.nodes, { name, subresource: 'status' }, { type: 'strategic', body }, signal);
  }

  /** Asks a silent node, beside the looks at the others; false: it was asked, and did not answer. */
  #mayAnswer(nodeName: string): boolean {
    const { isAlive, scope, log } = this.#deps;
    if (isAlive === undefined) return false;
    const last = this.#asked.get(nodeName);
    if (last?.answer === 'none') return false;
    if (last?.answer === 'awaited') return true;
    const asked: Asked = { answer: 'awaited' };
    this.#asked.set(nodeName, asked);
    scope.start(async (signal) => {
      asked.answer = (await isAlive(nodeName, signal)) ? 'alive' : 'none';
      if (asked.answer === 'alive') log.warn('silentNodeAnswers', { node: nodeName });
    });
    return true;
  }

  #tellNotReady(node: Node): void {
    const { name = '', uid = '' } = node.metadata ?? {};
    const reference = { apiVersion: 'v1', kind: 'Node', name, uid };
    this.#deps.events.event(reference, 'Normal', 'NodeNotReady', `Node ${name} status is now: NodeNotReady`);
  }

  /** Upstream: `MarkPodsNotReady`. */
  async #markNotReady(pod: Pod, signal: AbortSignal): Promise<void> {
    const { client, clock, events } = this.#deps;
    const { namespace = '', name = '', uid = '' } = pod.metadata ?? {};
    const ready = { type: 'Ready', status: 'False', lastTransitionTime: formatTime(clock.wallMs()) };
    const body = { metadata: { uid }, status: { conditions: [ready] } };
    const reference = { apiVersion: 'v1', kind: 'Pod', namespace, name, uid };
    try {
      const ref = { namespace, name, subresource: 'status' };
      await client.patch(resources.pods, ref, { type: 'strategic', body }, signal);
      events.event(reference, 'Warning', 'NodeNotReady', 'Node is not ready');
    } catch (error) {
      if (!hasReason(error, 'NotFound', 'Conflict')) throw error; // gone, or another one by now
    }
  }

  /** Upstream: `processTaintBaseEviction`. */
  async #wantEviction(node: Node, signal: AbortSignal): Promise<Node> {
    const name = node.metadata?.name ?? '';
    const zoneKey = zoneOf(node);
    const zone = this.#zoneNamed(zoneKey);
    const wanted = this.#isHalted ? undefined : evictionTaintOf(node);
    const current = currentEvictionTaint(node);
    if (wanted !== undefined && current === undefined) {
      zone.add(name);
      this.#deps.evicting.add(zoneKey);
      return node;
    }
    zone.remove(name); // to take the taint away, or to call it by the other name, there is no limit
    if (wanted !== current)
      await this.#changeTaints(name, (latest, now) => withEvictionTaint(latest, wanted, now), signal);
    return node;
  }

  async #taintForEviction(nodeName: string, signal: AbortSignal): Promise<void> {
    await this.#changeTaints(nodeName, (node, now) => withEvictionTaint(node, evictionTaintOf(node), now), signal);
  }

  /** Upstream: `handleDisruption`. */
  async #judgeZones(nodes: readonly Node[], signal: AbortSignal): Promise<void> {
    const members = new Map<string, { ready: number; notReady: number }>();
    for (const node of nodes) {
      const counts = members.get(zoneOf(node)) ?? { ready: 0, notReady: 0 };
      counts[isReadyNode(node) ? 'ready' : 'notReady'] += 1;
      members.set(zoneOf(node), counts);
    }
    const { unhealthyZoneFraction } = this.#options;
    const states = [...members].map(([key, { ready, notReady }]) => {
      const state = zoneStateOf(ready, notReady, unhealthyZoneFraction);
      return { key, zone: this.#zoneNamed(key), state, count: ready + notReady };
    });
    const isHalted = states.length > 0 && states.every(({ state }) => state === 'full');
    if (isHalted) {
      if (!this.#isHalted) await this.#halt(nodes, signal);
      return;
    }
    if (this.#isHalted) this.#resume();
    for (const { key, zone, state, count } of states) {
      if (zone.state !== state) this.#deps.log.info('zoneStateChanged', { zone: key, state });
      zone.setState(state, count, this.#options);
      this.#deps.evicting.add(key);
    }
  }

  async #halt(nodes: readonly Node[], signal: AbortSignal): Promise<void> {
    this.#isHalted = true;
    this.#deps.log.warn('evictionsHalted', { nodes: nodes.length });
    for (const zone of this.#zones.values()) zone.halt();
    // Those whose taint cannot be taken away now lose it in the next round.
    const calm = async (node: Node): Promise<Node> => {
      const none = (latest: Node, now: string): readonly Taint[] | undefined =>
        withEvictionTaint(latest, undefined, now);
      await this.#changeTaints(node.metadata?.name ?? '', none, signal);
      return node;
    };
    await this.#forEach(nodes, calm, signal);
  }

  /** Whoever could not be heard while nobody could gets the whole grace period again. */
  #resume(): void {
    this.#isHalted = false;
    this.#deps.log.info('evictionsResumed', {});
    const nowMonoMs = this.#deps.clock.monoMs();
    for (const [name, health] of this.#healths) this.#healths.set(name, { ...health, heardMonoMs: nowMonoMs });
  }

  /** Writes what `change` makes of the node's taints, from its newest state. */
  async #changeTaints(
    nodeName: string,
    change: (node: Node, now: string) => readonly Taint[] | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { client, clock, nodes } = this.#deps;
    let node = nodes.get('', nodeName);
    for (let tries = 1; node !== undefined; tries++) {
      const taints = change(node, formatTime(clock.wallMs()));
      if (taints === undefined) return;
      try {
        await client.update(resources.nodes, { name: nodeName }, { ...node, spec: { ...node.spec, taints } }, signal);
        return;
      } catch (error) {
        if (hasReason(error, 'NotFound')) return;
        if (!hasReason(error, 'Conflict') || tries >= writeTriesMax) throw error;
      }
      node = await client.get(resources.nodes, { name: nodeName }, signal);
    }
  }

  #zoneNamed(key: string): EvictionZone {
    const known = this.#zones.get(key);
    if (known !== undefined) return known;
    const zone = new EvictionZone(this.#options);
    this.#zones.set(key, zone);
    return zone;
  }
}

function readyPodsByNode(pods: readonly Pod[]): ReadonlyMap<string, readonly Pod[]> {
  const byNode = new Map<string, Pod[]>();
  for (const pod of pods.filter(isPodReady)) {
    const name = pod.spec?.nodeName ?? '';
    const others = byNode.get(name);
    if (others === undefined) byNode.set(name, [pod]);
    else others.push(pod);
  }
  return byNode;
}
