import type { Clock } from './clock.ts';
import { invariant } from './status-error.ts';

/**
 * A set of keys waiting to be worked on. Hands a key to one worker at a time; a key added while it is being worked on
 * is
 * handed out once more afterwards, however often it was added. Promises no order between keys. Upstream: `workqueue`.
 */
export class WorkQueue<K> {
  readonly #ready = new Set<K>(); // waiting for a worker; disjoint from #active
  readonly #active = new Set<K>(); // handed out, not yet done()
  readonly #dirtyWhileActive = new Set<K>(); // added again while active; a subset of #active
  readonly #takers: ((key: K | undefined) => void)[] = []; // non-empty only while #ready is empty
  // earliest per key
  readonly #delayed = new Map<K, { readonly dueMonoMs: number; readonly cancel: AbortController }>();
  readonly #clock: Clock;
  #closed = false;

  constructor(deps: { readonly clock: Clock; readonly signal: AbortSignal }) {
    this.#clock = deps.clock;
    if (deps.signal.aborted) this.#close();
    else deps.signal.addEventListener('abort', () => this.#close(), { once: true });
  }

  /** How many keys wait for a worker now. */
  get length(): number {
    return this.#ready.size;
  }

  add(key: K): void {
    if (this.#closed) return;
    if (this.#active.has(key)) {
      this.#dirtyWhileActive.add(key);
      return;
    }
    const taker = this.#takers.shift();
    if (taker === undefined) {
      this.#ready.add(key);
    } else {
      this.#active.add(key);
      taker(key);
    }
  }

  /** Adds `key` after `delayMs`. One pending delay per key: the earliest wins. */
  addAfter(key: K, delayMs: number): void {
    if (this.#closed) return;
    const dueMonoMs = this.#clock.monoMs() + delayMs;
    const pending = this.#delayed.get(key);
    if (pending !== undefined && pending.dueMonoMs <= dueMonoMs) return;
    pending?.cancel.abort();
    const cancel = new AbortController();
    this.#delayed.set(key, { dueMonoMs, cancel });
    this.#clock.sleep(delayMs, 'workQueue.addAfter', cancel.signal).then(
      () => {
        this.#delayed.delete(key);
        this.add(key);
      },
      () => {}, // replaced by an earlier delay, or closed
    );
  }

  /** The next key; `undefined` once the queue is closed. Every key taken must be given back with `done`. */
  take(): Promise<K | undefined> {
    if (this.#closed) return Promise.resolve(undefined);
    for (const key of this.#ready) {
      this.#ready.delete(key);
      this.#active.add(key);
      return Promise.resolve(key);
    }
    return new Promise((resolve) => this.#takers.push(resolve));
  }

  /** Ends the work on `key`, which may then be handed out again. */
  done(key: K): void {
    invariant(this.#active.delete(key), `done(${String(key)}) without take()`);
    if (this.#dirtyWhileActive.delete(key)) this.add(key);
  }

  #close(): void {
    this.#closed = true;
    for (const { cancel } of this.#delayed.values()) cancel.abort();
    this.#delayed.clear();
    for (const taker of this.#takers.splice(0)) taker(undefined);
  }
}
