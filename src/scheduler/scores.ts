import type { NodeView } from './cluster-view.ts';
import { matchesNodeTerm, toleratesTaint } from '../api/node-selection.ts';
import type { PodNeeds } from './pod-needs.ts';

/** Upstream's weights of the scores that we have; each score goes from 0 to 100. */
const weights = { leastAllocated: 1, spread: 2, nodeAffinity: 2, taints: 3 } as const;

/** For each of `nodes`, how well it suits the pod; more is better. */
export function scoresOf(needs: PodNeeds, nodes: readonly NodeView[]): readonly number[] {
  const allocated = nodes.map((node) => leastAllocated(needs, node));
  const spread = fewerIsBetter(nodes.map((node) => node.spreadCounts.get(needs.spreadKey ?? '') ?? 0));
  const affinity = moreIsBetter(nodes.map((node) => preference(needs, node)));
  const taints = fewerIsBetter(nodes.map((node) => avoidedTaints(needs, node)));
  return nodes.map(
    (_, index) =>
      weights.leastAllocated * (allocated[index] ?? 0) +
      weights.spread * (spread[index] ?? 0) +
      weights.nodeAffinity * (affinity[index] ?? 0) +
      weights.taints * (taints[index] ?? 0),
  );
}

/** The part of cpu and of memory that would stay free, on average. */
function leastAllocated(needs: PodNeeds, node: NodeView): number {
  const cpu = freePart(node.allocatable.get('cpu'), node.weight.cpu + needs.weight.cpu);
  const memory = freePart(node.allocatable.get('memory'), node.weight.memory + needs.weight.memory);
  return (cpu + memory) / 2;
}

function freePart(allocatable: bigint | undefined, used: bigint): number {
  if (allocatable === undefined || allocatable === 0n || used >= allocatable) return 0;
  return 100 * (1 - Number(used) / Number(allocatable));
}

function preference(needs: PodNeeds, node: NodeView): number {
  let total = 0;
  for (const { preference: term, weight } of needs.preferredNodes) if (matchesNodeTerm(term, node)) total += weight;
  return total;
}

function avoidedTaints(needs: PodNeeds, node: NodeView): number {
  const untolerated = (taint: NodeView['taints'][number]): boolean => !toleratesTaint(needs.tolerations, taint);
  return node.taints.filter((taint) => taint.effect === 'PreferNoSchedule' && untolerated(taint)).length;
}

function moreIsBetter(counts: readonly number[]): readonly number[] {
  const most = Math.max(...counts);
  return counts.map((count) => (most === 0 ? 0 : (100 * count) / most));
}

function fewerIsBetter(counts: readonly number[]): readonly number[] {
  const most = Math.max(...counts);
  return counts.map((count) => (most === 0 ? 100 : (100 * (most - count)) / most));
}
