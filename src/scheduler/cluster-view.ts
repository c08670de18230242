import type { Node, PodDisruptionBudget } from '../api/gen/types.ts';
import { invariant } from '../base/status-error.ts';
import { termMatches } from './affinity-terms.ts';
import type { AffinityTerm, SelectablePod, WeightedTerm } from './affinity-terms.ts';
import { absentNode, nodeFactsOf, sameFacts } from './node-facts.ts';
import type { NodeFacts } from './node-facts.ts';
import type { PodNeeds } from './pod-needs.ts';

/** A node as the scheduler sees it, with the pods that are bound to it or are just being bound. Lives as long. */
export interface NodeView {
  /** Of a Node that exists, or else of none. */
  readonly facts: NodeFacts;
  /** By uid. */
  readonly pods: ReadonlyMap<string, PodNeeds>;
  /** Waiting pods for which others make room here, by uid; not among `pods`. */
  readonly nominated: ReadonlyMap<string, PodNeeds>;
  /** The sums over `pods`. */
  readonly load: Readonly<Load>;
  /** What `load` and `pods` leave of what is allocatable; below zero if overfull. */
  readonly free: Readonly<Room>;
  /** Its place in `nodes`; -1 if there is no Node of that name. */
  readonly index: number;
}

/** The domains of one topology label: zones, or the nodes themselves. */
export interface Topology {
  /** For each of `nodes` its domain, counted from 0; -1 if it lacks the label. */
  readonly domainOf: Int32Array;
  readonly domainCount: number;
}

interface Room {
  cpuMilli: number;
  memoryBytes: number;
  pods: number;
}

interface Load {
  cpuMilli: number;
  memoryBytes: number;
  readonly others: Map<string, number>;
  weightCpuMilli: number;
  weightMemoryBytes: number;
}

interface MutableView extends NodeView {
  facts: NodeFacts;
  exists: boolean;
  index: number;
  readonly pods: Map<string, PodNeeds>;
  readonly nominated: Map<string, PodNeeds>;
  readonly load: Load;
  readonly free: Room;
}

/** How many there are of something on each node; none is zero. */
export type CountByNode = ReadonlyMap<NodeView, number>;

/** All placed pods that every selector takes alike. */
export interface PodGroup extends SelectablePod {
  readonly isTerminating: boolean;
  readonly nodes: CountByNode;
}

/** A term of placed pods, with how many have it on each node. */
export interface TermUse extends WeightedTerm {
  readonly nodes: CountByNode;
}

const noLabels: Readonly<Record<string, string>> = {};
const requiredWeight = 1; // that near pods count for in scores. Upstream: `hardPodAffinityWeight`

/**
 * All nodes and what is on them, kept by small steps. Reading it for one decision costs nothing but the reading.
 * Upstream: the scheduler's cache and snapshot.
 */
export class ClusterView {
  readonly #views = new Map<string, MutableView>(); // by name; one for each node, and for each name with pods
  #existing: readonly MutableView[] | undefined; // of #views, those with a Node; undefined when stale
  readonly #topologies = new Map<string, Topology>(); // by label; of #existing, as far as asked for
  readonly #placed = new Map<string, { readonly needs: PodNeeds; readonly view: MutableView }>(); // by pod uid
  readonly #nominations = new Map<string, MutableView>(); // by pod uid
  readonly #groups = new Map<string, Map<string, PodGroup>>(); // by namespace and key; none is empty
  readonly #farTerms = new Map<string, TermUse>(); // required anti-affinity of placed pods, by key
  readonly #scoredTerms = new Map<string, TermUse>(); // preferred, and required affinity, of placed pods
  readonly #priorities = new Map<number, number>(); // how many placed pods have each
  readonly #namespaceLabels = new Map<string, Readonly<Record<string, string>>>();
  /** As they are now: how many pods of whom may be ended. */
  readonly budgets: () => readonly PodDisruptionBudget[];

  /** Default: no budget limits whom a pod may preempt. */
  constructor(budgets: () => readonly PodDisruptionBudget[] = () => []) {
    this.budgets = budgets;
  }

  /** Those that exist. */
  get nodes(): readonly NodeView[] {
    if (this.#existing === undefined) {
      this.#topologies.clear();
      this.#existing = [...this.#views.values()].filter((view) => view.exists);
      for (const [index, view] of this.#existing.entries()) view.index = index;
    }
    return this.#existing;
  }

  /** Holds until a node changes. */
  topology(key: string): Topology {
    const { nodes } = this;
    let topology = this.#topologies.get(key);
    if (topology === undefined) {
      const idByValue = new Map<string, number>();
      const domainOf = Int32Array.from(nodes, ({ facts }) => {
        const value = facts.labels[key];
        if (value === undefined) return -1;
        const id = idByValue.get(value) ?? idByValue.size;
        idByValue.set(value, id);
        return id;
      });
      topology = { domainOf, domainCount: idByValue.size };
      this.#topologies.set(key, topology);
    }
    return topology;
  }

  node(name: string): NodeView | undefined {
    const view = this.#views.get(name);
    return view?.exists === true ? view : undefined;
  }

  /** Required anti-affinity of placed pods. */
  get farTerms(): Iterable<TermUse> {
    return this.#farTerms.values();
  }

  /** What of placed pods' affinity counts in scores. */
  get scoredTerms(): Iterable<TermUse> {
    return this.#scoredTerms.values();
  }

  hasPodBelow(priority: number): boolean {
    for (const placed of this.#priorities.keys()) if (placed < priority) return true;
    return false;
  }

  namespaceLabels(namespace: string): Readonly<Record<string, string>> {
    return this.#namespaceLabels.get(namespace) ?? noLabels;
  }

  /** `undefined`: it is gone. */
  setNamespaceLabels(namespace: string, labels: Readonly<Record<string, string>> | undefined): void {
    if (labels === undefined) this.#namespaceLabels.delete(namespace);
    else this.#namespaceLabels.set(namespace, labels);
  }

  /** Placed pods of one namespace. */
  groupsOf(namespace: string): Iterable<PodGroup> {
    return this.#groups.get(namespace)?.values() ?? [];
  }

  /** Placed pods that a term means. */
  *groupsMatching(term: AffinityTerm): Iterable<PodGroup> {
    for (const [namespace, groups] of this.#groups) {
      const isInScope =
        term.namespaces.has(namespace) || term.namespaceSelector.matches(this.namespaceLabels(namespace));
      if (!isInScope) continue;
      for (const group of groups.values()) if (term.selector.matches(group.labels)) yield group;
    }
  }

  isMeantBy(term: AffinityTerm, pod: SelectablePod): boolean {
    return termMatches(term, pod, this.namespaceLabels(pod.namespace));
  }

  /** `undefined` if nothing has changed that counts. */
  setNode(node: Node): { readonly now: NodeFacts; readonly before: NodeFacts | undefined } | undefined {
    const now = nodeFactsOf(node);
    const view = this.#view(now.name);
    const before = view.exists ? view.facts : undefined;
    if (before !== undefined && sameFacts(before, now)) return undefined;
    view.facts = now;
    view.exists = true;
    this.#existing = undefined;
    updateFree(view);
    return { now, before };
  }

  /** Returns what was known of it. Pods that are still on it stay. */
  removeNode(name: string): NodeFacts | undefined {
    const view = this.#views.get(name);
    if (view?.exists !== true) return undefined;
    const before = view.facts;
    view.exists = false;
    view.index = -1;
    view.facts = absentNode(name);
    this.#existing = undefined;
    this.#forgetIfEmpty(view);
    return before;
  }

  /** A pod that is on a node, or that we are about to bind to it. Replaces what was known of that pod. */
  place(needs: PodNeeds, nodeName: string): void {
    this.remove(needs.uid);
    const view = this.#view(nodeName);
    this.#placed.set(needs.uid, { needs, view });
    view.pods.set(needs.uid, needs);
    this.#count(view, needs, 1);
  }

  /** What was placed under this uid. */
  placed(uid: string): PodNeeds | undefined {
    return this.#placed.get(uid)?.needs;
  }

  /** The node that a pod is on; `undefined` if on none. */
  placementOf(uid: string): string | undefined {
    return this.#placed.get(uid)?.view.facts.name;
  }

  /** The pod is gone, has ended, or could not be bound. Returns what was known of it. */
  remove(uid: string): PodNeeds | undefined {
    const placed = this.#placed.get(uid);
    if (placed === undefined) return undefined;
    const { needs, view } = placed;
    this.#placed.delete(uid);
    invariant(view.pods.delete(uid), `pod ${uid} is not on ${view.facts.name}`);
    this.#count(view, needs, -1);
    this.#forgetIfEmpty(view);
    return needs;
  }

  /** Others make room for this waiting pod on that node; `''`: on none. */
  nominate(needs: PodNeeds, nodeName: string): void {
    const before = this.#nominations.get(needs.uid);
    if (before !== undefined) {
      before.nominated.delete(needs.uid);
      this.#nominations.delete(needs.uid);
      this.#forgetIfEmpty(before);
    }
    if (nodeName === '') return;
    const view = this.#view(nodeName);
    view.nominated.set(needs.uid, needs);
    this.#nominations.set(needs.uid, view);
  }

  nominationOf(uid: string): string {
    return this.#nominations.get(uid)?.facts.name ?? '';
  }

  #view(name: string): MutableView {
    let view = this.#views.get(name);
    if (view === undefined) {
      const load = { cpuMilli: 0, memoryBytes: 0, others: new Map(), weightCpuMilli: 0, weightMemoryBytes: 0 };
      const free = { cpuMilli: 0, memoryBytes: 0, pods: 0 };
      const common = { pods: new Map<string, PodNeeds>(), nominated: new Map<string, PodNeeds>(), load, free };
      view = { facts: absentNode(name), exists: false, index: -1, ...common };
      this.#views.set(name, view);
    }
    return view;
  }

  #forgetIfEmpty(view: MutableView): void {
    if (!view.exists && view.pods.size === 0 && view.nominated.size === 0) this.#views.delete(view.facts.name);
  }

  #count(view: MutableView, needs: PodNeeds, sign: 1 | -1): void {
    addLoad(view.load, needs, sign);
    updateFree(view);
    const { namespace, labels, isTerminating, groupKey, priority } = needs;
    addTo(this.#priorities, priority, sign);
    const groups = this.#groups.get(namespace) ?? new Map<string, PodGroup>();
    this.#groups.set(namespace, groups);
    addUse(groups, groupKey, { namespace, labels, isTerminating }, view, sign);
    if (groups.size === 0) this.#groups.delete(namespace);
    if (needs.affinity === undefined) return;
    const { near, far, preferred } = needs.affinity;
    for (const term of far) addUse(this.#farTerms, term.key, { term, weight: 0 }, view, sign);
    for (const term of near) this.#countScored({ term, weight: requiredWeight }, view, sign);
    for (const term of preferred) this.#countScored(term, view, sign);
  }

  #countScored(term: WeightedTerm, view: MutableView, sign: 1 | -1): void {
    addUse(this.#scoredTerms, `${term.weight} ${term.term.key}`, term, view, sign);
  }
}

function addLoad(load: Load, { requests, weight }: PodNeeds, sign: 1 | -1): void {
  load.cpuMilli += sign * requests.cpuMilli;
  load.memoryBytes += sign * requests.memoryBytes;
  for (const [name, amount] of requests.others) addTo(load.others, name, sign * amount);
  load.weightCpuMilli += sign * weight.cpuMilli;
  load.weightMemoryBytes += sign * weight.memoryBytes;
}

function updateFree({ facts, free, load, pods }: MutableView): void {
  free.cpuMilli = facts.allocatable.cpuMilli - load.cpuMilli;
  free.memoryBytes = facts.allocatable.memoryBytes - load.memoryBytes;
  free.pods = facts.podsMax - pods.size;
}

function addTo<K>(counts: Map<K, number>, key: K, change: number): void {
  const count = (counts.get(key) ?? 0) + change;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}

/** Counts one more or less on this node of what `key` stands for. */
function addUse<U extends object>(
  uses: Map<string, U & { readonly nodes: CountByNode }>,
  key: string,
  what: U,
  view: NodeView,
  sign: 1 | -1,
): void {
  let use = uses.get(key);
  if (use === undefined) {
    use = { ...what, nodes: new Map<NodeView, number>() };
    uses.set(key, use);
  }
  // Made above, as a map that can change; others only read it.
  addTo(use.nodes as Map<NodeView, number>, view, sign);
  if (use.nodes.size === 0) uses.delete(key);
}
