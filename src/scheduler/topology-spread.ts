/** Pods that are to be spread over zones, nodes or other domains. Upstream: the plug-in `PodTopologySpread`. */
import { isSelectedNode, toleratesTaint } from '../api/node-selection.ts';
import type { LabelMatcher } from '../api/label-selector.ts';
import { hostnameKey } from './affinity-terms.ts';
import type { SpreadConstraint } from './affinity-terms.ts';
import type { ClusterView, NodeView, Topology } from './cluster-view.ts';
import type { PodNeeds } from './pod-needs.ts';

/** A constraint with the domains of its topology. */
interface Zoned {
  readonly constraint: SpreadConstraint;
  readonly topology: Topology;
}

interface CountedConstraint extends Zoned {
  /** How many matching pods each domain has. */
  readonly counts: Int32Array;
  readonly least: number;
  /** 1 if the pod itself counts. */
  readonly own: 0 | 1;
}

/** How the placed pods are spread, for one pod, worked out once for all nodes. */
export type SpreadState = readonly CountedConstraint[];

/** Whether it is one of the pods that `needs` is to be spread among. */
export function countsForSpread(pod: PodNeeds, needs: PodNeeds): boolean {
  if (pod.namespace !== needs.namespace) return false;
  return needs.hardSpread.some(({ selector }) => selector.matches(pod.labels));
}

/** `undefined` if it has no constraint that forbids a node. */
export function spreadStateOf(needs: PodNeeds, cluster: ClusterView): SpreadState | undefined {
  if (needs.hardSpread.length === 0) return undefined;
  const all = zonedOf(needs.hardSpread, cluster);
  return all.map(({ constraint, topology }) => {
    const podsByNode = countPods(cluster, needs.namespace, constraint.selector);
    const counts = new Int32Array(topology.domainCount);
    const isCounted = new Uint8Array(topology.domainCount);
    for (const node of cluster.nodes) {
      if (!hasAllKeys(all, node) || !isIncluded(needs, constraint, node)) continue;
      const domain = topology.domainOf[node.index] ?? -1;
      isCounted[domain] = 1;
      counts[domain] = (counts[domain] ?? 0) + (podsByNode[node.index] ?? 0);
    }
    const own = constraint.selector.matches(needs.labels) ? 1 : 0;
    return { constraint, topology, counts, least: leastOf(counts, isCounted, constraint.minDomains), own };
  });
}

function zonedOf(constraints: readonly SpreadConstraint[], cluster: ClusterView): readonly Zoned[] {
  return constraints.map((constraint) => ({ constraint, topology: cluster.topology(constraint.topologyKey) }));
}

/** Infinite if there is no domain at all. */
function leastOf(counts: Int32Array, isCounted: Uint8Array, minDomains: number): number {
  let domainCount = 0;
  let least = Number.POSITIVE_INFINITY;
  for (let domain = 0; domain < counts.length; domain++) {
    if (isCounted[domain] === 0) continue;
    domainCount += 1;
    least = Math.min(least, counts[domain] ?? 0);
  }
  return domainCount < minDomains ? 0 : least;
}

/** On each node, by its index. Pods that are ending do not count. */
function countPods(cluster: ClusterView, namespace: string, selector: LabelMatcher): Int32Array {
  const byNode = new Int32Array(cluster.nodes.length);
  for (const group of cluster.groupsOf(namespace)) {
    if (group.isTerminating || !selector.matches(group.labels)) continue;
    for (const [{ index }, count] of group.nodes) if (index >= 0) byNode[index] = (byNode[index] ?? 0) + count;
  }
  return byNode;
}

function hasAllKeys(all: readonly Zoned[], { index }: NodeView): boolean {
  for (const { topology } of all) if ((topology.domainOf[index] ?? -1) < 0) return false;
  return true;
}

function isIncluded(needs: PodNeeds, constraint: SpreadConstraint, { facts }: NodeView): boolean {
  if (constraint.honorsAffinity && !needs.takesAnyNode && !isSelectedNode(needs, facts)) return false;
  return !constraint.honorsTaints || facts.hardTaints.every((taint) => toleratesTaint(needs.tolerations, taint));
}

/** Whether the node lacks a label that a constraint goes by, or would make the spread too uneven. */
export function spreadConflict(state: SpreadState, node: NodeView): 'label' | 'skew' | undefined {
  for (const { constraint, topology, counts, least, own } of state) {
    const domain = topology.domainOf[node.index] ?? -1;
    if (domain < 0) return 'label';
    if ((counts[domain] ?? 0) + own - least > constraint.maxSkew) return 'skew';
  }
  return undefined;
}

/**
 * For each of `nodes` 0 to 100: the fewer pods of its kind its domains have, the better. `constraints`: its own that
 * forbid nothing, or the defaults.
 */
export function spreadScores(
  needs: PodNeeds,
  cluster: ClusterView,
  nodes: readonly NodeView[],
  constraints: readonly SpreadConstraint[],
): readonly number[] | undefined {
  if (constraints.length === 0) return undefined;
  const all = zonedOf(constraints, cluster);
  const sums = new Float64Array(nodes.length);
  // A node without zone may take pods that are spread by default, but scores nothing for those that ask for zones.
  const scored = needs.hasOwnSpread ? nodes.filter((node) => hasAllKeys(all, node)) : nodes;
  for (const zoned of all) addSums(sums, zoned, needs, cluster, scored, needs.hasOwnSpread ? all : []);
  return normalized(sums, scored, nodes);
}

/** `required`: topologies that a node must be in for its pods to count. */
function addSums(
  sums: Float64Array,
  { constraint, topology }: Zoned,
  needs: PodNeeds,
  cluster: ClusterView,
  scored: readonly NodeView[],
  required: readonly Zoned[],
): void {
  const { domainOf } = topology;
  const podsByNode = countPods(cluster, needs.namespace, constraint.selector);
  const isHost = constraint.topologyKey === hostnameKey;
  const counts = new Int32Array(topology.domainCount);
  if (!isHost) {
    for (const node of cluster.nodes) {
      const count = podsByNode[node.index] ?? 0;
      const domain = domainOf[node.index] ?? -1;
      if (count === 0 || domain < 0 || !hasAllKeys(required, node) || !isIncluded(needs, constraint, node)) continue;
      counts[domain] = (counts[domain] ?? 0) + count;
    }
  }
  const domainCount = isHost ? scored.length : countDomains(topology, scored);
  const weight = Math.log(domainCount + 2);
  for (let at = 0; at < scored.length; at++) {
    const index = scored[at]?.index ?? -1;
    const domain = domainOf[index] ?? -1;
    if (domain < 0) continue;
    const count = isHost ? (podsByNode[index] ?? 0) : (counts[domain] ?? 0);
    sums[at] = (sums[at] ?? 0) + count * weight + (constraint.maxSkew - 1);
  }
}

/** Those without the label are one together. */
function countDomains({ domainOf, domainCount }: Topology, nodes: readonly NodeView[]): number {
  const seen = new Uint8Array(domainCount + 1);
  let count = 0;
  for (const { index } of nodes) {
    const domain = (domainOf[index] ?? -1) + 1;
    if (seen[domain] === 0) count += 1;
    seen[domain] = 1;
  }
  return count;
}

/** `sums`: of `scored`, which are among `nodes` in the same order. */
function normalized(sums: Float64Array, scored: readonly NodeView[], nodes: readonly NodeView[]): readonly number[] {
  let least = Number.POSITIVE_INFINITY;
  let most = 0;
  for (let at = 0; at < scored.length; at++) {
    const whole = Math.round(sums[at] ?? 0);
    sums[at] = whole;
    if (whole < least) least = whole;
    if (whole > most) most = whole;
  }
  let at = 0;
  return nodes.map((node) => {
    if (scored[at] !== node) return 0;
    const sum = sums[at++] ?? 0;
    return most === 0 ? 100 : Math.trunc((100 * (most + least - sum)) / most);
  });
}
