/**
 * The store: keys and values with one revision for the whole of it, modelled on etcd's. It knows no Kubernetes.
 * Implementations: `MemoryStore`, `lmdb/` and `etcd/`; all pass the suite in `test/contract/store-suite.ts`.
 *
 * Promised:
 *  - Each successful transaction that writes takes the next revision (+1 per transaction); reads and failed ones take
 *  none.
 *  - A write is acknowledged (its promise resolves) only when it is durable. Concurrent writes may share one commit.
 *  - A read sees every write that was acknowledged before the read was asked for.
 *  - A watch delivers every event after its start, in revision order, without gaps, until it ends or throws `Expired`.
 *
 * Keys are ASCII paths (`/registry/pods/default/web`), at most `keyBytesMax`; values are text (JSON), at most
 * `valueBytesMax`.
 */
export const keyBytesMax = 1_024; // namespace 63 + name 253 + prefix, with room; LMDB's own limit is 1,978
export const valueBytesMax = 3 * 1_024 * 1_024; // the API server's request limit; etcd's is 1.5 MiB by default
export const txnOpsMax = 1_024; // compares, and writes, of one transaction; etcd's default is 128
export const pendingTxnsMax = 16_384; // transactions that wait for their commit
export const watchBufferEventsMax = 16_384; // some minutes of a busy cluster, seconds of a bulk load
export const watchProgressRevisionsMax = 256; // a quiet watcher is at most so far behind

export interface KeyValue {
  readonly key: string;
  readonly value: string;
  /** Revision of the write that created the key (again, after its last delete). */
  readonly createRevision: number;
  /** Revision of the last write to the key. */
  readonly modRevision: number;
}

export interface GetResult {
  /** `undefined`: no such key. */
  readonly item: KeyValue | undefined;
  /** The store's revision when it was read. */
  readonly revision: number;
}

export interface RangeOptions {
  /** All keys that start with this. */
  readonly prefix: string;
  /** At most so many; absent: all. */
  readonly limit?: number;
  /** Only keys that sort at or after this one (for the next page: the last key + '\0'). */
  readonly from?: string;
  /** As of this revision; absent: now. `Expired` if it was compacted away, `Timeout` if it is still to come. */
  readonly atRevision?: number;
}

export interface RangeResult {
  /** Sorted by key, in byte order. */
  readonly items: readonly KeyValue[];
  /** The revision that was read: `atRevision`, or the store's own then. */
  readonly revision: number;
  /** How many more keys there are after the limit; 0 if none. */
  readonly remainingCount: number;
}

/** Holds if the key's modRevision is this; 0: the key does not exist. */
export interface Compare {
  readonly key: string;
  readonly modRevision: number;
}

export type WriteOp =
  | { readonly kind: 'put'; readonly key: string; readonly value: string }
  /** Nothing happens if there is no such key. */
  | { readonly kind: 'delete'; readonly key: string };

export interface TxnOptions {
  /** All must hold, or nothing is written. */
  readonly compare: readonly Compare[];
  /** Done together, under one revision; each key at most once. */
  readonly writes: readonly WriteOp[];
}

export type TxnResult =
  /** `revision` is that of the write; of the state that was looked at, if there was nothing to write. */
  | { readonly succeeded: true; readonly revision: number }
  /** `current` has, for each compare in order, what was there at `revision`. */
  | { readonly succeeded: false; readonly revision: number; readonly current: readonly (KeyValue | undefined)[] };

export type StoreEvent =
  /** `previous`: what was there before, `undefined` if the key is new. */
  | { readonly kind: 'put'; readonly item: KeyValue; readonly previous: KeyValue | undefined }
  | { readonly kind: 'delete'; readonly key: string; readonly revision: number; readonly previous: KeyValue };

/** Events of one or more whole revisions. */
export interface WatchBatch {
  /** In revision order. Empty when only `revision` moved, by `watchProgressRevisionsMax` or more. */
  readonly events: readonly StoreEvent[];
  /** Every event under the prefix up to here has been delivered. */
  readonly revision: number;
}

export interface WatchOptions {
  readonly prefix: string;
  /**
   * The first revision wanted: to go on after a list at revision N, N + 1. 0 and 1 are the beginning. `Expired` if it
   * was compacted away. If it is still to come, the watch waits for it.
   */
  readonly fromRevision: number;
}

export interface Store {
  /** This, `range`, `txn` and `compact` reject with `signal.reason` if it is aborted before they answer. */
  get(key: string, signal: AbortSignal): Promise<GetResult>;
  range(options: RangeOptions, signal: AbortSignal): Promise<RangeResult>;
  txn(options: TxnOptions, signal: AbortSignal): Promise<TxnResult>;
  /**
   * Batches until `signal` aborts (then it ends, without an error). A watcher that falls behind by more than
   * `watchBufferEventsMax` (or by more than the history that the store keeps) is ended with `Expired`; it can list and
   * watch again. A watcher whose prefix is quiet gets an empty batch whenever the store is
   * `watchProgressRevisionsMax` revisions past the last batch. When the store closes or fails: `ServiceUnavailable`.
   */
  watch(options: WatchOptions, signal: AbortSignal): AsyncIterable<WatchBatch>;
  /**
   * Forgets the history before `revision` (`Invalid` if it is still to come): reads and watches from before it get
   * `Expired`. What is there now stays. The store does so by itself too, when the history grows over its bounds, and
   * after a restart, which keeps the revision but no history.
   */
  compact(revision: number, signal: AbortSignal): Promise<void>;
  /** Waits for what was begun, and releases the files. Calls after it fail with `ServiceUnavailable`. */
  close(): Promise<void>;
}
