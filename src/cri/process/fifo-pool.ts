import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import type { Readable, Writable } from 'node:stream';

const batchCount = 16;
const spareCountMax = 256; // FIFOs kept for reuse: 64 containers and 64 execs at once; more are removed after use

/** Makes FIFOs `first`..`last` in the pool's directory; rejects when it cannot. */
export type MakeFifos = (first: number, last: number) => Promise<void>;

/** The end of a FIFO that this process reads; the other one is opened by its path. */
export interface FifoOutput {
  readonly path: string;
  readonly stream: Readable;
}

/** The end of a FIFO that this process writes. */
export interface FifoInput {
  readonly path: string;
  readonly stream: Writable;
  /** To be called once the reader has opened it, or never will: from then on the writer's end is the reader's end. */
  onReaderOpened(): void;
}

/**
 * Hands out FIFOs that nobody has open. One whose reader saw the end has no writer left, and is used again: most starts
 * and execs need no new ones.
 */
export class FifoPool {
  readonly #directory: string;
  readonly #make: MakeFifos;
  readonly #spare: string[] = []; // exist, closed on both sides
  #madeCount = 0;
  #making: Promise<void> | undefined;

  constructor(directory: string, make: MakeFifos) {
    this.#directory = directory;
    this.#make = make;
  }

  async take(): Promise<string> {
    for (;;) {
      const spare = this.#spare.pop();
      if (spare !== undefined) return spare;
      await this.refill();
    }
  }

  /** Opened for reading; given back by itself when it was read to its end. */
  async openOutput(): Promise<FifoOutput> {
    const fifo = await this.take();
    const stream = openFifo(fifo);
    let hasEnded = false;
    stream.once('end', () => (hasEnded = true));
    stream.once('close', () => (hasEnded ? this.giveBack(fifo) : this.discard(fifo)));
    return { path: fifo, stream };
  }

  /** Opened for writing, before its reader; used once. */
  async openInput(): Promise<FifoInput> {
    const fifo = await this.take();
    // Open in both directions, it can be opened by a writer without a reader, and by a reader without a writer.
    let both: number | undefined = fs.openSync(fifo, fs.constants.O_RDWR | fs.constants.O_NONBLOCK);
    const fd = fs.openSync(fifo, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK);
    const stream = new net.Socket({ fd, readable: false, writable: true });
    stream.on('error', () => {}); // EPIPE: nobody reads any more; whoever writes is told
    stream.once('close', () => {
      if (both === undefined) this.discard(fifo);
    });
    return {
      path: fifo,
      stream,
      onReaderOpened: () => {
        if (both === undefined) return;
        fs.closeSync(both);
        both = undefined;
        if (stream.closed) this.discard(fifo);
      },
    };
  }

  /** Makes one more batch, once for all who wait. */
  refill(): Promise<void> {
    this.#making ??= this.#makeBatch().finally(() => {
      this.#making = undefined;
    });
    return this.#making;
  }

  giveBack(fifo: string): void {
    if (this.#spare.length < spareCountMax) this.#spare.push(fifo);
    else this.discard(fifo);
  }

  /** For one that somebody may still have open. */
  discard(fifo: string): void {
    fs.rm(fifo, { force: true }, () => {}); // what stays is removed with the directory
  }

  async #makeBatch(): Promise<void> {
    const first = this.#madeCount;
    this.#madeCount += batchCount;
    await this.#make(first, first + batchCount - 1);
    for (let i = first; i < first + batchCount; i++) this.#spare.push(path.join(this.#directory, String(i)));
  }
}

/** The reading end, to be opened before the writer's. */
export function openFifo(fifo: string): net.Socket {
  const fd = fs.openSync(fifo, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  return new net.Socket({ fd, readable: true, writable: false });
}
