/** Lists in pages, each page from the state of the first one. */
import { StatusError, hasReason } from '../base/status-error.ts';
import type { KeyValue, RangeResult, Store } from '../store/store.ts';
import { ExpiredContinueError, decodeContinue, encodeContinue } from './continue-token.ts';
import type { ListQuery } from './query-options.ts';
import type { Registry } from './registry.ts';
import { StoredObject } from './stored-object.ts';

export interface Page {
  /** Those that were filtered are `StoredObject`s already. */
  readonly items: readonly KeyValue[];
  readonly revision: number;
  /** `''`: nothing is left. */
  readonly continueToken: string;
  /** `undefined`: not known (with selectors), or nothing is left. */
  readonly remainingItemCount: number | undefined;
}

export interface ListScope {
  readonly store: Store;
  readonly registry: Registry;
  readonly namespace: string;
  /** `undefined`: all. */
  readonly matches: ((object: StoredObject) => boolean) | undefined;
  /** The only name wanted (a field selector on metadata.name); `undefined`: all. */
  readonly onlyName: string | undefined;
}

/** Keys read at once when selectors leave few of them. */
const filteredPageKeys = 1_000;

export async function listPage(scope: ListScope, query: ListQuery, signal: AbortSignal): Promise<Page> {
  const prefix = scope.registry.prefixOf(scope.namespace);
  if (query.continueToken !== '') return continued(scope, query, prefix, signal);
  if (query.revision === 0 && scope.registry.cache.isFilled) return fromCache(scope, prefix);
  const exact =
    query.revision !== undefined &&
    query.revision > 0 &&
    (query.resourceVersionMatch === 'Exact' || (query.resourceVersionMatch === '' && query.limit > 0));
  const start = { prefix, from: undefined, atRevision: exact ? query.revision : undefined, limit: query.limit };
  const page = await readPage(scope, start, signal).catch(async (error: unknown) => {
    if (hasReason(error, 'Expired')) throw new StatusError('Expired', listTooOldText, { cause: error });
    if (!hasReason(error, 'Timeout') || query.revision === undefined) throw error;
    throw tooLarge(query.revision, (await scope.store.get(prefix, signal)).revision);
  });
  if (query.revision !== undefined && query.revision > page.revision) throw tooLarge(query.revision, page.revision);
  return page;
}

async function continued(scope: ListScope, query: ListQuery, prefix: string, signal: AbortSignal): Promise<Page> {
  if (query.revision !== undefined && query.revision !== 0) {
    throw new StatusError('BadRequest', 'specifying resource version is not allowed when using continue');
  }
  const token = decodeContinue(query.continueToken);
  const from = prefix + token.start;
  const atRevision = token.revision < 0 ? undefined : token.revision;
  try {
    return await readPage(scope, { prefix, from, atRevision, limit: query.limit }, signal);
  } catch (error) {
    if (!hasReason(error, 'Expired')) throw error;
    throw expiredToken(encodeContinue({ revision: -1, start: token.start }), error);
  }
}

interface PageStart {
  readonly prefix: string;
  readonly from: string | undefined;
  readonly atRevision: number | undefined;
  /** 0: all. */
  readonly limit: number;
}

async function readPage(scope: ListScope, start: PageStart, signal: AbortSignal): Promise<Page> {
  if (scope.onlyName !== undefined && scope.namespace !== '' && start.atRevision === undefined) {
    return readOne(scope, scope.onlyName, signal);
  }
  if (scope.matches === undefined) {
    const range = await readRange(scope.store, start, start.from, start.limit, start.atRevision, signal);
    return pageOf(start.prefix, range.items, range);
  }
  return readFiltered(scope, scope.matches, start, signal);
}

/** A field selector on metadata.name needs no list. */
async function readOne(scope: ListScope, name: string, signal: AbortSignal): Promise<Page> {
  const { registry, namespace, matches } = scope;
  const { item, revision } = await scope.store.get(registry.key(namespace, name), signal);
  const found = item === undefined ? undefined : registry.cache.intern(item);
  const items = found === undefined || (matches !== undefined && !matches(found)) ? [] : [found];
  return { items, revision, continueToken: '', remainingItemCount: undefined };
}

async function readFiltered(
  scope: ListScope,
  matches: (object: StoredObject) => boolean,
  start: PageStart,
  signal: AbortSignal,
): Promise<Page> {
  const found: StoredObject[] = [];
  let from = start.from;
  let atRevision = start.atRevision;
  for (;;) {
    const limit = start.limit === 0 ? 0 : filteredPageKeys;
    const range = await readRange(scope.store, start, from, limit, atRevision, signal);
    atRevision = range.revision;
    for (const [index, item] of range.items.entries()) {
      const object = scope.registry.cache.intern(item);
      if (!matches(object)) continue;
      found.push(object);
      const isLast = index === range.items.length - 1 && range.remainingCount === 0;
      if (found.length === start.limit && !isLast) {
        const token = encodeContinue({ revision: range.revision, start: nextStart(start.prefix, item.key) });
        return { items: found, revision: range.revision, continueToken: token, remainingItemCount: undefined };
      }
    }
    const last = range.items.at(-1);
    if (range.remainingCount === 0 || last === undefined) {
      return { items: found, revision: range.revision, continueToken: '', remainingItemCount: undefined };
    }
    from = `${last.key}\0`;
  }
}

function readRange(
  store: Store,
  start: PageStart,
  from: string | undefined,
  limit: number,
  atRevision: number | undefined,
  signal: AbortSignal,
): Promise<RangeResult> {
  const options = {
    prefix: start.prefix,
    ...(from === undefined ? {} : { from }),
    ...(limit <= 0 ? {} : { limit }),
    ...(atRevision === undefined ? {} : { atRevision }),
  };
  return store.range(options, signal);
}

function pageOf(prefix: string, items: readonly KeyValue[], range: RangeResult): Page {
  const last = items.at(-1);
  if (range.remainingCount === 0 || last === undefined) {
    return { items, revision: range.revision, continueToken: '', remainingItemCount: undefined };
  }
  const token = encodeContinue({ revision: range.revision, start: nextStart(prefix, last.key) });
  return { items, revision: range.revision, continueToken: token, remainingItemCount: range.remainingCount };
}

function nextStart(prefix: string, lastKey: string): string {
  return `${lastKey.slice(prefix.length)}\0`;
}

/** resourceVersion=0: any state will do, so the newest that the cache has; the limit is ignored, as upstream does. */
function fromCache(scope: ListScope, prefix: string): Page {
  const { cache } = scope.registry;
  const all = cache.items(prefix);
  const { matches } = scope;
  return {
    items: matches === undefined ? all : all.filter(matches),
    revision: cache.revision,
    continueToken: '',
    remainingItemCount: undefined,
  };
}

const listTooOldText = 'The resourceVersion for the provided list is too old.';

function tooLarge(asked: number, current: number): StatusError {
  return new StatusError('Timeout', `Too large resource version: ${asked}, current: ${current}`, {
    details: {
      causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
      retryAfterSeconds: 1,
    },
  });
}

function expiredToken(token: string, cause: unknown): ExpiredContinueError {
  const text =
    'The provided continue parameter is too old to display a consistent list result. You can start a new list ' +
    'without the continue parameter, or use the continue token in this response to retrieve the remainder of the ' +
    'results. Continuing with the provided token results in an inconsistent list - objects that were created, ' +
    'modified, or deleted between the time the first chunk was returned and now may show up in the list.';
  return new ExpiredContinueError(text, token, cause);
}
