import { execFile } from 'node:child_process';
import { createReadStream, createWriteStream, readFileSync, watch } from 'node:fs';
import type { Stats } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { createGzip } from 'node:zlib';
import { StatusError, messageOf } from '../base/status-error.ts';
import type { FileStat, FileSystemSpace, NodeFiles, OpenFile, TmpfsOptions } from '../kubelet/node-files.ts';

const runFile = promisify(execFile);
const mountMsMax = 10_000; // of one call of mount or umount
const capSysAdmin = 21n;
const blockBytes = 512; // the unit of `blocks`, whatever the file system's own

/** The files of this computer, for a kubelet. */
export class HostNodeFiles implements NodeFiles {
  readonly canMountTmpfs = mayMount();
  readonly #mountPid: () => number | undefined;
  #writeCount = 0; // makes the names of unfinished files unique

  /**
   * `mountPid`: a process in whose mount namespace containers see volumes, if that is not this process's: it does not
   * see what is mounted here later, unless an init like systemd shares all mounts.
   */
  constructor(mountPid: () => number | undefined = () => undefined) {
    this.#mountPid = mountPid;
  }

  makeDirectory(directory: string, mode: number, groupId?: number): Promise<void> {
    return translated(`mkdir ${directory}`, async () => {
      // Only what was made just now: the mode of others is their owner's business.
      if (await makePath(directory)) await own(directory, mode, groupId);
    });
  }

  write(file: string, content: string | Uint8Array, mode: number, groupId?: number, userId?: number): Promise<void> {
    return this.#replace(`write ${file}`, file, async (unfinished) => {
      await fs.writeFile(unfinished, content, { mode: 0o600 });
      await own(unfinished, mode, groupId, userId);
    });
  }

  link(target: string, file: string): Promise<void> {
    return this.#replace(`symlink ${file}`, file, (unfinished) => fs.symlink(target, unfinished));
  }

  /** What `make` makes takes the place of `file` in one step. */
  #replace(what: string, file: string, make: (unfinished: string) => Promise<void>): Promise<void> {
    return translated(what, async () => {
      this.#writeCount += 1;
      const unfinished = `${file}.${process.pid}-${this.#writeCount}.tmp`;
      try {
        await make(unfinished);
        await fs.rename(unfinished, file);
      } catch (error) {
        await fs.rm(unfinished, { force: true });
        throw error;
      }
    });
  }

  readLink(file: string): Promise<string | undefined> {
    return translated(`readlink ${file}`, async () => {
      try {
        return await orAbsent(() => fs.readlink(file));
      } catch (error) {
        if (codeOf(error) === 'EINVAL') return undefined; // something else is there
        throw error;
      }
    });
  }

  truncate(file: string, mode: number): Promise<void> {
    return translated(`truncate ${file}`, async () => {
      await fs.writeFile(file, '');
      await fs.chmod(file, mode);
    });
  }

  remove(target: string): Promise<void> {
    return translated(`remove ${target}`, async () => {
      if (this.canMountTmpfs) {
        // The innermost first.
        for (const mount of (await mountsWithin(target)).reverse()) await unmount(mount);
      }
      await fs.rm(target, { recursive: true, force: true });
    });
  }

  mountTmpfs(directory: string, { sizeBytes, mode, groupId }: TmpfsOptions): Promise<void> {
    return translated(`mount ${directory}`, async () => {
      await fs.mkdir(directory, { recursive: true });
      const pid = this.#mountPid();
      if ((await mountsWithin(directory, pid)).includes(await fs.realpath(directory))) return;
      const size = sizeBytes === 0 ? [] : [`size=${sizeBytes}`];
      const options = [...size, `mode=${mode.toString(8)}`, ...(groupId === undefined ? [] : [`gid=${groupId}`])];
      const args = ['-t', 'tmpfs', '-o', options.join(','), 'tmpfs', directory];
      if (pid === undefined) await runTool('mount', args);
      else await runTool('nsenter', [`--mount=/proc/${pid}/ns/mnt`, 'mount', ...args]);
    });
  }

  usedBytes(target: string, signal: AbortSignal): Promise<number> {
    return translated(`measure ${target}`, async () => {
      const top = await orAbsent(() => fs.lstat(target));
      if (top === undefined) return 0;
      const seen = new Set<number>(); // files with several names count once
      return usedBelow(target, top, top.dev, seen, signal);
    });
  }

  space(target: string): Promise<FileSystemSpace> {
    return translated(`statfs ${target}`, async () => {
      const { bsize, blocks, bavail } = await fs.statfs(target);
      return { capacityBytes: bsize * blocks, availableBytes: bsize * bavail };
    });
  }

  list(directory: string): Promise<readonly string[]> {
    return translated(`list ${directory}`, async () => {
      const names = await orAbsent(() => fs.readdir(directory));
      return (names ?? []).sort();
    });
  }

  stat(target: string): Promise<FileStat | undefined> {
    return translated(`stat ${target}`, async () => {
      const found = await orAbsent(() => fs.stat(target));
      return found && statOf(found);
    });
  }

  realPath(target: string): Promise<string | undefined> {
    return translated(`lstat ${target}`, () => orAbsent(() => fs.realpath(target)));
  }

  readTail(file: string, bytesMax: number): Promise<Uint8Array> {
    return translated(`read ${file}`, async () => {
      const handle = await orAbsent(() => fs.open(file, 'r'));
      if (handle === undefined) return new Uint8Array(0);
      try {
        const { size } = await handle.stat();
        const start = Math.max(0, size - bytesMax);
        return await readAt(handle, start, size - start);
      } finally {
        await handle.close();
      }
    });
  }

  open(file: string): Promise<OpenFile | undefined> {
    return translated(`open ${file}`, async () => {
      const handle = await orAbsent(() => fs.open(file, 'r'));
      if (handle === undefined) return undefined;
      return {
        stat: () => translated(`stat ${file}`, async () => statOf(await handle.stat())),
        read: (offset, bytesMax) => translated(`read ${file}`, () => readAt(handle, offset, bytesMax)),
        close: () => translated(`close ${file}`, () => handle.close()),
      };
    });
  }

  rename(from: string, to: string): Promise<void> {
    return translated(`rename ${from} ${to}`, () => fs.rename(from, to));
  }

  gzip(file: string): Promise<void> {
    return translated(`gzip ${file}`, async () => {
      const unfinished = `${file}.tmp`; // a crash must not leave half a packed file under the final name
      await pipeline(createReadStream(file), createGzip(), createWriteStream(unfinished));
      await fs.rename(unfinished, `${file}.gz`);
      await fs.rm(file);
    });
  }

  changed(file: string, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason as Error); // the contract: the reason, unwrapped
    return new Promise((resolve, reject) => {
      const end = (settle: () => void): void => {
        watcher.close();
        signal.removeEventListener('abort', onAbort);
        settle();
      };
      const onAbort = (): void => end(() => reject(signal.reason as Error)); // the same
      const watcher = watch(path.dirname(file), (_event, name) => {
        if (name === null || name === path.basename(file)) end(resolve);
      });
      // The directory went away, or the kernel's watches are used up: the caller polls as well.
      watcher.on('error', () => watcher.close());
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }
}

/** Whether this process may mount file systems: Linux, with CAP_SYS_ADMIN. */
function mayMount(): boolean {
  try {
    const [, capabilities] = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
    return capabilities !== undefined && ((BigInt(`0x${capabilities}`) >> capSysAdmin) & 1n) === 1n;
  } catch {
    return false; // no /proc: not Linux
  }
}

/** Mount points at or below `target`, the outermost first, as this process or another one sees them. */
async function mountsWithin(target: string, pid?: number): Promise<string[]> {
  const real = await orAbsent(() => fs.realpath(target));
  if (real === undefined) return [];
  const table = await fs.readFile(`/proc/${pid ?? 'self'}/mountinfo`, 'utf8');
  const points = table.split('\n').map((line) => unescaped(line.split(' ')[4] ?? ''));
  return points.filter((point) => point === real || point.startsWith(`${real}/`)).sort();
}

// The kernel writes space, tab, newline and backslash as octal numbers.
function unescaped(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** One that is in use goes as soon as its last user does. */
function unmount(point: string): Promise<void> {
  return runTool('umount', ['--lazy', point]);
}

async function runTool(name: string, args: readonly string[]): Promise<void> {
  try {
    await runFile(name, args, { timeout: mountMsMax });
  } catch (error) {
    const hasText = error instanceof Error && 'stderr' in error && typeof error.stderr === 'string';
    const text = hasText ? String(error.stderr).trim() : '';
    throw new StatusError('InternalError', text === '' ? messageOf(error) : text, { cause: error });
  }
}

async function usedBelow(
  target: string,
  found: Stats,
  device: number,
  seen: Set<number>,
  signal: AbortSignal,
): Promise<number> {
  signal.throwIfAborted();
  if (found.dev !== device || seen.has(found.ino)) return 0; // another file system is mounted there
  if (found.nlink > 1 && !found.isDirectory()) seen.add(found.ino);
  let bytes = found.blocks * blockBytes;
  if (!found.isDirectory()) return bytes;
  for (const name of (await orAbsent(() => fs.readdir(target))) ?? []) {
    const inner = path.join(target, name);
    const stat = await orAbsent(() => fs.lstat(inner));
    if (stat !== undefined) bytes += await usedBelow(inner, stat, device, seen, signal);
  }
  return bytes;
}

async function own(target: string, mode: number, groupId: number | undefined, userId?: number): Promise<void> {
  const isGiven = groupId !== undefined || userId !== undefined;
  // First the owner: to change it takes the set-group-ID bit away.
  if (isGiven && process.getuid?.() === 0) await fs.chown(target, userId ?? -1, groupId ?? -1);
  await fs.chmod(target, mode);
}

function statOf(found: Stats): FileStat {
  return { kind: kindOf(found), sizeBytes: found.size, identity: `${found.dev}:${found.ino}` };
}

function kindOf(found: Stats): FileStat['kind'] {
  if (found.isFile()) return 'file';
  if (found.isDirectory()) return 'directory';
  if (found.isSocket()) return 'socket';
  if (found.isCharacterDevice()) return 'charDevice';
  return found.isBlockDevice() ? 'blockDevice' : 'other';
}

async function readAt(handle: fs.FileHandle, offset: number, bytesMax: number): Promise<Uint8Array> {
  const buffer = new Uint8Array(bytesMax);
  let filled = 0;
  while (filled < bytesMax) {
    const { bytesRead } = await handle.read(buffer, filled, bytesMax - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

function codeOf(error: unknown): string | undefined {
  const hasCode = typeof error === 'object' && error !== null && 'code' in error;
  return hasCode && typeof error.code === 'string' ? error.code : undefined;
}

/** `undefined` where there is no such file. */
async function orAbsent<T>(task: () => Promise<T>): Promise<T | undefined> {
  try {
    return await task();
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** With upstream's words: `mkdir /x: read-only file system`. */
async function translated<T>(what: string, task: () => Promise<T>): Promise<T> {
  try {
    return await task();
  } catch (error) {
    const reason = codeOf(error) === 'ENOENT' ? 'NotFound' : 'InternalError';
    throw new StatusError(reason, `${what}: ${systemText(messageOf(error))}`, { cause: error });
  }
}

// Of `EROFS: read-only file system, mkdir '/x'` only what it means.
function systemText(message: string): string {
  return /^E[A-Z]+: (.*?), [a-z]+(?: '.*)?$/s.exec(message)?.[1] ?? message;
}

/**
 * Whether it was made. Node's own recursive way tries for ever where the kernel says ENOENT for a new directory
 * (`/proc`).
 */
async function makePath(directory: string): Promise<boolean> {
  try {
    return await makeOne(directory);
  } catch (error) {
    const parent = path.dirname(directory);
    if (codeOf(error) !== 'ENOENT' || parent === directory) throw error;
    await makePath(parent);
    return await makeOne(directory);
  }
}

async function makeOne(directory: string): Promise<boolean> {
  try {
    await fs.mkdir(directory);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST' && (await fs.stat(directory)).isDirectory()) return false;
    throw error;
  }
}
