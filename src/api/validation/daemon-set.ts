import { invalid, notSupported, required } from '../field-error.ts';
import type { ControllerRevision, DaemonSet, DaemonSetUpdateStrategy } from '../gen/types.ts';
import { checkAtMostAll, checkIntOrPercent, isZero } from './deployment.ts';
import { checkImmutable, checkMetadata, checkMetadataUpdate, checkNotNegative, type Errors } from './metadata.ts';
import { checkEndlessTemplate } from './pod-template.ts';
import { checkOwnSelector } from './replicated.ts';

/** Upstream: `ValidateDaemonSet`. */
export function checkDaemonSet(errors: Errors, daemonSet: DaemonSet): void {
  checkMetadata(errors, daemonSet.metadata ?? {}, true, 'subdomain');
  checkDaemonSetSpec(errors, daemonSet);
}

export function checkDaemonSetUpdate(errors: Errors, next: DaemonSet, current: DaemonSet): void {
  checkMetadataUpdate(errors, next.metadata ?? {}, current.metadata ?? {});
  checkDaemonSetSpec(errors, next);
  checkImmutable(errors, 'spec.selector', next.spec?.selector, current.spec?.selector);
}

function checkDaemonSetSpec(errors: Errors, { spec }: DaemonSet): void {
  const selector = checkOwnSelector(errors, 'spec.selector', spec?.selector, 'daemonset');
  if (selector !== undefined) {
    checkEndlessTemplate(errors, 'spec.template', spec?.template ?? {}, { kind: 'DaemonSet', selector });
  }
  checkNotNegative(errors, 'spec.minReadySeconds', spec?.minReadySeconds);
  checkUpdateStrategy(errors, 'spec.updateStrategy', spec?.updateStrategy ?? {});
  checkNotNegative(errors, 'spec.revisionHistoryLimit', spec?.revisionHistoryLimit);
}

function checkUpdateStrategy(
  errors: Errors,
  path: string,
  { type = '', rollingUpdate }: DaemonSetUpdateStrategy,
): void {
  if (type === 'OnDelete') return;
  if (type !== 'RollingUpdate') {
    return void errors.push(notSupported(`${path}.type`, type, ['OnDelete', 'RollingUpdate']));
  }
  if (rollingUpdate === undefined) return void errors.push(required(`${path}.rollingUpdate`));
  const { maxUnavailable = 0, maxSurge = 0 } = rollingUpdate;
  const [unavailablePath, surgePath] = ['maxUnavailable', 'maxSurge'].map((name) => `${path}.rollingUpdate.${name}`);
  for (const [at = '', value] of [
    [unavailablePath, maxUnavailable],
    [surgePath, maxSurge],
  ] as const) {
    checkIntOrPercent(errors, at, value);
    checkAtMostAll(errors, at, value);
  }
  const [hasUnavailable, hasSurge] = [!isZero(maxUnavailable), !isZero(maxSurge)];
  if (hasUnavailable && hasSurge) {
    errors.push(invalid(surgePath ?? '', maxSurge, 'may not be set when maxUnavailable is non-zero'));
  }
  if (!hasUnavailable && !hasSurge) {
    errors.push(required(unavailablePath ?? '', 'cannot be 0 when maxSurge is 0'));
  }
}

const counts = [
  'currentNumberScheduled',
  'numberMisscheduled',
  'desiredNumberScheduled',
  'numberReady',
  'observedGeneration',
  'updatedNumberScheduled',
  'numberAvailable',
  'numberUnavailable',
  'collisionCount',
] as const;

/** Upstream: `ValidateDaemonSetStatusUpdate`. */
export function checkDaemonSetStatusUpdate(errors: Errors, next: DaemonSet, current: DaemonSet): void {
  checkMetadataUpdate(errors, next.metadata ?? {}, current.metadata ?? {});
  for (const name of counts) checkNotNegative(errors, `status.${name}`, next.status?.[name]);
}

/** Upstream: `ValidateControllerRevision`. */
export function checkControllerRevision(errors: Errors, revision: ControllerRevision): void {
  checkMetadata(errors, revision.metadata ?? {}, true, 'subdomain');
  if (revision.data === undefined) errors.push(required('data', 'data is mandatory'));
  checkNotNegative(errors, 'revision', revision.revision);
}

export function checkControllerRevisionUpdate(
  errors: Errors,
  next: ControllerRevision,
  current: ControllerRevision,
): void {
  checkMetadataUpdate(errors, next.metadata ?? {}, current.metadata ?? {});
  checkNotNegative(errors, 'revision', next.revision);
  checkImmutable(errors, 'data', next.data, current.data);
}
