/**
 * Evicting a pod: a DELETE that tells the pod why (`kubectl drain`). No kind here limits disruptions, so none is
 * refused for that. Upstream: `EvictionREST`.
 */
import type { Eviction, Pod, PodCondition } from '../api/gen/types.ts';
import { formatTime } from '../api/time.ts';
import type { Clock } from '../base/clock.ts';
import { StatusError } from '../base/status-error.ts';
import { checkPreconditions, deleteObject } from './delete-object.ts';
import type { Deleting } from './delete-object.ts';
import type { Served } from './served.ts';
import type { FullObject } from './stored-object.ts';

/** `name`: of the pod, from the path. */
export function matchEviction({ metadata }: Eviction, name: string): void {
  if ((metadata?.name ?? '') === name) return;
  throw new StatusError('BadRequest', 'name in URL does not match name in Eviction object');
}

/** Writes the condition DisruptionTarget, then deletes. With `dryRun` only the latter is tried. */
export async function evictPod(
  deps: { readonly clock: Clock },
  pods: Served,
  target: { readonly namespace: string; readonly name: string },
  deleting: Deleting,
  signal: AbortSignal,
): Promise<void> {
  if (deleting.dryRun) {
    await deleteObject(deps, pods, target, deleting, signal);
    return;
  }
  const told = await pods.registry.update(
    target.namespace,
    target.name,
    (current) => {
      checkPreconditions(pods, current, deleting);
      // It comes from the registry of pods.
      return { kind: 'put', object: withEviction(current.object as Pod & FullObject, deps.clock.wallMs()) };
    },
    { dryRun: false, signal },
  );
  const { uid } = told.object.object.metadata;
  await deleteObject(deps, pods, target, { ...deleting, uid, resourceVersion: undefined }, signal);
}

function withEviction(pod: Pod & FullObject, nowMs: number): Pod & FullObject {
  const conditions = pod.status?.conditions ?? [];
  const before = conditions.find(({ type }) => type === 'DisruptionTarget');
  const { generation } = pod.metadata;
  const evicted: PodCondition = {
    type: 'DisruptionTarget',
    status: 'True',
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    lastProbeTime: null,
    lastTransitionTime:
      before?.status === 'True' && before.lastTransitionTime !== undefined
        ? before.lastTransitionTime
        : formatTime(nowMs),
    reason: 'EvictionByEvictionAPI',
    message: 'Eviction API: evicting',
  };
  const others = conditions.filter((condition) => condition !== before);
  return { ...pod, status: { ...pod.status, conditions: [...others, evicted] } };
}
