import { forbidden, invalid, notSupported, required, tooMany } from '../field-error.ts';
import type { Job, JobSpec, PodFailurePolicy, PodFailurePolicyRule } from '../gen/types.ts';
import { checkImmutable, checkMetadata, checkMetadataUpdate, checkNotNegative, type Errors } from './metadata.ts';
import { checkPodTemplate, sortedByKey } from './pod-template.ts';
import { checkOwnSelector } from './replicated.ts';
import { sameValue } from './same-value.ts';

const uidLabels = ['controller-uid', 'batch.kubernetes.io/controller-uid'] as const;
const nameLabels = ['job-name', 'batch.kubernetes.io/job-name'] as const;
const noSpec: JobSpec = { template: {} };

/** Upstream: `ValidateJob`. */
export function checkJob(errors: Errors, job: Job): void {
  checkMetadata(errors, job.metadata ?? {}, true, 'subdomain');
  checkGeneratedSelector(errors, job);
  checkJobSpec(errors, job.spec ?? noSpec);
}

/** Upstream: `ValidateGeneratedSelector`. */
function checkGeneratedSelector(errors: Errors, { metadata, spec = noSpec }: Job): void {
  if (spec.manualSelector === true) return;
  const { uid = '', name = '' } = metadata ?? {};
  const labels = spec.template.metadata?.labels ?? {};
  for (const [keys, wanted] of [
    [uidLabels, uid],
    [nameLabels, name],
  ] as const) {
    for (const key of keys) {
      const path = `spec.template.metadata.labels[${key}]`;
      if (labels[key] !== wanted) errors.push(invalid(path, labels[key] ?? '', `must be '${wanted}'`));
    }
  }
  const expected = { matchLabels: { 'batch.kubernetes.io/controller-uid': uid } };
  const old = { matchLabels: { 'controller-uid': uid } };
  if (!sameValue(spec.selector, expected) && !sameValue(spec.selector, old)) {
    errors.push(invalid('spec.selector', spec.selector, '`selector` not auto-generated'));
  }
}

const counts = [
  'parallelism',
  'completions',
  'activeDeadlineSeconds',
  'backoffLimit',
  'ttlSecondsAfterFinished',
] as const;
/** Parts of a Job that nothing here acts on: refused, so that nobody waits for them. */
const unserved = ['backoffLimitPerIndex', 'maxFailedIndexes', 'successPolicy', 'managedBy'] as const;

function checkJobSpec(errors: Errors, spec: JobSpec): void {
  for (const name of counts) checkNotNegative(errors, `spec.${name}`, spec[name]);
  for (const name of unserved) {
    if (spec[name] !== undefined) errors.push(forbidden(`spec.${name}`, 'not supported by this server'));
  }
  const { completionMode = '', podReplacementPolicy = '', podFailurePolicy, template } = spec;
  if (completionMode !== 'NonIndexed') {
    errors.push(notSupported('spec.completionMode', completionMode, ['NonIndexed']));
  }
  if (podFailurePolicy !== undefined) checkFailurePolicy(errors, spec, podFailurePolicy);
  if (podReplacementPolicy !== 'Failed' && podReplacementPolicy !== 'TerminatingOrFailed') {
    const supported = podFailurePolicy === undefined ? ['Failed', 'TerminatingOrFailed'] : ['Failed'];
    errors.push(notSupported('spec.podReplacementPolicy', podReplacementPolicy, supported));
  } else if (podFailurePolicy !== undefined && podReplacementPolicy !== 'Failed') {
    errors.push(notSupported('spec.podReplacementPolicy', podReplacementPolicy, ['Failed']));
  }
  const selector = checkOwnSelector(errors, 'spec.selector', spec.selector, 'job');
  const labels = template.metadata?.labels;
  if (selector?.matches(labels) === false) {
    errors.push(
      invalid('spec.template.metadata.labels', sortedByKey(labels), '`selector` does not match template `labels`'),
    );
  }
  checkPodTemplate(errors, 'spec.template', template);
  const { restartPolicy = '' } = template.spec ?? {};
  const path = 'spec.template.spec.restartPolicy';
  if (restartPolicy === 'Always') errors.push(required(path, 'valid values: "OnFailure", "Never"'));
  else if (restartPolicy !== 'OnFailure' && restartPolicy !== 'Never') {
    errors.push(notSupported(path, restartPolicy, ['Never', 'OnFailure']));
  } else if (podFailurePolicy !== undefined && restartPolicy !== 'Never') {
    errors.push(invalid(path, restartPolicy, 'only "Never" is supported when podFailurePolicy is specified'));
  }
}

const rulesMax = 20;
const valuesMax = 255;
const actions = ['Count', 'FailJob', 'Ignore'] as const;

/** Upstream: `validatePodFailurePolicy`. */
function checkFailurePolicy(errors: Errors, spec: JobSpec, policy: PodFailurePolicy): void {
  const path = 'spec.podFailurePolicy.rules';
  if (policy.rules.length > rulesMax) {
    errors.push(tooMany(path, policy.rules.length, rulesMax));
  }
  const containers = [...(spec.template.spec?.containers ?? []), ...(spec.template.spec?.initContainers ?? [])];
  const names = new Set(containers.map(({ name }) => name));
  policy.rules.forEach((rule, index) => checkRule(errors, `${path}[${index}]`, rule, names));
}

function checkRule(errors: Errors, path: string, rule: PodFailurePolicyRule, names: ReadonlySet<string>): void {
  const { action, onExitCodes, onPodConditions = [] } = rule;
  if (action === '') errors.push(required(`${path}.action`, `valid values: ["Count" "FailIndex" "FailJob" "Ignore"]`));
  else if (!actions.some((known) => known === action)) errors.push(notSupported(`${path}.action`, action, actions));
  if (onExitCodes !== undefined) {
    const at = `${path}.onExitCodes`;
    const { operator, values, containerName } = onExitCodes;
    if (operator !== 'In' && operator !== 'NotIn')
      errors.push(notSupported(`${at}.operator`, operator, ['In', 'NotIn']));
    if (containerName !== undefined && !names.has(containerName)) {
      const text = 'must be one of the container or initContainer names in the pod template';
      errors.push(invalid(`${at}.containerName`, containerName, text));
    }
    if (values.length === 0) errors.push(invalid(`${at}.values`, values, 'at least one value is required'));
    else if (values.length > valuesMax) {
      errors.push(tooMany(`${at}.values`, values.length, valuesMax));
    }
    values.forEach((value, index) => {
      if (operator === 'In' && value === 0) {
        errors.push(invalid(`${at}.values[${index}]`, value, 'must not be 0 for the In operator'));
      }
    });
  }
  onPodConditions.forEach(({ status }, index) => {
    if (['True', 'False', 'Unknown'].includes(status)) return;
    errors.push(notSupported(`${path}.onPodConditions[${index}].status`, status, ['False', 'True', 'Unknown']));
  });
  if (onExitCodes !== undefined && onPodConditions.length > 0) {
    errors.push(invalid(path, rule, 'specifying both OnExitCodes and OnPodConditions is not supported'));
  }
  if (onExitCodes === undefined && onPodConditions.length === 0) {
    errors.push(invalid(path, rule, 'specifying one of OnExitCodes and OnPodConditions is required'));
  }
}

/** Upstream: `ValidateJobUpdate`. */
export function checkJobUpdate(errors: Errors, next: Job, current: Job): void {
  checkMetadataUpdate(errors, next.metadata ?? {}, current.metadata ?? {});
  const [spec, before] = [next.spec ?? noSpec, current.spec ?? noSpec];
  checkJobSpec(errors, spec);
  for (const name of ['completions', 'selector'] as const) {
    checkImmutable(errors, `spec.${name}`, spec[name], before[name]);
  }
  checkTemplateUpdate(errors, next, current);
  for (const name of ['completionMode', 'podFailurePolicy'] as const) {
    checkImmutable(errors, `spec.${name}`, spec[name], before[name]);
  }
}

/** While it is suspended and has not started, where its pods may run can still be said. */
function checkTemplateUpdate(errors: Errors, next: Job, current: Job): void {
  const isHeld = current.spec?.suspend === true && current.status?.startTime === undefined;
  const template = next.spec?.template ?? {};
  const before = current.spec?.template ?? {};
  if (!isHeld) return checkImmutable(errors, 'spec.template', template, before);
  const old = before.spec ?? { containers: [] };
  const kept = {
    ...template,
    metadata: { ...template.metadata, annotations: before.metadata?.annotations, labels: before.metadata?.labels },
    spec: {
      ...template.spec,
      nodeSelector: old.nodeSelector,
      tolerations: old.tolerations,
      affinity: old.affinity,
      schedulingGates: old.schedulingGates,
    },
  };
  checkImmutable(errors, 'spec.template', kept, before);
}

/** Upstream: `ValidateJobUpdateStatus`, the counts. */
export function checkJobStatusUpdate(errors: Errors, next: Job, current: Job): void {
  checkMetadataUpdate(errors, next.metadata ?? {}, current.metadata ?? {});
  for (const name of ['active', 'ready', 'succeeded', 'failed', 'terminating'] as const) {
    checkNotNegative(errors, `status.${name}`, next.status?.[name]);
  }
}
