import { backoffMs } from './backoff.ts';
import type { Entropy } from './entropy.ts';
import type { WorkQueue } from './work-queue.ts';

/** How a reconciler wants to go on. Anything thrown is retried with back-off instead. */
export type Outcome = { readonly kind: 'settled' } | { readonly kind: 'again'; readonly afterMs: number };

export interface Reconciler<K> {
  readonly name: string;
  /** Reads the current state and moves it one step. Called again after any failure, so it must be idempotent. */
  reconcile(key: K, signal: AbortSignal): Promise<Outcome>;
}

const retryLimits = { firstMs: 5, maxMs: 1_000_000 } as const; // upstream: 5 ms doubling to 1,000 s

/** Runs one worker until `signal` aborts. Start it several times under a scope for more concurrency. */
export async function runReconciler<K>(
  reconciler: Reconciler<K>,
  queue: WorkQueue<K>,
  deps: { readonly entropy: Entropy; onError(error: unknown, key: K): void },
  signal: AbortSignal,
): Promise<void> {
  const failuresByKey = new Map<K, number>(); // consecutive failures; a key is absent after a success
  for (let key = await queue.take(); key !== undefined; key = await queue.take()) {
    try {
      const outcome = await reconciler.reconcile(key, signal);
      failuresByKey.delete(key);
      if (outcome.kind === 'again') queue.addAfter(key, outcome.afterMs);
    } catch (error) {
      if (signal.aborted) return;
      const failures = failuresByKey.get(key) ?? 0;
      failuresByKey.set(key, failures + 1);
      deps.onError(error, key); // rethrows an InvariantError: the scope, and so the process, goes down
      queue.addAfter(key, backoffMs(failures, retryLimits, deps.entropy));
    } finally {
      queue.done(key);
    }
  }
}
