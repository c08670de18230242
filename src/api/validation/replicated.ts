import { StatusError } from '../../base/status-error.ts';
import { invalid, required } from '../field-error.ts';
import type {
  LabelSelector,
  ReplicaSet,
  ReplicaSetStatus,
  ReplicationController,
  ReplicationControllerStatus,
  Scale,
} from '../gen/types.ts';
import { type LabelMatcher, matcherOfLabels, matcherOfSelector } from '../label-selector.ts';
import { checkLabelSelector } from './affinity.ts';
import { checkImmutable, checkMetadata, checkMetadataUpdate, checkNotNegative, type Errors } from './metadata.ts';
import { checkEndlessTemplate } from './pod-template.ts';

/** Upstream: `ValidateReplicationController`. */
export function checkReplicationController(errors: Errors, controller: ReplicationController): void {
  checkMetadata(errors, controller.metadata ?? {}, true, 'subdomain');
  checkControllerSpec(errors, controller);
}

export function checkReplicationControllerUpdate(
  errors: Errors,
  next: ReplicationController,
  current: ReplicationController,
): void {
  checkMetadataUpdate(errors, next.metadata ?? {}, current.metadata ?? {});
  checkControllerSpec(errors, next);
}

function checkControllerSpec(errors: Errors, { spec = {} }: ReplicationController): void {
  const { minReadySeconds, selector = {}, replicas, template } = spec;
  checkNotNegative(errors, 'spec.minReadySeconds', minReadySeconds);
  if (Object.keys(selector).length === 0) errors.push(required('spec.selector'));
  checkNotNegative(errors, 'spec.replicas', replicas);
  checkEndlessTemplate(errors, 'spec.template', template, {
    kind: 'ReplicationController',
    selector: matcherOfLabels(selector),
  });
}

/** Upstream: `ValidateReplicaSet`. */
export function checkReplicaSet(errors: Errors, replicaSet: ReplicaSet): void {
  checkMetadata(errors, replicaSet.metadata ?? {}, true, 'subdomain');
  checkReplicaSetSpec(errors, replicaSet);
}

export function checkReplicaSetUpdate(errors: Errors, next: ReplicaSet, current: ReplicaSet): void {
  checkMetadataUpdate(errors, next.metadata ?? {}, current.metadata ?? {});
  checkReplicaSetSpec(errors, next);
  checkImmutable(errors, 'spec.selector', next.spec?.selector, current.spec?.selector);
}

function checkReplicaSetSpec(errors: Errors, { spec }: ReplicaSet): void {
  checkNotNegative(errors, 'spec.replicas', spec?.replicas);
  checkNotNegative(errors, 'spec.minReadySeconds', spec?.minReadySeconds);
  const selector = checkOwnSelector(errors, 'spec.selector', spec?.selector);
  if (selector === undefined) return;
  checkEndlessTemplate(errors, 'spec.template', spec?.template ?? {}, { kind: 'ReplicaSet', selector });
}

/** The selector of a kind that must have one; `undefined` if it cannot be used, and the reason is told. */
export function checkOwnSelector(
  errors: Errors,
  path: string,
  selector: LabelSelector | undefined,
  kind = 'deployment', // upstream says so also of replica sets
): LabelMatcher | undefined {
  if (selector === undefined) errors.push(required(path));
  else {
    checkLabelSelector(errors, path, selector);
    if (Object.keys(selector.matchLabels ?? {}).length + (selector.matchExpressions ?? []).length === 0) {
      errors.push(invalid(path, selector, `empty selector is invalid for ${kind}`));
    }
  }
  try {
    return matcherOfSelector(selector);
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    errors.push(invalid(path, selector, 'invalid label selector'));
    return undefined;
  }
}

const overReplicas = 'cannot be greater than status.replicas';

/** Upstream: `ValidateReplicationControllerStatusUpdate` and `ValidateReplicaSetStatusUpdate`. */
export function checkReplicatedStatusUpdate<T extends ReplicationController | ReplicaSet>(
  errors: Errors,
  next: T,
  current: T,
): void {
  checkMetadataUpdate(errors, next.metadata ?? {}, current.metadata ?? {});
  const status: ReplicationControllerStatus | ReplicaSetStatus = next.status ?? { replicas: 0 };
  const { replicas, fullyLabeledReplicas = 0, readyReplicas = 0, availableReplicas = 0 } = status;
  for (const name of counts) checkNotNegative(errors, `status.${name}`, status[name]);
  if (fullyLabeledReplicas > replicas) {
    errors.push(invalid('status.fullyLabeledReplicas', fullyLabeledReplicas, overReplicas));
  }
  if (readyReplicas > replicas) errors.push(invalid('status.readyReplicas', readyReplicas, overReplicas));
  if (availableReplicas > replicas) errors.push(invalid('status.availableReplicas', availableReplicas, overReplicas));
  if (availableReplicas > readyReplicas) {
    errors.push(invalid('status.availableReplicas', availableReplicas, 'cannot be greater than readyReplicas'));
  }
}

const counts = [
  'replicas',
  'fullyLabeledReplicas',
  'readyReplicas',
  'availableReplicas',
  'observedGeneration',
] as const;

/** Upstream: `ValidateScale`. */
export function checkScale(errors: Errors, scale: Scale): void {
  checkMetadata(errors, scale.metadata ?? {}, true, 'subdomain');
  checkNotNegative(errors, 'spec.replicas', scale.spec?.replicas);
}
