import type { Clock } from '../base/clock.ts';
import { randomHex } from '../base/entropy.ts';
import type { Entropy } from '../base/entropy.ts';
import type { NodeFiles } from './node-files.ts';
import type { VolumeFile } from './volume-files.ts';

const dataLink = '..data';

/**
 * Writes the files of a volume so that whoever reads them sees all of them in one version:
 *
 *     ..2026_01_02_03_04_05.1a2b3c4d/token
 *     ..data -> ..2026_01_02_03_04_05.1a2b3c4d      replaced in one step; programs watch it to learn of a new version
 *     token -> ..data/token
 *
 * Upstream: `AtomicWriter`.
 */
export class VolumeWriter {
  readonly #files: NodeFiles;
  readonly #clock: Clock;
  readonly #entropy: Entropy;

  constructor(deps: { readonly files: NodeFiles; readonly clock: Clock; readonly entropy: Entropy }) {
    this.#files = deps.files;
    this.#clock = deps.clock;
    this.#entropy = deps.entropy;
  }

  /** Nothing is written if all is as wanted. `groupId`: members of this group may read every file. */
  async write(directory: string, wanted: readonly VolumeFile[], groupId: number | undefined): Promise<void> {
    const files = this.#files;
    // Set-group-ID: what is made in it belongs to the group as well.
    const directoryMode = groupId === undefined ? 0o755 : 0o2755;
    await files.makeDirectory(directory, directoryMode, groupId);
    if (await this.#isWritten(directory, wanted)) return;
    const version = this.#versionName();
    await files.makeDirectory(`${directory}/${version}`, directoryMode, groupId);
    for (const { path, content, mode, userId } of wanted) {
      const file = `${directory}/${version}/${path}`;
      if (path.includes('/')) await files.makeDirectory(file.slice(0, file.lastIndexOf('/')), directoryMode, groupId);
      // As upstream's `SetVolumeOwnership` has it.
      await files.write(file, content, groupId === undefined ? mode : mode | 0o440, groupId, userId);
    }
    await files.link(version, `${directory}/${dataLink}`);
    const shown = new Set(wanted.map(({ path }) => topOf(path)));
    for (const name of shown) {
      const target = `${dataLink}/${name}`;
      if ((await files.readLink(`${directory}/${name}`)) !== target) await files.link(target, `${directory}/${name}`);
    }
    for (const name of await files.list(directory)) {
      if (name !== dataLink && name !== version && !shown.has(name)) await files.remove(`${directory}/${name}`);
    }
  }

  /** `..2026_01_02_03_04_05.1a2b3c4d` */
  #versionName(): string {
    const time = new Date(this.#clock.wallMs()).toISOString().slice(0, 19).replaceAll(/[-T:]/g, '_');
    return `..${time}.${randomHex(this.#entropy, 4)}`;
  }

  async #isWritten(directory: string, wanted: readonly VolumeFile[]): Promise<boolean> {
    const data = `${directory}/${dataLink}`;
    if ((await this.#files.readLink(data)) === undefined) return false;
    for (const { path, content } of wanted) {
      const file = `${data}/${path}`;
      if (!sameBytes(await this.#files.readTail(file, content.length + 1), content)) return false;
      if (content.length === 0 && (await this.#files.stat(file)) === undefined) return false;
    }
    if ((await this.#countFiles(data)) !== wanted.length) return false;
    const shown = (await this.#files.list(directory)).filter((name) => !name.startsWith('..'));
    const tops = new Set(wanted.map(({ path }) => topOf(path)));
    return shown.length === tops.size && shown.every((name) => tops.has(name));
  }

  async #countFiles(directory: string): Promise<number> {
    let count = 0;
    for (const name of await this.#files.list(directory)) {
      const isDirectory = (await this.#files.stat(`${directory}/${name}`))?.kind === 'directory';
      count += isDirectory ? await this.#countFiles(`${directory}/${name}`) : 1;
    }
    return count;
  }
}

function topOf(path: string): string {
  const slash = path.indexOf('/');
  return slash < 0 ? path : path.slice(0, slash);
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false;
  return true;
}
