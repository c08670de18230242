import fs from 'node:fs';
import fsp from 'node:fs/promises';
import path from 'node:path';
import type { ContainerConfig, NamespaceMode, PodSandboxConfig, PodSandboxStatus } from '../runtime.ts';
import { readJsonFile, removeUnfinished, writeJsonFile } from './json-file.ts';

const podCidrFile = 'pod-cidr.json';

/** What is kept on disk, so that a later start knows what ran. */

export interface SandboxRecord {
  readonly id: string;
  readonly config: PodSandboxConfig;
  readonly createdWallMs: number;
  readonly state: 'ready' | 'notReady';
  readonly ips: readonly string[];
  /** What it got, which is the machine's network if the launcher has no other, whatever `config` asked for. */
  readonly networkMode: NamespaceMode;
}

export function sandboxStatus(record: SandboxRecord): PodSandboxStatus {
  const { id, config, createdWallMs, state, ips, networkMode } = record;
  const { metadata, labels, annotations } = config;
  return { id, metadata, state, createdWallMs, ips, networkMode, labels, annotations };
}

export type RecordedState =
  | { readonly kind: 'created' }
  /** `pid` and `startTicks` find a leftover; `undefined` where its launcher ends it. */
  | { readonly kind: 'running'; readonly startedWallMs: number; readonly leftover: ProcessIdentity | undefined }
  | {
      readonly kind: 'exited';
      readonly startedWallMs: number;
      readonly finishedWallMs: number;
      readonly exitCode: number;
      readonly reason: string;
      readonly message: string;
    };

/** A process of this machine, told apart from a later one with the same number. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of `/proc/PID/stat`; empty where there is none. */
  readonly startTicks: string;
}

export interface ContainerRecord {
  readonly id: string;
  readonly podSandboxId: string;
  readonly podUid: string;
  readonly config: ContainerConfig;
  readonly imageName: string;
  readonly imageId: string;
  readonly stopSignal: string;
  readonly logFile: string;
  readonly createdWallMs: number;
  readonly state: RecordedState;
}

/** The records of one runtime: `sandboxes/ID.json` and `containers/ID.json` in `stateDir`. */
export class Records {
  readonly #stateDir: string;
  readonly #writes = new Map<string, Promise<void>>(); // the last write per file: they must not overtake one another

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
    for (const name of ['sandboxes', 'containers']) {
      fs.mkdirSync(this.#directory(name), { recursive: true, mode: 0o700 });
      removeUnfinished(this.#directory(name));
    }
  }

  /** What is readable; a file that a power cut has left broken is passed over. */
  load(): { readonly sandboxes: readonly SandboxRecord[]; readonly containers: readonly ContainerRecord[] } {
    const read = (name: string): unknown[] =>
      fs
        .readdirSync(this.#directory(name))
        .filter((file) => file.endsWith('.json'))
        .map((file) => readJsonFile(path.join(this.#directory(name), file)))
        .filter((value) => typeof value === 'object' && value !== null && 'id' in value && 'config' in value);
    return {
      // Written by `save` below, whole or not at all.
      sandboxes: read('sandboxes') as SandboxRecord[],
      // As above.
      containers: read('containers') as ContainerRecord[],
    };
  }

  /** The range of the node's pods as it was last told; `undefined`: it never was. */
  podCidr(): string | undefined {
    const value = readJsonFile(path.join(this.#stateDir, podCidrFile));
    return typeof value === 'string' ? value : undefined;
  }

  savePodCidr(podCidr: string): Promise<void> {
    return this.#after(path.join(this.#stateDir, podCidrFile), (file) => writeJsonFile(file, podCidr));
  }

  saveSandbox(record: SandboxRecord): Promise<void> {
    return this.#after(this.#file('sandboxes', record.id), (file) => writeJsonFile(file, record));
  }

  saveContainer(record: ContainerRecord): Promise<void> {
    return this.#after(this.#file('containers', record.id), (file) => writeJsonFile(file, record));
  }

  removeSandbox(id: string): Promise<void> {
    return this.#after(this.#file('sandboxes', id), (file) => fsp.rm(file, { force: true }));
  }

  removeContainer(id: string): Promise<void> {
    return this.#after(this.#file('containers', id), (file) => fsp.rm(file, { force: true }));
  }

  #directory(name: string): string {
    return path.join(this.#stateDir, name);
  }

  #file(name: string, id: string): string {
    return path.join(this.#directory(name), `${id}.json`);
  }

  async #after(file: string, write: (file: string) => Promise<void>): Promise<void> {
    const previous = this.#writes.get(file) ?? Promise.resolve();
    const done = previous.then(
      () => write(file),
      () => write(file), // whoever made the failed write was told
    );
    this.#writes.set(file, done);
    try {
      await done;
    } finally {
      if (this.#writes.get(file) === done) this.#writes.delete(file);
    }
  }
}
