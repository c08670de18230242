/** The taints that follow from a node's conditions. Pure. */
import type { Node, Taint } from '../../api/gen/types.ts';
import { conditionOf } from './node-health.ts';

export const notReadyTaint = 'node.kubernetes.io/not-ready';
export const unreachableTaint = 'node.kubernetes.io/unreachable';

/** Condition and status -> taint with effect NoSchedule. Upstream: `nodeConditionToTaintKeyStatusMap`. */
const taintByCondition: readonly (readonly [type: string, status: string, key: string])[] = [
  ['Ready', 'False', notReadyTaint],
  ['Ready', 'Unknown', unreachableTaint],
  ['MemoryPressure', 'True', 'node.kubernetes.io/memory-pressure'],
  ['DiskPressure', 'True', 'node.kubernetes.io/disk-pressure'],
  ['PIDPressure', 'True', 'node.kubernetes.io/pid-pressure'],
  ['NetworkUnavailable', 'True', 'node.kubernetes.io/network-unavailable'],
];
const unschedulableTaint = 'node.kubernetes.io/unschedulable';
const ownKeys: ReadonlySet<string> = new Set([...taintByCondition.map(([, , key]) => key), unschedulableTaint]);

/** All taints with those of effect NoSchedule as the conditions want them; `undefined`: they are so. */
function withNoScheduleTaints(node: Node, now: string): readonly Taint[] | undefined {
  const wanted = taintByCondition
    .filter(([type, status]) => conditionOf(node, type)?.status === status)
    .map(([, , key]) => key);
  if (node.spec?.unschedulable === true) wanted.push(unschedulableTaint);
  const taints = node.spec?.taints ?? [];
  const isOwn = ({ key, effect }: Taint): boolean => effect === 'NoSchedule' && ownKeys.has(key);
  const has = new Set(taints.filter(isOwn).map(({ key }) => key));
  if (has.size === wanted.length && wanted.every((key) => has.has(key))) return undefined;
  const kept = taints.filter((taint) => !isOwn(taint) || wanted.includes(taint.key));
  const added = wanted.filter((key) => !has.has(key)).map((key) => ({ key, effect: 'NoSchedule', timeAdded: now }));
  return [...kept, ...added];
}

/** What a node is evicted for; `undefined`: nothing, its Ready is True (or not known yet). */
export function evictionTaintOf(node: Node): string | undefined {
  switch (conditionOf(node, 'Ready')?.status) {
    case 'False':
      return notReadyTaint;
    case 'Unknown':
      return unreachableTaint;
    default:
      return undefined;
  }
}

/** The key of the NoExecute taint of ours that the node has, if any. */
export function currentEvictionTaint(node: Node): string | undefined {
  return node.spec?.taints?.find(isEvictionTaint)?.key;
}

/**
 * The same, and a node that is Ready loses its NoExecute taint in the same write: between the two the scheduler would
 * put pods there that do not stay, one after the other, as they tolerate that taint, if only for 0 s.
 */
export function withTaintsOfConditions(node: Node, now: string): readonly Taint[] | undefined {
  const taints = withNoScheduleTaints(node, now);
  if (taints === undefined || evictionTaintOf(node) !== undefined) return taints;
  return withEvictionTaint({ ...node, spec: { ...node.spec, taints: [...taints] } }, undefined, now) ?? taints;
}

/** All taints with exactly this one of ours with effect NoExecute (`undefined`: none); `undefined`: it is so. */
export function withEvictionTaint(node: Node, key: string | undefined, now: string): readonly Taint[] | undefined {
  const taints = node.spec?.taints ?? [];
  const own = taints.filter(isEvictionTaint);
  if (own.length === (key === undefined ? 0 : 1) && own[0]?.key === key) return undefined;
  const others = taints.filter((taint) => !isEvictionTaint(taint));
  if (key === undefined) return others;
  return [...others, own.find((taint) => taint.key === key) ?? { key, effect: 'NoExecute', timeAdded: now }];
}

function isEvictionTaint({ key, effect }: Taint): boolean {
  return effect === 'NoExecute' && (key === notReadyTaint || key === unreachableTaint);
}
