import type { Node, Taint } from '../api/gen/types.ts';
import { podNetworkAnnotation } from '../api/pod-networks.ts';
import { amountsOf } from './pod-needs.ts';
import type { Amounts } from './pod-needs.ts';

/** What counts of a Node for scheduling. */
export interface NodeFacts {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly isUnschedulable: boolean;
  /** Its own, and those that its conditions stand for: NoSchedule and NoExecute. */
  readonly hardTaints: readonly Taint[];
  /** Neither unschedulable nor with hard taints. */
  readonly isOpen: boolean;
  /** PreferNoSchedule. */
  readonly softTaints: readonly Taint[];
  readonly allocatable: Amounts;
  readonly podsMax: number;
  readonly podsShareNetwork: boolean;
  /** Equal for nodes that are alike in all of the above but the amounts. */
  readonly fingerprint: string;
}

export function nodeFactsOf(node: Node): NodeFacts {
  const { metadata = {}, spec = {}, status = {} } = node;
  const taints = effectiveTaints(node);
  const allocatable = amountsOf(status.allocatable ?? {});
  const hardTaints = taints.filter((taint) => taint.effect !== 'PreferNoSchedule');
  const facts = {
    name: metadata.name ?? '',
    labels: metadata.labels ?? {},
    isUnschedulable: spec.unschedulable === true,
    hardTaints,
    isOpen: hardTaints.length === 0 && spec.unschedulable !== true,
    softTaints: taints.filter((taint) => taint.effect === 'PreferNoSchedule'),
    podsShareNetwork: metadata.annotations?.[podNetworkAnnotation] === 'host',
  };
  const podsMax = allocatable.others.get('pods') ?? 0;
  return { ...facts, allocatable, podsMax, fingerprint: JSON.stringify(facts) };
}

/** Of a name that has pods, but no Node (yet, or any more). */
export function absentNode(name: string): NodeFacts {
  return nodeFactsOf({ metadata: { name } });
}

export function sameFacts(a: NodeFacts, b: NodeFacts): boolean {
  return a.fingerprint === b.fingerprint && !hasMoreThan(a, b) && !hasMoreThan(b, a);
}

/** Whether `now` has more of anything than `before` had. */
export function hasMoreThan(now: NodeFacts, before: NodeFacts): boolean {
  const { cpuMilli, memoryBytes, others } = now.allocatable;
  if (cpuMilli > before.allocatable.cpuMilli || memoryBytes > before.allocatable.memoryBytes) return true;
  for (const [name, amount] of others) if (amount > (before.allocatable.others.get(name) ?? 0)) return true;
  return false;
}

/** The taint that the node lifecycle controller gives to a node in each condition. */
const taintByCondition = {
  MemoryPressure: 'node.kubernetes.io/memory-pressure',
  DiskPressure: 'node.kubernetes.io/disk-pressure',
  PIDPressure: 'node.kubernetes.io/pid-pressure',
  NetworkUnavailable: 'node.kubernetes.io/network-unavailable',
} as const;

/**
 * A node that is not Ready counts as tainted at once, whether or not a controller has written the taint yet (upstream's
 * scheduler waits for the controller).
 */
function effectiveTaints(node: Node): readonly Taint[] {
  const own = node.spec?.taints ?? [];
  const conditions = node.status?.conditions ?? [];
  const ready = conditions.find((condition) => condition.type === 'Ready')?.status;
  const keys: string[] = Object.entries(taintByCondition)
    .filter(([type]) => conditions.some((condition) => condition.type === type && condition.status === 'True'))
    .map(([, key]) => key);
  if (ready === 'Unknown') keys.push('node.kubernetes.io/unreachable');
  else if (ready !== 'True') keys.push('node.kubernetes.io/not-ready');
  const missing = keys.filter((key) => !own.some((taint) => taint.key === key && taint.effect === 'NoSchedule'));
  return [...own, ...missing.map((key) => ({ key, effect: 'NoSchedule' }))];
}
