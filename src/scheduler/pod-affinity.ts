/** Pods that want to be near others, or far from them. Upstream: the plug-in `InterPodAffinity`. */
import type { AffinityTerm } from './affinity-terms.ts';
import type { ClusterView, CountByNode, NodeView, Topology } from './cluster-view.ts';
import type { PodNeeds } from './pod-needs.ts';

/** Some domains of one topology. */
interface Domains {
  readonly topology: Topology;
  /** By domain; 0: it is none of them. */
  readonly marks: Uint8Array;
}

type DomainsByKey = Map<string, Domains>;

/** What the placed pods mean for one pod, worked out once for all nodes. */
export interface AffinityState {
  /** For each of the pod's terms: where the pods are that it wants to be near. */
  readonly near: readonly Domains[];
  /** There are no such pods anywhere, but it is one itself: it may be the first. */
  readonly mayBeFirst: boolean;
  /** Where the pods are that it wants to be far from. */
  readonly far: readonly Domains[];
  /** Where the pods are that want to be far from it. */
  readonly avoided: readonly Domains[];
}

/** `undefined` if nothing of this kind restrains it. */
export function affinityStateOf(needs: PodNeeds, cluster: ClusterView): AffinityState | undefined {
  const { near: nearTerms = [], far: farTerms = [] } = needs.affinity ?? {};
  const avoided: DomainsByKey = new Map();
  for (const { term, nodes } of cluster.farTerms) {
    if (cluster.isMeantBy(term, needs)) mark(domainsOf(avoided, term, cluster), nodes);
  }
  if (nearTerms.length === 0 && farTerms.length === 0 && avoided.size === 0) return undefined;
  const far: DomainsByKey = new Map();
  for (const term of farTerms) {
    for (const { nodes } of cluster.groupsMatching(term)) mark(domainsOf(far, term, cluster), nodes);
  }
  const near = nearTerms.map((term) => noDomains(term, cluster));
  let isAlone = true;
  // A pod counts only if every term means it.
  const [first, ...others] = nearTerms;
  for (const group of first === undefined ? [] : cluster.groupsMatching(first)) {
    if (!others.every((term) => cluster.isMeantBy(term, group))) continue;
    for (const domains of near) if (mark(domains, group.nodes)) isAlone = false;
  }
  const mayBeFirst = isAlone && nearTerms.every((term) => cluster.isMeantBy(term, needs));
  return { near, mayBeFirst, far: [...far.values()], avoided: [...avoided.values()] };
}

export function anyMeans(terms: readonly AffinityTerm[] | undefined, pod: PodNeeds, cluster: ClusterView): boolean {
  return terms?.some((term) => cluster.isMeantBy(term, pod)) === true;
}

function noDomains({ topologyKey }: AffinityTerm, cluster: ClusterView): Domains {
  const topology = cluster.topology(topologyKey);
  return { topology, marks: new Uint8Array(topology.domainCount) };
}

function domainsOf(all: DomainsByKey, term: AffinityTerm, cluster: ClusterView): Domains {
  const domains = all.get(term.topologyKey) ?? noDomains(term, cluster);
  all.set(term.topologyKey, domains);
  return domains;
}

function domainAt({ domainOf }: Topology, { index }: NodeView): number {
  return index < 0 ? -1 : (domainOf[index] ?? -1);
}

/** Returns whether any of the nodes is in a domain. */
function mark({ topology, marks }: Domains, nodes: CountByNode): boolean {
  let hasMarked = false;
  for (const node of nodes.keys()) {
    const domain = domainAt(topology, node);
    if (domain < 0) continue;
    marks[domain] = 1;
    hasMarked = true;
  }
  return hasMarked;
}

/** Which of the three, if any, is against this node. */
export function affinityConflict(state: AffinityState, node: NodeView): 'near' | 'far' | 'avoided' | undefined {
  if (!isNear(state, node)) return 'near';
  if (isWithin(state.far, node)) return 'far';
  return isWithin(state.avoided, node) ? 'avoided' : undefined;
}

function isNear({ near, mayBeFirst }: AffinityState, node: NodeView): boolean {
  let isAtAll = true;
  for (const { topology, marks } of near) {
    const domain = domainAt(topology, node);
    if (domain < 0) return false;
    if (marks[domain] === 0) isAtAll = false;
  }
  return isAtAll || mayBeFirst;
}

function isWithin(all: readonly Domains[], node: NodeView): boolean {
  for (const { topology, marks } of all) {
    const domain = domainAt(topology, node);
    if (domain >= 0 && marks[domain] === 1) return true;
  }
  return false;
}

/** For each of `nodes` 0 to 100: how near it is to what the pod likes, and what likes the pod. */
export function affinityScores(
  needs: PodNeeds,
  cluster: ClusterView,
  nodes: readonly NodeView[],
): readonly number[] | undefined {
  const sums = new Map<Topology, Float64Array>(); // by domain
  const add = (term: AffinityTerm, weight: number, counts: CountByNode): void => {
    const topology = cluster.topology(term.topologyKey);
    const byDomain = sums.get(topology) ?? new Float64Array(topology.domainCount);
    sums.set(topology, byDomain);
    for (const [node, count] of counts) {
      const domain = domainAt(topology, node);
      if (domain >= 0) byDomain[domain] = (byDomain[domain] ?? 0) + weight * count;
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
    for (const [topology, byDomain] of sums) sum += byDomain[domainAt(topology, node)] ?? 0;
    return sum;
  });
  const least = Math.min(...raw);
  const range = Math.max(...raw) - least;
  return raw.map((sum) => (range === 0 ? 0 : Math.trunc((100 * (sum - least)) / range)));
}
