/** Deletes events an hour after they were last written or seen. Upstream: --event-ttl. */
import type { Event } from '../api/gen/types.ts';
import { parseTime } from '../api/time.ts';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { messageOf } from '../base/status-error.ts';
import type { Store } from '../store/store.ts';
import type { StoredObject } from './stored-object.ts';
import { transact } from './transact.ts';
import type { WatchCache } from './watch-cache.ts';

export const eventTtlMs = 3_600_000;
const sweepPeriodMs = 60_000;
/** Events deleted by one transaction. */
const sweepBatchMax = 500;

interface ExpiryDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  /** Of events. */
  readonly cache: WatchCache;
}

/** Until `signal` aborts. */
export async function runEventExpiry(deps: ExpiryDeps, ttlMs: number, signal: AbortSignal): Promise<void> {
  // Of the last sweep.
  const expiryByKey = new Map<string, { readonly modRevision: number; readonly atWallMs: number }>();
  for (;;) {
    await deps.clock.sleep(sweepPeriodMs, 'apiserver.eventExpiry', signal);
    const nowMs = deps.clock.wallMs();
    const due: StoredObject[] = [];
    const seen = new Set<string>();
    for (const stored of deps.cache.items(deps.cache.prefix)) {
      seen.add(stored.key);
      let known = expiryByKey.get(stored.key);
      if (known?.modRevision !== stored.modRevision) {
        known = { modRevision: stored.modRevision, atWallMs: lastSeenMs(stored, nowMs) + ttlMs };
        expiryByKey.set(stored.key, known);
      }
      if (known.atWallMs <= nowMs) due.push(stored);
    }
    for (const key of expiryByKey.keys()) if (!seen.has(key)) expiryByKey.delete(key);
    try {
      await deleteAll(deps.store, due, signal);
    } catch (error) {
      if (signal.aborted) return;
      deps.log.warn('eventExpiryFailed', { error: messageOf(error) }); // the next sweep tries again
    }
  }
}

async function deleteAll(store: Store, due: readonly StoredObject[], signal: AbortSignal): Promise<void> {
  for (let start = 0; start < due.length; start += sweepBatchMax) {
    const batch = due.slice(start, start + sweepBatchMax);
    const deletes = batch.map(({ key }) => ({ kind: 'delete', key }) as const);
    const compare = batch.map(({ key, modRevision }) => ({ key, modRevision }));
    const result = await transact(store, compare, deletes, signal);
    if (result.succeeded) continue;
    // One of them was seen again meanwhile: take the others one by one.
    for (const { key, modRevision } of batch) {
      await transact(store, [{ key, modRevision }], [{ kind: 'delete', key }], signal);
    }
  }
}

/** Parsed without keeping the result: nobody else may be looking at old events. */
function lastSeenMs(stored: StoredObject, nowMs: number): number {
  // The cache is that of events.
  const event = JSON.parse(stored.value) as Event;
  const times = [
    event.metadata.creationTimestamp,
    event.lastTimestamp,
    event.eventTime,
    event.series?.lastObservedTime,
  ].flatMap((text) => (typeof text === 'string' ? [parseTime(text) ?? 0] : []));
  // A clock that ran ahead must not keep an event for ever.
  return Math.min(nowMs, Math.max(0, ...times));
}
