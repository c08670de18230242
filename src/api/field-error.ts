import { StatusError } from '../base/status-error.ts';
import { goJson, goQuote } from './go-text.ts';
import type { ResourceType } from './resources.ts';

/** Upstream's kinds of field errors, with the words they begin with. */
const wordsByType = {
  FieldValueNotFound: 'Not found',
  FieldValueRequired: 'Required value',
  FieldValueDuplicate: 'Duplicate value',
  FieldValueInvalid: 'Invalid value',
  FieldValueNotSupported: 'Unsupported value',
  FieldValueForbidden: 'Forbidden',
  FieldValueTooLong: 'Too long',
  FieldValueTooMany: 'Too many',
  FieldValueTypeInvalid: 'Invalid value',
  InternalError: 'Internal error',
} as const satisfies Record<string, string>;

export type FieldErrorType = keyof typeof wordsByType;

/** What is wrong with one field. Upstream: `field.Error`. */
export interface FieldError {
  readonly type: FieldErrorType;
  /** `spec.containers[0].livenessProbe`. */
  readonly field: string;
  readonly badValue: unknown;
  readonly detail: string;
}

export function required(field: string, detail = ''): FieldError {
  return { type: 'FieldValueRequired', field, badValue: '', detail };
}

/** In place of a value that is not told. Upstream: `OmitValueType`. */
const omitted: unique symbol = Symbol('omitted');

/** For a value that is too large, or too far from the reason, to be told. */
export function invalidUntold(field: string, detail: string): FieldError {
  return { type: 'FieldValueInvalid', field, badValue: omitted, detail };
}

/** `badValue` `undefined` prints as `null`. */
export function invalid(field: string, badValue: unknown, detail: string): FieldError {
  return { type: 'FieldValueInvalid', field, badValue, detail };
}

export function forbidden(field: string, detail: string): FieldError {
  return { type: 'FieldValueForbidden', field, badValue: '', detail };
}

export function notFound(field: string, badValue: unknown): FieldError {
  return { type: 'FieldValueNotFound', field, badValue, detail: '' };
}

export function duplicate(field: string, badValue: unknown): FieldError {
  return { type: 'FieldValueDuplicate', field, badValue, detail: '' };
}

export function notSupported(field: string, badValue: unknown, supported: readonly string[]): FieldError {
  const detail = supported.length === 0 ? '' : `supported values: ${supported.map(goQuote).join(', ')}`;
  return { type: 'FieldValueNotSupported', field, badValue, detail };
}

/** `bytesMax` negative: not told. */
export function tooLong(field: string, bytesMax: number): FieldError {
  const detail =
    bytesMax < 0 ? 'value is too long' : `may not be more than ${bytesMax} byte${bytesMax === 1 ? '' : 's'}`;
  return { type: 'FieldValueTooLong', field, badValue: '<value omitted>', detail };
}

export function tooMany(field: string, count: number, countMax: number): FieldError {
  const detail = `must have at most ${countMax} item${countMax === 1 ? '' : 's'}`;
  return { type: 'FieldValueTooMany', field, badValue: count, detail };
}

function renderValue(value: unknown): string {
  if (typeof value === 'string') return goQuote(value);
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : goJson(value);
}

const withoutValue: ReadonlySet<FieldErrorType> = new Set([
  'FieldValueRequired',
  'FieldValueForbidden',
  'FieldValueTooLong',
  'InternalError',
]);

/** The text after the field: `Invalid value: 0: must be between 1 and 65535, inclusive`. Upstream: `ErrorBody`. */
export function fieldErrorBody(error: FieldError): string {
  const words = wordsByType[error.type];
  const head =
    withoutValue.has(error.type) || error.badValue === omitted ? words : `${words}: ${renderValue(error.badValue)}`;
  return error.detail === '' ? head : `${head}: ${error.detail}`;
}

export function fieldErrorText(error: FieldError): string {
  return `${error.field}: ${fieldErrorBody(error)}`;
}

/** Texts of several errors as one: `a`, or `[a, b]`, without repeats. Upstream: `ToAggregate().Error()`. */
export function joinErrorTexts(texts: readonly string[]): string {
  const unique = [...new Set(texts)];
  return unique.length === 1 ? (unique[0] ?? '') : `[${unique.join(', ')}]`;
}

/** The 422 for an object that failed validation: `Pod "x" is invalid: ...`, with a cause for each error. */
export function invalidError(
  type: Pick<ResourceType, 'group' | 'kind'>,
  name: string,
  errors: readonly FieldError[],
): StatusError {
  const kind = type.group === '' ? type.kind : `${type.kind}.${type.group}`;
  const text = errors.length === 0 ? '' : `: ${joinErrorTexts(errors.map(fieldErrorText))}`;
  return new StatusError('Invalid', `${kind} ${goQuote(name)} is invalid${text}`, {
    details: {
      ...(name === '' ? {} : { name }),
      ...(type.group === '' ? {} : { group: type.group }),
      kind: type.kind,
      causes: errors.map((error) => ({
        reason: error.type,
        message: fieldErrorBody(error),
        ...(error.field === '' ? {} : { field: error.field }),
      })),
    },
  });
}
