import { randomBytes, randomInt } from 'node:crypto';
import type { Entropy } from '../base/entropy.ts';

const resolution = 2 ** 47; // randomInt's limit is 2^48 - 1

/** Randomness from the operating system. */
export class HostEntropy implements Entropy {
  unit(): number {
    return randomInt(resolution) / resolution;
  }

  bytes(count: number): Uint8Array {
    return randomBytes(count);
  }

  /** The operating system's randomness has no streams to keep apart. */
  fork(): Entropy {
    return this;
  }
}
