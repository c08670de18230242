import type { ByteStream } from '../../src/base/byte-stream.ts';
import { StatusError } from '../../src/base/status-error.ts';
import type { RemoteStreams, TerminalSize } from '../../src/cri/runtime.ts';

/** Values that somebody else gives, until `end`. */
class Feed<T> implements AsyncIterable<T> {
  readonly #values: T[] = [];
  #isEnded = false;
  #wake: () => void = () => {};

  give(value: T): void {
    this.#values.push(value);
    this.#wake();
  }

  end(): void {
    this.#isEnded = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const value = this.#values.shift();
      if (value !== undefined) yield value;
      else if (this.#isEnded) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

/** What a test types, sees and does with its window, as `kubectl exec` and `kubectl attach` would. */
export class RemoteClient {
  readonly #input = new Feed<Uint8Array>();
  readonly #sizes = new Feed<TerminalSize>();
  readonly #output = { stdout: '', stderr: '' };
  readonly #pauseMs: number;
  #isWriting = false;
  #hasOverlap = false;
  #wake: () => void = () => {};

  /** `pauseMs`: how long it takes over each piece of output. */
  constructor(pauseMs = 0) {
    this.#pauseMs = pauseMs;
  }

  type(text: string): void {
    this.#input.give(new TextEncoder().encode(text));
  }

  endInput(): void {
    this.#input.end();
  }

  resize(width: number, height: number): void {
    this.#sizes.give({ width, height });
  }

  get stdout(): string {
    return this.#output.stdout;
  }

  get stderr(): string {
    return this.#output.stderr;
  }

  /** A second piece of a stream was given before the first one was taken. */
  get hasOverlap(): boolean {
    return this.#hasOverlap;
  }

  /** Resolves when its output has `text`. */
  async sees(text: string): Promise<void> {
    while (!this.stdout.includes(text)) await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  streams(asked: { readonly stdin?: boolean; readonly tty?: boolean } = {}): RemoteStreams {
    return {
      stdin: asked.stdin === true ? this.#input : undefined,
      stdout: (bytes) => this.#take('stdout', bytes),
      stderr: asked.tty === true ? undefined : (bytes) => this.#take('stderr', bytes),
      resize: asked.tty === true ? this.#sizes : undefined,
    };
  }

  async #take(stream: 'stdout' | 'stderr', bytes: Uint8Array): Promise<void> {
    if (stream === 'stdout') {
      this.#hasOverlap ||= this.#isWriting;
      this.#isWriting = true;
    }
    this.#output[stream] += new TextDecoder().decode(bytes);
    this.#wake();
    if (this.#pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, this.#pauseMs));
    if (stream === 'stdout') this.#isWriting = false;
  }
}

/** The client's side of one forwarded connection. */
export class ForwardedClient {
  readonly #input = new Feed<Uint8Array>();
  #received = '';
  #isEnded = false;
  #isDestroyed = false;
  #wake: () => void = () => {};

  readonly stream: ByteStream = {
    incoming: this.#input,
    write: async (bytes) => {
      if (this.#isDestroyed) throw new StatusError('ServiceUnavailable', 'the connection was lost');
      this.#received += new TextDecoder().decode(bytes);
      this.#wake();
    },
    end: async () => void (this.#isEnded = true),
    destroy: () => {
      this.#isDestroyed = true;
      this.#input.end();
    },
  };

  send(text: string): void {
    this.#input.give(new TextEncoder().encode(text));
  }

  endInput(): void {
    this.#input.end();
  }

  get received(): string {
    return this.#received;
  }

  /** The other side has said that no more comes. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  async sees(text: string): Promise<void> {
    while (!this.#received.includes(text)) await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}
