import type { Entropy } from '../base/entropy.ts';
import type { ClusterView, NodeView } from './cluster-view.ts';
import { rejectionOf } from './filters.ts';
import type { Rejection } from './filters.ts';
import type { PodNeeds } from './pod-needs.ts';
import { scoresOf } from './scores.ts';

export type Placement =
  | { readonly kind: 'node'; readonly nodeName: string }
  /** `message`: as upstream 1.34 words it. */
  | { readonly kind: 'none'; readonly message: string };

/** Finds the best node for a pod, or tells why there is none. Changes nothing. Of equally good nodes one is drawn. */
export function schedulePod(needs: PodNeeds, cluster: ClusterView, entropy: Entropy): Placement {
  if (cluster.nodeCount === 0) return { kind: 'none', message: 'no nodes available to schedule pods' };
  const rejections = new Map<NodeView, Rejection>();
  if (needs.impossible !== undefined) {
    for (const node of cluster.nodes()) rejections.set(node, { reasons: [], isCurable: false });
    return { kind: 'none', message: unschedulableText(needs, rejections, needs.impossible) };
  }
  const fitting: NodeView[] = [];
  for (const node of cluster.nodes()) {
    const rejection = rejectionOf(needs, node);
    if (rejection === undefined) fitting.push(node);
    else rejections.set(node, rejection);
  }
  const best = bestOf(needs, fitting, entropy);
  if (best !== undefined) return { kind: 'node', nodeName: best.name };
  return { kind: 'none', message: unschedulableText(needs, rejections) };
}

function bestOf(needs: PodNeeds, nodes: readonly NodeView[], entropy: Entropy): NodeView | undefined {
  if (nodes.length <= 1) return nodes[0];
  const scores = scoresOf(needs, nodes);
  const most = Math.max(...scores);
  const equals = nodes.filter((_, index) => scores[index] === most);
  return equals[equals.length === 1 ? 0 : Math.floor(entropy.unit() * equals.length)];
}

function unschedulableText(needs: PodNeeds, rejections: ReadonlyMap<NodeView, Rejection>, whole?: string): string {
  const total = rejections.size;
  const reasons = [...rejections.values()].flatMap((rejection) => rejection.reasons);
  const why = whole ?? histogram(reasons);
  return `0/${total} nodes are available: ${why}. ${afterFilterText(needs, rejections)}`;
}

/** What upstream's two plug-ins say that look for a way to make room: dynamic resources, and preemption. */
function afterFilterText(needs: PodNeeds, rejections: ReadonlyMap<NodeView, Rejection>): string {
  const claims = 'no new claims to deallocate';
  if (!needs.mayPreempt) return `${claims}, preemption: not eligible due to preemptionPolicy=Never.`;
  const reasons = [...rejections].map(([node, rejection]) => {
    if (!rejection.isCurable) return 'Preemption is not helpful for scheduling';
    const hasVictims = [...node.pods.values()].some((other) => other.priority < needs.priority);
    // Ending pods of lower priority is not this scheduler's business (yet).
    return hasVictims
      ? 'Preemption is not supported by this scheduler'
      : 'No preemption victims found for incoming pod';
  });
  return `${claims}, preemption: 0/${rejections.size} nodes are available: ${histogram(reasons)}.`;
}

/** `1 Insufficient cpu, 2 node(s) were unschedulable`: sorted as text, as upstream does. */
function histogram(reasons: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return [...counts]
    .map(([reason, count]) => `${count} ${reason}`)
    .sort()
    .join(', ');
}
