/** Pods that want to be near others, or far from them. Upstream: the plug-in `InterPodAffinity`. */
import type { AffinityTerm } from './affinity-terms.ts';
import type { ClusterView, CountByNode, NodeView } from './cluster-view.ts';
import type { PodNeeds } from './pod-needs.ts';

/** Values of one topology label. */
type Domains = Set<string>;

/** What the placed pods mean for one pod, worked out once for all nodes. */
export interface AffinityState {
  readonly near: readonly AffinityTerm[];
  /** For each of `near`: where the pods are that it wants to be near. */
  readonly nearDomains: readonly Domains[];
  /** There are no such pods anywhere, but it is one itself: it may be the first. */
  readonly mayBeFirst: boolean;
  /** By topology key: where the pods are that it wants to be far from. */
  readonly farDomains: ReadonlyMap<string, Domains>;
  /** By topology key: where the pods are that want to be far from it. */
  readonly avoidedDomains: ReadonlyMap<string, Domains>;
}

/** `undefined` if nothing of this kind restrains it. */
export function affinityStateOf(needs: PodNeeds, cluster: ClusterView): AffinityState | undefined {
  const { near = [], far = [] } = needs.affinity ?? {};
  const avoidedDomains = new Map<string, Domains>();
  for (const { term, nodes } of cluster.farTerms) {
    if (cluster.isMeantBy(term, needs)) addDomains(domainsOf(avoidedDomains, term.topologyKey), term, nodes);
  }
  if (near.length === 0 && far.length === 0 && avoidedDomains.size === 0) return undefined;
  const farDomains = new Map<string, Domains>();
  for (const term of far) {
    const domains = domainsOf(farDomains, term.topologyKey);
    for (const { nodes } of cluster.groupsMatching(term)) addDomains(domains, term, nodes);
  }
  const nearDomains = near.map((): Domains => new Set());
  // A pod counts only if every term means it.
  const [first, ...others] = near;
  for (const group of first === undefined ? [] : cluster.groupsMatching(first)) {
    if (!others.every((term) => cluster.isMeantBy(term, group))) continue;
    near.forEach((term, index) => addDomains(nearDomains[index] ?? new Set(), term, group.nodes));
  }
  const isAlone = nearDomains.every((domains) => domains.size === 0);
  const mayBeFirst = isAlone && near.every((term) => cluster.isMeantBy(term, needs));
  return { near, nearDomains, mayBeFirst, farDomains, avoidedDomains };
}

function domainsOf(all: Map<string, Domains>, topologyKey: string): Domains {
  const domains = all.get(topologyKey) ?? new Set();
  all.set(topologyKey, domains);
  return domains;
}

function addDomains(domains: Domains, term: AffinityTerm, nodes: CountByNode): void {
  for (const node of nodes.keys()) {
    const value = node.facts.labels[term.topologyKey];
    if (value !== undefined) domains.add(value);
  }
}

/** Which of the three, if any, is against this node. */
export function affinityConflict(state: AffinityState, node: NodeView): 'near' | 'far' | 'avoided' | undefined {
  const { labels } = node.facts;
  if (!isNear(state, labels)) return 'near';
  if (isWithin(state.farDomains, labels)) return 'far';
  return isWithin(state.avoidedDomains, labels) ? 'avoided' : undefined;
}

function isNear(state: AffinityState, labels: Readonly<Record<string, string>>): boolean {
  let isAtAll = true;
  for (const [index, term] of state.near.entries()) {
    const value = labels[term.topologyKey];
    if (value === undefined) return false;
    if (state.nearDomains[index]?.has(value) !== true) isAtAll = false;
  }
  return isAtAll || state.mayBeFirst;
}

function isWithin(all: ReadonlyMap<string, Domains>, labels: Readonly<Record<string, string>>): boolean {
  for (const [topologyKey, domains] of all) {
    const value = labels[topologyKey];
    if (value !== undefined && domains.has(value)) return true;
  }
  return false;
}

/** For each of `nodes` 0 to 100: how near it is to what the pod likes, and what likes the pod. */
export function affinityScores(
  needs: PodNeeds,
  cluster: ClusterView,
  nodes: readonly NodeView[],
): readonly number[] | undefined {
  const sums = new Map<string, Map<string, number>>(); // by topology key and value
  const add = (term: AffinityTerm, weight: number, counts: CountByNode): void => {
    const byValue = sums.get(term.topologyKey) ?? new Map<string, number>();
    sums.set(term.topologyKey, byValue);
    for (const [node, count] of counts) {
      const value = node.facts.labels[term.topologyKey];
      if (value !== undefined) byValue.set(value, (byValue.get(value) ?? 0) + weight * count);
    }
  };
  for (const { term, weight } of needs.affinity?.preferred ?? []) {
    for (const group of cluster.groupsMatching(term)) add(term, weight, group.nodes);
  }
  for (const { term, weight, nodes: counts } of cluster.scoredTerms) {
    if (cluster.isMeantBy(term, needs)) add(term, weight, counts);
  }
  if (sums.size === 0) return undefined;
  const raw = nodes.map((node) => {
    let sum = 0;
    for (const [topologyKey, byValue] of sums) sum += byValue.get(node.facts.labels[topologyKey] ?? '') ?? 0;
    return sum;
  });
  const least = Math.min(...raw);
  const range = Math.max(...raw) - least;
  return raw.map((sum) => (range === 0 ? 0 : Math.trunc((100 * (sum - least)) / range)));
}
