/**
 * One process at a time owns a data directory. The owner leaves a file in it that names its process id and when that
 * process started, so that a file left behind by SIGKILL or a power cut is seen to be stale, even if its id has been
 * given to another process since. The file is for the clear message; that two owners could do no harm where it
 * misjudges (two containers that do not see each other's processes) is ensured by the epoch in `lmdb-log.ts`.
 */
import fs from 'node:fs';
import path from 'node:path';
import { messageOf, StatusError } from '../../base/status-error.ts';

const lockFileName = 'livelet.lock';
const takeOverAttemptsMax = 5; // each fails only if another process took the stale file away just then

export interface DirectoryLock {
  /** Gives the directory back; does nothing if somebody else has taken it over. */
  release(): void;
}

interface Owner {
  readonly pid: number;
  /** When the process started, in clock ticks since the computer did; '' where that is not known (not Linux). */
  readonly startTicks: string;
  /** Differs after a restart of the computer; '' where that is not known. */
  readonly bootId: string;
}

/**
 * Takes `directory`, which is made if it is missing (mode 0700). Throws `Conflict` if a living process has it,
 * `Forbidden` if nothing can be written there.
 */
export function lockDirectory(directory: string): DirectoryLock {
  const file = path.join(directory, lockFileName);
  const own = `${JSON.stringify(ownerOf(process.pid))}\n`;
  try {
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
    for (let attempt = 0; attempt < takeOverAttemptsMax; attempt++) {
      if (createFile(file, own)) return { release: () => removeFile(file, own) };
      const found = readFile(file);
      const owner = parseOwner(found);
      if (owner !== undefined && isAlive(owner)) throw inUse(directory, owner.pid);
      if (found !== undefined) removeFile(file, found);
    }
  } catch (error) {
    if (error instanceof StatusError) throw error;
    throw new StatusError('Forbidden', `cannot write to data directory ${directory}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  throw new StatusError('Conflict', `data directory ${directory} is wanted by several processes at once`);
}

/** The process that has `directory` now; `undefined` if nobody has. */
export function directoryOwnerPid(directory: string): number | undefined {
  const owner = parseOwner(readFile(path.join(directory, lockFileName)));
  return owner !== undefined && isAlive(owner) ? owner.pid : undefined;
}

function inUse(directory: string, pid: number): StatusError {
  return new StatusError('Conflict', `data directory ${directory} is in use by livelet pid ${pid}`);
}

/** Whether the file was made; `false`: there is one already. */
function createFile(file: string, text: string): boolean {
  try {
    fs.writeFileSync(file, text, { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

function readFile(file: string): string | undefined {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Removes the file if it still holds `text`. */
function removeFile(file: string, text: string): void {
  if (readFile(file) === text) fs.rmSync(file, { force: true });
}

/** `undefined` for what no owner can have written whole: the computer stopped before it was on the disk. */
function parseOwner(text: string | undefined): Owner | undefined {
  try {
    const parsed: unknown = JSON.parse(text ?? '');
    if (typeof parsed !== 'object' || parsed === null) return undefined;
    const { pid, startTicks, bootId } = { pid: 0, startTicks: '', bootId: '', ...parsed };
    return Number.isSafeInteger(pid) && pid > 0 ? { pid, startTicks, bootId } : undefined;
  } catch {
    return undefined; // not JSON
  }
}

function isAlive(owner: Owner): boolean {
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    if (codeOf(error) === 'ESRCH') return false;
  }
  const now = ownerOf(owner.pid);
  return now.startTicks === owner.startTicks && now.bootId === owner.bootId;
}

/** On Linux, a process that has ended but was not yet waited for has no start either: it holds nothing any more. */
function ownerOf(pid: number): Owner {
  return { pid, startTicks: startTicksOf(pid), bootId: readProc('/proc/sys/kernel/random/boot_id').trim() };
}

function startTicksOf(pid: number): string {
  // pid (name) state ppid ... starttime is field 22; the name may hold spaces and parentheses.
  const fields = readProc(`/proc/${pid}/stat`)
    .replace(/^.*\) /s, '')
    .split(' ');
  const isEnded = fields[0] === 'Z' || fields[0] === 'X';
  return isEnded ? 'ended' : (fields[19] ?? '');
}

function readProc(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return ''; // not Linux, or the process is gone
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
