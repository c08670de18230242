import fs from 'node:fs';
import path from 'node:path';
import { StatusError, messageOf } from '../base/status-error.ts';
import type { Manifest, StaticPodSource } from '../kubelet/static-pod-source.ts';
import { yamlCodec } from './yaml-codec.ts';

const extensions: ReadonlySet<string> = new Set(['.yaml', '.yml', '.json']);
const fileBytesMax = 10 * 1_024 * 1_024; // as upstream

/**
 * The manifests of a directory: its files `*.yaml`, `*.yml` and `*.json`, each with one document, but for those whose
 * name begins with a dot, and not those in directories below it. A directory that is not there has none.
 */
export class ManifestDirectory implements StaticPodSource {
  readonly #directory: string;
  #onChange: (() => void) | undefined; // of the one who watches
  #watcher: fs.FSWatcher | undefined; // of the directory with the number `#inode`
  #inode: number | undefined;

  constructor(directory: string) {
    this.#directory = path.resolve(directory);
  }

  async read(): Promise<readonly Manifest[]> {
    this.#followDirectory();
    try {
      const names = await fs.promises.readdir(this.#directory);
      const found = await Promise.all(names.filter(isManifestName).map((name) => this.#readFile(name)));
      return found.filter((manifest) => manifest !== undefined);
    } catch (error) {
      if (isAbsent(error)) return [];
      throw new StatusError('InternalError', messageOf(error), { cause: error });
    }
  }

  async watch(onChange: () => void, signal: AbortSignal): Promise<void> {
    this.#onChange = onChange;
    this.#followDirectory();
    try {
      await untilAborted(signal);
    } finally {
      this.#onChange = undefined;
      this.#stopWatching();
    }
  }

  async #readFile(name: string): Promise<Manifest | undefined> {
    const file = path.join(this.#directory, name);
    try {
      const { size, isFile } = await statOf(file);
      if (!isFile) return undefined;
      if (size > fileBytesMax) return { path: file, content: { problem: `it has more than ${fileBytesMax} bytes` } };
      const text = await fs.promises.readFile(file, 'utf8');
      const value: unknown = file.endsWith('.json') && text.trim() !== '' ? JSON.parse(text) : yamlCodec.parse(text);
      return { path: file, content: { value } };
    } catch (error) {
      if (isAbsent(error)) return undefined; // it went in between
      return { path: file, content: { problem: firstLine(messageOf(error)) } };
    }
  }

  /** Watches what has the directory's name now; another one may have taken its place. */
  #followDirectory(): void {
    const inode = fs.statSync(this.#directory, { throwIfNoEntry: false })?.ino;
    if (this.#onChange === undefined || inode === this.#inode) return;
    this.#stopWatching();
    if (inode === undefined) return;
    try {
      this.#watcher = fs.watch(this.#directory, () => this.#onChange?.());
      this.#watcher.on('error', () => this.#stopWatching()); // the next read tries again
      this.#inode = inode;
    } catch {
      // The limit of watches is reached, or it has gone. Whoever reads now and then sees changes all the same.
    }
  }

  #stopWatching(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
    this.#inode = undefined;
  }
}

function isManifestName(name: string): boolean {
  return !name.startsWith('.') && extensions.has(path.extname(name));
}

async function statOf(file: string): Promise<{ readonly size: number; readonly isFile: boolean }> {
  const stats = await fs.promises.stat(file);
  return { size: stats.size, isFile: stats.isFile() };
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? '';
}

function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
