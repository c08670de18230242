import type { Clock } from './clock.ts';

/** Wakes one waiter early. A ring while nobody waits ends the next wait at once, unless it is taken back. */
export class Alarm {
  readonly #clock: Clock;
  readonly #name: string;
  #hasRung = false;
  #wake: (() => void) | undefined; // of the one who waits

  constructor(clock: Clock, name: string) {
    this.#clock = clock;
    this.#name = name;
  }

  ring(): void {
    this.#hasRung = true;
    this.#wake?.();
  }

  /** Takes back a ring that has been answered otherwise. */
  reset(): void {
    this.#hasRung = false;
  }

  /** Waits for a ring, at most `timeoutMs` (`undefined`: for ever). Rejects with `signal.reason`. */
  async wait(timeoutMs: number | undefined, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (!this.#hasRung) await this.#sleep(timeoutMs, signal);
    this.#hasRung = false;
  }

  async #sleep(timeoutMs: number | undefined, signal: AbortSignal): Promise<void> {
    const controller = new AbortController();
    const onAbort = (): void => controller.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    this.#wake = () => controller.abort(rung);
    try {
      if (timeoutMs === undefined) await untilAborted(controller.signal);
      else await this.#clock.sleep(timeoutMs, this.#name, controller.signal);
    } catch (error) {
      if (error !== rung) throw error;
    } finally {
      this.#wake = undefined;
      signal.removeEventListener('abort', onAbort);
    }
  }
}

const rung = new Error('rung'); // told apart by identity, never shown

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
