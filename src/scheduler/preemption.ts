/** Whether a pod may end others for its sake, and which. Upstream: `DefaultPreemption`. */
import { isBudgetOf } from '../api/disruption-budget.ts';
import type { PodDisruptionBudget } from '../api/gen/types.ts';
import type { Entropy } from '../base/entropy.ts';
import type { ClusterView, NodeView } from './cluster-view.ts';
import { countReason, histogram, unfitText } from './failure-text.ts';
import { affectsTrial, rejectionOf, trialOf } from './filters.ts';
import type { Rejection, Trial } from './filters.ts';
import type { PodNeeds } from './pod-needs.ts';

const candidatesPercent = 10; // of the nodes where it may help; that many are compared,
const candidatesMin = 100; // but at least so many

export type Preemption =
  | { readonly kind: 'victims'; readonly nodeName: string; readonly victims: readonly PodNeeds[] }
  /** `keepsNomination`: pods are ending for it already, or it must not preempt: what was said before holds. */
  | { readonly kind: 'none'; readonly text: string; readonly keepsNomination: boolean };

interface Candidate {
  readonly node: NodeView;
  /** The most important first. */
  readonly victims: readonly PodNeeds[];
  /** How many of them their disruption budgets would not let go. */
  readonly violations: number;
}

/** Looks for the node where the least harm is done. `rejections`: why each node that was looked at cannot take it. */
export function preemptionFor(
  trial: Trial,
  cluster: ClusterView,
  rejections: ReadonlyMap<NodeView, Rejection>,
  entropy: Entropy,
): Preemption {
  const { needs } = trial;
  const refusal = ineligibleBecause(needs, cluster, rejections);
  if (refusal !== undefined) return { kind: 'none', text: refusal, keepsNomination: true };
  const nodes = [...rejections].filter(([, rejection]) => rejection.isCurable).map(([node]) => node);
  const candidatesMax = Math.max(candidatesMin, Math.trunc((nodes.length * candidatesPercent) / 100));
  const offset = nodes.length > candidatesMax ? Math.floor(entropy.unit() * nodes.length) : 0;
  const reasons = new Map<string, number>();
  const candidates: Candidate[] = [];
  const hasLower = cluster.hasPodBelow(needs.priority);
  const budgets = cluster.budgets();
  let isHarmless = false; // one was found that violates no budget
  for (let index = 0; index < nodes.length && !(isHarmless && candidates.length >= candidatesMax); index++) {
    const node = nodes[(offset + index) % nodes.length];
    if (node === undefined) continue;
    const result = hasLower ? victimsOn(node, trial, cluster, budgets) : noVictims;
    if (result.victims !== undefined) {
      candidates.push({ node, victims: result.victims, violations: result.violations });
      if (result.violations === 0) isHarmless = true;
    }
    for (const reason of result.reasons) countReason(reasons, reason);
  }
  const best = leastHarm(candidates);
  if (best !== undefined) return { kind: 'victims', nodeName: best.node.facts.name, victims: best.victims };
  const total = cluster.nodes.length;
  countReason(reasons, 'Preemption is not helpful for scheduling', total - nodes.length);
  return { kind: 'none', text: unfitText(total, histogram(reasons), ''), keepsNomination: false };
}

function ineligibleBecause(
  needs: PodNeeds,
  cluster: ClusterView,
  rejections: ReadonlyMap<NodeView, Rejection>,
): string | undefined {
  if (!needs.mayPreempt) return 'not eligible due to preemptionPolicy=Never.';
  const nominated = cluster.node(needs.nominatedNodeName);
  if (nominated === undefined || rejections.get(nominated)?.isCurable === false) return undefined;
  for (const pod of nominated.pods.values()) {
    if (pod.priority < needs.priority && pod.isBeingPreempted) {
      return 'not eligible due to a terminating pod on the nominated node.';
    }
  }
  return undefined;
}

type Search =
  | { readonly victims: readonly PodNeeds[]; readonly violations: number; readonly reasons: readonly [] }
  | { readonly victims: undefined; readonly reasons: readonly string[] };

const noVictims: Search = { victims: undefined, reasons: ['No preemption victims found for incoming pod'] };

/**
 * The fewest and least important pods that must go, as few as may be of those that their budgets would keep. Takes them
 * away from the view to see, and puts them back.
 */
function victimsOn(
  node: NodeView,
  trial: Trial,
  cluster: ClusterView,
  budgets: readonly PodDisruptionBudget[],
): Search {
  const { needs } = trial;
  const { name } = node.facts;
  const lower = [...node.pods.values()].filter((pod) => pod.priority < needs.priority);
  if (lower.length === 0) return noVictims;
  let current: Trial | undefined = trial; // undefined: out of date
  const rejectionNow = (): Rejection | undefined => {
    current ??= trialOf(needs, cluster);
    return rejectionWithNominated(current, cluster, node);
  };
  const move = (pod: PodNeeds, to: 'away' | 'back'): void => {
    if (to === 'back') cluster.place(pod, name);
    else cluster.remove(pod.uid);
    if (affectsTrial(pod, needs, cluster)) current = undefined;
  };
  for (const pod of lower) move(pod, 'away');
  const rejection = rejectionNow();
  const victims: PodNeeds[] = [];
  let violations = 0;
  const { kept, free } = byBudget(lower.sort(byImportance), budgets);
  for (const pod of [...kept, ...free]) {
    move(pod, 'back');
    if (rejection !== undefined || rejectionNow() === undefined) continue;
    move(pod, 'away');
    victims.push(pod);
    if (kept.includes(pod)) violations += 1;
  }
  for (const pod of victims) cluster.place(pod, name);
  if (rejection !== undefined) return { victims: undefined, reasons: rejection.reasons };
  return { victims: victims.sort(byImportance), violations, reasons: [] };
}

/** `kept`: those that would be one too many for their budget, if all went in this order. */
function byBudget(
  pods: readonly PodNeeds[],
  budgets: readonly PodDisruptionBudget[],
): { readonly kept: readonly PodNeeds[]; readonly free: readonly PodNeeds[] } {
  if (budgets.length === 0) return { kept: [], free: pods };
  const left = new Map(budgets.map((budget) => [budget, budget.status?.disruptionsAllowed ?? 0]));
  const kept: PodNeeds[] = [];
  const free: PodNeeds[] = [];
  for (const pod of pods) {
    let isKept = false;
    for (const [budget, allowed] of left) {
      if (!limits(budget, pod)) continue;
      left.set(budget, allowed - 1);
      if (allowed <= 0) isKept = true;
    }
    (isKept ? kept : free).push(pod);
  }
  return { kept, free };
}

/** One without selector limits nothing here, and an eviction that was granted is none too many. */
function limits(budget: PodDisruptionBudget, { name, namespace, labels }: PodNeeds): boolean {
  const { matchLabels = {}, matchExpressions = [] } = budget.spec?.selector ?? {};
  if (Object.keys(matchLabels).length + matchExpressions.length === 0) return false;
  if (Object.keys(labels).length === 0 || budget.status?.disruptedPods?.[name] !== undefined) return false;
  return isBudgetOf(budget, namespace, labels);
}

/** Whether the node can take the pod, with and without the pods of its priority or more that are to come there. */
export function rejectionWithNominated(trial: Trial, cluster: ClusterView, node: NodeView): Rejection | undefined {
  const { needs } = trial;
  const coming = [...node.nominated.values()].filter((pod) => pod.priority >= needs.priority && pod.uid !== needs.uid);
  if (coming.length > 0) {
    for (const pod of coming) cluster.place(pod, node.facts.name);
    const isAffected = coming.some((pod) => affectsTrial(pod, needs, cluster));
    const rejection = rejectionOf(isAffected ? trialOf(needs, cluster) : trial, node);
    for (const pod of coming) cluster.remove(pod.uid);
    if (rejection !== undefined) return rejection;
  }
  return rejectionOf(trial, node);
}

/** The higher priority first, then what has run longer. */
function byImportance(a: PodNeeds, b: PodNeeds): number {
  if (a.priority !== b.priority) return b.priority - a.priority;
  return a.startedMs === b.startedMs ? 0 : a.startedMs - b.startedMs;
}

/** Each decides between those that are equal by the ones before; less is better. */
const harms: readonly ((candidate: Candidate) => number)[] = [
  ({ violations }) => violations,
  ({ victims }) => victims[0]?.priority ?? 0,
  ({ victims }) => victims.reduce((sum, { priority }) => sum + priority + 2 ** 31, 0),
  ({ victims }) => victims.length,
  ({ victims }) => -startOfMostImportant(victims),
];

/** Among the victims of the highest priority, the first start. */
function startOfMostImportant(victims: readonly PodNeeds[]): number {
  const highest = victims[0]?.priority;
  return Math.min(...victims.filter(({ priority }) => priority === highest).map(({ startedMs }) => startedMs));
}

function leastHarm(candidates: readonly Candidate[]): Candidate | undefined {
  let left = candidates;
  for (const harm of harms) {
    if (left.length <= 1) break;
    const harmOf = left.map(harm);
    const least = Math.min(...harmOf);
    left = left.filter((_, index) => harmOf[index] === least);
  }
  return left[0];
}
