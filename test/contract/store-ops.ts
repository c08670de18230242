/** The words in which the parts of the store suite are written. */
import assert from 'node:assert/strict';
import type { Compare, Store, StoreEvent, TxnResult, WriteOp } from '../../src/store/store.ts';

export interface OpenedStore {
  /** Empty, at revision 0. */
  readonly store: Store;
  /** Ends the store as a crash would, and opens what is durable; absent if the implementation cannot. */
  readonly restart?: () => Promise<Store>;
  /** Closes what is open, and removes its files. */
  close(): Promise<void>;
}

export type OpenStore = () => Promise<OpenedStore>;
export type StoreTest = (sentence: string, body: (opened: OpenedStore, signal: AbortSignal) => Promise<void>) => void;

export const put = (key: string, value: string): WriteOp => ({ kind: 'put', key, value });
export const del = (key: string): WriteOp => ({ kind: 'delete', key });

/** A transaction that must succeed; its revision. */
export async function write(store: Store, signal: AbortSignal, ...writes: WriteOp[]): Promise<number> {
  return succeeded(await store.txn({ compare: [], writes }, signal));
}

export async function putIf(store: Store, compare: Compare, value: string, signal: AbortSignal): Promise<TxnResult> {
  return await store.txn({ compare: [compare], writes: [put(compare.key, value)] }, signal);
}

export function succeeded(result: TxnResult): number {
  assert.ok(result.succeeded, 'the transaction must succeed');
  return result.revision;
}

/** `put /a 1 (was 0)`, `del /a (was 1)`: an event on one line. */
export function describeEvent(event: StoreEvent): string {
  const was = event.previous === undefined ? '' : ` (was ${event.previous.value}@${event.previous.modRevision})`;
  return event.kind === 'put'
    ? `${event.item.modRevision} put ${event.item.key} ${event.item.value}${was}`
    : `${event.revision} del ${event.key}${was}`;
}
