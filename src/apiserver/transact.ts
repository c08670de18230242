/** One transaction of the store, its parts as plain arguments. */
import type { Compare, Store, TxnResult, WriteOp } from '../store/store.ts';

export function transact(
  store: Store,
  compare: readonly Compare[],
  writes: readonly WriteOp[],
  signal: AbortSignal,
): Promise<TxnResult> {
  // oxlint-disable-next-line no-thenable -- the store's contract names the field so; nobody awaits the options
  return store.txn({ compare, then: writes }, signal);
}
