/** Pods that are to be spread over zones, nodes or other domains. Upstream: the plug-in `PodTopologySpread`. */
import { isSelectedNode, toleratesTaint } from '../api/node-selection.ts';
import type { LabelMatcher } from '../api/label-selector.ts';
import { hostnameKey } from './affinity-terms.ts';
import type { SpreadConstraint } from './affinity-terms.ts';
import type { ClusterView, NodeView } from './cluster-view.ts';
import type { PodNeeds } from './pod-needs.ts';

interface CountedConstraint {
  readonly constraint: SpreadConstraint;
  /** How many matching pods each domain has. */
  readonly counts: ReadonlyMap<string, number>;
  readonly least: number;
  /** 1 if the pod itself counts. */
  readonly own: 0 | 1;
}

/** How the placed pods are spread, for one pod, worked out once for all nodes. */
export type SpreadState = readonly CountedConstraint[];

/** `undefined` if it has no constraint that forbids a node. */
export function spreadStateOf(needs: PodNeeds, cluster: ClusterView): SpreadState | undefined {
  const constraints = needs.hardSpread;
  if (constraints.length === 0) return undefined;
  const domains = countDomains(needs, cluster, constraints);
  return constraints.map((constraint, index) => {
    const counts = domains[index] ?? new Map<string, number>();
    let least = counts.size < constraint.minDomains ? 0 : Number.POSITIVE_INFINITY;
    for (const count of counts.values()) least = Math.min(least, count);
    return { constraint, counts, least, own: constraint.selector.matches(needs.labels) ? 1 : 0 };
  });
}

function countDomains(
  needs: PodNeeds,
  cluster: ClusterView,
  constraints: readonly SpreadConstraint[],
): readonly ReadonlyMap<string, number>[] {
  const domains = constraints.map(() => new Map<string, number>());
  const podsByNode = constraints.map(({ selector }) => countPods(cluster, needs.namespace, selector));
  for (const node of cluster.nodes) {
    if (!hasAllKeys(node, constraints)) continue;
    for (const [index, constraint] of constraints.entries()) {
      const value = node.facts.labels[constraint.topologyKey];
      if (value === undefined || !isIncluded(needs, constraint, node)) continue;
      const counts = domains[index];
      counts?.set(value, (counts.get(value) ?? 0) + (podsByNode[index]?.get(node) ?? 0));
    }
  }
  return domains;
}

/** Pods that are ending do not count. */
function countPods(cluster: ClusterView, namespace: string, selector: LabelMatcher): ReadonlyMap<NodeView, number> {
  const byNode = new Map<NodeView, number>();
  for (const group of cluster.groupsOf(namespace)) {
    if (group.isTerminating || !selector.matches(group.labels)) continue;
    for (const [node, count] of group.nodes) byNode.set(node, (byNode.get(node) ?? 0) + count);
  }
  return byNode;
}

function hasAllKeys(node: NodeView, constraints: readonly SpreadConstraint[]): boolean {
  return constraints.every(({ topologyKey }) => node.facts.labels[topologyKey] !== undefined);
}

function isIncluded(needs: PodNeeds, constraint: SpreadConstraint, node: NodeView): boolean {
  if (constraint.honorsAffinity && !isSelectedNode(needs, node.facts)) return false;
  if (!constraint.honorsTaints) return true;
  return node.facts.hardTaints.every((taint) => toleratesTaint(needs.tolerations, taint));
}

/** Whether the node lacks a label that a constraint goes by, or would make the spread too uneven. */
export function spreadConflict(state: SpreadState, node: NodeView): 'label' | 'skew' | undefined {
  for (const { constraint, counts, least, own } of state) {
    const value = node.facts.labels[constraint.topologyKey];
    if (value === undefined) return 'label';
    if ((counts.get(value) ?? 0) + own - least > constraint.maxSkew) return 'skew';
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
  // A node without zone may take pods that are spread by default, but not those that ask for zones.
  const isIgnored = (node: NodeView): boolean => needs.hasOwnSpread && !hasAllKeys(node, constraints);
  const ignoredCount = needs.hasOwnSpread ? nodes.filter(isIgnored).length : 0;
  const sums = nodes.map((node): number | undefined => (isIgnored(node) ? undefined : 0));
  for (const constraint of constraints) {
    const podsByNode = countPods(cluster, needs.namespace, constraint.selector);
    const isHost = constraint.topologyKey === hostnameKey;
    const counts = isHost ? undefined : countCandidates(needs, cluster, nodes, constraint, constraints, podsByNode);
    const domainCount = counts === undefined ? nodes.length - ignoredCount : counts.size;
    const weight = Math.log(domainCount + 2);
    for (const [index, node] of nodes.entries()) {
      const before = sums[index];
      const value = node.facts.labels[constraint.topologyKey];
      if (before === undefined || value === undefined) continue;
      const count = counts === undefined ? (podsByNode.get(node) ?? 0) : (counts.get(value) ?? 0);
      sums[index] = before + count * weight + (constraint.maxSkew - 1);
    }
  }
  return normalized(sums);
}

/** The pods in each domain that at least one candidate is in; those of other nodes in it count too. */
function countCandidates(
  needs: PodNeeds,
  cluster: ClusterView,
  candidates: readonly NodeView[],
  constraint: SpreadConstraint,
  constraints: readonly SpreadConstraint[],
  podsByNode: ReadonlyMap<NodeView, number>,
): ReadonlyMap<string, number> {
  const { topologyKey } = constraint;
  const counts = new Map<string, number>();
  for (const node of candidates) {
    if (needs.hasOwnSpread && !hasAllKeys(node, constraints)) continue;
    counts.set(node.facts.labels[topologyKey] ?? '', 0);
  }
  const candidatesOnly = counts.size === 1 && counts.has('');
  if (candidatesOnly) return counts; // no node has that label
  for (const [node, count] of podsByNode) {
    const value = node.facts.labels[topologyKey] ?? '';
    const before = counts.get(value);
    if (before === undefined || cluster.node(node.facts.name) === undefined) continue;
    if (needs.hasOwnSpread && !hasAllKeys(node, constraints)) continue;
    if (isIncluded(needs, constraint, node)) counts.set(value, before + count);
  }
  return counts;
}

function normalized(sums: readonly (number | undefined)[]): readonly number[] {
  let least = Number.POSITIVE_INFINITY;
  let most = 0;
  const rounded = sums.map((sum) => {
    if (sum === undefined) return undefined;
    const whole = Math.round(sum);
    least = Math.min(least, whole);
    most = Math.max(most, whole);
    return whole;
  });
  return rounded.map((sum) => {
    if (sum === undefined) return 0;
    return most === 0 ? 100 : Math.trunc((100 * (most + least - sum)) / most);
  });
}
