import type { Taint } from '../api/gen/types.ts';
import { isSelectedNode, toleratesTaint } from '../api/node-selection.ts';
import type { ClusterView, NodeView } from './cluster-view.ts';
import type { NodeFacts } from './node-facts.ts';
import { affinityConflict, affinityStateOf, anyMeans } from './pod-affinity.ts';
import type { AffinityState } from './pod-affinity.ts';
import type { PodNeeds, PortClaim } from './pod-needs.ts';
import { countsForSpread, spreadConflict, spreadStateOf } from './topology-spread.ts';
import type { SpreadState } from './topology-spread.ts';

/** What a pod was rejected by, in upstream's order; decides what may help it. Upstream: the plug-ins. */
export type Rejector =
  | 'NodeUnschedulable'
  | 'NodeName'
  | 'TaintToleration'
  | 'NodeAffinity'
  | 'NodePorts'
  | 'NodeResourcesFit'
  | 'VolumeBinding'
  | 'PodTopologySpread'
  | 'InterPodAffinity';

/** Why a node cannot take a pod, in upstream's words. */
export interface Rejection {
  readonly by: Rejector;
  readonly reasons: readonly string[];
  /** Whether the node could take it if pods of lower priority left. */
  readonly isCurable: boolean;
}

/** What is worked out once for a pod, before its nodes are looked at one by one. */
export interface Trial {
  readonly needs: PodNeeds;
  readonly affinity: AffinityState | undefined;
  readonly spread: SpreadState | undefined;
}

/** Holds until the next change of the cluster. */
export function trialOf(needs: PodNeeds, cluster: ClusterView): Trial {
  return { needs, affinity: affinityStateOf(needs, cluster), spread: spreadStateOf(needs, cluster) };
}

/** Whether a pod that comes or goes changes a trial, besides the room that it takes or leaves on its node. */
export function affectsTrial(pod: PodNeeds, needs: PodNeeds, cluster: ClusterView): boolean {
  const { near = [], far = [] } = needs.affinity ?? {};
  return (
    countsForSpread(pod, needs) ||
    anyMeans(near, pod, cluster) ||
    anyMeans(far, pod, cluster) ||
    anyMeans(pod.affinity?.far, needs, cluster)
  );
}

/** `undefined`: the node can take the pod. The first that rejects decides what is said; upstream's order. */
export function rejectionOf(trial: Trial, node: NodeView): Rejection | undefined {
  return (
    rejectedByFacts(trial.needs, node.facts) ??
    rejectTakenPorts(trial.needs, node) ??
    rejectFull(trial.needs, node) ??
    rejectUneven(trial.spread, node) ??
    rejectNeighbours(trial.affinity, node)
  );
}

/** Whether the node could take the pod if nothing was on it, as far as other nodes do not matter. */
export function couldEverTake(needs: PodNeeds, facts: NodeFacts): boolean {
  if (rejectedByFacts(needs, facts) !== undefined || facts.podsMax < 1) return false;
  const { cpuMilli, memoryBytes, others } = facts.allocatable;
  const { requests } = needs;
  if (requests.cpuMilli > cpuMilli || requests.memoryBytes > memoryBytes) return false;
  for (const [name, amount] of requests.others) if (amount > (others.get(name) ?? 0)) return false;
  return true;
}

function only(by: Rejector, reason: string, isCurable: boolean): Rejection {
  return { by, reasons: [reason], isCurable };
}

const rejections = {
  unschedulable: only('NodeUnschedulable', 'node(s) were unschedulable', false),
  otherName: only('NodeName', "node(s) didn't match the requested node name", false),
  tainted: only('TaintToleration', 'node(s) had untolerated taint(s)', false),
  unselected: only('NodeAffinity', "node(s) didn't match Pod's node affinity/selector", false),
  ports: only('NodePorts', "node(s) didn't have free ports for the requested pod ports", true),
  label: only(
    'PodTopologySpread',
    "node(s) didn't match pod topology spread constraints (missing required label)",
    false,
  ),
  skew: only('PodTopologySpread', "node(s) didn't match pod topology spread constraints", true),
  near: only('InterPodAffinity', "node(s) didn't match pod affinity rules", false),
  far: only('InterPodAffinity', "node(s) didn't match pod anti-affinity rules", true),
  avoided: only('InterPodAffinity', "node(s) didn't satisfy existing pods anti-affinity rules", true),
} as const;

const unschedulableTaint: Taint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' };

function rejectedByFacts(needs: PodNeeds, facts: NodeFacts): Rejection | undefined {
  if (facts.isOpen && needs.takesAnyNode) return undefined;
  if (facts.isUnschedulable && !toleratesTaint(needs.tolerations, unschedulableTaint)) return rejections.unschedulable;
  if (needs.nodeName !== '' && needs.nodeName !== facts.name) return rejections.otherName;
  for (const taint of facts.hardTaints) {
    if (!toleratesTaint(needs.tolerations, taint)) return rejections.tainted;
  }
  return isSelectedNode(needs, facts) ? undefined : rejections.unselected;
}

function rejectTakenPorts(needs: PodNeeds, node: NodeView): Rejection | undefined {
  if (needs.hostPorts.length === 0 && needs.containerPorts.length === 0) return undefined;
  const wanted = portsOn(needs, node);
  if (wanted.length === 0) return undefined;
  for (const other of node.pods.values()) {
    if (portsOn(other, node).some((taken) => wanted.some((port) => clash(port, taken)))) return rejections.ports;
  }
  return undefined;
}

function portsOn(needs: PodNeeds, node: NodeView): readonly PortClaim[] {
  if (!node.facts.podsShareNetwork || needs.containerPorts.length === 0) return needs.hostPorts;
  return needs.hostPorts.length === 0 ? needs.containerPorts : [...needs.hostPorts, ...needs.containerPorts];
}

function clash(a: PortClaim, b: PortClaim): boolean {
  if (a.port !== b.port || a.protocol !== b.protocol) return false;
  return a.hostIP === b.hostIP || a.hostIP === '0.0.0.0' || b.hostIP === '0.0.0.0';
}

function rejectFull({ requests }: PodNeeds, { facts, load, free }: NodeView): Rejection | undefined {
  const hasRoom = requests.cpuMilli <= free.cpuMilli && requests.memoryBytes <= free.memoryBytes && free.pods > 0;
  if (hasRoom && requests.others.size === 0) return undefined;
  const { allocatable } = facts;
  const reasons: string[] = [];
  let isCurable = true;
  if (free.pods <= 0) reasons.push('Too many pods');
  const check = (name: string, wanted: number, total: number, used: number): void => {
    if (wanted === 0 || wanted <= total - used) return;
    reasons.push(`Insufficient ${name}`);
    if (wanted > total) isCurable = false;
  };
  check('cpu', requests.cpuMilli, allocatable.cpuMilli, load.cpuMilli);
  check('memory', requests.memoryBytes, allocatable.memoryBytes, load.memoryBytes);
  for (const [name, wanted] of requests.others) {
    check(name, wanted, allocatable.others.get(name) ?? 0, load.others.get(name) ?? 0);
  }
  return reasons.length === 0 ? undefined : { by: 'NodeResourcesFit', reasons, isCurable };
}

function rejectUneven(spread: SpreadState | undefined, node: NodeView): Rejection | undefined {
  const conflict = spread === undefined ? undefined : spreadConflict(spread, node);
  return conflict === undefined ? undefined : rejections[conflict];
}

function rejectNeighbours(affinity: AffinityState | undefined, node: NodeView): Rejection | undefined {
  const conflict = affinity === undefined ? undefined : affinityConflict(affinity, node);
  return conflict === undefined ? undefined : rejections[conflict];
}
