import { StatusError } from '../base/status-error.ts';
import type { ContainerEvent } from './runtime.ts';

const pendingEventsMax = 4_096; // per listener; one that falls so far behind must relist

interface Listener {
  readonly pending: ContainerEvent[];
  wake: () => void;
  failure: StatusError | undefined;
}

/**
 * Hands every event to every listener, in order. What `ContainerRuntime.events` promises, for runtimes in this
 * process.
 */
export class ContainerEvents {
  readonly #listeners = new Set<Listener>();

  emit(event: ContainerEvent): void {
    for (const listener of this.#listeners) {
      if (listener.pending.length >= pendingEventsMax) {
        listener.failure = new StatusError('Expired', `${pendingEventsMax} events were not read in time`);
        this.#listeners.delete(listener);
      } else {
        listener.pending.push(event);
      }
      listener.wake();
    }
  }

  /** Ends every listener with an error, as a lost connection would. */
  breakOff(reason: string): void {
    for (const listener of this.#listeners) {
      listener.failure = new StatusError('ServiceUnavailable', reason);
      listener.wake();
    }
    this.#listeners.clear();
  }

  /** Listens from this call on, not from the first `next()`. Ends quietly when `signal` aborts. */
  listen(signal: AbortSignal): AsyncIterable<ContainerEvent> {
    const listener: Listener = { pending: [], wake: () => {}, failure: undefined };
    if (!signal.aborted) this.#listeners.add(listener);
    const onAbort = (): void => {
      this.#listeners.delete(listener);
      listener.wake();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    return this.#read(listener, signal, () => {
      signal.removeEventListener('abort', onAbort);
      this.#listeners.delete(listener);
    });
  }

  async *#read(listener: Listener, signal: AbortSignal, end: () => void): AsyncGenerator<ContainerEvent> {
    try {
      while (!signal.aborted) {
        const event = listener.pending.shift();
        if (event !== undefined) {
          yield event;
          continue;
        }
        if (listener.failure !== undefined) throw listener.failure;
        await new Promise<void>((resolve) => (listener.wake = resolve));
      }
    } finally {
      end();
    }
  }
}
