/** One transaction of the store, its parts as plain arguments. */
import type { Compare, Store, TxnResult, WriteOp } from '../store/store.ts';

export function transact(
  store: Store,
  compare: readonly Compare[],
  writes: readonly WriteOp[],
  signal: AbortSignal,
): Promise<TxnResult> {
  return store.txn({ compare, writes }, signal);
}
