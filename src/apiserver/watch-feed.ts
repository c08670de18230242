/**
 * Feeds the watch caches of all kinds from one watch of the store, so that all of them always stand at the same
 * revision: a bookmark of a kind that nobody writes moves on with the others.
 */
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { hasReason, messageOf } from '../base/status-error.ts';
import type { KeyValue, Store, StoreEvent } from '../store/store.ts';
import type { WatchCache } from './watch-cache.ts';

export interface WatchFeedDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
}

/** What every key starts with. */
export const registryPrefix = '/registry/';
const retryAfterMs = 1_000;

export class WatchFeed {
  readonly #deps: WatchFeedDeps;
  readonly #cachesByPrefix: ReadonlyMap<string, WatchCache>;

  constructor(deps: WatchFeedDeps, caches: Iterable<WatchCache>) {
    this.#deps = deps;
    this.#cachesByPrefix = new Map([...caches].map((cache) => [cache.prefix, cache]));
  }

  /** Lists and watches the store until `signal` aborts; then it ends every watcher. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#listAndWatch(signal);
      } catch (error) {
        if (signal.aborted) break;
        this.#reset();
        if (hasReason(error, 'Expired')) continue; // fell behind: list again at once
        this.#deps.log.error('watchFeedFailed', { error: messageOf(error) });
        await this.#deps.clock.sleep(retryAfterMs, 'apiserver.watchFeed.retry', signal).catch(() => undefined);
      }
    }
    this.#reset();
  }

  async #listAndWatch(signal: AbortSignal): Promise<void> {
    const list = await this.#deps.store.range({ prefix: registryPrefix }, signal);
    const itemsByPrefix = new Map<string, KeyValue[]>();
    for (const item of list.items) {
      const prefix = prefixOf(item.key);
      const items = itemsByPrefix.get(prefix);
      if (items === undefined) itemsByPrefix.set(prefix, [item]);
      else items.push(item);
    }
    for (const [prefix, cache] of this.#cachesByPrefix) cache.fill(itemsByPrefix.get(prefix) ?? [], list.revision);
    const options = { prefix: registryPrefix, fromRevision: list.revision + 1 };
    for await (const batch of this.#deps.store.watch(options, signal)) {
      for (const event of batch.events) this.#apply(event);
      for (const cache of this.#cachesByPrefix.values()) cache.advance(batch.revision);
    }
  }

  #apply(event: StoreEvent): void {
    const key = event.kind === 'put' ? event.item.key : event.key;
    this.#cachesByPrefix.get(prefixOf(key))?.apply(event);
  }

  #reset(): void {
    for (const cache of this.#cachesByPrefix.values()) cache.reset();
  }
}

/** `/registry/pods/` of `/registry/pods/default/web`. */
function prefixOf(key: string): string {
  return key.slice(0, key.indexOf('/', registryPrefix.length) + 1);
}
