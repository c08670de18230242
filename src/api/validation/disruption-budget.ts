import { invalid } from '../field-error.ts';
import type { PodDisruptionBudget } from '../gen/types.ts';
import { checkLabelSelector } from './affinity.ts';
import { checkAtMostAll, checkIntOrPercent } from './deployment.ts';
import { checkMetadata, checkMetadataUpdate, checkNotNegative, type Errors } from './metadata.ts';
import { checkOneOf } from './security.ts';

/** Upstream: `ValidatePodDisruptionBudget`. */
export function checkDisruptionBudget(errors: Errors, budget: PodDisruptionBudget): void {
  checkMetadata(errors, budget.metadata ?? {}, true, 'path');
  checkSpec(errors, budget);
}

export function checkDisruptionBudgetUpdate(
  errors: Errors,
  next: PodDisruptionBudget,
  current: PodDisruptionBudget,
): void {
  checkMetadataUpdate(errors, next.metadata ?? {}, current.metadata ?? {});
  checkSpec(errors, next);
}

function checkSpec(errors: Errors, { spec = {} }: PodDisruptionBudget): void {
  const { minAvailable, maxUnavailable, selector, unhealthyPodEvictionPolicy: policy } = spec;
  if (minAvailable !== undefined && maxUnavailable !== undefined) {
    errors.push(invalid('spec', spec, 'minAvailable and maxUnavailable cannot be both set'));
  }
  for (const [name, value] of Object.entries({ minAvailable, maxUnavailable })) {
    if (value === undefined) continue;
    checkIntOrPercent(errors, `spec.${name}`, value);
    checkAtMostAll(errors, `spec.${name}`, value);
  }
  if (selector !== undefined) checkLabelSelector(errors, 'spec.selector', selector);
  if (policy === undefined) return;
  checkOneOf(errors, 'spec.unhealthyPodEvictionPolicy', policy, ['AlwaysAllow', 'IfHealthyBudget']);
}

/** Upstream: `ValidatePodDisruptionBudgetStatusUpdate`. */
export function checkDisruptionBudgetStatusUpdate(
  errors: Errors,
  next: PodDisruptionBudget,
  current: PodDisruptionBudget,
): void {
  checkMetadataUpdate(errors, next.metadata ?? {}, current.metadata ?? {});
  for (const name of ['disruptionsAllowed', 'currentHealthy', 'desiredHealthy', 'expectedPods'] as const) {
    checkNotNegative(errors, `status.${name}`, next.status?.[name]);
  }
}
