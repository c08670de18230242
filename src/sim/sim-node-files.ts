import { StatusError } from '../base/status-error.ts';
import type { FileStat, FileSystemSpace, NodeFiles, OpenFile, TmpfsOptions } from '../kubelet/node-files.ts';

interface SimOwnership {
  readonly mode: number;
  readonly groupId: number | undefined;
}

interface SimFile {
  readonly userId?: number;
  readonly identity: string;
  bytes: Uint8Array;
  mode: number;
  readonly groupId: number | undefined;
}

const encoder = new TextEncoder();

/** The node's files in memory, for the simulator and tests. Obeys the contract; nothing in it ever fails for want of space. */
export class SimNodeFiles implements NodeFiles {
  readonly canMountTmpfs: boolean;
  /** For tests: what `space` answers, whatever lies there. */
  diskSpace: FileSystemSpace = { capacityBytes: 100 * 1_024 ** 3, availableBytes: 90 * 1_024 ** 3 };
  readonly #mounts = new Map<string, number>(); // of tmpfs: path -> size in bytes
  readonly #files = new Map<string, SimFile>();
  readonly #directories = new Map<string, SimOwnership>([['', { mode: 0o755, groupId: undefined }]]); // '' is the root
  readonly #links = new Map<string, string>(); // path -> what it says: a path relative to its directory
  readonly #watchers = new Map<string, Set<() => void>>(); // by path
  #identities = 0;

  constructor(options: { readonly canMountTmpfs?: boolean } = {}) {
    this.canMountTmpfs = options.canMountTmpfs ?? true;
  }

  async makeDirectory(path: string, mode: number, groupId?: number): Promise<void> {
    const parts = path.split('/');
    for (let count = 2; count <= parts.length; count++) {
      const directory = parts.slice(0, count).join('/');
      if (this.#files.has(directory)) throw new StatusError('InternalError', `mkdir ${path}: ${directory} is a file`);
      if (!this.#directories.has(directory)) this.#directories.set(directory, { mode, groupId });
    }
  }

  async write(
    path: string,
    content: string | Uint8Array,
    mode: number,
    groupId?: number,
    userId?: number,
  ): Promise<void> {
    this.#checkParent(path);
    const bytes = typeof content === 'string' ? encoder.encode(content) : content.slice();
    const owner = userId === undefined ? {} : { userId };
    this.#files.set(path, { identity: this.#newIdentity(), bytes, mode, groupId, ...owner });
    this.#changed(path);
  }

  async link(target: string, path: string): Promise<void> {
    this.#checkParent(path);
    this.#links.set(path, target);
  }

  async readLink(path: string): Promise<string | undefined> {
    return this.#links.get(path);
  }

  /** Where the links in `path` lead. */
  #resolved(path: string): string {
    if (this.#links.size === 0) return path;
    const parts = path.split('/');
    for (let count = 2; count <= parts.length; count++) {
      const directory = parts.slice(0, count - 1).join('/');
      const target = this.#links.get(parts.slice(0, count).join('/'));
      if (target === undefined) continue;
      const base = target.startsWith('/') ? target : `${directory}/${target}`;
      return this.#resolved([base, ...parts.slice(count)].join('/'));
    }
    return path;
  }

  /** As a container's output is written: adds to the file that is there, or makes it, with its directories. */
  append(path: string, text: string): void {
    const file = this.#files.get(path);
    const added = encoder.encode(text);
    if (file === undefined) {
      const parts = path.split('/');
      for (let count = 2; count < parts.length; count++) this.#addParent(parts.slice(0, count).join('/'));
      this.#files.set(path, { identity: this.#newIdentity(), bytes: added, mode: 0o640, groupId: undefined });
    } else {
      const bytes = new Uint8Array(file.bytes.length + added.length);
      bytes.set(file.bytes);
      bytes.set(added, file.bytes.length);
      file.bytes = bytes;
    }
    this.#changed(path);
  }

  async truncate(path: string, mode: number): Promise<void> {
    const file = this.#files.get(path);
    if (file === undefined) return this.write(path, '', mode);
    file.bytes = new Uint8Array(0);
    file.mode = mode;
    this.#changed(path);
    return undefined;
  }

  async remove(path: string): Promise<void> {
    for (const name of this.#files.keys()) {
      if (name !== path && !name.startsWith(`${path}/`)) continue;
      this.#files.delete(name);
      this.#changed(name);
    }
    for (const names of [this.#directories, this.#mounts, this.#links]) {
      for (const name of names.keys()) if (name === path || name.startsWith(`${path}/`)) names.delete(name);
    }
  }

  async mountTmpfs(path: string, { sizeBytes, mode, groupId }: TmpfsOptions): Promise<void> {
    if (!this.canMountTmpfs) throw new StatusError('Forbidden', `mount ${path}: operation not permitted`);
    await this.makeDirectory(path, mode, groupId);
    if (!this.#mounts.has(path)) this.#mounts.set(path, sizeBytes);
  }

  async usedBytes(path: string): Promise<number> {
    const isBelowMount = (name: string): boolean =>
      [...this.#mounts.keys()].some((mount) => mount !== path && name.startsWith(`${mount}/`));
    return [...this.#files]
      .filter(([name]) => (name === path || name.startsWith(`${path}/`)) && !isBelowMount(name))
      .reduce((sum, [, { bytes }]) => sum + bytes.length, 0);
  }

  async space(): Promise<FileSystemSpace> {
    return this.diskSpace;
  }

  async list(path: string): Promise<readonly string[]> {
    const directory = this.#resolved(path);
    const names = [...this.#files.keys(), ...this.#directories.keys(), ...this.#links.keys()]
      .filter((name) => name.startsWith(`${directory}/`))
      .map((name) => name.slice(directory.length + 1))
      .filter((name) => !name.includes('/'));
    return names.sort();
  }

  async stat(path: string): Promise<FileStat | undefined> {
    const target = this.#resolved(path);
    const file = this.#files.get(target);
    if (file !== undefined) return statOf(file);
    return this.#directories.has(target) ? { kind: 'directory', sizeBytes: 0, identity: target } : undefined;
  }

  async realPath(path: string): Promise<string | undefined> {
    const target = this.#resolved(path);
    return this.#files.has(target) || this.#directories.has(target) ? target : undefined;
  }

  async readTail(path: string, bytesMax: number): Promise<Uint8Array> {
    const bytes = this.#files.get(this.#resolved(path))?.bytes ?? new Uint8Array(0);
    return bytes.slice(Math.max(0, bytes.length - bytesMax));
  }

  async open(path: string): Promise<OpenFile | undefined> {
    const file = this.#files.get(this.#resolved(path));
    if (file === undefined) return undefined;
    return {
      stat: async () => statOf(file),
      read: async (offset, bytesMax) => file.bytes.slice(offset, offset + bytesMax),
      close: async () => {},
    };
  }

  async rename(from: string, to: string): Promise<void> {
    const file = this.#files.get(from);
    if (file === undefined) throw new StatusError('NotFound', `rename ${from} ${to}: no such file or directory`);
    this.#checkParent(to);
    this.#files.delete(from);
    this.#files.set(to, file);
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
      const onAbort = (): void => {
        watchers.delete(onChange);
        reject(signal.reason);
      };
      const onChange = (): void => {
        watchers.delete(onChange);
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      watchers.add(onChange);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** For tests: what is in the file. */
  text(path: string): string | undefined {
    const bytes = this.#files.get(this.#resolved(path))?.bytes;
    return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
  }

  /** For tests: `0440 2000`, its mode and its group if it was given one; `0400 1000:2000` with an owner. */
  ownership(path: string): string {
    const target = this.#resolved(path);
    const file = this.#files.get(target);
    const found = file ?? this.#directories.get(target);
    const owner = file?.userId === undefined ? '' : `${file.userId}:`;
    const owners = `${owner}${found?.groupId ?? ''}`;
    return `0${found?.mode.toString(8)}${owners === '' ? '' : ` ${owners}`}`;
  }

  /** For tests: `PATH SIZE` of what is mounted, sorted. */
  mounts(): readonly string[] {
    return [...this.#mounts].map(([path, sizeBytes]) => `${path} ${sizeBytes}`).sort();
  }

  /** For tests: all files, sorted. */
  paths(): readonly string[] {
    return [...this.#files.keys(), ...this.#links.keys()].sort();
  }

  #addParent(directory: string): void {
    if (!this.#directories.has(directory)) this.#directories.set(directory, { mode: 0o755, groupId: undefined });
  }

  #checkParent(path: string): void {
    const parent = path.slice(0, path.lastIndexOf('/'));
    if (!this.#directories.has(parent)) throw new StatusError('NotFound', `open ${path}: no such file or directory`);
  }

  #changed(path: string): void {
    const watchers = this.#watchers.get(path);
    if (watchers !== undefined) for (const watcher of Array.from(watchers)) watcher();
    if (this.#watchers.get(path)?.size === 0) this.#watchers.delete(path);
  }

  #newIdentity(): string {
    this.#identities += 1;
    return String(this.#identities);
  }
}

function statOf(file: SimFile): FileStat {
  return { kind: 'file', sizeBytes: file.bytes.length, identity: file.identity };
}
