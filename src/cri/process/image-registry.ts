import fs from 'node:fs';
import path from 'node:path';
import { readJsonFile, writeJsonFile } from './json-file.ts';

/**
 * Which directory is which image: `images.json` in the state directory. `livelet image` writes it while a cluster runs,
 * so it is read again whenever it has changed.
 */
export class ImageRegistry {
  readonly #file: string;
  #entries = new Map<string, string>();
  #version = ''; // of the file that was read

  constructor(stateDir: string) {
    this.#file = path.join(stateDir, 'images.json');
  }

  /** Directories by image name (as `imageNameText` writes it). */
  get entries(): ReadonlyMap<string, string> {
    const stat = fs.statSync(this.#file, { throwIfNoEntry: false });
    const version = stat === undefined ? '' : `${stat.ino} ${stat.mtimeMs} ${stat.size}`;
    if (version !== this.#version) {
      this.#entries = readEntries(this.#file);
      this.#version = version;
    }
    return this.#entries;
  }

  async set(imageName: string, directory: string): Promise<void> {
    await this.#write(new Map([...this.entries, [imageName, directory]]));
  }

  /** False: it was not there. */
  async delete(imageName: string): Promise<boolean> {
    const entries = new Map(this.entries);
    if (!entries.delete(imageName)) return false;
    await this.#write(entries);
    return true;
  }

  async #write(entries: ReadonlyMap<string, string>): Promise<void> {
    await writeJsonFile(this.#file, Object.fromEntries(entries));
  }
}

function readEntries(file: string): Map<string, string> {
  const value = readJsonFile(file);
  if (typeof value !== 'object' || value === null) return new Map();
  return new Map(Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}
