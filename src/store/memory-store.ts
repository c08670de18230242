import type { Clock } from '../base/clock.ts';
import { StatusError } from '../base/status-error.ts';
import type { HistoryOptions } from './history.ts';
import { type CommitLog, MvccStore } from './mvcc-store.ts';
import type {
  GetResult,
  KeyValue,
  RangeOptions,
  RangeResult,
  Store,
  TxnOptions,
  TxnResult,
  WatchBatch,
  WatchOptions,
} from './store.ts';

export interface MemoryStoreOptions {
  /**
   * How long a commit takes to become durable; transactions that come meanwhile share the next one. Absent: at once
   * (after some microtasks), and so no write can be lost.
   */
  readonly commit?: { readonly clock: Clock; readonly delayMs: number };
  /** All keys and values together, in UTF-16 units. Default 256 Mi. */
  readonly dataBytesMax?: number;
  readonly history?: Omit<HistoryOptions, 'revision'>;
}

export interface MemoryStoreContent {
  readonly items: Iterable<KeyValue>;
  readonly revision: number;
}

/**
 * The store of tests and of the simulator: nothing survives the process, but what would is kept apart from what would
 * not, so that a crash can be simulated.
 *
 *     const store = new MemoryStore();                                               // a unit test
 *     const store = new MemoryStore({ commit: { clock, delayMs: 2 } });              // the simulator
 *     const restarted = store.crash({ keepInFlight: entropy.unit() < 0.5 });         // the process died
 */
export class MemoryStore implements Store {
  readonly #options: MemoryStoreOptions;
  readonly #store: MvccStore;
  readonly #crashed = new AbortController();

  constructor(options: MemoryStoreOptions = {}, content: MemoryStoreContent = { items: [], revision: 0 }) {
    this.#options = options;
    const log = options.commit === undefined ? instantLog : delayedLog(options.commit, this.#crashed.signal);
    this.#store = new MvccStore({ ...options, ...content, log });
  }

  get(key: string, signal: AbortSignal): Promise<GetResult> {
    return this.#store.get(key, signal);
  }

  range(options: RangeOptions, signal: AbortSignal): Promise<RangeResult> {
    return this.#store.range(options, signal);
  }

  txn(options: TxnOptions, signal: AbortSignal): Promise<TxnResult> {
    return this.#store.txn(options, signal);
  }

  watch(options: WatchOptions, signal: AbortSignal): AsyncGenerator<WatchBatch, void, undefined> {
    return this.#store.watch(options, signal);
  }

  compact(revision: number, signal: AbortSignal): Promise<void> {
    return this.#store.compact(revision, signal);
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  /**
   * What the next process finds: a new store with what was durable, at the revision of that, and no history. Writes
   * that were begun are lost; with `keepInFlight`, those of the commit under way are kept although nobody was told.
   * This store is dead: what waits on it, and every later call, gets `ServiceUnavailable`.
   */
  crash(options: { readonly keepInFlight: boolean } = { keepInFlight: false }): MemoryStore {
    const failure = new StatusError('ServiceUnavailable', 'the store crashed');
    const content = this.#store.crash(failure, options.keepInFlight);
    this.#crashed.abort(failure);
    return new MemoryStore(this.#options, content);
  }
}

const instantLog: CommitLog = {
  gather: () => Promise.resolve(),
  append: () => Promise.resolve({ kind: 'durable' }),
  close: () => Promise.resolve(),
};

function delayedLog({ clock, delayMs }: { clock: Clock; delayMs: number }, crashed: AbortSignal): CommitLog {
  return {
    ...instantLog,
    async append() {
      await clock.sleep(delayMs, 'store.commit', crashed);
      return { kind: 'durable' };
    },
  };
}
