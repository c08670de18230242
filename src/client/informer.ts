import type { KubernetesObject } from '../api/resources.ts';

/** What happened to one object of the cache. `previous` is `undefined` when it is new, `current` when it is gone. */
export interface InformerChange<T> {
  readonly previous: T | undefined;
  readonly current: T | undefined;
}

/**
 * A cache of one kind of objects, kept up to date by list and watch. It sees a subsequence of the states of each object
 * and
 * is eventually consistent with the server; it never goes back in time. Upstream: `SharedInformer`.
 */
export interface Informer<T extends KubernetesObject> {
  /** Lists and watches until `signal` aborts. Retries for ever, 0.8 s to 30 s apart. */
  run(signal: AbortSignal): Promise<void>;
  /** Resolves when the first list is in the cache and its handlers have run. */
  synced(signal: AbortSignal): Promise<void>;
  hasSynced(): boolean;
  /** `namespace` is `''` for cluster-wide kinds. */
  get(namespace: string, name: string): T | undefined;
  list(): readonly T[];
  /** Called for each change, in order, after the cache has it; must not throw. Register before `run`. */
  onChange(handler: (change: InformerChange<T>) => void): void;
}
