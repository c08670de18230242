import type { Clock } from '../../base/clock.ts';

export type Within<T> = { readonly kind: 'inTime'; readonly value: T } | { readonly kind: 'late' };

/** What `promise` resolves to, if it does so within `delayMs`. `name` labels the timer. */
export async function within<T>(clock: Clock, delayMs: number, name: string, promise: Promise<T>): Promise<Within<T>> {
  const timer = new AbortController();
  const late = clock.sleep(delayMs, name, timer.signal).then(
    () => ({ kind: 'late' }) as const,
    () => ({ kind: 'late' }) as const, // aborted below: nobody looks any more
  );
  try {
    return await Promise.race([promise.then((value) => ({ kind: 'inTime', value }) as const), late]);
  } finally {
    timer.abort();
  }
}
