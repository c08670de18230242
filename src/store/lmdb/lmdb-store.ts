import fs from 'node:fs';
import path from 'node:path';
import { type Log, noLog } from '../../base/log.ts';
import { messageOf, StatusError } from '../../base/status-error.ts';
import type { HistoryOptions } from '../history.ts';
import { type CommitLog, dataBytesMaxDefault, MvccStore } from '../mvcc-store.ts';
import type { Store } from '../store.ts';
import { type DirectoryLock, lockDirectory } from './directory-lock.ts';
import { checkLmdbFile } from './file-check.ts';
import { openLmdbLog } from './lmdb-log.ts';

export interface LmdbStoreOptions {
  /**
   * The data directory. It is made if it is missing (mode 0700), belongs to this process until `close`, and gets the
   * files `livelet.lock`, `store/data.mdb` and `store/lock.mdb` (mode 0600: there are secrets in them).
   */
  readonly directory: string;
  /** All keys and values together, in UTF-16 units. Over it, puts that grow get `InternalError`. Default 256 Mi. */
  readonly dataBytesMax?: number;
  readonly history?: Omit<HistoryOptions, 'revision'>;
  readonly log?: Log;
  /** The directory's lock, if its holder is the caller, who releases it. Default: taken, and released by `close`. */
  readonly lock?: DirectoryLock;
}

// A value of half a page or more takes whole pages, and a commit needs room for the new beside the old.
const mapBytesPerDataByte = 4;

/**
 * Opens the embedded store: current state and recent history in memory (see `mvcc-store.ts`), durable in LMDB.
 *
 *     const store = await openLmdbStore({ directory: '/var/lib/livelet', log });
 *
 * Rejects with a `StatusError` whose message can be shown as it is:
 *  - `Conflict`: `data directory DIR is in use by livelet pid N`
 *  - `Forbidden`: `cannot write to data directory DIR: ...`
 *  - `InternalError`: the files are damaged, of an unknown format, or there is no space left.
 */
export async function openLmdbStore(options: LmdbStoreOptions): Promise<Store> {
  const lock = options.lock === undefined ? lockDirectory(options.directory) : { release() {} };
  try {
    const directory = path.join(options.directory, 'store');
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
    checkLmdbFile(path.join(directory, 'data.mdb'));
    const dataBytesMax = options.dataBytesMax ?? dataBytesMaxDefault;
    const mapBytes = mapBytesPerDataByte * dataBytesMax;
    const { log, items, revision } = openLmdbLog({ directory, mapBytes, log: options.log ?? noLog });
    const locked: CommitLog = {
      gather: () => log.gather(),
      append: (commit) => log.append(commit),
      async close() {
        try {
          await log.close();
        } finally {
          lock.release();
        }
      },
    };
    return new MvccStore({ ...options, items, revision, dataBytesMax, log: locked });
  } catch (error) {
    lock.release();
    if (error instanceof StatusError) throw error;
    const text = `cannot open the store in data directory ${options.directory}: ${messageOf(error)}`;
    throw new StatusError('InternalError', text, { cause: error });
  }
}
