import type { Taint } from '../api/gen/types.ts';
import { isSelectedNode, toleratesTaint } from '../api/node-selection.ts';
import type { NodeView } from './cluster-view.ts';
import type { PodNeeds, PortClaim } from './pod-needs.ts';

/** Why a node cannot take a pod, in upstream's words. */
export interface Rejection {
  readonly reasons: readonly string[];
  /** Whether the node could take it if pods of lower priority left. */
  readonly isCurable: boolean;
}

type Filter = (needs: PodNeeds, node: NodeView) => Rejection | undefined;

/** The first filter that rejects decides what is said; upstream's order. */
const filters: readonly Filter[] = [
  rejectUnschedulable,
  rejectOtherName,
  rejectTainted,
  rejectUnselected,
  rejectTakenPorts,
  rejectFull,
];

/** `undefined`: the node can take the pod. */
export function rejectionOf(needs: PodNeeds, node: NodeView): Rejection | undefined {
  for (const filter of filters) {
    const rejection = filter(needs, node);
    if (rejection !== undefined) return rejection;
  }
  return undefined;
}

function incurable(reason: string): Rejection {
  return { reasons: [reason], isCurable: false };
}

const unschedulableTaint: Taint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' };

function rejectUnschedulable(needs: PodNeeds, node: NodeView): Rejection | undefined {
  if (!node.isUnschedulable || toleratesTaint(needs.tolerations, unschedulableTaint)) return undefined;
  return incurable('node(s) were unschedulable');
}

function rejectOtherName(needs: PodNeeds, node: NodeView): Rejection | undefined {
  if (needs.nodeName === '' || needs.nodeName === node.name) return undefined;
  return incurable("node(s) didn't match the requested node name");
}

function rejectTainted(needs: PodNeeds, node: NodeView): Rejection | undefined {
  for (const taint of node.taints) {
    if (taint.effect === 'PreferNoSchedule') continue;
    if (!toleratesTaint(needs.tolerations, taint)) return incurable('node(s) had untolerated taint(s)');
  }
  return undefined;
}

function rejectUnselected(needs: PodNeeds, node: NodeView): Rejection | undefined {
  if (isSelectedNode(needs, node)) return undefined;
  return incurable("node(s) didn't match Pod's node affinity/selector");
}

function rejectTakenPorts(needs: PodNeeds, node: NodeView): Rejection | undefined {
  const wanted = portsOn(needs, node);
  if (wanted.length === 0) return undefined;
  for (const other of node.pods.values()) {
    if (portsOn(other, node).some((taken) => wanted.some((port) => clash(port, taken)))) {
      return { reasons: ["node(s) didn't have free ports for the requested pod ports"], isCurable: true };
    }
  }
  return undefined;
}

function portsOn(needs: PodNeeds, node: NodeView): readonly PortClaim[] {
  if (!node.podsShareNetwork || needs.containerPorts.length === 0) return needs.hostPorts;
  return needs.hostPorts.length === 0 ? needs.containerPorts : [...needs.hostPorts, ...needs.containerPorts];
}

function clash(a: PortClaim, b: PortClaim): boolean {
  if (a.port !== b.port || a.protocol !== b.protocol) return false;
  return a.hostIP === b.hostIP || a.hostIP === '0.0.0.0' || b.hostIP === '0.0.0.0';
}

function rejectFull(needs: PodNeeds, node: NodeView): Rejection | undefined {
  const reasons: string[] = [];
  let isCurable = true;
  if (node.pods.size + 1 > node.podsMax) reasons.push('Too many pods');
  for (const [name, nanos] of needs.requests) {
    const allocatable = node.allocatable.get(name) ?? 0n;
    if (nanos <= allocatable - (node.requested.get(name) ?? 0n)) continue;
    reasons.push(`Insufficient ${name}`);
    if (nanos > allocatable) isCurable = false;
  }
  return reasons.length === 0 ? undefined : { reasons, isCurable };
}
