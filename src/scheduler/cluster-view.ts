import type { Node, Taint } from '../api/gen/types.ts';
import { quantityOf } from '../api/quantity.ts';
import { invariant } from '../base/status-error.ts';
import type { PodNeeds } from './pod-needs.ts';

/** On a node whose pods share its network (see the process runtime), so that their containerPorts can clash. */
export const podNetworkAnnotation = 'livelet.dev/pod-network';

/** A node as the scheduler sees it, with the pods that are bound to it or are just being bound. */
export interface NodeView {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly isUnschedulable: boolean;
  /** Its own, and those that its conditions stand for. */
  readonly taints: readonly Taint[];
  /** In billionths. */
  readonly allocatable: ReadonlyMap<string, bigint>;
  readonly podsMax: number;
  readonly podsShareNetwork: boolean;
  readonly pods: ReadonlyMap<string, PodNeeds>;
  /** The sum over `pods`, in billionths. */
  readonly requested: ReadonlyMap<string, bigint>;
  readonly weight: { readonly cpu: bigint; readonly memory: bigint };
  /** How many of `pods` have each spread key. */
  readonly spreadCounts: ReadonlyMap<string, number>;
}

/** The pods of one node and their sums; it may exist before (or after) its Node does. */
interface Load {
  readonly pods: Map<string, PodNeeds>;
  readonly requested: Map<string, bigint>;
  readonly weight: { cpu: bigint; memory: bigint };
  readonly spreadCounts: Map<string, number>;
}

/**
 * All nodes and what is on them, kept by small steps. Reading it for one decision costs nothing but the reading.
 * Upstream: the scheduler's cache and snapshot.
 */
export class ClusterView {
  readonly #nodes = new Map<string, NodeView>(); // by name
  readonly #fingerprints = new Map<string, string>(); // of #nodes: what of a Node counts here
  readonly #loads = new Map<string, Load>(); // by node name; one for each node, and for each name with pods
  readonly #placed = new Map<string, { readonly needs: PodNeeds; readonly nodeName: string }>(); // by pod uid

  get nodeCount(): number {
    return this.#nodes.size;
  }

  nodes(): IterableIterator<NodeView> {
    return this.#nodes.values();
  }

  /** Returns whether anything changed that can matter to a pod that found no node. */
  setNode(node: Node): boolean {
    const name = node.metadata?.name ?? '';
    const fingerprint = fingerprintOf(node);
    if (this.#fingerprints.get(name) === fingerprint) return false;
    this.#fingerprints.set(name, fingerprint);
    this.#nodes.set(name, viewOf(node, this.#load(name)));
    return true;
  }

  removeNode(name: string): void {
    this.#nodes.delete(name);
    this.#fingerprints.delete(name);
    if (this.#loads.get(name)?.pods.size === 0) this.#loads.delete(name);
  }

  /** A pod that is on a node, or that we are about to bind to it. Replaces what was known of that pod. */
  place(needs: PodNeeds, nodeName: string): void {
    this.remove(needs.uid);
    this.#placed.set(needs.uid, { needs, nodeName });
    const load = this.#load(nodeName);
    load.pods.set(needs.uid, needs);
    addLoad(load, needs, 1n);
  }

  /** The pod is gone, has ended, or could not be bound. Returns whether it was there. */
  remove(uid: string): boolean {
    const placed = this.#placed.get(uid);
    if (placed === undefined) return false;
    this.#placed.delete(uid);
    const load = this.#load(placed.nodeName);
    invariant(load.pods.delete(uid), `pod ${uid} is not on ${placed.nodeName}`);
    addLoad(load, placed.needs, -1n);
    if (load.pods.size === 0 && !this.#nodes.has(placed.nodeName)) this.#loads.delete(placed.nodeName);
    return true;
  }

  #load(nodeName: string): Load {
    let load = this.#loads.get(nodeName);
    if (load === undefined) {
      load = { pods: new Map(), requested: new Map(), weight: { cpu: 0n, memory: 0n }, spreadCounts: new Map() };
      this.#loads.set(nodeName, load);
    }
    return load;
  }
}

function addLoad(load: Load, needs: PodNeeds, sign: 1n | -1n): void {
  for (const [name, nanos] of needs.requests) {
    load.requested.set(name, (load.requested.get(name) ?? 0n) + sign * nanos);
  }
  load.weight.cpu += sign * needs.weight.cpu;
  load.weight.memory += sign * needs.weight.memory;
  if (needs.spreadKey === undefined) return;
  const count = (load.spreadCounts.get(needs.spreadKey) ?? 0) + Number(sign);
  if (count === 0) load.spreadCounts.delete(needs.spreadKey);
  else load.spreadCounts.set(needs.spreadKey, count);
}

function viewOf(node: Node, load: Load): NodeView {
  const allocatable = new Map<string, bigint>();
  for (const [name, text] of Object.entries(node.status?.allocatable ?? {})) {
    allocatable.set(name, quantityOf(text).nanos);
  }
  return {
    name: node.metadata?.name ?? '',
    labels: node.metadata?.labels ?? {},
    isUnschedulable: node.spec?.unschedulable === true,
    taints: effectiveTaints(node),
    allocatable,
    podsMax: Number((allocatable.get('pods') ?? 0n) / 1_000_000_000n),
    podsShareNetwork: node.metadata?.annotations?.[podNetworkAnnotation] === 'host',
    ...load,
  };
}

/** The taint that the node lifecycle controller gives to a node in each condition. */
const taintByCondition = {
  MemoryPressure: 'node.kubernetes.io/memory-pressure',
  DiskPressure: 'node.kubernetes.io/disk-pressure',
  PIDPressure: 'node.kubernetes.io/pid-pressure',
  NetworkUnavailable: 'node.kubernetes.io/network-unavailable',
} as const;

/**
 * A node that is not Ready counts as tainted at once, whether or not a controller has written the taint yet (upstream's
 * scheduler waits for the controller).
 */
export function effectiveTaints(node: Node): readonly Taint[] {
  const own = node.spec?.taints ?? [];
  const conditions = node.status?.conditions ?? [];
  const ready = conditions.find((condition) => condition.type === 'Ready')?.status;
  const keys: string[] = Object.entries(taintByCondition)
    .filter(([type]) => conditions.some((condition) => condition.type === type && condition.status === 'True'))
    .map(([, key]) => key);
  if (ready === 'Unknown') keys.push('node.kubernetes.io/unreachable');
  else if (ready !== 'True') keys.push('node.kubernetes.io/not-ready');
  const missing = keys.filter((key) => !own.some((taint) => taint.key === key && taint.effect === 'NoSchedule'));
  return [...own, ...missing.map((key) => ({ key, effect: 'NoSchedule' }))];
}

function fingerprintOf(node: Node): string {
  const { metadata, spec, status } = node;
  return JSON.stringify([
    metadata?.labels,
    metadata?.annotations?.[podNetworkAnnotation],
    spec?.unschedulable,
    spec?.taints,
    status?.allocatable,
    status?.conditions?.map((condition) => [condition.type, condition.status]),
  ]);
}
