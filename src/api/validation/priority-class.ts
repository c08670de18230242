import { forbidden } from '../field-error.ts';
import type { PriorityClass } from '../gen/types.ts';
import { systemPriorityClasses } from '../system-priority-classes.ts';
import { checkImmutable, checkMetadata, checkMetadataUpdate, type Errors } from './metadata.ts';
import { checkRequiredOneOf } from './containers.ts';

const systemPrefix = 'system-';
const userPriorityMax = 1_000_000_000;

/** Upstream: `ValidatePriorityClass`. */
export function checkPriorityClass(errors: Errors, priorityClass: PriorityClass): void {
  checkMetadata(errors, priorityClass.metadata ?? {}, false, 'subdomain');
  const { metadata, value, preemptionPolicy } = priorityClass;
  if (metadata?.name?.startsWith(systemPrefix) === true) {
    const problem = systemProblem(priorityClass, metadata.name);
    const text = `priority class names with '${systemPrefix}' prefix are reserved for system use only. error: `;
    if (problem !== undefined) errors.push(forbidden('metadata.name', text + problem));
  } else if (value > userPriorityMax) {
    const text = `maximum allowed value of a user defined priority is ${userPriorityMax}`;
    errors.push(forbidden('value', text));
  }
  if (preemptionPolicy === undefined) return;
  checkRequiredOneOf(errors, 'preemptionPolicy', preemptionPolicy, ['PreemptLowerPriority', 'Never']);
}

function systemProblem({ value, globalDefault = false }: PriorityClass, name: string): string | undefined {
  const known = systemPriorityClasses.find((each) => each.name === name);
  if (known === undefined) return `${name} is not a known system priority class`;
  if (value !== known.value) return `value of ${name} PriorityClass must be ${known.value}`;
  return globalDefault ? `globalDefault of ${name} PriorityClass must be false` : undefined;
}

/** Upstream: `ValidatePriorityClassUpdate`. */
export function checkPriorityClassUpdate(errors: Errors, next: PriorityClass, current: PriorityClass): void {
  checkMetadataUpdate(errors, next.metadata ?? {}, current.metadata ?? {});
  if (next.value !== current.value) errors.push(forbidden('value', 'may not be changed in an update.'));
  checkImmutable(errors, 'preemptionPolicy', next.preemptionPolicy, current.preemptionPolicy);
}
