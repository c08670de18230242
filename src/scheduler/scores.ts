import { matchesNodeTerm, toleratesTaint } from '../api/node-selection.ts';
import type { SpreadConstraint } from './affinity-terms.ts';
import type { ClusterView, NodeView } from './cluster-view.ts';
import { affinityScores } from './pod-affinity.ts';
import type { PodNeeds } from './pod-needs.ts';
import { spreadScores } from './topology-spread.ts';

/** Upstream's default weights; each score goes from 0 to 100. `ImageLocality` is left out. */
const weights = { least: 1, balanced: 1, podAffinity: 2, spread: 2, nodeAffinity: 2, taints: 3 } as const;

/** For each of `nodes`, how well it suits the pod; more is better. `spread`: constraints that forbid nothing. */
export function scoresOf(
  needs: PodNeeds,
  cluster: ClusterView,
  nodes: readonly NodeView[],
  spread: readonly SpreadConstraint[],
): readonly number[] {
  const asksForSome = needs.requests.cpuMilli > 0 || needs.requests.memoryBytes > 0;
  const totals = nodes.map((node) => {
    const least = weights.least * leastAllocated(needs, node);
    return asksForSome ? least + weights.balanced * balanced(needs, node) : least;
  });
  const addAll = (weight: number, scores: readonly number[] = []): void => {
    for (let index = 0; index < scores.length; index++) {
      totals[index] = (totals[index] ?? 0) + weight * (scores[index] ?? 0);
    }
  };
  addAll(weights.podAffinity, affinityScores(needs, cluster, nodes));
  addAll(weights.spread, spreadScores(needs, cluster, nodes, spread));
  if (needs.preferredNodes.length > 0) {
    addAll(weights.nodeAffinity, relative(nodes.map((node) => preference(needs, node))));
  }
  if (nodes.some((node) => node.facts.softTaints.length > 0)) {
    const avoided = relative(nodes.map((node) => avoidedTaints(needs, node)));
    addAll(
      weights.taints,
      avoided.map((score) => 100 - score),
    );
  }
  return totals;
}

/** The part of cpu and of memory that would stay free, on average. Upstream: `LeastAllocated`. */
function leastAllocated({ weight }: PodNeeds, { facts, load }: NodeView): number {
  const { cpuMilli, memoryBytes } = facts.allocatable;
  let sum = 0;
  let count = 0;
  if (cpuMilli > 0) {
    sum += freePart(cpuMilli, load.weightCpuMilli + weight.cpuMilli);
    count += 1;
  }
  if (memoryBytes > 0) {
    sum += freePart(memoryBytes, load.weightMemoryBytes + weight.memoryBytes);
    count += 1;
  }
  return count === 0 ? 0 : Math.trunc(sum / count);
}

function freePart(allocatable: number, used: number): number {
  return used > allocatable ? 0 : Math.trunc(((allocatable - used) * 100) / allocatable);
}

/** How alike the used parts of cpu and memory would be. Upstream: `NodeResourcesBalancedAllocation`. */
function balanced({ requests }: PodNeeds, { facts, load }: NodeView): number {
  const { cpuMilli, memoryBytes } = facts.allocatable;
  if (cpuMilli === 0 || memoryBytes === 0) return 100;
  const cpu = Math.min(1, (load.cpuMilli + requests.cpuMilli) / cpuMilli);
  const memory = Math.min(1, (load.memoryBytes + requests.memoryBytes) / memoryBytes);
  return Math.trunc((1 - Math.abs(cpu - memory) / 2) * 100);
}

function preference(needs: PodNeeds, node: NodeView): number {
  let total = 0;
  for (const { preference: term, weight } of needs.preferredNodes) {
    if (matchesNodeTerm(term, node.facts)) total += weight;
  }
  return total;
}

function avoidedTaints(needs: PodNeeds, { facts }: NodeView): number {
  return facts.softTaints.filter((taint) => !toleratesTaint(needs.tolerations, taint)).length;
}

/** 100 for the most, the others in proportion. */
function relative(counts: readonly number[]): readonly number[] {
  const most = Math.max(...counts);
  return counts.map((count) => (most === 0 ? 0 : Math.trunc((100 * count) / most)));
}
