import type { Entropy } from '../base/entropy.ts';

/** Randomness that is a function of its seed (xoshiro128**). Not for secrets. */
export class SeededEntropy implements Entropy {
  readonly #seed: string;
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  constructor(seed: string) {
    this.#seed = seed;
    let hash = 0x811c9dc5;
    const word = (): number => {
      for (let i = 0; i <= seed.length; i++) {
        hash = Math.imul(hash ^ (i < seed.length ? seed.charCodeAt(i) : 0x23), 0x01000193) >>> 0;
      }
      hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 0;
      return hash === 0 ? 1 : hash;
    };
    this.#a = word();
    this.#b = word();
    this.#c = word();
    this.#d = word();
  }

  unit(): number {
    return this.#next() / 0x1_0000_0000;
  }

  bytes(count: number): Uint8Array {
    const bytes = new Uint8Array(count);
    for (let i = 0; i < count; i++) bytes[i] = this.#next() >>> 24;
    return bytes;
  }

  fork(label: string): Entropy {
    return new SeededEntropy(`${this.#seed}/${label}`);
  }

  #next(): number {
    const product = Math.imul(this.#b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result;
  }
}
