/**
 * Evicting a pod: a DELETE that tells the pod why (`kubectl drain`), and that its disruption budget may refuse.
 * Upstream: `EvictionREST`.
 */
import { budgetsOf, noBudgetStatus, withDisruptionAllowed } from '../api/disruption-budget.ts';
import type { Eviction, Pod, PodCondition, PodDisruptionBudget } from '../api/gen/types.ts';
import { formatTime } from '../api/time.ts';
import type { Clock } from '../base/clock.ts';
import { StatusError, hasReason } from '../base/status-error.ts';
import { checkPreconditions, deleteObject } from './delete-object.ts';
import type { Deleting } from './delete-object.ts';
import type { Registry } from './registry.ts';
import { forbidden } from './respond.ts';
import type { Served } from './served.ts';
import type { FullObject } from './stored-object.ts';

// As upstream says it.
const refusal = "Cannot evict pod as it would violate the pod's disruption budget.";
const unconfirmedMax = 2_000; // evictions that the controller has not counted yet; upstream: MaxDisruptedPodSize
const retryAfterSeconds = 10;

export interface EvictionDeps {
  readonly clock: Clock;
  readonly pods: Served;
  /** Of PodDisruptionBudgets. */
  readonly budgets: Registry;
}

interface Target {
  readonly namespace: string;
  readonly name: string;
}

type Budget = PodDisruptionBudget & FullObject;

/** `name`: of the pod, from the path. */
export function matchEviction({ metadata }: Eviction, name: string): void {
  if ((metadata?.name ?? '') === name) return;
  throw new StatusError('BadRequest', 'name in URL does not match name in Eviction object');
}

/** Asks the pod's budget, writes the condition DisruptionTarget, then deletes. With `dryRun` that is only tried. */
export async function evictPod(
  deps: EvictionDeps,
  target: Target,
  deleting: Deleting,
  signal: AbortSignal,
): Promise<void> {
  const { object, modRevision } = await deps.pods.registry.get(target.namespace, target.name, signal);
  // It comes from the registry of pods.
  const pod = object as Pod & FullObject;
  const budget = isDisrupted(pod) ? undefined : budgetOf(deps.budgets, pod);
  if (budget === undefined) return tellAndDelete(deps, target, deleting, signal);
  if (!mayGoUnhealthy(pod, budget)) {
    await takeFromBudget(deps, pod, budget, deleting.dryRun, signal);
    return tellAndDelete(deps, target, deleting, signal);
  }
  // It counts for nothing as long as it is not ready: if it has become so, somebody has to look again.
  const { resourceVersion = String(modRevision) } = deleting;
  try {
    await tellAndDelete(deps, target, { ...deleting, resourceVersion }, signal);
  } catch (error) {
    if (deleting.resourceVersion === undefined && hasReason(error, 'Conflict')) throw notCounted(budget);
    throw error;
  }
}

/** It is no loss any more, or none yet. Upstream: `canIgnorePDB`. */
function isDisrupted({ metadata, status }: Pod): boolean {
  return ['Pending', 'Succeeded', 'Failed'].includes(status?.phase ?? '') || metadata?.deletionTimestamp !== undefined;
}

function budgetOf(budgets: Registry, pod: Pod): Budget | undefined {
  const { cache } = budgets;
  const all = cache.items(budgets.prefixOf(pod.metadata?.namespace ?? ''));
  // They come from the registry of budgets.
  const [budget, another] = budgetsOf(
    pod,
    all.map(({ object }) => object as Budget),
  );
  if (another === undefined) return budget;
  const text = 'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.';
  throw new StatusError('InternalError', text);
}

function mayGoUnhealthy({ status }: Pod, { spec, status: counted = noBudgetStatus }: Budget): boolean {
  if (status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') === true) {
    return false;
  }
  if (spec?.unhealthyPodEvictionPolicy === 'AlwaysAllow') return true;
  return counted.currentHealthy >= counted.desiredHealthy && counted.desiredHealthy > 0;
}

/** Upstream: `checkAndDecrement`. */
async function takeFromBudget(
  { budgets, clock }: EvictionDeps,
  pod: Pod,
  { metadata: { namespace = '', name = '' } }: Budget,
  dryRun: boolean,
  signal: AbortSignal,
): Promise<void> {
  const now = formatTime(clock.wallMs());
  await budgets.update(
    namespace,
    name,
    (current) => {
      // As above.
      const budget = current.object as Budget;
      const problem = refusalOf(budgets, budget);
      if (problem !== undefined) throw problem;
      const { status = noBudgetStatus } = budget;
      const disruptionsAllowed = status.disruptionsAllowed - 1;
      const disruptedPods = { ...status.disruptedPods, [pod.metadata?.name ?? '']: now };
      const next = { ...status, disruptionsAllowed, disruptedPods };
      const changed: Budget = { ...budget, status: disruptionsAllowed > 0 ? next : withDisruptionAllowed(next, now) };
      return { kind: 'put', object: changed };
    },
    { dryRun, signal },
  );
}

function refusalOf(budgets: Registry, budget: Budget): StatusError | undefined {
  const { metadata, status = noBudgetStatus } = budget;
  const { name = '', generation = 0 } = metadata;
  if ((status.observedGeneration ?? 0) < generation) return notCounted(budget);
  if (status.disruptionsAllowed < 0) return forbidden(budgets.type, name, 'pdb disruptions allowed is negative');
  if (Object.keys(status.disruptedPods ?? {}).length > unconfirmedMax) {
    const text = 'DisruptedPods map too big - too many evictions not confirmed by PDB controller';
    return forbidden(budgets.type, name, text);
  }
  if (status.disruptionsAllowed > 0) return undefined;
  const { desiredHealthy, currentHealthy } = status;
  const why = `The disruption budget ${name} needs ${desiredHealthy} healthy pods and has ${currentHealthy} currently`;
  return new StatusError('TooManyRequests', refusal, { details: { causes: [causeOf(why)] } });
}

/** Its controller has not seen its newest version, or the pod has changed meanwhile. */
function notCounted({ metadata }: Budget): StatusError {
  const why = `The disruption budget ${metadata.name} is still being processed by the server.`;
  return new StatusError('TooManyRequests', refusal, { details: { causes: [causeOf(why)], retryAfterSeconds } });
}

function causeOf(message: string): { readonly reason: string; readonly message: string } {
  return { reason: 'DisruptionBudget', message };
}

async function tellAndDelete(
  deps: EvictionDeps,
  target: Target,
  deleting: Deleting,
  signal: AbortSignal,
): Promise<void> {
  const { pods } = deps;
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
