import type { Entropy } from '../base/entropy.ts';
import type { SpreadConstraint } from './affinity-terms.ts';
import type { ClusterView, NodeView } from './cluster-view.ts';
import { afterNoTrialText, afterPreemption, countReason, histogram, noNodesText, unfitText } from './failure-text.ts';
import { rejectionOf, trialOf } from './filters.ts';
import type { Rejection, Rejector, Trial } from './filters.ts';
import { preemptionFor, rejectionWithNominated } from './preemption.ts';
import type { PodNeeds } from './pod-needs.ts';
import { scoresOf } from './scores.ts';

export interface Victims {
  readonly nodeName: string;
  readonly pods: readonly PodNeeds[];
}

export type Placement =
  | { readonly kind: 'node'; readonly nodeName: string }
  | {
      readonly kind: 'none';
      /** As upstream 1.34 words it. */
      readonly message: string;
      /** None: whatever happens to nodes may help. */
      readonly rejectedBy: ReadonlySet<Rejector>;
      /** It can be placed once these are gone. */
      readonly victims: Victims | undefined;
      /** The node that room is made on for it, from now on; `undefined` leaves it as it is. */
      readonly nomination: string | undefined;
    };

/**
 * Finds the best node for a pod, or tells why there is none and who would have to go. Leaves the cluster as it is. Of
 * equally good nodes one is drawn. `spread`: what a pod without constraints of its own is spread by.
 */
export function schedulePod(
  needs: PodNeeds,
  cluster: ClusterView,
  entropy: Entropy,
  spread: readonly SpreadConstraint[] = [],
): Placement {
  const total = cluster.nodes.length;
  if (total === 0) return unplaced(noNodesText, new Set());
  const impossible = needs.onlyNodes?.size === 0 ? 'pod affinity terms conflict' : needs.impossible;
  if (impossible !== undefined) {
    const by = needs.impossible === undefined ? 'NodeAffinity' : 'VolumeBinding';
    return unplaced(unfitText(total, impossible, afterNoTrialText), new Set([by]));
  }
  const trial = trialOf(needs, cluster);
  const nominated = cluster.node(needs.nominatedNodeName);
  if (nominated !== undefined && check(trial, cluster, nominated) === undefined) {
    return { kind: 'node', nodeName: nominated.facts.name };
  }
  const rejections = new Map<NodeView, Rejection>();
  const fitting: NodeView[] = [];
  for (const node of possibleNodes(needs, cluster)) {
    const rejection = check(trial, cluster, node);
    if (rejection === undefined) fitting.push(node);
    else rejections.set(node, rejection);
  }
  const best = bestOf(needs, cluster, fitting, needs.hasOwnSpread ? needs.softSpread : spread, entropy);
  if (best !== undefined) return { kind: 'node', nodeName: best.facts.name };
  return unfit(trial, cluster, rejections, entropy);
}

function possibleNodes(needs: PodNeeds, cluster: ClusterView): readonly NodeView[] {
  if (needs.onlyNodes === undefined) return cluster.nodes;
  return [...needs.onlyNodes].flatMap((name) => cluster.node(name) ?? []);
}

function check(trial: Trial, cluster: ClusterView, node: NodeView): Rejection | undefined {
  if (node.nominated.size === 0) return rejectionOf(trial, node);
  return rejectionWithNominated(trial, cluster, node);
}

function bestOf(
  needs: PodNeeds,
  cluster: ClusterView,
  nodes: readonly NodeView[],
  spread: readonly SpreadConstraint[],
  entropy: Entropy,
): NodeView | undefined {
  if (nodes.length <= 1) return nodes[0];
  const scores = scoresOf(needs, cluster, nodes, spread);
  const most = Math.max(...scores);
  const equals = nodes.filter((_, index) => scores[index] === most);
  return equals[equals.length === 1 ? 0 : Math.floor(entropy.unit() * equals.length)];
}

function unplaced(message: string, rejectedBy: ReadonlySet<Rejector>): Placement {
  return { kind: 'none', message, rejectedBy, victims: undefined, nomination: undefined };
}

function unfit(
  trial: Trial,
  cluster: ClusterView,
  rejections: ReadonlyMap<NodeView, Rejection>,
  entropy: Entropy,
): Placement {
  const total = cluster.nodes.length;
  const reasons = new Map<string, number>();
  const rejectedBy = new Set<Rejector>();
  for (const rejection of rejections.values()) {
    rejectedBy.add(rejection.by);
    for (const reason of rejection.reasons) countReason(reasons, reason);
  }
  if (rejections.size < total) rejectedBy.add('NodeAffinity');
  countReason(reasons, "node(s) didn't satisfy plugin(s) [NodeAffinity]", total - rejections.size);
  const preemption = preemptionFor(trial, cluster, rejections, entropy);
  const why = histogram(reasons);
  if (preemption.kind === 'victims') {
    const { nodeName, victims: pods } = preemption;
    const message = unfitText(total, why, '');
    return { kind: 'none', message, rejectedBy, victims: { nodeName, pods }, nomination: nodeName };
  }
  return {
    kind: 'none',
    message: unfitText(total, why, afterPreemption(preemption.text)),
    rejectedBy,
    victims: undefined,
    nomination: preemption.keepsNomination ? undefined : '',
  };
}
