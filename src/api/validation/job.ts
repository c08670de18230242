import { invalid, notSupported, required, tooLong } from '../field-error.ts';
import type { Affinity, Job, JobSpec, LabelSelector } from '../gen/types.ts';
import { matcherOfSelector } from '../label-selector.ts';
import { StatusError } from '../../base/status-error.ts';
import { byteLength, dns1123LabelProblems, domainPathProblems } from '../names.ts';
import { checkLabelSelector } from './affinity.ts';
import { checkFailurePolicy, checkSuccessPolicy } from './job-policies.ts';
import {
  checkImmutable,
  checkMetadata,
  checkMetadataUpdate,
  checkNotNegative,
  type Errors,
  immutableText,
} from './metadata.ts';
import { checkPodTemplate, sortedByKey } from './pod-template.ts';
import { sameValue } from './same-value.ts';

const oldLabels = { uid: 'controller-uid', name: 'job-name' } as const;
const newLabels = { uid: 'batch.kubernetes.io/controller-uid', name: 'batch.kubernetes.io/job-name' } as const;
const noSpec: JobSpec = { template: {} };

/** Upstream: `ValidateJob`. */
export function checkJob(errors: Errors, job: Job): void {
  checkWholeJob(errors, job, true);
}

/** `needsNewLabels`: false for one that is older than they are. */
function checkWholeJob(errors: Errors, job: Job, needsNewLabels: boolean): void {
  checkMetadata(errors, job.metadata ?? {}, true, 'subdomain');
  checkGeneratedSelector(errors, job, needsNewLabels);
  const { spec = noSpec, metadata: { name = '' } = {} } = job;
  checkJobSpec(errors, spec);
  if (spec.completionMode !== 'Indexed' || (spec.completions ?? 0) <= 0) return;
  const hostname = `${name}-${(spec.completions ?? 0) - 1}`;
  if (dns1123LabelProblems(hostname).length > 0) {
    const text = `will not able to create pod with invalid DNS label: ${hostname}`;
    errors.push(invalid('metadata.name', name, text));
  }
}

/** Upstream: `validateGeneratedSelector`. */
function checkGeneratedSelector(errors: Errors, { metadata, spec = noSpec }: Job, needsNewLabels: boolean): void {
  if (spec.manualSelector === true || spec.selector === undefined) return;
  const { uid = '', name = '' } = metadata ?? {};
  if (uid === '') errors.push(required('metadata.uid'));
  const labels = spec.template.metadata?.labels ?? {};
  const expected: Record<string, string> = {};
  for (const keys of needsNewLabels ? [oldLabels, newLabels] : [oldLabels]) {
    expected[keys.uid] = uid;
    expected[keys.name] = name;
  }
  for (const [key, wanted] of Object.entries(expected)) {
    const path = `spec.template.metadata.labels[${key}]`;
    if (labels[key] === undefined) errors.push(required(path, `must be '${wanted}'`));
    else if (labels[key] !== wanted) errors.push(invalid(path, sortedByKey(labels), `must be '${wanted}'`));
  }
  if (selects(spec.selector, expected) === false) {
    errors.push(invalid('spec.selector', spec.selector, '`selector` not auto-generated'));
  }
}

/** `undefined`: the selector cannot be used. */
function selects(selector: LabelSelector | undefined, labels: Readonly<Record<string, string>>): boolean | undefined {
  try {
    return matcherOfSelector(selector).matches(labels);
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    return undefined;
  }
}

const counts = [
  'parallelism',
  'completions',
  'activeDeadlineSeconds',
  'backoffLimit',
  'ttlSecondsAfterFinished',
  'backoffLimitPerIndex',
  'maxFailedIndexes',
] as const;
const managedByMax = 63; // bytes

/** Upstream: `ValidateJobSpec`. */
function checkJobSpec(errors: Errors, spec: JobSpec): void {
  for (const name of counts) checkNotNegative(errors, `spec.${name}`, spec[name]);
  if (spec.maxFailedIndexes !== undefined && spec.backoffLimitPerIndex === undefined) {
    errors.push(required('spec.backoffLimitPerIndex', 'when maxFailedIndexes is specified'));
  }
  if (spec.managedBy !== undefined) checkManagedBy(errors, spec.managedBy);
  checkCompletionMode(errors, spec);
  const { successPolicy, podFailurePolicy, template, selector } = spec;
  if (podFailurePolicy !== undefined) checkFailurePolicy(errors, spec, podFailurePolicy);
  if (successPolicy !== undefined) {
    if (spec.completionMode === 'Indexed') checkSuccessPolicy(errors, spec, successPolicy);
    else errors.push(invalid('spec.successPolicy', successPolicy, 'requires indexed completion mode'));
  }
  const { podReplacementPolicy: replacement = '' } = spec;
  const replacements = podFailurePolicy === undefined ? ['Failed', 'TerminatingOrFailed'] : ['Failed'];
  if (!replacements.includes(replacement)) {
    errors.push(notSupported('spec.podReplacementPolicy', replacement, replacements));
  }
  checkPodTemplate(errors, 'spec.template', template);
  const { restartPolicy = '' } = template.spec ?? {};
  const path = 'spec.template.spec.restartPolicy';
  if (restartPolicy === 'Always' || restartPolicy === '') {
    errors.push(required(path, 'valid values: "OnFailure", "Never"'));
  } else if (restartPolicy !== 'OnFailure' && restartPolicy !== 'Never') {
    errors.push(notSupported(path, restartPolicy, ['OnFailure', 'Never']));
  } else if (podFailurePolicy !== undefined && restartPolicy !== 'Never') {
    errors.push(invalid(path, restartPolicy, 'only "Never" is supported when podFailurePolicy is specified'));
  }
  if (selector === undefined) errors.push(required('spec.selector'));
  else checkLabelSelector(errors, 'spec.selector', selector);
  const { labels } = template.metadata ?? {};
  if (selects(selector, labels ?? {}) === false) {
    errors.push(
      invalid('spec.template.metadata.labels', sortedByKey(labels), '`selector` does not match template `labels`'),
    );
  }
}

/** The name of a controller: `example.com/job-controller`. */
function checkManagedBy(errors: Errors, name: string): void {
  const path = 'spec.managedBy';
  if (name === '') errors.push(required(path));
  else errors.push(...domainPathProblems(name).map(({ value, problem }) => invalid(path, value, problem)));
  if (byteLength(name) > managedByMax) errors.push(tooLong(path, managedByMax));
}

const indexesMax = 100_000; // that can have failed, or be at work; above so many completions, less
const indexesMaxWithMany = 10_000;

function checkCompletionMode(errors: Errors, spec: JobSpec): void {
  const { completionMode = 'NonIndexed', completions, parallelism = 0, maxFailedIndexes, backoffLimitPerIndex } = spec;
  if (completionMode !== 'NonIndexed' && completionMode !== 'Indexed') {
    errors.push(notSupported('spec.completionMode', completionMode, ['NonIndexed', 'Indexed']));
  }
  if (completionMode === 'NonIndexed') {
    for (const name of ['backoffLimitPerIndex', 'maxFailedIndexes'] as const) {
      if (spec[name] !== undefined) {
        errors.push(invalid(`spec.${name}`, spec[name], 'requires indexed completion mode'));
      }
    }
  }
  if (completionMode !== 'Indexed') return;
  const atMost = (name: 'parallelism' | 'maxFailedIndexes', value: number, max: number, when = ''): void => {
    if (value > max) errors.push(invalid(`spec.${name}`, value, `must be less than or equal to ${max}${when}`));
  };
  if (completions === undefined) errors.push(required('spec.completions', 'when completion mode is Indexed'));
  atMost('parallelism', parallelism, indexesMax, ' when completion mode is Indexed');
  const failedMax = maxFailedIndexes ?? 0;
  if (completions !== undefined && failedMax > completions) {
    errors.push(invalid('spec.maxFailedIndexes', failedMax, 'must be less than or equal to completions'));
  }
  atMost('maxFailedIndexes', failedMax, indexesMax);
  if (completions === undefined || completions <= indexesMax || backoffLimitPerIndex === undefined) return;
  if (maxFailedIndexes === undefined) {
    errors.push(required('spec.maxFailedIndexes', `must be specified when completions is above ${indexesMax}`));
  }
  const when = ` when completions are above ${indexesMax} and used with backoff limit per index`;
  atMost('parallelism', parallelism, indexesMaxWithMany, when);
  atMost('maxFailedIndexes', failedMax, indexesMaxWithMany, when);
}

const fixed = ['completionMode', 'podFailurePolicy', 'backoffLimitPerIndex', 'managedBy', 'successPolicy'] as const;

/** All that holds for a new one, and what cannot change. Upstream: `ValidateUpdate` of the strategy. */
export function checkJobUpdate(errors: Errors, next: Job, current: Job): void {
  const { labels = {} } = current.spec?.template.metadata ?? {};
  checkWholeJob(
    errors,
    next,
    Object.values(newLabels).every((key) => labels[key] !== undefined),
  );
  checkMetadataUpdate(errors, next.metadata ?? {}, current.metadata ?? {});
  const [spec, before] = [next.spec ?? noSpec, current.spec ?? noSpec];
  checkCompletionsUpdate(errors, spec, before);
  checkImmutable(errors, 'spec.selector', spec.selector, before.selector);
  checkTemplateUpdate(errors, next, current);
  for (const name of fixed) checkImmutable(errors, `spec.${name}`, spec[name], before[name]);
}

/** An Indexed job grows and shrinks if all of its indexes are at work at once. Upstream: `validateCompletions`. */
function checkCompletionsUpdate(errors: Errors, spec: JobSpec, before: JobSpec): void {
  const path = 'spec.completions';
  const { completions, parallelism } = spec;
  if (spec.completionMode !== 'Indexed') return checkImmutable(errors, path, completions, before.completions);
  if (completions === before.completions || completions === undefined || completions === parallelism) return;
  errors.push(invalid(path, completions, 'can only be modified in tandem with spec.parallelism'));
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
      affinity: apartFromNodes(template.spec?.affinity, old.affinity),
      schedulingGates: old.schedulingGates,
    },
  };
  if (sameValue(kept, before)) return;
  errors.push(invalid('spec.template', template, immutableText));
}

/** Affinity to nodes may come, change and go; what is about other pods stays. */
function apartFromNodes(next: Affinity | undefined, before: Affinity | undefined): Affinity | undefined {
  const { nodeAffinity: _next, ...rest } = next ?? {};
  const { nodeAffinity: _before, ...restBefore } = before ?? {};
  return sameValue(rest, restBefore) ? before : next;
}
