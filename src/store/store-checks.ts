/** What a store refuses before it looks at its data: the edge where keys, values and options are validated, once. */
import { StatusError } from '../base/status-error.ts';
import { keyBytesMax, type RangeOptions, txnOpsMax, type TxnOptions, valueBytesMax } from './store.ts';

/** Throws `Invalid` or `RequestEntityTooLarge` unless the transaction is one that the contract allows. */
export function checkTxn(options: TxnOptions): void {
  if (options.compare.length > txnOpsMax || options.writes.length > txnOpsMax) {
    throw new StatusError('Invalid', `a transaction may hold at most ${txnOpsMax} compares and ${txnOpsMax} writes`);
  }
  for (const compare of options.compare) {
    checkKey(compare.key);
    if (!Number.isSafeInteger(compare.modRevision) || compare.modRevision < 0) {
      throw new StatusError('Invalid', `cannot compare ${compare.key} with revision ${compare.modRevision}`);
    }
  }
  const seen = options.writes.length > 1 ? new Set<string>() : undefined;
  for (const op of options.writes) {
    checkKey(op.key);
    if (op.kind === 'put') checkValue(op.key, op.value);
    if (seen?.has(op.key)) throw new StatusError('Invalid', `${op.key} is written twice in one transaction`);
    seen?.add(op.key);
  }
}

export function checkRange(options: RangeOptions): void {
  const { limit, atRevision } = options;
  if (limit !== undefined && !(limit >= 1)) throw new StatusError('Invalid', `limit ${limit} is not at least 1`);
  if (atRevision !== undefined) checkRevision(atRevision);
}

export function checkRevision(revision: number): void {
  if (!Number.isSafeInteger(revision) || revision < 0) {
    throw new StatusError('Invalid', `${revision} is not a revision`);
  }
}

function checkKey(key: string): void {
  if (key.length === 0 || key.length > keyBytesMax) {
    throw new StatusError('Invalid', `a key must be 1 to ${keyBytesMax} bytes, not ${key.length}: ${key.slice(0, 64)}`);
  }
  if (!/^[\x21-\x7e]+$/.test(key))
    throw new StatusError('Invalid', `key ${JSON.stringify(key)} is not printable ASCII`);
}

const encoder = new TextEncoder();

function checkValue(key: string, value: string): void {
  // One UTF-16 unit is at most 3 bytes of UTF-8: the exact count is needed only near the limit.
  const isTooLong =
    value.length > valueBytesMax || (value.length * 3 > valueBytesMax && encoder.encode(value).length > valueBytesMax);
  if (isTooLong) {
    throw new StatusError('RequestEntityTooLarge', `the value of ${key} is longer than ${valueBytesMax} bytes`);
  }
  // UTF-8 has no lone surrogates: a durable store could not give them back.
  if (/\p{Surrogate}/u.test(value)) throw new StatusError('Invalid', `the value of ${key} holds a lone surrogate`);
}
