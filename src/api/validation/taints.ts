import { duplicate, invalid, notSupported, required } from '../field-error.ts';
import type { Taint, Toleration } from '../gen/types.ts';
import { labelValueProblems, qualifiedNameProblems } from '../names.ts';
import { addInvalid, type Errors } from './metadata.ts';

const effects = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'] as const;

function checkEffect(errors: Errors, path: string, effect: string): void {
  if (!effects.some((known) => known === effect)) errors.push(notSupported(path, effect, effects));
}

/** Upstream: `ValidateTolerations`. */
export function checkTolerations(errors: Errors, path: string, tolerations: readonly Toleration[] | undefined): void {
  tolerations?.forEach((toleration, index) => {
    const at = `${path}[${index}]`;
    const { key = '', operator = '', value = '', effect = '' } = toleration;
    if (key !== '') addInvalid(errors, `${at}.key`, key, qualifiedNameProblems(key));
    if (key === '' && operator !== 'Exists') {
      const text = 'operator must be Exists when `key` is empty, which means "match all values and all keys"';
      errors.push(invalid(`${at}.operator`, operator, text));
    }
    if (toleration.tolerationSeconds !== undefined && effect !== 'NoExecute') {
      const text = "effect must be 'NoExecute' when `tolerationSeconds` is set";
      errors.push(invalid(`${at}.effect`, effect, text));
    }
    checkOperator(errors, `${at}.operator`, operator, value);
    if (effect !== '') checkEffect(errors, `${at}.effect`, effect);
  });
}

function checkOperator(errors: Errors, path: string, operator: string, value: string): void {
  if (operator === 'Equal' || operator === '') {
    const problems = labelValueProblems(value);
    if (problems.length > 0) errors.push(invalid(path, value, problems.join(';')));
  } else if (operator !== 'Exists') errors.push(notSupported(path, operator, ['Equal', 'Exists']));
  else if (value !== '') errors.push(invalid(path, value, "value must be empty when `operator` is 'Exists'"));
}

/** Upstream: `validateNodeTaints`. */
export function checkTaints(errors: Errors, path: string, taints: readonly Taint[] | undefined): void {
  const seen = new Set<string>();
  taints?.forEach((taint, index) => {
    const at = `${path}[${index}]`;
    const { key, value = '', effect } = taint;
    addInvalid(errors, `${at}.key`, key, qualifiedNameProblems(key));
    const problems = labelValueProblems(value);
    if (problems.length > 0) errors.push(invalid(`${at}.value`, value, problems.join(';')));
    if (effect === '') errors.push(required(`${at}.effect`));
    else checkEffect(errors, `${at}.effect`, effect);
    const pair = `${effect}/${key}`;
    if (seen.has(pair)) {
      errors.push({ ...duplicate(at, taint), detail: 'taints must be unique by key and effect pair' });
    }
    seen.add(pair);
  });
}
