import type { KubernetesObject, ResourceType } from '../api/resources.ts';
import type { Clock } from '../base/clock.ts';
import type { Entropy } from '../base/entropy.ts';
import type { Log } from '../base/log.ts';
import { InvariantError, StatusError, hasReason, invariant } from '../base/status-error.ts';
import type { Client, WatchEvent } from './client.ts';
import type { Informer, InformerChange } from './informer.ts';
import { firstInformerState, nextInformerState } from './informer-state.ts';
import type { InformerEvent, InformerState } from './informer-state.ts';

export const listPageSize = 2_000;
export const cachedObjectsMax = 250_000; // a cluster of 5,000 nodes has at most 150,000 pods

export interface InformerDeps<T extends KubernetesObject> {
  readonly client: Client;
  readonly type: ResourceType<T>;
  /** Absent: all namespaces. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
}

/**
 * The informer over a client's list and watch.
 *
 *     const pods = new ListWatchInformer({ client, type: resources.pods, clock, entropy, log });
 *     pods.onChange(({ previous, current }) => queue.add(...));
 *     scope.start((signal) => pods.run(signal));
 *     await pods.synced(signal);
 */
export class ListWatchInformer<T extends KubernetesObject> implements Informer<T> {
  readonly #deps: InformerDeps<T>;
  readonly #cache = new Map<string, T>(); // by `namespace/name`
  readonly #handlers: ((change: InformerChange<T>) => void)[] = [];
  readonly #waiters = new Set<() => void>(); // of synced(); empty once synced
  #synced = false;

  constructor(deps: InformerDeps<T>) {
    this.#deps = deps;
  }

  onChange(handler: (change: InformerChange<T>) => void): void {
    this.#handlers.push(handler);
  }

  hasSynced(): boolean {
    return this.#synced;
  }

  synced(signal: AbortSignal): Promise<void> {
    if (this.#synced) return Promise.resolve();
    if (signal.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const onSynced = (): void => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      const onAbort = (): void => {
        this.#waiters.delete(onSynced);
        reject(signal.reason);
      };
      this.#waiters.add(onSynced);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  get(namespace: string, name: string): T | undefined {
    return this.#cache.get(`${namespace}/${name}`);
  }

  list(): readonly T[] {
    return [...this.#cache.values()];
  }

  async run(signal: AbortSignal): Promise<void> {
    let state: InformerState = firstInformerState;
    while (!signal.aborted) {
      const event = await this.#step(state, signal);
      if (event === undefined) return;
      state = nextInformerState(state, event, this.#deps.entropy);
    }
  }

  /** Does what `state` asks for; tells how it went, or `undefined` when `signal` aborted. */
  async #step(state: InformerState, signal: AbortSignal): Promise<InformerEvent | undefined> {
    const startedMonoMs = this.#deps.clock.monoMs();
    let resourceVersion = '';
    try {
      switch (state.kind) {
        case 'listing':
          return { kind: 'listed', resourceVersion: await this.#list(signal) };
        case 'waiting':
          await this.#deps.clock.sleep(state.delayMs, 'informer.retry', signal);
          return { kind: 'waited' };
        case 'watching':
          resourceVersion = state.resourceVersion;
          for await (const event of this.#watch(resourceVersion, signal)) {
            resourceVersion = this.#apply(event, resourceVersion);
          }
          break;
      }
    } catch (error) {
      if (signal.aborted) return undefined;
      if (error instanceof InvariantError || !(error instanceof StatusError)) throw error;
      this.#logFailure(state, error);
      const livedMs = this.#deps.clock.monoMs() - startedMonoMs;
      if (hasReason(error, 'Expired', 'Gone')) return { kind: 'expired', livedMs };
      return state.kind === 'watching' ? { kind: 'watchFailed', resourceVersion, livedMs } : { kind: 'failed' };
    }
    if (signal.aborted) return undefined;
    return { kind: 'watchEnded', resourceVersion, livedMs: this.#deps.clock.monoMs() - startedMonoMs };
  }

  #logFailure(state: InformerState, error: StatusError): void {
    const { resource } = this.#deps.type;
    this.#deps.log.warn('informerFailed', { resource, while: state.kind, reason: error.reason, error: error.message });
  }

  #scope(): { namespace?: string; labelSelector?: string; fieldSelector?: string } {
    const { namespace, labelSelector, fieldSelector } = this.#deps;
    return {
      ...(namespace === undefined ? {} : { namespace }),
      ...(labelSelector === undefined ? {} : { labelSelector }),
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
    };
  }

  /** Lists all pages, puts the difference into the cache, and returns the list's version. */
  async #list(signal: AbortSignal): Promise<string> {
    const { client, type } = this.#deps;
    const listed = new Map<string, T>();
    let resourceVersion: string | undefined;
    let continueToken: string | undefined;
    do {
      const page = await client.list(
        type,
        { ...this.#scope(), limit: listPageSize, ...(continueToken === undefined ? {} : { continueToken }) },
        signal,
      );
      for (const object of page.items) listed.set(keyOf(object), object);
      if (listed.size > cachedObjectsMax) {
        throw new StatusError('RequestEntityTooLarge', `more than ${cachedObjectsMax} ${type.resource}`);
      }
      resourceVersion ??= page.metadata.resourceVersion;
      continueToken = page.metadata.continue === '' ? undefined : page.metadata.continue;
    } while (continueToken !== undefined);
    if (resourceVersion === undefined)
      throw new StatusError('InternalError', `list of ${type.resource} has no version`);
    this.#replace(listed);
    return resourceVersion;
  }

  #replace(listed: ReadonlyMap<string, T>): void {
    for (const key of this.#cache.keys()) {
      if (!listed.has(key)) this.#put(key, undefined);
    }
    for (const [key, object] of listed) {
      const version = object.metadata?.resourceVersion;
      if (version === undefined || version !== this.#cache.get(key)?.metadata?.resourceVersion) this.#put(key, object);
    }
    if (this.#synced) return;
    this.#synced = true;
    for (const waiter of this.#waiters) waiter();
    this.#waiters.clear();
  }

  #watch(resourceVersion: string, signal: AbortSignal): AsyncIterable<WatchEvent<T>> {
    const { client, type } = this.#deps;
    return client.watch(type, { ...this.#scope(), resourceVersion, allowWatchBookmarks: true }, signal);
  }

  /** Puts `event` into the cache; returns the version to go on from. */
  #apply(event: WatchEvent<T>, resourceVersion: string): string {
    const version = event.object.metadata?.resourceVersion ?? resourceVersion;
    switch (event.type) {
      case 'BOOKMARK':
        break;
      case 'ADDED':
      case 'MODIFIED':
        this.#put(keyOf(event.object), event.object);
        break;
      case 'DELETED':
        this.#put(keyOf(event.object), undefined);
        break;
    }
    return version;
  }

  /** `undefined`: it is gone. */
  #put(key: string, current: T | undefined): void {
    const previous = this.#cache.get(key);
    if (previous === undefined && current === undefined) return;
    if (current === undefined) this.#cache.delete(key);
    else this.#cache.set(key, current);
    invariant(this.#cache.size <= cachedObjectsMax, `${this.#cache.size} ${this.#deps.type.resource} cached`);
    for (const handler of this.#handlers) handler({ previous, current });
  }
}

function keyOf(object: KubernetesObject): string {
  return `${object.metadata?.namespace ?? ''}/${object.metadata?.name ?? ''}`;
}
