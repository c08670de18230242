/**
 * The commits of a store in LMDB: the current value of each key, and one `state` record. History is not kept: after a
 * restart, watches and reads from before it get `Expired`, as after a compaction; clients list again, as they must be
 * able to anyhow.
 *
 * Durable means: LMDB writes the pages of a commit, then fdatasync, then the meta page on a descriptor opened with
 * O_DSYNC, all on a thread of its own, and only then resolves (`overlappingSync: false`; with it on, which is the
 * library's default, the promise would resolve before the data are on the disk). This was checked with strace.
 *
 * Each commit is conditional on the epoch that this process wrote when it opened the file. If another process has
 * opened it since, in spite of the directory's lock, the commit does nothing and the store here fails for good.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import type { Log } from '../../base/log.ts';
import { messageOf, StatusError } from '../../base/status-error.ts';
import type { Commit, CommitLog, CommitOutcome } from '../mvcc-store.ts';
import type { KeyValue } from '../store.ts';
import { damaged } from './file-check.ts';
import { decodeRecord, encodeRecord, recordChecksum } from './record.ts';

const format = 1;
const stateKey = ' state'; // no key of a store holds a space, and none sorts before it
const mapFullCode = -30_792; // MDB_MAP_FULL
const fullBytes = 16 * 1_024 * 1_024; // one commit: with less left, it is the disk that is full

type Lmdb = RootDatabase<Buffer, string>;

/** What the `state` record says of all others: JSON; its version in LMDB is the epoch. */
interface State {
  readonly format: number;
  readonly revision: number;
  readonly itemCount: number;
  /** All records' checksums, combined by exclusive or: one that is missing, or old, shows. */
  readonly checksum: number;
}

export interface LmdbLogOptions {
  /** `data.mdb` and `lock.mdb` are in it. */
  readonly directory: string;
  /** The address space that the file is mapped into. It is not memory, and not the file's size. */
  readonly mapBytes: number;
  readonly log: Log;
}

/** Opens the file, and reads all that is in it. Throws what LMDB throws; `InternalError` if something is damaged. */
export function openLmdbLog(options: LmdbLogOptions): { log: CommitLog; items: KeyValue[]; revision: number } {
  const dataFile = path.join(options.directory, 'data.mdb');
  const isNew = !fs.existsSync(dataFile);
  const lmdb = open<Buffer, string>({
    path: options.directory,
    noSubdir: false,
    overlappingSync: false,
    eventTurnBatching: false, // commits are batched by the store above; here each is one `ifVersion` block
    mapSize: options.mapBytes,
    maxDbs: 1, // one nameless one: each with a name would cost a commit to make
    encoding: 'binary',
    useVersions: true,
  });
  try {
    for (const name of ['data.mdb', 'lock.mdb']) fs.chmodSync(path.join(options.directory, name), 0o600);
    const epoch = takeOver(lmdb, options.directory);
    if (isNew) for (const each of [options.directory, path.dirname(options.directory)]) syncDirectory(each);
    const { items, checksums, state } = load(lmdb); // after it: from here on nobody else can write
    lmdb.resetReadTxn(); // a reader that stays keeps old pages from being used again
    const log = new LmdbLog({ ...options, lmdb, epoch, checksums, checksum: state.checksum });
    return { log, items, revision: state.revision };
  } catch (error) {
    closeQuietly(lmdb);
    throw error instanceof RangeError ? damaged(dataFile, error) : error;
  }
}

/** Makes this process the one whose commits count; returns the epoch. */
function takeOver(lmdb: Lmdb, directory: string): number {
  return lmdb.transactionSync(() => {
    const found = lmdb.getEntry(stateKey);
    const state =
      found === undefined ? { format, revision: 0, itemCount: 0, checksum: 0 } : parseState(found.value.toString());
    if (state.format !== format) {
      const text = `the store in ${directory} has format ${state.format}: this version of Livelet reads ${format}`;
      throw new StatusError('InternalError', text);
    }
    const epoch = (found?.version ?? 0) + 1;
    lmdb.putSync(stateKey, encodeState(state), epoch);
    return epoch;
  });
}

function load(lmdb: Lmdb): { items: KeyValue[]; checksums: Map<string, number>; state: State } {
  const items: KeyValue[] = [];
  const checksums = new Map<string, number>();
  let checksum = 0;
  let stateText = 'missing';
  for (const { key, value } of lmdb.getRange({})) {
    if (key === stateKey) {
      stateText = value.toString();
      continue;
    }
    items.push(decodeRecord(key, value));
    checksums.set(key, recordChecksum(value));
    checksum ^= recordChecksum(value);
  }
  const state = parseState(stateText);
  if (state.itemCount !== items.length || state.checksum !== checksum) {
    const found = JSON.stringify({ itemCount: items.length, checksum });
    throw new RangeError(`its state is ${stateText}, but what is there is ${found}`);
  }
  return { items, checksums, state };
}

function encodeState(state: State): Buffer {
  return Buffer.from(JSON.stringify(state));
}

function parseState(text: string): State {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null) {
      const state = { format: NaN, revision: NaN, itemCount: NaN, checksum: NaN, ...parsed };
      if (Object.values(state).every((value) => Number.isSafeInteger(value))) return state;
    }
  } catch {
    // not JSON: the same message
  }
  throw new RangeError(`its state is ${text.slice(0, 200)}`);
}

interface LmdbLogParts {
  readonly directory: string;
  readonly lmdb: Lmdb;
  readonly epoch: number;
  readonly checksums: Map<string, number>;
  readonly checksum: number;
  readonly log: Log;
}

class LmdbLog implements CommitLog {
  readonly #parts: LmdbLogParts;
  readonly #checksums: Map<string, number>; // of each durable record
  #checksum: number; // of all of them
  #isBroken = false; // LMDB may hold its lock for ever: closing it could hang

  constructor(parts: LmdbLogParts) {
    this.#parts = parts;
    this.#checksums = parts.checksums;
    this.#checksum = parts.checksum;
  }

  /** Until the event loop has looked at all that came in: what it brings shares the commit. */
  gather(): Promise<void> {
    return new Promise((resolve) => {
      setImmediate(resolve);
    });
  }

  async append(commit: Commit): Promise<CommitOutcome> {
    const { lmdb, epoch } = this.#parts;
    const records = new Map<string, Buffer | undefined>();
    for (const [key, item] of commit.writes) records.set(key, item === undefined ? undefined : encodeRecord(item));
    const after = this.#stateAfter(commit.revision, records);
    let isWritten: boolean;
    try {
      isWritten = await lmdb.ifVersion(stateKey, epoch, () => {
        // Inside the block these resolve at once, before anything is written: what counts is the block.
        for (const [key, record] of records) {
          if (record === undefined) void lmdb.remove(key);
          else void lmdb.put(key, record);
        }
        void lmdb.put(stateKey, encodeState(after), epoch);
      });
    } catch (error) {
      return await this.#refused(error);
    }
    if (!isWritten) throw new StatusError('ServiceUnavailable', 'another process has taken over the data directory');
    for (const [key, record] of records) {
      if (record === undefined) this.#checksums.delete(key);
      else this.#checksums.set(key, recordChecksum(record));
    }
    this.#checksum = after.checksum;
    return { kind: 'durable' };
  }

  async close(): Promise<void> {
    if (!this.#isBroken) await this.#parts.lmdb.close();
  }

  #stateAfter(revision: number, records: ReadonlyMap<string, Buffer | undefined>): State {
    let checksum = this.#checksum;
    let itemCount = this.#checksums.size;
    for (const [key, record] of records) {
      const before = this.#checksums.get(key);
      checksum ^= (before ?? 0) ^ (record === undefined ? 0 : recordChecksum(record));
      itemCount += (record === undefined ? 0 : 1) - (before === undefined ? 0 : 1);
    }
    return { format, revision, itemCount, checksum };
  }

  /**
   * LMDB gives up a commit that fails, unless its very last step did, the new meta page: then nobody knows, and LMDB
   * refuses every transaction from then on. So if it accepts one, nothing of the commit was stored.
   */
  async #refused(error: unknown): Promise<CommitOutcome> {
    const cause = await commitErrorOf(error);
    const message = messageOf(cause);
    try {
      this.#parts.lmdb.transactionSync(() => {});
    } catch {
      this.#isBroken = true;
      this.#parts.log.error('storeFailed', { message });
      throw cause;
    }
    const isFull = isNoSpace(cause, this.#parts.directory);
    this.#parts.log.warn(isFull ? 'storeFull' : 'storeCommitFailed', { message });
    const text = isFull ? 'no space left on device' : `cannot write to the store: ${message}`;
    return { kind: 'refused', error: new StatusError('InternalError', text, { cause }) };
  }
}

/** The library rejects with a general error whose `commitError` is a promise that rejects with the real one. */
async function commitErrorOf(error: unknown): Promise<unknown> {
  if (!(error instanceof Error) || !('commitError' in error)) return error;
  try {
    await error.commitError;
    return error;
  } catch (commitError) {
    return commitError;
  }
}

/** LMDB makes EIO of a write that was cut short, which on a full disk is how the first failure comes. */
function isNoSpace(error: unknown, directory: string): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false;
  const { ENOSPC, EDQUOT, EFBIG, EIO } = os.constants.errno;
  if (error.code === EIO) {
    const { bavail, bsize } = fs.statfsSync(directory);
    return bavail * bsize < fullBytes;
  }
  return [ENOSPC, EDQUOT, EFBIG, mapFullCode].some((code) => code === error.code);
}

/** Makes the names in it durable: without it, a new file may be on the disk, but under no name. */
function syncDirectory(directory: string): void {
  if (process.platform === 'win32') return; // directories cannot be opened there
  const descriptor = fs.openSync(directory, 'r');
  try {
    fs.fsyncSync(descriptor);
  } finally {
    fs.closeSync(descriptor);
  }
}

function closeQuietly(lmdb: Lmdb): void {
  lmdb.close().catch(() => {
    // the error that made us close it is the one to tell
  });
}
