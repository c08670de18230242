/**
 * A store whose current state and recent history are in memory, and whose commits are made durable by a `CommitLog`.
 * `MemoryStore` and the LMDB store are this, with different logs. Upstream's API server keeps the same in its watch
 * cache; here it is the truth, so that reads cost no I/O, no decoding and no second copy.
 *
 * A transaction is decided at once, on the event loop, against what was begun before it; so transactions are strictly
 * ordered. Then it waits for the commit that makes it durable. One commit is under way at a time, and takes everything
 * that was begun while the one before it was written. Only then do readers and watchers see it.
 *
 *     begun     txn 5   txn 6   txn 7   txn 8
 *     commit    [--- 5 ---]     [----- 6, 7 -----]     [--- 8 ---]
 *     revision  4                5                  7              8     what get, range and watch show
 */
import { invariant, InvariantError, messageOf, StatusError, unreachable } from '../base/status-error.ts';
import { TaskScope } from '../base/task-scope.ts';
import { History, type HistoryOptions } from './history.ts';
import { prefixEnd, SortedKeys } from './sorted-keys.ts';
import { checkRange, checkRevision, checkTxn } from './store-checks.ts';
import {
  type GetResult,
  type KeyValue,
  pendingTxnsMax,
  type RangeOptions,
  type RangeResult,
  type Store,
  type StoreEvent,
  type TxnOptions,
  type TxnResult,
  type WatchBatch,
  type WatchOptions,
} from './store.ts';

export const dataBytesMaxDefault = 256 * 1_024 * 1_024; // some 100,000 pods, in memory as on disk
const commitTxnsMax = 1_024; // that share one commit
const commitBytesMax = 16 * 1_024 * 1_024; // of keys and values that share one commit, but never less than one txn

/** What becomes durable together. */
export interface Commit {
  /** The store's revision after it. */
  readonly revision: number;
  /** The last write to each key; `undefined`: deleted. */
  readonly writes: ReadonlyMap<string, KeyValue | undefined>;
}

export type CommitOutcome =
  | { readonly kind: 'durable' }
  /** Nothing of it was stored, and later commits may well succeed: no space left. */
  | { readonly kind: 'refused'; readonly error: StatusError };

export interface CommitLog {
  /** Resolves when it is worth to begin a commit: until then, more transactions may come to share it. */
  gather(): Promise<void>;
  /** Resolves once it is durable. If it rejects, nobody knows what was stored, and the store fails for good. */
  append(commit: Commit): Promise<CommitOutcome>;
  /** Called once, when no commit is under way. */
  close(): Promise<void>;
}

export interface MvccStoreOptions {
  /** What is durable at the start. */
  readonly items: Iterable<KeyValue>;
  readonly revision: number;
  readonly log: CommitLog;
  /** All keys and values together, in UTF-16 units. Over it, puts that grow get `InternalError`. Default 256 Mi. */
  readonly dataBytesMax?: number;
  readonly history?: Omit<HistoryOptions, 'revision'>;
}

/** A transaction that was decided, and waits to become durable. */
interface BegunTxn {
  readonly revision: number;
  readonly events: readonly StoreEvent[];
  readonly bytes: number; // of what it writes
  readonly growthBytes: number; // by how much the data grow with it, or shrink
  readonly waiters: Waiter[];
}

interface BegunWrite {
  /** `undefined`: a deletion. */
  readonly item: KeyValue | undefined;
  readonly txn: BegunTxn;
}

interface Waiter {
  resolve(): void;
  reject(error: unknown): void;
}

type Decision =
  | { readonly kind: 'write'; readonly events: readonly StoreEvent[] }
  /** Succeeded, but there is nothing to write. */
  | { readonly kind: 'nothing' }
  | { readonly kind: 'mismatch'; readonly current: readonly (KeyValue | undefined)[] };

export class MvccStore implements Store {
  readonly #log: CommitLog;
  readonly #history: History;
  readonly #dataBytesMax: number;
  readonly #scope = new TaskScope();
  readonly #items = new Map<string, KeyValue>(); // durable
  readonly #keys = new SortedKeys(); // those of #items
  readonly #begunWrites = new Map<string, BegunWrite>(); // the last to each key, of those that are not durable
  readonly #queue: BegunTxn[] = []; // in no commit yet; in order, and after #inFlight
  #inFlight: readonly BegunTxn[] = []; // in the commit that is under way
  #isCommitting = false; // #commitAll runs
  #revision: number; // durable
  #begunRevision: number; // #revision plus what is in #inFlight and #queue
  #begunBytes = 0; // of all items, as they will be when all that was begun is durable
  #failure: StatusError | undefined; // set once closed, failed or crashed: what every call gets
  #isLost = false; // failed or crashed: what was begun has been given up, and what the log still says is void
  #closing: Promise<void> | undefined;

  constructor(options: MvccStoreOptions) {
    this.#log = options.log;
    this.#revision = options.revision;
    this.#begunRevision = options.revision;
    this.#dataBytesMax = options.dataBytesMax ?? dataBytesMaxDefault;
    this.#history = new History({ ...options.history, revision: options.revision });
    for (const item of options.items) {
      this.#items.set(item.key, item);
      this.#keys.add(item.key);
      this.#begunBytes += bytesOf(item);
    }
  }

  async get(key: string, signal: AbortSignal): Promise<GetResult> {
    this.#enter(signal);
    return { item: this.#items.get(key), revision: this.#revision };
  }

  async range(options: RangeOptions, signal: AbortSignal): Promise<RangeResult> {
    this.#enter(signal);
    checkRange(options);
    const { prefix, from = prefix, limit = Infinity, atRevision = this.#revision } = options;
    if (atRevision > this.#revision) {
      throw new StatusError('Timeout', `revision ${atRevision} is still to come: the store is at ${this.#revision}`);
    }
    const start = from < prefix ? prefix : from;
    const end = prefixEnd(prefix);
    const changed = this.#history.changedSince(atRevision, prefix);
    if (changed.size === 0) {
      const { keys, remainingCount } = this.#keys.range(start, end, limit);
      return { items: keys.map((key) => this.#itemOf(key)), revision: atRevision, remainingCount };
    }
    const kept = this.#keys.range(start, end, Infinity).keys.filter((key) => !changed.has(key));
    const items = kept.map((key) => this.#itemOf(key));
    for (const [key, item] of changed) if (item !== undefined && key >= start) items.push(item);
    items.sort((a, b) => (a.key < b.key ? -1 : 1));
    return { items: items.slice(0, limit), revision: atRevision, remainingCount: Math.max(0, items.length - limit) };
  }

  async txn(options: TxnOptions, signal: AbortSignal): Promise<TxnResult> {
    this.#enter(signal);
    checkTxn(options);
    const decision = this.#decide(options);
    if (decision.kind === 'write') {
      const txn = this.#begin(decision.events);
      await durable(txn, signal);
      return { succeeded: true, revision: txn.revision };
    }
    // The answer may rest on a write that can still be lost; then it is given once that write is durable, as of then.
    const basis = this.#lastBegun(options);
    if (basis !== undefined) await durable(basis, signal);
    const revision = basis?.revision ?? this.#revision;
    return decision.kind === 'nothing'
      ? { succeeded: true, revision }
      : { succeeded: false, revision, current: decision.current };
  }

  async *watch(options: WatchOptions, signal: AbortSignal): AsyncGenerator<WatchBatch, void, undefined> {
    checkRevision(options.fromRevision);
    yield* this.#history.watch(options, signal);
  }

  async compact(revision: number, signal: AbortSignal): Promise<void> {
    this.#enter(signal);
    checkRevision(revision);
    if (revision > this.#revision) {
      throw new StatusError('Invalid', `cannot compact to ${revision}: the store is at ${this.#revision}`);
    }
    this.#history.compact(revision);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /**
   * Ends the store at once, as the loss of its process would: what waits, and every later call, gets `failure`. Returns
   * what is durable; with `keepInFlight` as if the commit under way had made it to the disk, unacknowledged.
   */
  crash(
    failure: StatusError,
    keepInFlight: boolean,
  ): { readonly items: Iterable<KeyValue>; readonly revision: number } {
    const kept = commitOf(keepInFlight ? this.#inFlight : []);
    const items = new Map(this.#items);
    for (const [key, item] of kept.writes) {
      if (item === undefined) items.delete(key);
      else items.set(key, item);
    }
    const revision = Math.max(this.#revision, kept.revision);
    this.#fail(failure);
    return { items: items.values(), revision };
  }

  async #close(): Promise<void> {
    this.#failure ??= new StatusError('ServiceUnavailable', 'the store is closed');
    try {
      await this.#scope.close(); // #commitAll ends when all that was begun is durable
    } finally {
      this.#history.close(this.#failure);
      await this.#log.close();
    }
  }

  #enter(signal: AbortSignal): void {
    signal.throwIfAborted();
    if (this.#failure !== undefined) throw this.#failure;
  }

  #itemOf(key: string): KeyValue {
    const item = this.#items.get(key);
    invariant(item !== undefined, `${key} is among the keys, but not among the items`);
    return item;
  }

  /** As the next transaction finds it: what was begun before counts. */
  #begunItem(key: string): KeyValue | undefined {
    const begun = this.#begunWrites.get(key);
    return begun === undefined ? this.#items.get(key) : begun.item;
  }

  #decide(options: TxnOptions): Decision {
    for (const compare of options.compare) {
      if ((this.#begunItem(compare.key)?.modRevision ?? 0) !== compare.modRevision) {
        return { kind: 'mismatch', current: options.compare.map(({ key }) => this.#begunItem(key)) };
      }
    }
    const revision = this.#begunRevision + 1;
    const events: StoreEvent[] = [];
    for (const op of options.writes) {
      const { key } = op;
      const previous = this.#begunItem(key);
      if (op.kind === 'put') {
        const createRevision = previous?.createRevision ?? revision;
        const item: KeyValue = { key, value: op.value, createRevision, modRevision: revision };
        events.push({ kind: 'put', item, previous });
      } else if (previous !== undefined) {
        events.push({ kind: 'delete', key, revision, previous });
      }
    }
    return events.length === 0 ? { kind: 'nothing' } : { kind: 'write', events };
  }

  /** The last transaction, not yet durable, that wrote a key which `options` name. */
  #lastBegun(options: TxnOptions): BegunTxn | undefined {
    let last: BegunTxn | undefined;
    for (const { key } of [...options.compare, ...options.writes]) {
      const txn = this.#begunWrites.get(key)?.txn;
      if (txn !== undefined && (last === undefined || txn.revision > last.revision)) last = txn;
    }
    return last;
  }

  #begin(events: readonly StoreEvent[]): BegunTxn {
    if (this.#inFlight.length + this.#queue.length >= pendingTxnsMax) {
      throw new StatusError('TooManyRequests', `${pendingTxnsMax} transactions wait for their commit`);
    }
    let bytes = 0;
    let growthBytes = 0;
    for (const event of events) {
      const written = event.kind === 'put' ? bytesOf(event.item) : 0;
      bytes += written;
      growthBytes += written - (event.previous === undefined ? 0 : bytesOf(event.previous));
    }
    if (growthBytes > 0 && this.#begunBytes + growthBytes > this.#dataBytesMax) {
      throw new StatusError('InternalError', `no space left: the store may hold ${this.#dataBytesMax} bytes`);
    }
    this.#begunRevision += 1;
    this.#begunBytes += growthBytes;
    const txn: BegunTxn = { revision: this.#begunRevision, events, bytes, growthBytes, waiters: [] };
    for (const event of events) {
      if (event.kind === 'put') this.#begunWrites.set(event.item.key, { item: event.item, txn });
      else this.#begunWrites.set(event.key, { item: undefined, txn });
    }
    this.#queue.push(txn);
    if (!this.#isCommitting) {
      this.#isCommitting = true;
      this.#scope.start(() => this.#commitAll());
    }
    return txn;
  }

  /** Commits until nothing waits. Goes on to the end when the store closes; ends at once when it fails or crashes. */
  async #commitAll(): Promise<void> {
    try {
      while (this.#queue.length > 0) {
        await this.#log.gather();
        if (this.#isLost) return;
        const txns = takeCommit(this.#queue);
        this.#inFlight = txns;
        const outcome = await this.#log.append(commitOf(txns));
        if (this.#isLost) return;
        if (outcome.kind === 'durable') this.#apply(txns);
        else if (outcome.kind === 'refused') this.#rollBack(outcome.error);
        else unreachable(outcome);
      }
    } catch (error) {
      if (this.#isLost) return; // the log's failure is part of the crash
      this.#fail(new StatusError('ServiceUnavailable', `the store failed: ${messageOf(error)}`, { cause: error }));
      if (error instanceof InvariantError) throw error;
    } finally {
      this.#isCommitting = false;
    }
  }

  /** Makes visible what has become durable, and acknowledges it. */
  #apply(txns: readonly BegunTxn[]): void {
    const events = txns.flatMap((txn) => txn.events);
    for (const txn of txns) {
      invariant(txn.revision === this.#revision + 1, `revision ${txn.revision} after ${this.#revision}`);
      this.#revision = txn.revision;
      for (const event of txn.events) {
        const key = event.kind === 'put' ? event.item.key : event.key;
        if (event.kind === 'put') {
          if (event.previous === undefined) this.#keys.add(key);
          this.#items.set(key, event.item);
        } else {
          this.#keys.delete(key);
          this.#items.delete(key);
        }
        if (this.#begunWrites.get(key)?.txn === txn) this.#begunWrites.delete(key);
      }
    }
    this.#inFlight = [];
    this.#history.append(events, this.#revision);
    for (const txn of txns) for (const waiter of txn.waiters) waiter.resolve();
  }

  /** Gives up all that was begun: later transactions were decided on the assumption that the earlier ones hold. */
  #rollBack(error: StatusError): void {
    const lost = [...this.#inFlight, ...this.#queue];
    this.#inFlight = [];
    this.#queue.length = 0;
    this.#begunWrites.clear();
    this.#begunRevision = this.#revision;
    for (const txn of lost) this.#begunBytes -= txn.growthBytes;
    for (const txn of lost) for (const waiter of txn.waiters) waiter.reject(error);
  }

  #fail(failure: StatusError): void {
    this.#failure = failure;
    this.#isLost = true;
    this.#rollBack(failure);
    this.#history.close(failure);
  }
}

/** Resolves when `txn` is durable; rejects if it was given up, or with `signal.reason`. */
function durable(txn: BegunTxn, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    txn.waiters.push({
      resolve() {
        signal.removeEventListener('abort', onAbort);
        resolve();
      },
      reject(error) {
        signal.removeEventListener('abort', onAbort);
        reject(error);
      },
    });
  });
}

/** Takes from the front of `queue` what shares the next commit. */
function takeCommit(queue: BegunTxn[]): readonly BegunTxn[] {
  let bytes = 0;
  let count = 0;
  for (const txn of queue) {
    bytes += txn.bytes;
    if (count > 0 && (count >= commitTxnsMax || bytes > commitBytesMax)) break;
    count += 1;
  }
  return queue.splice(0, count);
}

function commitOf(txns: readonly BegunTxn[]): Commit {
  const writes = new Map<string, KeyValue | undefined>();
  let revision = 0;
  for (const txn of txns) {
    revision = txn.revision;
    for (const event of txn.events) {
      if (event.kind === 'put') writes.set(event.item.key, event.item);
      else writes.set(event.key, undefined);
    }
  }
  return { revision, writes };
}

function bytesOf(item: KeyValue): number {
  return item.key.length + item.value.length;
}
