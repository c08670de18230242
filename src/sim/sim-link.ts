import type { Clock } from '../base/clock.ts';
import type { HttpHandler, HttpResponse } from '../base/http.ts';
import { StatusError } from '../base/status-error.ts';

/** How long a client waits for an answer before it gives the connection up. */
const patienceMs = 30_000;

/** The network between two machines, which may be cut: then nothing arrives, either way, and nobody is told. */
export class SimLink {
  readonly #clock: Clock;
  #healing: AbortController | undefined; // while it is cut; aborted when it heals

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isCut(): boolean {
    return this.#healing !== undefined;
  }

  cut(): void {
    this.#healing ??= new AbortController();
  }

  /** What is still waited for goes through. */
  heal(): void {
    this.#healing?.abort(new Error('the network is whole again'));
    this.#healing = undefined;
  }

  /** The server on the other side. A request whose answer gets lost was carried out. */
  over(handle: HttpHandler): HttpHandler {
    return async (request, signal) => {
      await this.#passage(signal);
      const response = await handle(request, signal);
      await this.#passage(signal);
      return { ...response, body: this.#carried(response.body, signal) };
    };
  }

  #carried(body: HttpResponse['body'], signal: AbortSignal): HttpResponse['body'] {
    if (typeof body === 'string' || body instanceof Uint8Array) return body;
    const passage = (): Promise<void> => this.#passage(signal);
    async function* pieces(stream: AsyncIterable<string | Uint8Array>): AsyncIterable<string | Uint8Array> {
      for await (const piece of stream) {
        await passage();
        yield piece;
      }
    }
    return pieces(body);
  }

  /** At once while it is whole; else when it heals, if it does so in time. */
  async #passage(signal: AbortSignal): Promise<void> {
    const healing = this.#healing?.signal;
    if (healing === undefined) return;
    const waiting = new AbortController();
    const stop = (): void => waiting.abort(new Error('no longer waited for'));
    healing.addEventListener('abort', stop, { once: true });
    signal.addEventListener('abort', stop, { once: true });
    try {
      signal.throwIfAborted();
      await this.#clock.sleep(patienceMs, 'sim.link.patience', waiting.signal);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (healing.aborted) return;
      throw error;
    } finally {
      healing.removeEventListener('abort', stop);
      signal.removeEventListener('abort', stop);
    }
    throw new StatusError('Timeout', `no answer after ${patienceMs / 1_000} s`);
  }
}
