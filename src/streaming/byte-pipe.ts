/** So many bytes wait for their reader; then the writer waits. */
export const pipeBytesMax = 256 * 1_024;

type PipeEnd =
  | { readonly kind: 'open' }
  | { readonly kind: 'ended' }
  | { readonly kind: 'failed'; readonly error: unknown };

/**
 * Bytes from one writer to one reader. What was written before the end is still read after it; what is written after
 * the end, or once nobody reads any more, is dropped.
 */
export class BytePipe implements AsyncIterable<Uint8Array> {
  readonly #chunks: Uint8Array[] = []; // not empty ones
  #bufferedBytes = 0; // of #chunks
  #end: PipeEnd = { kind: 'open' };
  #wakeReader: () => void = () => {};
  #wakeWriters: (() => void)[] = []; // those who wait for room

  /** Resolves when there is room for more. */
  async push(bytes: Uint8Array): Promise<void> {
    if (this.#end.kind !== 'open' || bytes.length === 0) return;
    this.#chunks.push(bytes);
    this.#bufferedBytes += bytes.length;
    this.#wakeReader();
    await this.drained();
  }

  /** Resolves when there is room. */
  async drained(): Promise<void> {
    while (this.isFull) await new Promise<void>((resolve) => this.#wakeWriters.push(resolve));
  }

  get isFull(): boolean {
    return this.#bufferedBytes > pipeBytesMax;
  }

  /** Nothing more will come. */
  end(): void {
    if (this.#end.kind === 'open') this.#end = { kind: 'ended' };
    this.#wakeReader();
  }

  /** What was written is still read; then the reader fails with `error`. */
  fail(error: unknown): void {
    if (this.#end.kind === 'open') this.#end = { kind: 'failed', error };
    this.#wakeReader();
  }

  /** Nobody reads any more: what waits is dropped, and the reader, if it still waits, sees the end. */
  discard(): void {
    this.end();
    this.#chunks.length = 0;
    this.#took(this.#bufferedBytes);
  }

  #took(byteCount: number): void {
    this.#bufferedBytes -= byteCount;
    if (this.isFull) return;
    const waiting = this.#wakeWriters;
    this.#wakeWriters = [];
    for (const wake of waiting) wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (;;) {
        const chunk = this.#chunks.shift();
        if (chunk !== undefined) {
          this.#took(chunk.length);
          yield chunk;
        } else if (this.#end.kind === 'failed') {
          throw this.#end.error;
        } else if (this.#end.kind === 'ended') {
          return;
        } else {
          await new Promise<void>((resolve) => (this.#wakeReader = resolve));
        }
      }
    } finally {
      this.discard();
    }
  }
}
