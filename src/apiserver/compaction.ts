/** Forgets the store's history every five minutes, but for the last five. Upstream: --etcd-compaction-interval. */
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { messageOf } from '../base/status-error.ts';
import type { Store } from '../store/store.ts';
import { registryPrefix } from './watch-feed.ts';

const compactionPeriodMs = 300_000;

/** Until `signal` aborts. */
export async function runCompaction(
  deps: { readonly store: Store; readonly clock: Clock; readonly log: Log },
  signal: AbortSignal,
): Promise<void> {
  let before = 0; // the store's revision one period ago
  for (;;) {
    await deps.clock.sleep(compactionPeriodMs, 'apiserver.compaction', signal);
    try {
      if (before > 0) await deps.store.compact(before, signal);
      before = (await deps.store.get(registryPrefix, signal)).revision;
    } catch (error) {
      if (signal.aborted) return;
      deps.log.warn('compactionFailed', { error: messageOf(error) }); // the next period tries again
    }
  }
}
