import { forbidden, invalid, notSupported, required } from '../field-error.ts';
import type { Deployment, DeploymentStrategy } from '../gen/types.ts';
import { percentProblems } from '../names.ts';
import { percentOf } from '../int-or-percent.ts';
import {
  addInvalid,
  checkImmutable,
  checkMetadata,
  checkMetadataUpdate,
  checkNotNegative,
  type Errors,
} from './metadata.ts';
import { checkEndlessTemplate } from './pod-template.ts';
import { checkOwnSelector } from './replicated.ts';

/** Upstream: `ValidateDeployment`. */
export function checkDeployment(errors: Errors, deployment: Deployment): void {
  checkMetadata(errors, deployment.metadata ?? {}, true, 'subdomain');
  checkDeploymentSpec(errors, deployment);
}

export function checkDeploymentUpdate(errors: Errors, next: Deployment, current: Deployment): void {
  checkMetadataUpdate(errors, next.metadata ?? {}, current.metadata ?? {});
  checkDeploymentSpec(errors, next);
  checkImmutable(errors, 'spec.selector', next.spec?.selector, current.spec?.selector);
}

function checkDeploymentSpec(errors: Errors, { spec }: Deployment): void {
  checkNotNegative(errors, 'spec.replicas', spec?.replicas);
  const selector = checkOwnSelector(errors, 'spec.selector', spec?.selector);
  if (selector !== undefined) {
    checkEndlessTemplate(errors, 'spec.template', spec?.template ?? {}, { kind: 'ReplicaSet', selector });
  }
  checkDeploymentStrategy(errors, 'spec.strategy', spec?.strategy ?? {});
  checkNotNegative(errors, 'spec.minReadySeconds', spec?.minReadySeconds);
  checkNotNegative(errors, 'spec.revisionHistoryLimit', spec?.revisionHistoryLimit);
  const { progressDeadlineSeconds: deadline, minReadySeconds = 0 } = spec ?? {};
  checkNotNegative(errors, 'spec.progressDeadlineSeconds', deadline);
  if (deadline !== undefined && deadline <= minReadySeconds) {
    errors.push(invalid('spec.progressDeadlineSeconds', deadline, 'must be greater than minReadySeconds'));
  }
}

function checkDeploymentStrategy(errors: Errors, path: string, { type = '', rollingUpdate }: DeploymentStrategy): void {
  if (type === 'Recreate') {
    const text = "may not be specified when strategy `type` is 'Recreate'";
    if (rollingUpdate !== undefined) errors.push(forbidden(`${path}.rollingUpdate`, text));
    return;
  }
  if (type !== 'RollingUpdate') {
    return void errors.push(notSupported(`${path}.type`, type, ['Recreate', 'RollingUpdate']));
  }
  if (rollingUpdate === undefined) {
    return void errors.push(required(`${path}.rollingUpdate`, 'this should be defaulted and never be nil'));
  }
  const { maxUnavailable = 0, maxSurge = 0 } = rollingUpdate;
  checkIntOrPercent(errors, `${path}.rollingUpdate.maxUnavailable`, maxUnavailable);
  checkIntOrPercent(errors, `${path}.rollingUpdate.maxSurge`, maxSurge);
  if (isZero(maxUnavailable) && isZero(maxSurge)) {
    const text = 'may not be 0 when `maxSurge` is 0';
    errors.push(invalid(`${path}.rollingUpdate.maxUnavailable`, maxUnavailable, text));
  }
  checkAtMostAll(errors, `${path}.rollingUpdate.maxUnavailable`, maxUnavailable);
}

/** Upstream: `ValidatePositiveIntOrPercent`. */
export function checkIntOrPercent(errors: Errors, path: string, value: number | string): void {
  if (typeof value === 'number') checkNotNegative(errors, path, value);
  else addInvalid(errors, path, value, percentProblems(value));
}

/** Upstream: `IsNotMoreThan100Percent`. */
export function checkAtMostAll(errors: Errors, path: string, value: number | string): void {
  if ((percentOf(value) ?? 0) > 100) errors.push(invalid(path, value, 'must not be greater than 100%'));
}

export function isZero(value: number | string): boolean {
  return value === 0 || percentOf(value) === 0;
}

const overReplicas = 'cannot be greater than status.replicas';
const counts = [
  'observedGeneration',
  'replicas',
  'updatedReplicas',
  'readyReplicas',
  'availableReplicas',
  'unavailableReplicas',
  'collisionCount',
] as const;

/** Upstream: `ValidateDeploymentStatusUpdate`. */
export function checkDeploymentStatusUpdate(errors: Errors, next: Deployment, current: Deployment): void {
  checkMetadataUpdate(errors, next.metadata ?? {}, current.metadata ?? {});
  const status = next.status ?? {};
  const { replicas = 0, updatedReplicas = 0, readyReplicas = 0, availableReplicas = 0, collisionCount } = status;
  for (const name of counts) checkNotNegative(errors, `status.${name}`, status[name]);
  if (updatedReplicas > replicas) errors.push(invalid('status.updatedReplicas', updatedReplicas, overReplicas));
  if (readyReplicas > replicas) errors.push(invalid('status.readyReplicas', readyReplicas, overReplicas));
  if (availableReplicas > replicas) errors.push(invalid('status.availableReplicas', availableReplicas, overReplicas));
  if (availableReplicas > readyReplicas) {
    errors.push(invalid('status.availableReplicas', availableReplicas, 'cannot be greater than readyReplicas'));
  }
  const before = current.status?.collisionCount;
  if (before !== undefined && (collisionCount ?? -1) < before) {
    errors.push(invalid('status.collisionCount', collisionCount ?? 0, 'cannot be decremented'));
  }
}
