import fsp from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import { messageOf } from '../../base/status-error.ts';
import { TaskScope } from '../../base/task-scope.ts';
import type { LogClock } from './log-clock.ts';
import { LogLines, type LogStream } from './log-lines.ts';

const pendingBytesMax = 1_048_576; // not yet written; above it the container's output is no longer read
const sliceBytes = 8_192; // of output turned into lines at once: a millisecond even if every line is empty
const busyMsMin = 0.5; // work below this is not worth a pause
const pausePerBusyMs = 4; // a container that never stops writing gets a fifth of the event loop at most
const drainMsMax = 2_000; // after the end: for a slow disk; what is left behind by then is lost

export interface ContainerLogDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly logClock: LogClock;
}

/** Nothing: it was taken at once. */
export type LogTee = (stream: LogStream, bytes: Uint8Array) => Promise<void> | undefined;

/**
 * Writes a container's output to its log file. A container that writes faster than the disk, or than its share of
 * this process, is slowed down by its own pipe. When the file cannot be written (disk full), the container goes on,
 * its lines are dropped and counted, and one warning tells of it.
 */
export class ContainerLog {
  readonly #deps: ContainerLogDeps;
  readonly #file: string;
  readonly #scope = new TaskScope();
  readonly #readers: Promise<void>[] = [];
  #handle: fsp.FileHandle;
  #pending: Buffer[] = []; // in the order in which they were read
  #pendingBytes = 0;
  #writing: Promise<void> | undefined;
  #droppedCount = 0; // lines since the last one that was written
  #isTorn = false; // the file ends within a line

  /** Opens `file` for appending, and makes the directories above it. */
  static async open(deps: ContainerLogDeps, file: string): Promise<ContainerLog> {
    return new ContainerLog(deps, file, await openLogFile(file));
  }

  private constructor(deps: ContainerLogDeps, file: string, handle: fsp.FileHandle) {
    this.#deps = deps;
    this.#file = file;
    this.#handle = handle;
  }

  /**
   * Writes all that `source` gives, until it ends or `close` has waited long enough. `tee` gets each piece as well; a
   * promise from it holds up the source.
   */
  attach(source: Readable, stream: LogStream, tee: LogTee): void {
    const done = this.#copy(source, stream, tee);
    this.#readers.push(done);
    this.#scope.start(() => done);
  }

  /** Goes on in a new file of the same name: the old one was renamed. */
  async reopen(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
    const old = this.#handle;
    this.#handle = await openLogFile(this.#file);
    await old.close();
  }

  /** Waits until the streams have ended and all is written, but not for ever. */
  async close(sources: readonly Readable[]): Promise<void> {
    const timer = new AbortController();
    const late = this.#deps.clock.sleep(drainMsMax, 'cri.process.logDrain', timer.signal).then(
      () => sources.forEach((source) => source.destroy()),
      () => {}, // all was read in time
    );
    await Promise.race([Promise.all(this.#readers), late]);
    timer.abort();
    await this.#scope.close();
    while (this.#writing !== undefined) await this.#writing;
    await this.#handle.close();
  }

  async #copy(source: Readable, stream: LogStream, tee: LogTee): Promise<void> {
    const lines = new LogLines(stream);
    const { clock, logClock } = this.#deps;
    try {
      for await (const data of source) {
        // A stream without an encoding gives Buffers.
        const chunk = data as Buffer;
        const taken = tee(stream, chunk);
        if (taken !== undefined) await taken;
        for (let at = 0; at < chunk.length; at += sliceBytes) {
          const startedMonoMs = clock.monoMs();
          this.#write(lines.push(chunk.subarray(at, at + sliceBytes), logClock.now()));
          while (this.#pendingBytes > pendingBytesMax) await this.#writing;
          const busyMs = clock.monoMs() - startedMonoMs;
          if (busyMs < busyMsMin) continue;
          await clock.sleep(busyMs * pausePerBusyMs, 'cri.process.logPause', this.#scope.signal);
        }
      }
    } catch (error) {
      if (!source.destroyed && !this.#scope.signal.aborted) throw error;
    }
    this.#write(lines.end(logClock.now()));
  }

  #write(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined;
    });
  }

  /** Never rejects. */
  async #writeAll(): Promise<void> {
    while (this.#pending.length > 0) {
      const batch = this.#pending.length === 1 ? this.#pending[0] : Buffer.concat(this.#pending);
      this.#pending = [];
      if (batch === undefined) return;
      try {
        await this.#writeWhole(this.#isTorn ? Buffer.concat([Buffer.from('\n'), batch]) : batch);
        this.#reportDropped();
      } catch (error) {
        this.#drop(batch, error);
      }
      this.#pendingBytes -= batch.length;
    }
  }

  async #writeWhole(bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const { bytesWritten } = await this.#handle.write(bytes, at, bytes.length - at);
      at += bytesWritten;
      this.#isTorn = bytes[at - 1] !== 10;
    }
  }

  #drop(batch: Buffer, error: unknown): void {
    if (this.#droppedCount === 0) {
      this.#deps.log.warn('containerLogLost', { file: this.#file, error: messageOf(error) });
    }
    for (let at = batch.indexOf(10); at >= 0; at = batch.indexOf(10, at + 1)) this.#droppedCount += 1;
  }

  #reportDropped(): void {
    if (this.#droppedCount === 0) return;
    this.#deps.log.warn('containerLogResumed', { file: this.#file, droppedLineCount: this.#droppedCount });
    this.#droppedCount = 0;
  }
}

async function openLogFile(file: string): Promise<fsp.FileHandle> {
  await fsp.mkdir(path.dirname(file), { recursive: true, mode: 0o755 });
  return await fsp.open(file, 'a', 0o640);
}
