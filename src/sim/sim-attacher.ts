import { StatusError } from '../base/status-error.ts';
import type { RemoteStreams } from '../cri/runtime.ts';

const pendingLinesMax = 1_024; // not yet given to the client; one that falls so far behind is let go

/** One who sees a simulated container's output as it comes. */
export class SimAttacher {
  readonly #streams: RemoteStreams;
  readonly #pending: { readonly stream: 'stdout' | 'stderr'; readonly bytes: Uint8Array }[] = [];
  #state: 'open' | 'tooSlow' | 'ending' = 'open';
  #wake: () => void = () => {};

  constructor(streams: RemoteStreams) {
    this.#streams = streams;
  }

  push(stream: 'stdout' | 'stderr', text: string): void {
    if (this.#state !== 'open') return;
    if (this.#pending.length >= pendingLinesMax) this.#state = 'tooSlow';
    else this.#pending.push({ stream, bytes: new TextEncoder().encode(text) });
    this.#wake();
  }

  /** No more comes; what is there is still given. */
  end(): void {
    if (this.#state === 'open') this.#state = 'ending';
    this.#wake();
  }

  /** Gives the client what comes, until the end. */
  async run(): Promise<void> {
    for (;;) {
      if (this.#state === 'tooSlow') throw new StatusError('Timeout', 'attach: the client is too slow');
      const next = this.#pending.shift();
      if (next !== undefined) await this.#streams[next.stream]?.(next.bytes);
      else if (this.#state === 'ending') return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
