/** How many pods may be evicted: what the API server, the controller and the scheduler share about it. Pure. */
import type { Condition, Pod, PodDisruptionBudget, PodDisruptionBudgetStatus } from './gen/types.ts';
import { matcherOfSelector } from './label-selector.ts';

/** An eviction that was granted counts so long, if the pod is not gone by then. Upstream: `DeletionTimeout`. */
export const evictionPendingMs = 120_000;

export const noBudgetStatus: PodDisruptionBudgetStatus = {
  disruptionsAllowed: 0,
  currentHealthy: 0,
  desiredHealthy: 0,
  expectedPods: 0,
};

/** Whether the budget is about pods with these labels in this namespace; without a selector it is about none. */
export function isBudgetOf(
  { metadata, spec }: PodDisruptionBudget,
  namespace: string,
  labels: Readonly<Record<string, string>> | undefined,
): boolean {
  return metadata?.namespace === namespace && matcherOfSelector(spec?.selector).matches(labels);
}

/** `isBudgetOf` for a pod; one without labels has no budget. Upstream: `getPodDisruptionBudgets`. */
export function budgetsOf<T extends PodDisruptionBudget>(pod: Pod, budgets: readonly T[]): readonly T[] {
  const { namespace = '', labels = {} } = pod.metadata ?? {};
  if (Object.keys(labels).length === 0) return [];
  return budgets.filter((budget) => isBudgetOf(budget, namespace, labels));
}

/** The status with `DisruptionAllowed` as its numbers say. Upstream: `UpdateDisruptionAllowedCondition`. */
export function withDisruptionAllowed(status: PodDisruptionBudgetStatus, now: string): PodDisruptionBudgetStatus {
  const isAllowed = status.disruptionsAllowed > 0;
  const said = isAllowed
    ? ({ status: 'True', reason: 'SufficientPods' } as const)
    : ({ status: 'False', reason: 'InsufficientPods' } as const);
  return withAllowedCondition(status, { ...said, message: '' }, now);
}

export function withAllowedCondition(
  status: PodDisruptionBudgetStatus,
  said: Pick<Condition, 'status' | 'reason' | 'message'>,
  now: string,
): PodDisruptionBudgetStatus {
  const { conditions = [], observedGeneration } = status;
  const before = conditions.find(({ type }) => type === 'DisruptionAllowed');
  const condition: Condition = {
    type: 'DisruptionAllowed',
    ...said,
    ...(observedGeneration === undefined ? {} : { observedGeneration }),
    lastTransitionTime: before?.status === said.status ? before.lastTransitionTime : now,
  };
  return { ...status, conditions: [...conditions.filter((one) => one !== before), condition] };
}
