import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setMaxListeners } from 'node:events';
import type { Log } from '../base/log.ts';
import { noLog } from '../base/log.ts';
import { TaskScope, prepareScopeSignals } from '../base/task-scope.ts';
import { HostClock } from '../host/host-clock.ts';
import { HostEntropy } from '../host/host-entropy.ts';
import { HostNodeFiles } from '../host/node-files.ts';
import { lockDirectory } from '../store/lmdb/directory-lock.ts';

prepareScopeSignals((signal) => setMaxListeners(0, signal));

/** What was opened so far, to be closed in reverse order. */
export class Opened {
  readonly #closers: (() => Promise<void> | void)[] = [];

  add(close: () => Promise<void> | void): void {
    this.#closers.push(close);
  }

  /** Closes everything, whatever fails on the way; throws the first failure at the end. */
  async close(): Promise<void> {
    let failure: unknown;
    for (let close = this.#closers.pop(); close !== undefined; close = this.#closers.pop()) {
      try {
        await close();
      } catch (error) {
        failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
  }

  /** Opens by `body`; if it fails, closes what it had opened. */
  static async for<T>(body: (opened: Opened) => Promise<T>): Promise<T> {
    const opened = new Opened();
    try {
      return await body(opened);
    } catch (error) {
      await opened.close();
      throw error;
    }
  }
}

/** What every program of ours has of its computer. */
export interface HostParts {
  readonly scope: TaskScope;
  readonly clock: HostClock;
  readonly entropy: HostEntropy;
  readonly log: Log;
  readonly dataDir: string;
  /** On the data directory. */
  readonly lock: ReturnType<typeof lockDirectory>;
  /** Nobody will come back to the data directory. */
  readonly isTemporary: boolean;
}

/** The caller adds the scope's closing to `opened`, after everything that its tasks use. */
export function openHost(opened: Opened, options: { readonly dataDir?: string; readonly log?: Log }): HostParts {
  const isTemporary = options.dataDir === undefined;
  const dataDir = options.dataDir ?? fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-'));
  // With what is mounted below it: volumes in memory.
  if (isTemporary) opened.add(() => new HostNodeFiles().remove(dataDir));
  const lock = lockDirectory(dataDir);
  opened.add(() => lock.release());
  const [scope, clock, entropy, log] = [new TaskScope(), new HostClock(), new HostEntropy(), options.log ?? noLog];
  return { scope, clock, entropy, log, dataDir, lock, isTemporary };
}
