export interface SlowStart {
  readonly succeeded: number;
  /** The first of the failures that ended it. */
  readonly failure: unknown;
}

/**
 * Calls `create` `count` times in batches of 1, 2, 4, ... until one of a batch fails: what would fail a hundred times
 * fails once. Upstream: `slowStartBatch`.
 */
export async function slowStart(count: number, create: () => Promise<void>): Promise<SlowStart> {
  let succeeded = 0;
  let remaining = count;
  for (let size = Math.min(1, remaining); size > 0; size = Math.min(2 * size, remaining)) {
    const results = await Promise.allSettled(Array.from({ length: size }, create));
    const failed = results.filter((result) => result.status === 'rejected');
    succeeded += size - failed.length;
    const [first] = failed;
    if (first !== undefined) return { succeeded, failure: first.reason };
    remaining -= size;
  }
  return { succeeded, failure: undefined };
}
