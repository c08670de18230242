/**
 * A set of strings in order, by UTF-16 code unit (for ASCII: byte order). Adding and removing cost the length of one
 * chunk, not of the whole set; ranges cost what they return plus the number of chunks.
 */
const chunkKeysMax = 512; // 4 KiB of pointers: what splice moves at most

/** The part of a range that was asked for. */
export interface KeyRange {
  readonly keys: readonly string[];
  /** How many more there are before `end`. */
  readonly remainingCount: number;
}

export class SortedKeys {
  readonly #chunks: string[][] = []; // none is empty; all keys of one sort before all of the next

  add(key: string): void {
    const chunkIndex = Math.max(0, this.#chunkIndexOf(key));
    const chunk = this.#chunks[chunkIndex];
    if (chunk === undefined) {
      this.#chunks.push([key]);
      return;
    }
    const index = lowerBound(chunk, key);
    if (chunk[index] === key) return;
    chunk.splice(index, 0, key);
    // Keys often come in ascending order: a full last chunk is left full rather than halved.
    const isAppend = chunkIndex === this.#chunks.length - 1 && index === chunk.length - 1;
    if (chunk.length > chunkKeysMax) {
      this.#chunks.splice(chunkIndex + 1, 0, chunk.splice(isAppend ? chunkKeysMax : chunkKeysMax / 2));
    }
  }

  delete(key: string): void {
    const chunkIndex = this.#chunkIndexOf(key);
    const chunk = this.#chunks[chunkIndex];
    if (chunk === undefined) return;
    const index = lowerBound(chunk, key);
    if (chunk[index] !== key) return;
    chunk.splice(index, 1);
    if (chunk.length === 0) this.#chunks.splice(chunkIndex, 1);
  }

  /** The first `limit` keys in [start, end); `end` absent: to the last. */
  range(start: string, end: string | undefined, limit: number): KeyRange {
    const keys: string[] = [];
    let remainingCount = 0;
    if (end !== undefined && start >= end) return { keys, remainingCount };
    for (let chunkIndex = Math.max(0, this.#chunkIndexOf(start)); chunkIndex < this.#chunks.length; chunkIndex++) {
      const chunk = this.#chunks[chunkIndex] ?? [];
      const from = lowerBound(chunk, start);
      const to = end === undefined ? chunk.length : lowerBound(chunk, end);
      const taken = Math.min(to - from, limit - keys.length);
      for (const key of chunk.slice(from, from + taken)) keys.push(key);
      remainingCount += to - from - taken;
      if (to < chunk.length) break;
    }
    return { keys, remainingCount };
  }

  /** The last chunk whose first key is at or before `key`; -1 if there is none. */
  #chunkIndexOf(key: string): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const first = this.#chunks[middle]?.[0];
      if (first !== undefined && first <= key) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

/** The first string after all those that start with `prefix`; `undefined` if there is none. */
export function prefixEnd(prefix: string): string | undefined {
  for (let length = prefix.length; length > 0; length--) {
    const last = prefix.charCodeAt(length - 1);
    if (last < 0xffff) return prefix.slice(0, length - 1) + String.fromCharCode(last + 1);
  }
  return undefined;
}

/** The index of the first key at or after `key`. */
function lowerBound(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const candidate = keys[middle];
    if (candidate !== undefined && candidate < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
