/**
 * A copy of everything under one prefix of the store, with the last events: `WatchFeed` fills it, all watchers feed
 * on it.
 *
 *  - `revision` only rises; every event under the prefix up to it has been applied and handed to every watcher, in
 *    order.
 *  - A watcher that subscribes in the same turn as it reads `items()` or `eventsSince()` misses nothing and sees
 *    nothing twice.
 *  - It may be behind the store (by the time a notification takes); whoever needs the newest state asks the store.
 */
import type { FieldMatcher } from '../api/field-selector.ts';
import type { Pod } from '../api/gen/types.ts';
import type { Clock } from '../base/clock.ts';
import type { KeyValue, StoreEvent } from '../store/store.ts';
import { StoredObject } from './stored-object.ts';

export interface CacheEvent {
  readonly revision: number;
  /** `undefined`: it was deleted. */
  readonly current: StoredObject | undefined;
  /** `undefined`: it is new. */
  readonly previous: StoredObject | undefined;
  /** `previous` as it is shown when it goes out of sight: with the revision of this event. */
  gone(): StoredObject;
  /** Lines of watch streams, by representation: encoded once for all watchers; emptied once all of them have theirs. */
  readonly lines: Map<string, string | Uint8Array>;
}

export interface CacheWatcher {
  onEvent(event: CacheEvent): void;
  /** The history has a gap: nothing more will come. */
  onReset(): void;
}

/** Fields by whose value a watcher is found, so that a thousand nodes are not asked about each other's pods. */
const watchedFields = {
  'spec.nodeName': ({ object }: StoredObject): string => {
    // Others than pods have no such field, and so no selector that names it.
    return (object as Pod).spec?.nodeName ?? '';
  },
  'metadata.name': ({ key }: StoredObject): string => key.slice(key.lastIndexOf('/') + 1),
} as const;

type WatchedField = keyof typeof watchedFields;

/** Only objects whose field has this value, or had it before. Upstream: the cacher's triggers. */
export interface WatchTrigger {
  readonly field: WatchedField;
  readonly value: string;
}

/** By what the events for this selector can be found; `undefined`: all have to be looked at. */
export function triggerOf(fields: FieldMatcher | undefined): WatchTrigger | undefined {
  for (const field of ['spec.nodeName', 'metadata.name'] as const) {
    const value = fields?.exactValueOf(field);
    if (value !== undefined) return { field, value };
  }
  return undefined;
}

export interface WatchCacheOptions {
  /** `/registry/pods/` */
  readonly prefix: string;
  readonly kind: string;
  readonly apiVersion: string;
}

/** How many events are kept for watchers that come back: at 2.4 KB for a pod some 10 MB at worst. */
export const historyEventsMax = 4_096;

export class WatchCache {
  readonly #clock: Clock;
  readonly #options: WatchCacheOptions;
  readonly #objectsByKey = new Map<string, StoredObject>();
  #sortedKeys: readonly string[] | undefined; // of #objectsByKey; undefined: to be made again
  #history: CacheEvent[] = []; // ascending; trimmed to historyEventsMax when twice as long
  #historyAfter = 0; // every event after this revision is in #history
  #revision = 0;
  readonly #watchers = new Set<CacheWatcher>(); // of all events
  readonly #triggered = new Map<WatchedField, Map<string, Set<CacheWatcher>>>(); // by the value; nothing in it is empty
  readonly #waiters = new Set<{ readonly revision: number; wake(): void }>(); // until #revision reaches theirs
  #filled = false; // the first list is in

  constructor(clock: Clock, options: WatchCacheOptions) {
    this.#clock = clock;
    this.#options = options;
  }

  /** What its keys start with. */
  get prefix(): string {
    return this.#options.prefix;
  }

  get revision(): number {
    return this.#revision;
  }

  /** The first revision that a watcher can still go on after. */
  get historyAfter(): number {
    return this.#historyAfter;
  }

  get isFilled(): boolean {
    return this.#filled;
  }

  get watcherCount(): number {
    let count = this.#watchers.size;
    for (const byValue of this.#triggered.values()) for (const watchers of byValue.values()) count += watchers.size;
    return count;
  }

  /** Starts anew with all that there is under the prefix. */
  fill(items: readonly KeyValue[], revision: number): void {
    this.reset(); // who came after the last reset has seen what was there before
    this.#objectsByKey.clear();
    for (const item of items) this.#objectsByKey.set(item.key, new StoredObject(this.#options, item));
    this.#sortedKeys = undefined;
    this.#history = [];
    this.#historyAfter = revision;
    this.#filled = true;
    this.advance(revision);
  }

  /** Takes over one event of the store. */
  apply(event: StoreEvent): void {
    const key = event.kind === 'put' ? event.item.key : event.key;
    const previous = this.#objectsByKey.get(key);
    const current = event.kind === 'put' ? new StoredObject(this.#options, event.item) : undefined;
    const revision = event.kind === 'put' ? event.item.modRevision : event.revision;
    if (revision <= this.#historyAfter) return; // already in the list
    if (current === undefined) this.#objectsByKey.delete(key);
    else this.#objectsByKey.set(key, current);
    if (current === undefined || previous === undefined) this.#sortedKeys = undefined;
    const cacheEvent = this.#cacheEvent(revision, current, previous);
    if (cacheEvent === undefined) return;
    this.#history.push(cacheEvent);
    if (this.#history.length >= 2 * historyEventsMax) this.#trim();
    for (const watcher of this.#watchers) watcher.onEvent(cacheEvent);
    for (const [field, byValue] of this.#triggered) {
      const versions = [previous, current].filter((object) => object !== undefined);
      for (const value of new Set(versions.map(watchedFields[field]))) {
        for (const watcher of byValue.get(value) ?? []) watcher.onEvent(cacheEvent);
      }
    }
    // In the history only the texts stay: few watchers come back for them.
    cacheEvent.lines.clear();
    previous?.release();
  }

  #cacheEvent(
    revision: number,
    current: StoredObject | undefined,
    previous: StoredObject | undefined,
  ): CacheEvent | undefined {
    const last = previous ?? current;
    if (last === undefined) return undefined; // the delete of what was never seen
    return {
      revision,
      current,
      previous,
      gone: () => new StoredObject(this.#options, { ...plain(last), modRevision: revision }),
      lines: new Map(),
    };
  }

  #trim(): void {
    const dropped = this.#history.length - historyEventsMax;
    const lastDropped = this.#history[dropped - 1];
    if (lastDropped !== undefined) this.#historyAfter = lastDropped.revision;
    // What has not changed for so long is seldom looked at.
    for (const { current } of this.#history.slice(0, dropped)) current?.release();
    // A revision may have several events: none of those that share the last dropped revision may stay.
    this.#history = this.#history.slice(dropped).filter((event) => event.revision > this.#historyAfter);
  }

  /** All events up to `revision` have been applied. */
  advance(revision: number): void {
    if (revision > this.#revision) this.#revision = revision;
    for (const waiter of this.#waiters) if (waiter.revision <= this.#revision) waiter.wake();
  }

  /** The history has a gap: ends every watcher. */
  reset(): void {
    const triggered = [...this.#triggered.values()].flatMap((byValue) => [...byValue.values()]);
    const watchers = [this.#watchers, ...triggered].flatMap((set) => [...set]);
    this.#watchers.clear();
    this.#triggered.clear();
    for (const watcher of watchers) watcher.onReset();
  }

  /** Every object whose key starts with `prefix`, sorted by key, as of `revision`. */
  items(prefix: string): StoredObject[] {
    this.#sortedKeys ??= [...this.#objectsByKey.keys()].sort();
    const found: StoredObject[] = [];
    for (const key of this.#sortedKeys) {
      if (!key.startsWith(prefix)) continue;
      const object = this.#objectsByKey.get(key);
      if (object !== undefined) found.push(object);
    }
    return found;
  }

  get(key: string): StoredObject | undefined {
    return this.#objectsByKey.get(key);
  }

  /** The cached object of this version, so that it is parsed once; a new one if the cache has another version. */
  intern(item: KeyValue): StoredObject {
    const cached = this.#objectsByKey.get(item.key);
    return cached?.modRevision === item.modRevision ? cached : new StoredObject(this.#options, item);
  }

  /** Every event after `revision`, in order; `undefined` if some of them are forgotten. */
  eventsSince(revision: number): readonly CacheEvent[] | undefined {
    if (revision < this.#historyAfter) return undefined;
    let low = 0;
    let high = this.#history.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const event = this.#history[middle];
      if (event !== undefined && event.revision <= revision) low = middle + 1;
      else high = middle;
    }
    return this.#history.slice(low);
  }

  /** From now on `watcher` gets every event, or at least those that `trigger` names. The result ends that. */
  subscribe(watcher: CacheWatcher, trigger?: WatchTrigger): () => void {
    if (trigger === undefined) {
      this.#watchers.add(watcher);
      return () => this.#watchers.delete(watcher);
    }
    const { field, value } = trigger;
    let byValue = this.#triggered.get(field);
    if (byValue === undefined) this.#triggered.set(field, (byValue = new Map()));
    let watchers = byValue.get(value);
    if (watchers === undefined) byValue.set(value, (watchers = new Set()));
    watchers.add(watcher);
    return () => this.#leave(watcher, trigger);
  }

  #leave(watcher: CacheWatcher, { field, value }: WatchTrigger): void {
    const byValue = this.#triggered.get(field);
    const watchers = byValue?.get(value);
    watchers?.delete(watcher);
    if (watchers?.size === 0) byValue?.delete(value);
    if (byValue?.size === 0) this.#triggered.delete(field);
  }

  /** Resolves when the cache has everything up to `revision`; false if it has not after `patienceMs`. */
  async reaches(revision: number, patienceMs: number, signal: AbortSignal): Promise<boolean> {
    if (this.#filled && this.#revision >= revision) return true;
    const patience = new AbortController();
    const giveUp = (): void => patience.abort();
    signal.addEventListener('abort', giveUp, { once: true });
    const waiter = { revision, wake: giveUp };
    this.#waiters.add(waiter);
    try {
      await this.#clock.sleep(patienceMs, 'apiserver.watchCache.reaches', patience.signal);
    } catch {
      // Woken by the cache or by the caller's abort: the answer below tells which.
    } finally {
      this.#waiters.delete(waiter);
      signal.removeEventListener('abort', giveUp);
    }
    signal.throwIfAborted();
    return this.#filled && this.#revision >= revision;
  }
}

function plain(item: KeyValue): KeyValue {
  const { key, value, createRevision, modRevision } = item;
  return { key, value, createRevision, modRevision };
}
