import { StatusError } from '../base/status-error.ts';
import type { FileStat, FileSystemSpace, NodeFiles, OpenFile, TmpfsOptions } from '../kubelet/node-files.ts';

interface SimFile {
  readonly kind: 'file';
  readonly identity: number;
  /** A text as it was given, which takes no room of its own; or bytes, of which the first `sizeBytes` count. */
  content: string | Uint8Array;
  sizeBytes: number;
  mode: number;
  readonly groupId: number | undefined;
  readonly userId: number | undefined;
}

interface SimDirectory {
  readonly kind: 'directory';
  readonly identity: number;
  readonly entries: Map<string, SimEntry>; // by name
  readonly mode: number;
  readonly groupId: number | undefined;
  /** Size of the tmpfs that is mounted here; `undefined`: none is. */
  tmpfsBytes: number | undefined;
}

interface SimLink {
  readonly kind: 'link';
  /** What it says: a path, relative to its directory if it does not begin with a slash. */
  readonly target: string;
}

type SimEntry = SimFile | SimDirectory | SimLink;

const encoder = new TextEncoder();
const appendedBytesMin = 256; // room that a file gets when it is first added to

/** The node's files in memory, for the simulator and tests. Obeys the contract; nothing in it ever fails for want of space. */
export class SimNodeFiles implements NodeFiles {
  readonly canMountTmpfs: boolean;
  /** For tests: what `space` answers, whatever lies there. */
  diskSpace: FileSystemSpace = { capacityBytes: 100 * 1_024 ** 3, availableBytes: 90 * 1_024 ** 3 };
  #identities = 0;
  readonly #root = this.#newDirectory(0o755, undefined);
  readonly #watchers = new Map<string, Set<() => void>>(); // by path; none of them is empty

  constructor(options: { readonly canMountTmpfs?: boolean } = {}) {
    this.canMountTmpfs = options.canMountTmpfs ?? true;
  }

  async makeDirectory(path: string, mode: number, groupId?: number): Promise<void> {
    this.#directoryAt(path, mode, groupId);
  }

  async write(
    path: string,
    content: string | Uint8Array,
    mode: number,
    groupId?: number,
    userId?: number,
  ): Promise<void> {
    const kept = typeof content === 'string' ? content : content.slice();
    this.#parentOf(path).set(nameOf(path), this.#newFile(kept, mode, groupId, userId));
    this.#changed(path);
  }

  async link(target: string, path: string): Promise<void> {
    this.#parentOf(path).set(nameOf(path), { kind: 'link', target });
  }

  async readLink(path: string): Promise<string | undefined> {
    const parent = this.#find(parentPathOf(path)).entry;
    const entry = parent?.kind === 'directory' ? parent.entries.get(nameOf(path)) : undefined;
    return entry?.kind === 'link' ? entry.target : undefined;
  }

  /** As a container's output is written: adds to the file that is there, or makes it, with its directories. */
  append(path: string, text: string): void {
    let file = this.#fileAt(path);
    if (file === undefined) {
      file = this.#newFile('', 0o640);
      this.#directoryAt(parentPathOf(path), 0o755).entries.set(nameOf(path), file);
    }
    const added = encoder.encode(text);
    const sizeBytes = file.sizeBytes + added.length;
    let { content } = file;
    if (typeof content === 'string' || content.length < sizeBytes) {
      const before = bytesOf(file);
      content = new Uint8Array(Math.max(2 * sizeBytes, appendedBytesMin));
      content.set(before);
      file.content = content;
    }
    content.set(added, file.sizeBytes);
    file.sizeBytes = sizeBytes;
    this.#changed(path);
  }

  async truncate(path: string, mode: number): Promise<void> {
    const file = this.#fileAt(path);
    if (file === undefined) return this.write(path, '', mode);
    file.content = '';
    file.sizeBytes = 0;
    file.mode = mode;
    this.#changed(path);
    return undefined;
  }

  async remove(path: string): Promise<void> {
    const parent = this.#find(parentPathOf(path)).entry;
    const entry = parent?.kind === 'directory' ? parent.entries.get(nameOf(path)) : undefined;
    if (parent?.kind !== 'directory' || entry === undefined) return;
    parent.entries.delete(nameOf(path));
    if (this.#watchers.size === 0) return;
    for (const [name, each] of below(entry, path)) if (each.kind === 'file') this.#changed(name);
  }

  async mountTmpfs(path: string, { sizeBytes, mode, groupId }: TmpfsOptions): Promise<void> {
    if (!this.canMountTmpfs) throw new StatusError('Forbidden', `mount ${path}: operation not permitted`);
    this.#directoryAt(path, mode, groupId).tmpfsBytes ??= sizeBytes;
  }

  async usedBytes(path: string): Promise<number> {
    const { entry } = this.#find(path);
    return entry === undefined ? 0 : usedBytesOf(entry);
  }

  async space(): Promise<FileSystemSpace> {
    return this.diskSpace;
  }

  async list(path: string): Promise<readonly string[]> {
    const { entry } = this.#find(path);
    return entry?.kind === 'directory' ? [...entry.entries.keys()].sort() : [];
  }

  async stat(path: string): Promise<FileStat | undefined> {
    const { entry } = this.#find(path);
    if (entry?.kind === 'file') return statOf(entry);
    return entry && { kind: 'directory', sizeBytes: 0, identity: String(entry.identity) };
  }

  async realPath(path: string): Promise<string | undefined> {
    const found = this.#find(path);
    return found.entry === undefined ? undefined : found.path;
  }

  async readTail(path: string, bytesMax: number): Promise<Uint8Array> {
    const file = this.#fileAt(path);
    if (file === undefined) return new Uint8Array(0);
    return bytesOf(file).slice(Math.max(0, file.sizeBytes - bytesMax));
  }

  async open(path: string): Promise<OpenFile | undefined> {
    const file = this.#fileAt(path);
    if (file === undefined) return undefined;
    return {
      stat: async () => statOf(file),
      read: async (offset, bytesMax) => bytesOf(file).slice(offset, offset + bytesMax),
      close: async () => {},
    };
  }

  async rename(from: string, to: string): Promise<void> {
    const file = this.#fileAt(from);
    if (file === undefined) throw new StatusError('NotFound', `rename ${from} ${to}: no such file or directory`);
    const target = this.#parentOf(to);
    this.#parentOf(from).delete(nameOf(from));
    target.set(nameOf(to), file);
    this.#changed(from);
    this.#changed(to);
  }

  /** Here only the name changes. */
  async gzip(path: string): Promise<void> {
    await this.rename(path, `${path}.gz`);
  }

  changed(path: string, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const watchers = this.#watchers.get(path) ?? new Set();
      this.#watchers.set(path, watchers);
      const stop = (): void => {
        watchers.delete(onChange);
        if (watchers.size === 0 && this.#watchers.get(path) === watchers) this.#watchers.delete(path);
      };
      const onAbort = (): void => {
        stop();
        reject(signal.reason);
      };
      const onChange = (): void => {
        stop();
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      watchers.add(onChange);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** For tests: what is in the file. */
  text(path: string): string | undefined {
    const file = this.#fileAt(path);
    return file === undefined ? undefined : new TextDecoder().decode(bytesOf(file));
  }

  /** For tests: `0440 2000`, its mode and its group if it was given one; `0400 1000:2000` with an owner. */
  ownership(path: string): string {
    const { entry } = this.#find(path);
    const owner = entry?.kind === 'file' && entry.userId !== undefined ? `${entry.userId}:` : '';
    const owners = `${owner}${entry?.groupId ?? ''}`;
    return `0${entry?.mode.toString(8)}${owners === '' ? '' : ` ${owners}`}`;
  }

  /** For tests: `PATH SIZE` of what is mounted, sorted. */
  mounts(): readonly string[] {
    const mounts: string[] = [];
    for (const [path, entry] of below(this.#root, '')) {
      if (entry.kind === 'directory' && entry.tmpfsBytes !== undefined) mounts.push(`${path} ${entry.tmpfsBytes}`);
    }
    return mounts.sort();
  }

  /** For tests: all files and links, sorted. */
  paths(): readonly string[] {
    return [...below(this.#root, '')].flatMap(([path, { kind }]) => (kind === 'directory' ? [] : [path])).sort();
  }

  /** What is at `path`, and the same path with no link in it. */
  #find(path: string): { readonly path: string; readonly entry: SimFile | SimDirectory | undefined } {
    let entry: SimEntry | undefined = this.#root;
    for (let start = 1; start <= path.length && entry !== undefined;) {
      const slash = path.indexOf('/', start);
      const end = slash < 0 ? path.length : slash;
      entry = entry.kind === 'directory' ? entry.entries.get(path.slice(start, end)) : undefined;
      if (entry?.kind === 'link') {
        const { target } = entry;
        const base = target.startsWith('/') ? target : `${path.slice(0, start)}${target}`;
        return this.#find(base + path.slice(end));
      }
      start = end + 1;
    }
    return { path, entry };
  }

  #fileAt(path: string): SimFile | undefined {
    const { entry } = this.#find(path);
    return entry?.kind === 'file' ? entry : undefined;
  }

  /** Made if it is not there, with its parents. */
  #directoryAt(path: string, mode: number, groupId?: number): SimDirectory {
    if (path === '') return this.#root;
    const { entry } = this.#find(path);
    if (entry?.kind === 'directory') return entry;
    if (entry !== undefined) throw new StatusError('InternalError', `mkdir ${path}: it is a file`);
    const { entries } = this.#directoryAt(parentPathOf(path), mode, groupId);
    const directory = this.#newDirectory(mode, groupId);
    entries.set(nameOf(path), directory);
    return directory;
  }

  /** The entries of the directory that `path` is to be in. */
  #parentOf(path: string): Map<string, SimEntry> {
    const { entry } = this.#find(parentPathOf(path));
    if (entry?.kind === 'directory') return entry.entries;
    throw new StatusError('NotFound', `open ${path}: no such file or directory`);
  }

  #changed(path: string): void {
    const watchers = this.#watchers.get(path);
    if (watchers !== undefined) for (const watcher of Array.from(watchers)) watcher();
  }

  #newFile(content: string | Uint8Array, mode: number, groupId?: number, userId?: number): SimFile {
    const sizeBytes = typeof content === 'string' ? encoder.encode(content).length : content.length;
    this.#identities += 1;
    return { kind: 'file', identity: this.#identities, content, sizeBytes, mode, groupId, userId };
  }

  #newDirectory(mode: number, groupId: number | undefined): SimDirectory {
    this.#identities += 1;
    return {
      kind: 'directory',
      identity: this.#identities,
      entries: new Map(),
      mode,
      groupId,
      tmpfsBytes: undefined,
    };
  }
}

function parentPathOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function bytesOf({ content, sizeBytes }: SimFile): Uint8Array {
  return typeof content === 'string' ? encoder.encode(content) : content.subarray(0, sizeBytes);
}

function statOf({ sizeBytes, identity }: SimFile): FileStat {
  return { kind: 'file', sizeBytes, identity: String(identity) };
}

/** Without what is mounted below it. */
function usedBytesOf(entry: SimEntry): number {
  if (entry.kind === 'link') return 0;
  if (entry.kind === 'file') return entry.sizeBytes;
  let bytes = 0;
  for (const each of entry.entries.values()) {
    if (each.kind !== 'directory' || each.tmpfsBytes === undefined) bytes += usedBytesOf(each);
  }
  return bytes;
}

/** It, and all that is below it, each with its path. */
function* below(entry: SimEntry, path: string): Generator<readonly [string, SimEntry]> {
  yield [path, entry];
  if (entry.kind !== 'directory') return;
  for (const [name, each] of entry.entries) yield* below(each, `${path}/${name}`);
}
