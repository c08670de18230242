import { invariant } from '../base/status-error.ts';

/** A map that forgets the entry used longest ago when it would hold more than `sizeMax`. */
export class LruMap<K, V> {
  readonly #entries = new Map<K, V>(); // in order of last use, oldest first
  readonly #sizeMax: number;

  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: K): V | undefined {
    const value = this.#entries.get(key);
    if (value === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, value);
    return value;
  }

  set(key: K, value: V): void {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    if (this.#entries.size <= this.#sizeMax) return;
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest);
      break;
    }
    invariant(this.#entries.size === this.#sizeMax, `${this.#entries.size} entries, at most ${this.#sizeMax}`);
  }

  delete(key: K): void {
    this.#entries.delete(key);
  }

  /** Oldest use first. */
  entries(): IterableIterator<[K, V]> {
    return this.#entries.entries();
  }
}
