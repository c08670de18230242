/** How many pods each replica set of a deployment is to have. Pure. */
import type { Deployment, ReplicaSet } from '../../api/gen/types.ts';
import { scaledValue } from '../../api/int-or-percent.ts';
import { byCreation, desiredAnnotation, maxAnnotation } from './revisions.ts';

/** A replica set and the size that it is to have. */
export interface Resize {
  readonly replicaSet: ReplicaSet;
  readonly replicas: number;
}

export function sizeOf(replicaSet: ReplicaSet): number {
  return replicaSet.spec?.replicas ?? 1;
}

export function wantedReplicas(deployment: Deployment): number {
  return deployment.spec?.replicas ?? 1;
}

export function isRolling(deployment: Deployment): boolean {
  return deployment.spec?.strategy?.type === 'RollingUpdate';
}

/** How many more, and how many less, there may be while it rolls. Upstream: `ResolveFenceposts`. */
function fenceposts(deployment: Deployment): { readonly surge: number; readonly unavailable: number } {
  const { maxSurge = 0, maxUnavailable = 0 } = deployment.spec?.strategy?.rollingUpdate ?? {};
  const replicas = wantedReplicas(deployment);
  const surge = scaledValue(maxSurge, replicas, 'up');
  const unavailable = scaledValue(maxUnavailable, replicas, 'down');
  // Both may be 0 only after rounding: then it would never get on.
  return { surge, unavailable: surge === 0 && unavailable === 0 ? 1 : unavailable };
}

export function maxSurge(deployment: Deployment): number {
  return isRolling(deployment) ? fenceposts(deployment).surge : 0;
}

export function maxUnavailable(deployment: Deployment): number {
  const replicas = wantedReplicas(deployment);
  if (!isRolling(deployment) || replicas === 0) return 0;
  return Math.min(fenceposts(deployment).unavailable, replicas);
}

/** Pods that it is to lose count until they are on their way: upstream counts only those that it is to have. */
function occupiedBy(replicaSet: ReplicaSet): number {
  return Math.max(sizeOf(replicaSet), replicaSet.status?.replicas ?? 0);
}

/** The size that a new replica set may have beside `all` (which contain it if it is there). */
export function newReplicaSetSize(
  deployment: Deployment,
  all: readonly ReplicaSet[],
  current: ReplicaSet | undefined,
): number {
  const replicas = wantedReplicas(deployment);
  if (!isRolling(deployment)) return replicas;
  const size = current === undefined ? 0 : sizeOf(current);
  const room = replicas + fenceposts(deployment).surge - sum(all, occupiedBy);
  return room <= 0 ? size : size + Math.min(room, replicas - size);
}

/**
 * How the old replica sets shrink while the new one grows: pods that are not available first, then as many as leaves
 * enough of them. Upstream: `reconcileOldReplicaSets`.
 */
export function shrinkOld(deployment: Deployment, current: ReplicaSet, old: readonly ReplicaSet[]): readonly Resize[] {
  const all = [...old, current];
  const minAvailable = wantedReplicas(deployment) - maxUnavailable(deployment);
  const newUnavailable = sizeOf(current) - availableOf(current);
  let spare = sum(all, sizeOf) - minAvailable - newUnavailable;
  if (spare <= 0) return [];
  const sizes = new Map(old.map((one) => [one, sizeOf(one)]));
  const byAge = [...old].sort(byCreation);
  const shrink = (one: ReplicaSet, by: number): void => void sizes.set(one, (sizes.get(one) ?? 0) - by);
  for (const one of byAge) {
    const unavailable = Math.min(spare, Math.max(0, sizeOf(one) - availableOf(one)));
    shrink(one, unavailable);
    spare -= unavailable;
  }
  let surplus = sum(all, availableOf) - minAvailable;
  for (const one of byAge) {
    const count = Math.max(0, Math.min(sizes.get(one) ?? 0, surplus));
    shrink(one, count);
    surplus -= count;
  }
  return [...sizes]
    .map(([replicaSet, replicas]) => ({ replicaSet, replicas }))
    .filter(({ replicaSet, replicas }) => replicas !== sizeOf(replicaSet));
}

/**
 * Sizes when the deployment itself is scaled while several of its replica sets have pods: each grows or shrinks in
 * proportion, the rest goes to the largest. Upstream: `scale`.
 */
export function proportionalSizes(deployment: Deployment, active: readonly ReplicaSet[]): readonly Resize[] {
  const replicas = wantedReplicas(deployment);
  const allowed = replicas > 0 ? replicas + maxSurge(deployment) : 0;
  const toAdd = allowed - sum(active, sizeOf);
  const bySize = [...active].sort((a, b) => sizeOf(b) - sizeOf(a) || (toAdd > 0 ? byCreation(b, a) : byCreation(a, b)));
  let added = 0;
  const sizes = bySize.map((one) => {
    const part = toAdd === 0 || toAdd === added ? 0 : fractionOf(deployment, one);
    const proportion = toAdd > 0 ? Math.min(part, toAdd - added) : Math.max(part, toAdd - added);
    added += toAdd === 0 ? 0 : proportion;
    return sizeOf(one) + (toAdd === 0 ? 0 : proportion);
  });
  return bySize.map((replicaSet, index) => {
    const leftover = index === 0 ? toAdd - added : 0;
    return { replicaSet, replicas: Math.max(0, (sizes[index] ?? 0) + leftover) };
  });
}

/** Upstream: `getReplicaSetFraction`. */
function fractionOf(deployment: Deployment, replicaSet: ReplicaSet): number {
  const size = sizeOf(replicaSet);
  if (wantedReplicas(deployment) === 0) return -size;
  const total = wantedReplicas(deployment) + maxSurge(deployment);
  const annotated = Number(replicaSet.metadata?.annotations?.[maxAnnotation] ?? 0);
  const before = annotated > 0 ? annotated : (deployment.status?.replicas ?? 0);
  return before === 0 ? 0 : Math.round((size * total) / before) - size;
}

/** Whether it has all pods of the deployment, and was told so. Upstream: `IsSaturated`. */
export function isSaturated(deployment: Deployment, replicaSet: ReplicaSet | undefined): boolean {
  if (replicaSet === undefined) return false;
  const replicas = wantedReplicas(deployment);
  const desired = replicaSet.metadata?.annotations?.[desiredAnnotation];
  return sizeOf(replicaSet) === replicas && Number(desired) === replicas && availableOf(replicaSet) === replicas;
}

export function availableOf(replicaSet: ReplicaSet): number {
  return replicaSet.status?.availableReplicas ?? 0;
}

export function sum(replicaSets: readonly ReplicaSet[], of: (one: ReplicaSet) => number): number {
  let total = 0;
  for (const one of replicaSets) total += of(one);
  return total;
}
