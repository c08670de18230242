/**
 * A key's value and revisions as bytes, with a checksum over all of it, the key included:
 *
 *     0   checksum        uint32, CRC-32 of the key and of what follows
 *     4   createRevision  float64 (exact up to 2^53)
 *     12  modRevision     float64
 *     20  value           UTF-8
 */
import { crc32 } from 'node:zlib';
import type { KeyValue } from '../store.ts';

const headerBytes = 20;

export function encodeRecord(item: KeyValue): Buffer {
  const bytes = Buffer.allocUnsafe(headerBytes + Buffer.byteLength(item.value));
  bytes.writeDoubleLE(item.createRevision, 4);
  bytes.writeDoubleLE(item.modRevision, 12);
  bytes.write(item.value, headerBytes);
  bytes.writeUInt32LE(crc32(bytes.subarray(4), crc32(item.key)), 0);
  return bytes;
}

export function recordChecksum(record: Buffer): number {
  return record.readUInt32LE(0);
}

/** Throws `RangeError` if these are not the bytes that were written for `key`. */
export function decodeRecord(key: string, record: Buffer): KeyValue {
  if (record.length < headerBytes || recordChecksum(record) !== crc32(record.subarray(4), crc32(key))) {
    throw new RangeError(`the record of ${key} does not fit its checksum`);
  }
  return {
    key,
    value: record.toString('utf8', headerBytes),
    createRevision: record.readDoubleLE(4),
    modRevision: record.readDoubleLE(12),
  };
}
