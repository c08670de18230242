/**
 * The options in a request's query, checked. Upstream: `metav1.ListOptions`, `CreateOptions`, ... and their
 * validation.
 */
import { forbidden, invalidError, notSupported } from '../api/field-error.ts';
import type { FieldError } from '../api/field-error.ts';
import { checkFieldManager } from '../api/validation/metadata.ts';
import { StatusError } from '../base/status-error.ts';
import { parseRevision } from './registry.ts';

export interface ListQuery {
  readonly labelSelector: string;
  readonly fieldSelector: string;
  readonly watch: boolean;
  readonly allowWatchBookmarks: boolean;
  readonly sendInitialEvents: boolean | undefined;
  readonly timeoutSeconds: number | undefined;
  /** 0: no limit. */
  readonly limit: number;
  readonly continueToken: string;
  /** `undefined`: the newest. */
  readonly revision: number | undefined;
  readonly resourceVersionMatch: string;
}

const metaGroup = 'meta.k8s.io';

export function parseListQuery(query: URLSearchParams, watchPrefix: boolean): ListQuery {
  const watch = watchPrefix || parseBool(query.get('watch'));
  const sendInitialEvents = query.get('sendInitialEvents');
  const parsed: ListQuery = {
    labelSelector: query.get('labelSelector') ?? '',
    fieldSelector: query.get('fieldSelector') ?? '',
    watch,
    allowWatchBookmarks: parseBool(query.get('allowWatchBookmarks')),
    sendInitialEvents: sendInitialEvents === null ? undefined : parseBool(sendInitialEvents),
    timeoutSeconds: parseInteger(query.get('timeoutSeconds')),
    limit: parseInteger(query.get('limit')) ?? 0,
    continueToken: query.get('continue') ?? '',
    revision: parseRevision(query.get('resourceVersion')),
    resourceVersionMatch: query.get('resourceVersionMatch') ?? '',
  };
  const errors = parsed.watch ? checkWatch(parsed) : checkList(parsed);
  if (errors.length > 0) throw invalidError({ group: metaGroup, kind: 'ListOptions' }, '', errors);
  return parsed;
}

const matchField = 'resourceVersionMatch';

function checkMatch(query: ListQuery): FieldError[] {
  const match = query.resourceVersionMatch;
  if (match === '') return [];
  if (query.revision === undefined) {
    return [forbidden(matchField, 'resourceVersionMatch is forbidden unless resourceVersion is provided')];
  }
  if (query.continueToken !== '') {
    return [forbidden(matchField, 'resourceVersionMatch is forbidden when continue is provided')];
  }
  if (match !== 'Exact' && match !== 'NotOlderThan') {
    return [notSupported(matchField, match, ['Exact', 'NotOlderThan', ''])];
  }
  if (match === 'Exact' && query.revision === 0) {
    return [forbidden(matchField, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"')];
  }
  return [];
}

function checkList(query: ListQuery): FieldError[] {
  const errors = checkMatch(query);
  if (query.sendInitialEvents !== undefined) {
    errors.push(forbidden('sendInitialEvents', 'sendInitialEvents is forbidden for list'));
  }
  return errors;
}

function checkWatch(query: ListQuery): FieldError[] {
  const match = query.resourceVersionMatch;
  if (query.sendInitialEvents === undefined) {
    return match === '' ? [] : [forbidden(matchField, 'resourceVersionMatch is forbidden for watch')];
  }
  if (match !== 'NotOlderThan') {
    const detail = 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan';
    return match === ''
      ? [forbidden(matchField, detail)]
      : [notSupported(matchField, match, ['NotOlderThan']), forbidden(matchField, detail)];
  }
  return [];
}

export type FieldValidation = 'Strict' | 'Warn' | 'Ignore';

export interface WriteQuery {
  readonly dryRun: boolean;
  readonly fieldValidation: FieldValidation;
}

/** `kind`: `CreateOptions`, `UpdateOptions`, `PatchOptions`: for the texts of errors. */
export function parseWriteQuery(query: URLSearchParams, kind: string): WriteQuery {
  const errors: FieldError[] = [];
  const dryRun = parseDryRun(query.getAll('dryRun'), errors);
  const validation = query.get('fieldValidation') ?? '';
  checkFieldManager(errors, 'fieldManager', query.get('fieldManager') ?? '');
  // Only server-side apply could force anything.
  if (kind === 'PatchOptions' && query.has('force')) {
    errors.push(forbidden('force', 'may not be specified for non-apply patch'));
  }
  const isKnown = validation === 'Strict' || validation === 'Warn' || validation === 'Ignore';
  if (!isKnown && validation !== '') {
    errors.push(notSupported('fieldValidation', validation, ['', 'Ignore', 'Strict', 'Warn']));
  }
  if (errors.length > 0) throw invalidError({ group: metaGroup, kind }, '', errors);
  return { dryRun, fieldValidation: isKnown ? validation : 'Warn' };
}

/** Whether all of `dryRun` is asked for; other values are errors. */
export function parseDryRun(values: readonly string[], errors: FieldError[]): boolean {
  let dryRun = false;
  for (const value of values) {
    if (value === 'All') dryRun = true;
    else if (value !== '') errors.push(notSupported('dryRun', value, ['All']));
  }
  return dryRun;
}

/** Go's conversion of query values: absent, `false` and `0` are false. */
export function parseBool(text: string | null): boolean {
  if (text === null) return false;
  const lower = text.toLowerCase();
  return lower !== 'false' && lower !== '0';
}

export function parseInteger(text: string | null): number | undefined {
  if (text === null || text === '') return undefined;
  if (/^[+-]?\d{1,15}$/.test(text)) return Number(text);
  const problem = /^[+-]?\d+$/.test(text) ? 'value out of range' : 'invalid syntax';
  throw new StatusError('BadRequest', `strconv.ParseInt: parsing ${JSON.stringify(text)}: ${problem}`);
}
