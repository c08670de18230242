/**
 * The node's files as the kubelet needs them: pod directories, volumes, termination messages, logs. Paths are absolute,
 * with `/`. Host version `host/node-files.ts`, in memory `sim/sim-node-files.ts`. Failures are `StatusError`s.
 */
export interface FileStat {
  readonly kind: 'file' | 'directory' | 'socket' | 'charDevice' | 'blockDevice' | 'other';
  readonly sizeBytes: number;
  /** Stays with the file when it is renamed; another file at the same path has another one. */
  readonly identity: string;
}

/** An open file; goes on being the same file after a rename. */
export interface OpenFile {
  stat(): Promise<FileStat>;
  /** At most `bytesMax` from `offset`; fewer, or none, at its end. */
  read(offset: number, bytesMax: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

export interface NodeFiles {
  /**
   * With its parents; one that is there stays as it is. `mode` as in `0o755`, whatever the process' umask. `groupId`:
   * the group that it belongs to, where this process may give files to groups (it is root); else it is left out.
   */
  makeDirectory(path: string, mode: number, groupId?: number): Promise<void>;
  /**
   * Replaces the whole file in one step: readers see the old or the new content, and nobody sees it who may not.
   * `groupId`, and `userId` of its owner, as above.
   */
  write(path: string, content: string | Uint8Array, mode: number, groupId?: number, userId?: number): Promise<void>;
  /** A symbolic link that says `target` (which need not be there). One that is at `path` is replaced in one step. */
  link(target: string, path: string): Promise<void>;
  /** What a symbolic link says; `undefined`: there is none at `path`. */
  readLink(path: string): Promise<string | undefined>;
  /** Empties or makes it, in place: for files that are mounted into containers. */
  truncate(path: string, mode: number): Promise<void>;
  /**
   * A file, or a directory with all that is in it; what is mounted below it is unmounted. Nothing happens if there is
   * none.
   */
  remove(path: string): Promise<void>;
  /** The names in it, links too, sorted; none if there is no such directory. */
  list(path: string): Promise<readonly string[]>;
  /** Follows symbolic links; `undefined`: there is none. */
  stat(path: string): Promise<FileStat | undefined>;
  /** The same place without symbolic links in its path; `undefined`: there is none. */
  realPath(path: string): Promise<string | undefined>;
  /** The last `bytesMax` bytes; empty if there is no such file. */
  readTail(path: string, bytesMax: number): Promise<Uint8Array>;
  /** For reading; `undefined`: there is none. Whoever opens it closes it. */
  open(path: string): Promise<OpenFile | undefined>;
  rename(from: string, to: string): Promise<void>;
  /** Packs `path` into `path.gz`, and removes it. */
  gzip(path: string): Promise<void>;
  /** Resolves after the next change of the file or when another takes its place; may resolve without one. */
  changed(path: string, signal: AbortSignal): Promise<void>;
  /** Whether `mountTmpfs` works here: it takes Linux and the capability to mount. */
  readonly canMountTmpfs: boolean;
  /**
   * A file system in memory at this directory, which is made if it is not there. `sizeBytes`: at most so much; 0: half
   * of the memory, as the kernel has it. One that is mounted there already stays. `groupId` as above.
   */
  mountTmpfs(path: string, options: TmpfsOptions): Promise<void>;
  /** What a file or a directory takes of its disk, with all that is in it, but not what is mounted below it. */
  usedBytes(path: string, signal: AbortSignal): Promise<number>;
  /** Of the file system that it lies on. */
  space(path: string): Promise<FileSystemSpace>;
}

export interface TmpfsOptions {
  readonly sizeBytes: number;
  readonly mode: number;
  readonly groupId: number | undefined;
}

export interface FileSystemSpace {
  readonly capacityBytes: number;
  /** For those who are not root. */
  readonly availableBytes: number;
}
