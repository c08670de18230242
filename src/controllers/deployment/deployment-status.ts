/** What the status of a deployment says. Pure. */
import type { Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet } from '../../api/gen/types.ts';
import { formatTime, parseTime } from '../../api/time.ts';
import { availableOf, maxUnavailable, sizeOf, sum, wantedReplicas } from './replica-set-math.ts';

const noLimit = 2 ** 31 - 1;

export type Conditions = readonly DeploymentCondition[];

/** Counts over all of its replica sets, and whether enough pods are available. Upstream: `calculateStatus`. */
export function countStatus(
  deployment: Deployment,
  all: readonly ReplicaSet[],
  current: ReplicaSet | undefined,
  nowWallMs: number,
): DeploymentStatus {
  const available = sum(all, availableOf);
  const collisionCount = deployment.status?.collisionCount;
  const isEnough = available >= wantedReplicas(deployment) - maxUnavailable(deployment);
  const condition = isEnough
    ? conditionOf('Available', 'True', 'MinimumReplicasAvailable', 'Deployment has minimum availability.', nowWallMs)
    : conditionOf(
        'Available',
        'False',
        'MinimumReplicasUnavailable',
        'Deployment does not have minimum availability.',
        nowWallMs,
      );
  return {
    ...nonZero({
      observedGeneration: deployment.metadata?.generation ?? 0,
      replicas: sum(all, ({ status }) => status?.replicas ?? 0),
      updatedReplicas: current?.status?.replicas ?? 0,
      readyReplicas: sum(all, ({ status }) => status?.readyReplicas ?? 0),
      availableReplicas: available,
      unavailableReplicas: Math.max(0, sum(all, sizeOf) - available),
    }),
    ...(collisionCount === undefined ? {} : { collisionCount }),
    conditions: withCondition(deployment.status?.conditions ?? [], condition),
  };
}

function nonZero(counts: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count !== 0));
}

export function conditionOf(
  type: string,
  status: string,
  reason: string,
  message: string,
  nowWallMs: number,
): DeploymentCondition {
  const now = formatTime(nowWallMs);
  return { type, status, lastUpdateTime: now, lastTransitionTime: now, reason, message };
}

export function conditionIn(conditions: Conditions | undefined, type: string): DeploymentCondition | undefined {
  return conditions?.find((condition) => condition.type === type);
}

/** Nothing changes if it says the same already; its transition is when its status changed. */
export function withCondition(conditions: Conditions, condition: DeploymentCondition): Conditions {
  const before = conditionIn(conditions, condition.type);
  if (before?.status === condition.status && before.reason === condition.reason) return conditions;
  const { lastTransitionTime } = before?.status === condition.status ? before : condition;
  const next = lastTransitionTime === undefined ? condition : { ...condition, lastTransitionTime };
  return [...without(conditions, condition.type), next];
}

export function without(conditions: Conditions, type: string): Conditions {
  return conditions.filter((condition) => condition.type !== type);
}

export function hasProgressDeadline({ spec }: Deployment): boolean {
  const seconds = spec?.progressDeadlineSeconds;
  return seconds !== undefined && seconds !== noLimit;
}

export function hasHistoryLimit({ spec }: Deployment): boolean {
  const limit = spec?.revisionHistoryLimit;
  return limit !== undefined && limit !== noLimit;
}

/** Whether all pods are new, available, and none is left over. */
export function isComplete(deployment: Deployment, status: DeploymentStatus): boolean {
  const replicas = wantedReplicas(deployment);
  const counts = [status.updatedReplicas, status.replicas, status.availableReplicas];
  return (
    counts.every((count) => (count ?? 0) === replicas) &&
    (status.observedGeneration ?? 0) >= (deployment.metadata?.generation ?? 0)
  );
}

/**
 * The status of a rollout: the counts, and whether it gets on, is done, or has taken too long. Upstream:
 * `syncRolloutStatus`.
 */
export function rolloutStatus(
  deployment: Deployment,
  all: readonly ReplicaSet[],
  current: ReplicaSet | undefined,
  nowWallMs: number,
): DeploymentStatus {
  const status = countStatus(deployment, all, current, nowWallMs);
  let conditions = status.conditions ?? [];
  if (!hasProgressDeadline(deployment)) conditions = without(conditions, 'Progressing');
  else conditions = withProgress(deployment, status, current, nowWallMs);
  const failure = [...(current === undefined ? [] : [current]), ...all]
    .map(failureOf)
    .find((found) => found !== undefined);
  conditions = failure === undefined ? without(conditions, 'ReplicaFailure') : withCondition(conditions, failure);
  return { ...status, conditions };
}

function failureOf({ status }: ReplicaSet): DeploymentCondition | undefined {
  const failure = status?.conditions?.find(({ type }) => type === 'ReplicaFailure');
  if (failure === undefined) return undefined;
  const { lastTransitionTime } = failure;
  return { ...failure, ...(lastTransitionTime === undefined ? {} : { lastUpdateTime: lastTransitionTime }) };
}

function withProgress(
  deployment: Deployment,
  status: DeploymentStatus,
  current: ReplicaSet | undefined,
  nowWallMs: number,
): Conditions {
  const conditions = status.conditions ?? [];
  const before = conditionIn(deployment.status?.conditions, 'Progressing');
  const isOver =
    (status.replicas ?? 0) === (status.updatedReplicas ?? 0) && before?.reason === 'NewReplicaSetAvailable';
  if (isOver) return conditions;
  const subject =
    current === undefined
      ? `Deployment "${deployment.metadata?.name ?? ''}"`
      : `ReplicaSet "${current.metadata?.name ?? ''}"`;
  const progressing = (value: string, reason: string, what: string): DeploymentCondition =>
    conditionOf('Progressing', value, reason, `${subject} ${what}.`, nowWallMs);
  if (isComplete(deployment, status)) {
    return withCondition(conditions, progressing('True', 'NewReplicaSetAvailable', 'has successfully progressed'));
  }
  if (hasProgressed(deployment.status ?? {}, status)) {
    const condition = progressing('True', 'ReplicaSetUpdated', 'is progressing');
    // Also with the same reason as before: its time is that of the last progress.
    const since = before?.status === 'True' ? before.lastTransitionTime : undefined;
    const next = since === undefined ? condition : { ...condition, lastTransitionTime: since };
    return [...without(conditions, 'Progressing'), next];
  }
  const deadlineInMs = progressDeadlineInMs(deployment, conditions, nowWallMs);
  if (deadlineInMs === undefined || deadlineInMs >= 0) return conditions;
  return withCondition(conditions, progressing('False', 'ProgressDeadlineExceeded', 'has timed out progressing'));
}

function hasProgressed(before: DeploymentStatus, now: DeploymentStatus): boolean {
  const oldOf = ({ replicas = 0, updatedReplicas = 0 }: DeploymentStatus): number => replicas - updatedReplicas;
  return (
    (now.updatedReplicas ?? 0) > (before.updatedReplicas ?? 0) ||
    oldOf(now) < oldOf(before) ||
    (now.readyReplicas ?? 0) > (before.readyReplicas ?? 0) ||
    (now.availableReplicas ?? 0) > (before.availableReplicas ?? 0)
  );
}

/**
 * When it will have taken too long, in ms from now; `undefined`: it has nothing to do, or has taken too long already.
 */
export function progressDeadlineInMs(
  deployment: Deployment,
  conditions: Conditions | undefined,
  nowWallMs: number,
): number | undefined {
  const condition = conditionIn(conditions, 'Progressing');
  if (!hasProgressDeadline(deployment) || condition?.lastUpdateTime === undefined) return undefined;
  if (condition.reason === 'NewReplicaSetAvailable' || condition.reason === 'ProgressDeadlineExceeded')
    return undefined;
  const sinceMs = parseTime(condition.lastUpdateTime) ?? nowWallMs;
  return sinceMs + (deployment.spec?.progressDeadlineSeconds ?? 0) * 1_000 - nowWallMs;
}
