import type { Pod, ReplicaSetCondition, ReplicaSetStatus } from '../../api/gen/types.ts';
import { matcherOfLabels } from '../../api/label-selector.ts';
import { formatTime } from '../../api/time.ts';
import { sameValue } from '../../api/validation/same-value.ts';
import { availableInMs, isPodReady } from '../owned-pods/pod-readiness.ts';
import type { Replicated } from './replica-kinds.ts';

/** What the status of a ReplicaSet or a ReplicationController is to say; both have the same fields. */
export interface ReplicaCount {
  readonly status: ReplicaSetStatus;
  /** When a ready pod becomes available, in ms from now; `undefined`: none will by itself. */
  readonly nextAvailableInMs: number | undefined;
}

/** `failure`: why pods could not be created or deleted just now. Upstream: `calculateStatus`. */
export function countReplicas(
  owner: Replicated,
  activePods: readonly Pod[],
  failure: string | undefined,
  nowWallMs: number,
): ReplicaCount {
  const { replicas = 1, minReadySeconds = 0, template } = owner.spec ?? {};
  const templateLabels = matcherOfLabels(template?.metadata?.labels ?? {});
  const waits = activePods.map((pod) => availableInMs(pod, minReadySeconds, nowWallMs));
  const later = waits.filter((waitMs) => waitMs !== undefined && waitMs > 0);
  const conditions = withFailure(owner, activePods.length - replicas, failure, nowWallMs);
  const counts = {
    fullyLabeledReplicas: activePods.filter(({ metadata }) => templateLabels.matches(metadata?.labels)).length,
    readyReplicas: activePods.filter(isPodReady).length,
    availableReplicas: waits.filter((waitMs) => waitMs === 0).length,
    observedGeneration: owner.metadata?.generation ?? 0,
  };
  const status: ReplicaSetStatus = {
    replicas: activePods.length,
    ...counts,
    ...(conditions.length === 0 ? {} : { conditions }),
  };
  return { status, nextAvailableInMs: later.length === 0 ? undefined : Math.min(...later.map(Number)) };
}

function withFailure(
  owner: Replicated,
  surplus: number,
  failure: string | undefined,
  nowWallMs: number,
): readonly ReplicaSetCondition[] {
  const before = owner.status?.conditions ?? [];
  const others = before.filter(({ type }) => type !== 'ReplicaFailure');
  if (failure === undefined) return others;
  if (others.length < before.length) return before; // the first failure stays told until all is well
  const condition: ReplicaSetCondition = {
    type: 'ReplicaFailure',
    status: 'True',
    lastTransitionTime: formatTime(nowWallMs),
    reason: surplus < 0 ? 'FailedCreate' : 'FailedDelete',
    message: failure,
  };
  return [...others, condition];
}

/** Whether the server has this status already (it leaves out zeros). */
export function hasStatus(owner: Replicated, status: ReplicaSetStatus): boolean {
  const { status: before } = owner;
  const counts = ['fullyLabeledReplicas', 'readyReplicas', 'availableReplicas', 'observedGeneration'] as const;
  return (
    (before?.replicas ?? 0) === status.replicas &&
    counts.every((name) => (before?.[name] ?? 0) === (status[name] ?? 0)) &&
    sameValue(before?.conditions, status.conditions)
  );
}
