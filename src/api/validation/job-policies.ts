import { checkIndexRanges } from '../index-ranges.ts';
import { duplicate, invalid, invalidUntold, notSupported, required, tooLong, tooMany } from '../field-error.ts';
import type {
  JobSpec,
  PodFailurePolicy,
  PodFailurePolicyOnExitCodesRequirement,
  PodFailurePolicyOnPodConditionsPattern,
  PodFailurePolicyRule,
  SuccessPolicy,
  SuccessPolicyRule,
} from '../gen/types.ts';
import { byteLength, qualifiedNameProblems } from '../names.ts';
import { addInvalid, checkNotNegative, type Errors } from './metadata.ts';

const rulesMax = 20;
const exitCodesMax = 255;
const conditionsMax = 20;
const succeededIndexesMax = 64 * 1024; // bytes
const actions = ['Count', 'FailIndex', 'FailJob', 'Ignore'] as const;
const operators = ['In', 'NotIn'] as const;
const statuses = ['False', 'True', 'Unknown'] as const;

/** Upstream: `validatePodFailurePolicy`. */
export function checkFailurePolicy(errors: Errors, spec: JobSpec, policy: PodFailurePolicy): void {
  const path = 'spec.podFailurePolicy.rules';
  if (policy.rules.length > rulesMax) errors.push(tooMany(path, policy.rules.length, rulesMax));
  policy.rules.forEach((rule, index) => checkFailureRule(errors, `${path}[${index}]`, spec, rule));
}

function checkFailureRule(errors: Errors, path: string, spec: JobSpec, rule: PodFailurePolicyRule): void {
  const { action, onExitCodes, onPodConditions = [] } = rule;
  if (action === 'FailIndex' && spec.backoffLimitPerIndex === undefined) {
    errors.push(invalid(`${path}.action`, action, 'requires the backoffLimitPerIndex to be set'));
  }
  checkKnown(errors, `${path}.action`, action, actions);
  if (onExitCodes !== undefined) checkExitCodes(errors, `${path}.onExitCodes`, spec, onExitCodes);
  if (onPodConditions.length > 0) checkConditions(errors, `${path}.onPodConditions`, onPodConditions);
  if (onExitCodes !== undefined && onPodConditions.length > 0) {
    errors.push(invalidUntold(path, 'specifying both OnExitCodes and OnPodConditions is not supported'));
  }
  if (onExitCodes === undefined && onPodConditions.length === 0) {
    errors.push(invalidUntold(path, 'specifying one of OnExitCodes and OnPodConditions is required'));
  }
}

function checkKnown(errors: Errors, path: string, value: string, known: readonly string[]): void {
  const quoted = known.map((one) => `"${one}"`).join(' ');
  if (value === '') errors.push(required(path, `valid values: [${quoted}]`));
  else if (!known.includes(value)) errors.push(notSupported(path, value, known));
}

function checkConditions(
  errors: Errors,
  path: string,
  patterns: readonly PodFailurePolicyOnPodConditionsPattern[],
): void {
  if (patterns.length > conditionsMax) errors.push(tooMany(path, patterns.length, conditionsMax));
  patterns.forEach(({ type, status }, index) => {
    addInvalid(errors, `${path}[${index}].type`, type, qualifiedNameProblems(type));
    checkKnown(errors, `${path}[${index}].status`, status, statuses);
  });
}

function checkExitCodes(
  errors: Errors,
  path: string,
  { template }: JobSpec,
  { operator, values, containerName }: PodFailurePolicyOnExitCodesRequirement,
): void {
  checkKnown(errors, `${path}.operator`, operator, operators);
  const containers = [...(template.spec?.containers ?? []), ...(template.spec?.initContainers ?? [])];
  if (containerName !== undefined && !containers.some(({ name }) => name === containerName)) {
    const text = 'must be one of the container or initContainer names in the pod template';
    errors.push(invalid(`${path}.containerName`, containerName, text));
  }
  if (values.length === 0) errors.push(invalid(`${path}.values`, values, 'at least one value is required'));
  else if (values.length > exitCodesMax) errors.push(tooMany(`${path}.values`, values.length, exitCodesMax));
  const seen = new Set<number>();
  values.forEach((value, index) => {
    const at = `${path}.values[${index}]`;
    if (operator === 'In' && value === 0) errors.push(invalid(at, value, 'must not be 0 for the In operator'));
    if (seen.has(value)) errors.push(duplicate(at, value));
    seen.add(value);
  });
  if (values.some((value, index) => value < (values[index - 1] ?? value))) {
    errors.push(invalid(`${path}.values`, values, 'must be ordered'));
  }
}

/** Upstream: `validateSuccessPolicy`. */
export function checkSuccessPolicy(errors: Errors, { completions }: JobSpec, { rules }: SuccessPolicy): void {
  const path = 'spec.successPolicy.rules';
  if (rules.length === 0) {
    errors.push(required(path, 'at least one rules must be specified when the successPolicy is specified'));
  }
  if (rules.length > rulesMax) errors.push(tooMany(path, rules.length, rulesMax));
  if (completions === undefined) return; // an error of its own
  rules.forEach((rule, index) => checkSuccessRule(errors, `${path}[${index}]`, completions, rule));
}

function checkSuccessRule(errors: Errors, path: string, completions: number, rule: SuccessPolicyRule): void {
  const { succeededIndexes, succeededCount: count } = rule;
  if (succeededIndexes === undefined && count === undefined) {
    errors.push(required(path, 'at least one of succeededCount or succeededIndexes must be specified'));
  }
  let total = 0;
  if (succeededIndexes !== undefined) {
    const at = `${path}.succeededIndexes`;
    if (byteLength(succeededIndexes) > succeededIndexesMax) errors.push(tooLong(at, succeededIndexesMax));
    const checked = checkIndexRanges(succeededIndexes, completions);
    if (checked.kind === 'fine') total = checked.total;
    else errors.push(invalid(at, succeededIndexes, `error parsing succeededIndexes: ${checked.problem}`));
  }
  if (count === undefined) return;
  const at = `${path}.succeededCount`;
  const notAbove = (limit: number, what: string): void => {
    if (count > limit)
      errors.push(invalid(at, count, `must be less than or equal to ${limit} (the number of ${what})`));
  };
  checkNotNegative(errors, at, count);
  notAbove(completions, 'specified completions');
  if (succeededIndexes !== undefined) notAbove(total, 'indexes in the specified succeededIndexes field');
}
