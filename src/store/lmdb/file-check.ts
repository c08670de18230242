/**
 * Looks at an LMDB file before LMDB does. LMDB trusts its file: one that was cut short, overwritten or damaged by its
 * disk ends the whole process (SIGBUS, SIGSEGV, a failed assertion), or loses keys in silence. This walks all pages in
 * use, from the newest meta page down, and checks that each is where and what it must be. It costs one pass over the
 * file. What is in the values, the checksums of `record.ts` tell.
 *
 * The layout is that of LMDB 0.9's data version 2 as the npm package `lmdb` has it, with 24 bytes of page header:
 *
 *     page    0 number u64 | 8 transaction u64 | 18 flags u16 | 20 lower u16, 22 upper u16 (overflow: 20 count u32)
 *             24 offsets of nodes u16; these, lower and upper count from byte 24
 *     meta    24 magic u32 | 28 version u32 | 48 free tree | 96 main tree | 152 transaction u64
 *     tree    0 page size u32 (only in the free tree of a meta) | 6 depth u16 | 40 root page u64
 *     node    0 size low u16, 2 high u16 | 4 flags u16 | 6 key size u16 | 8 key, data (in a branch: 0 page number u48)
 */
import fs from 'node:fs';
import { StatusError } from '../../base/status-error.ts';

const magic = 0xbeefc0de;
const knownVersion = 2;
const headerBytes = 24;
const treeBytes = 48;
const noPage = 0xffff_ffff_ffff_ffffn;
const pageFlags = { branch: 1, leaf: 2, overflow: 4, meta: 8 } as const;
const nodeFlags = { bigData: 1, tree: 2 } as const;
const depthMax = 32; // LMDB's own bound

/** Throws `InternalError` if the LMDB file is damaged. A missing or empty file is a new one. */
export function checkLmdbFile(file: string): void {
  const bytes = readWhole(file);
  if (bytes.length === 0) return;
  try {
    new FileCheck(bytes).run();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw damaged(file, error); // by Buffer's own bounds check, or by ours
  }
}

export function damaged(file: string, cause: RangeError): StatusError {
  const text = `${file} is damaged (${cause.message}): restore it from a copy, or move it away to start empty`;
  return new StatusError('InternalError', text, { cause });
}

function readWhole(file: string): Buffer {
  try {
    return fs.readFileSync(file);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
}

class FileCheck {
  readonly #bytes: Buffer;
  #pageBytes = 0;
  #visitedCount = 0; // pages; each is in use once, so a loop is found

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  run(): void {
    const first = this.#meta(0);
    this.#pageBytes = this.#bytes.readUInt32LE(48);
    const isPowerOfTwo = (this.#pageBytes & (this.#pageBytes - 1)) === 0;
    must(isPowerOfTwo && this.#pageBytes >= 256 && this.#pageBytes <= 65_536, `page size ${this.#pageBytes}`);
    const second = this.#meta(this.#pageBytes);
    const newest = second.transaction > first.transaction ? second : first;
    if (newest.version !== knownVersion) return; // another version of LMDB: its layout is for it to judge
    this.#tree(newest.offset + 48);
    this.#tree(newest.offset + 96);
  }

  #meta(offset: number): { readonly offset: number; readonly version: number; readonly transaction: bigint } {
    must(this.#bytes.readUInt32LE(offset + 24) === magic, `no database, or its first pages are gone`);
    must((this.#bytes.readUInt16LE(offset + 18) & pageFlags.meta) !== 0, `no meta page at ${offset}`);
    const transaction = this.#bytes.readBigUInt64LE(offset + 152);
    return { offset, version: this.#bytes.readUInt32LE(offset + 28), transaction };
  }

  #tree(offset: number): void {
    const depth = this.#bytes.readUInt16LE(offset + 6);
    const root = this.#bytes.readBigUInt64LE(offset + 40);
    if (root === noPage) return; // empty
    must(depth >= 1 && depth <= depthMax, `a tree of depth ${depth}`);
    this.#page(Number(root), depth);
  }

  /** Checks the page and all below it; `depth` 1 is a leaf. */
  #page(number: number, depth: number): void {
    const offset = this.#pageOffset(number, depth === 1 ? pageFlags.leaf : pageFlags.branch);
    const lower = this.#bytes.readUInt16LE(offset + 20);
    const upper = this.#bytes.readUInt16LE(offset + 22);
    const contentBytes = this.#pageBytes - headerBytes;
    must(lower % 2 === 0 && lower <= upper && upper <= contentBytes, `page ${number} has no room for its nodes`);
    for (const node of this.#nodeOffsets(offset, lower)) {
      if (depth > 1) this.#page(this.#bytes.readUIntLE(node, 6), depth - 1);
      else this.#leafNode(node, offset);
    }
  }

  #nodeOffsets(offset: number, lower: number): number[] {
    return Array.from({ length: lower / 2 }, (_, index) => {
      const at = this.#bytes.readUInt16LE(offset + headerBytes + 2 * index);
      must(at >= lower && headerBytes + at + 8 <= this.#pageBytes, `a node at ${at}`);
      return offset + headerBytes + at;
    });
  }

  #leafNode(node: number, pageOffset: number): void {
    const dataBytes = this.#bytes.readUInt16LE(node) + 65_536 * this.#bytes.readUInt16LE(node + 2);
    const flags = this.#bytes.readUInt16LE(node + 4);
    const data = node + 8 + this.#bytes.readUInt16LE(node + 6);
    const inPageBytes = (flags & nodeFlags.bigData) === 0 ? dataBytes : 8;
    must(data + inPageBytes <= pageOffset + this.#pageBytes, `a node that is longer than its page`);
    if ((flags & nodeFlags.bigData) !== 0) this.#overflow(Number(this.#bytes.readBigUInt64LE(data)), dataBytes);
    if ((flags & nodeFlags.tree) === 0) return;
    must(dataBytes >= treeBytes, `a tree of ${dataBytes} bytes`);
    this.#tree(data);
  }

  /** A value that has pages of its own. */
  #overflow(number: number, dataBytes: number): void {
    const offset = this.#pageOffset(number, pageFlags.overflow);
    const pageCount = this.#bytes.readUInt32LE(offset + 20);
    must(headerBytes + dataBytes <= pageCount * this.#pageBytes, `a value of ${dataBytes} bytes in ${pageCount} pages`);
    must(offset + pageCount * this.#pageBytes <= this.#bytes.length, `the file ends within a value`);
  }

  #pageOffset(number: number, flag: number): number {
    const offset = number * this.#pageBytes;
    this.#visitedCount += 1;
    must(this.#visitedCount * this.#pageBytes <= this.#bytes.length, `page ${number} is in use more than once`);
    must(offset + this.#pageBytes <= this.#bytes.length, `page ${number} is missing`);
    must(this.#bytes.readBigUInt64LE(offset) === BigInt(number), `page ${number} is not where it must be`);
    must((this.#bytes.readUInt16LE(offset + 18) & 0xf) === flag, `page ${number} is of the wrong kind`);
    return offset;
  }
}

function must(holds: boolean, otherwise: string): void {
  if (!holds) throw new RangeError(otherwise);
}
