/** Starts the answer to a watch. Upstream: `ListResource` with `watch`, and the cacher's `Watch`. */
import type { Clock } from '../base/clock.ts';
import type { Entropy } from '../base/entropy.ts';
import type { HttpResponse } from '../base/http.ts';
import type { Store } from '../store/store.ts';
import type { ListQuery } from './query-options.ts';
import type { Representation } from './representation.ts';
import type { Served } from './served.ts';
import type { StoredObject } from './stored-object.ts';
import type { WatchTrigger } from './watch-cache.ts';
import { watchStream } from './watch-stream.ts';
import type { WatchStreamOptions } from './watch-stream.ts';

export interface WatchStart {
  readonly served: Served;
  readonly namespace: string;
  readonly matches: ((object: StoredObject) => boolean) | undefined;
  readonly onlyName: string | undefined;
  readonly trigger: WatchTrigger | undefined;
  readonly query: ListQuery;
  readonly representation: Representation;
}

/** Upstream: --min-request-timeout, 30 min; a watch ends after one to two times that. */
const timeoutMinMs = 1_800_000;
const bookmarkPeriodMs = 60_000;

export async function startWatch(
  deps: { readonly store: Store; readonly clock: Clock; readonly entropy: Entropy },
  start: WatchStart,
  signal: AbortSignal,
): Promise<HttpResponse> {
  const { served, namespace, onlyName, query, representation } = start;
  const { registry } = served;
  const isOne = onlyName !== undefined && namespace !== '';
  // A watch that begins with what exists shows at least what was acknowledged before it was asked for.
  const fromNow = query.sendInitialEvents === true || query.revision === undefined;
  const atLeastRevision = fromNow ? (await deps.store.get(registry.prefix, signal)).revision : undefined;
  const options: WatchStreamOptions = {
    keyPrefix: isOne ? registry.key(namespace, onlyName) : registry.prefixOf(namespace),
    matches: start.matches,
    trigger: start.trigger,
    afterRevision: startRevision(query, atLeastRevision),
    markInitialEventsEnd: query.sendInitialEvents === true && query.allowWatchBookmarks,
    atLeastRevision,
    bookmarkPeriodMs: query.allowWatchBookmarks
      ? () => bookmarkPeriodMs * (0.9 + 0.2 * deps.entropy.unit())
      : undefined,
    timeoutMs:
      query.timeoutSeconds === undefined || query.timeoutSeconds <= 0
        ? timeoutMinMs * (1 + deps.entropy.unit())
        : query.timeoutSeconds * 1_000,
  };
  const encoder = representation.watch();
  return {
    status: 200,
    headers: { 'content-type': representation.watchContentType, 'cache-control': 'no-cache, private' },
    body: watchStream({ cache: registry.cache, clock: deps.clock, encoder }, options, signal),
  };
}

/** `undefined`: begin with what exists. */
function startRevision(query: ListQuery, nowRevision: number | undefined): number | undefined {
  if (query.sendInitialEvents === true) return undefined;
  if (query.sendInitialEvents === false && query.revision === undefined) return nowRevision;
  return query.revision === undefined || query.revision === 0 ? undefined : query.revision;
}
