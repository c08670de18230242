/** When a node was last heard of, by the controller's own clock: node clocks may be wrong. Pure. */
import type { Lease, Node, NodeCondition } from '../../api/gen/types.ts';

export interface NodeHealth {
  /** When the last sign of life was seen here. */
  readonly heardMonoMs: number;
  /** The signs as last seen: a change of one of them is a sign of life. */
  readonly heartbeat: string | undefined;
  readonly leaseRenewal: string | undefined;
}

/** Conditions that a silent node is not trusted with any more. */
const kubeletConditions = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'] as const;

export function conditionOf(node: Node, type: string): NodeCondition | undefined {
  return node.status?.conditions?.find((condition) => condition.type === type);
}

/** It says so, and nobody has taken it back. */
export function isReadyNode(node: Node): boolean {
  return conditionOf(node, 'Ready')?.status === 'True';
}

/** Upstream: `tryUpdateNodeHealth`, its first half. `before`: `undefined` for a node that is new here. */
export function heardOf(
  before: NodeHealth | undefined,
  node: Node,
  lease: Lease | undefined,
  nowMonoMs: number,
): NodeHealth {
  const heartbeat = conditionOf(node, 'Ready')?.lastHeartbeatTime;
  const leaseRenewal = lease?.spec?.renewTime;
  if (before === undefined) return { heardMonoMs: nowMonoMs, heartbeat, leaseRenewal };
  const isRenewed = leaseRenewal !== undefined && leaseRenewal !== before.leaseRenewal;
  const hasBeat = heartbeat !== undefined && heartbeat !== before.heartbeat;
  return { heardMonoMs: isRenewed || hasBeat ? nowMonoMs : before.heardMonoMs, heartbeat, leaseRenewal };
}

/**
 * The conditions of a node that was silent for too long; `undefined`: they say so already. Upstream:
 * `tryUpdateNodeHealth`, its second half.
 */
export function silencedConditions(node: Node, now: string): readonly NodeCondition[] | undefined {
  const before = node.status?.conditions ?? [];
  let isChanged = false;
  const after = before.map((condition): NodeCondition => {
    if (!kubeletConditions.some((type) => type === condition.type) || condition.status === 'Unknown') return condition;
    isChanged = true;
    const message = 'Kubelet stopped posting node status.';
    return { ...condition, status: 'Unknown', reason: 'NodeStatusUnknown', message, lastTransitionTime: now };
  });
  for (const type of kubeletConditions) {
    if (before.some((condition) => condition.type === type)) continue;
    isChanged = true;
    const created = node.metadata?.creationTimestamp;
    after.push({
      type,
      status: 'Unknown',
      reason: 'NodeStatusNeverUpdated',
      message: 'Kubelet never posted node status.',
      ...(created === undefined ? {} : { lastHeartbeatTime: created }),
      lastTransitionTime: now,
    });
  }
  return isChanged ? after : undefined;
}
