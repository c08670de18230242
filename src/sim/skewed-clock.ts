import type { Clock } from '../base/clock.ts';

export interface ClockSkew {
  /** What its wall clock is ahead by at the start. Default 0. */
  readonly offsetMs?: number;
  /** Of its own seconds, for each of the others'. Default 1. */
  readonly rate?: number;
}

/** The clock of one machine, which goes wrong. */
export class SkewedClock implements Clock {
  readonly #inner: Clock;
  readonly #rate: number;
  #offsetMs: number;

  constructor(inner: Clock, { offsetMs = 0, rate = 1 }: ClockSkew = {}) {
    this.#inner = inner;
    this.#offsetMs = offsetMs;
    this.#rate = rate;
  }

  monoMs(): number {
    return this.#inner.monoMs() * this.#rate;
  }

  wallMs(): number {
    return this.#inner.wallMs() + this.#offsetMs + this.#inner.monoMs() * (this.#rate - 1);
  }

  sleep(delayMs: number, name: string, signal: AbortSignal): Promise<void> {
    return this.#inner.sleep(delayMs / this.#rate, name, signal);
  }

  /** Somebody sets its wall clock. */
  step(byMs: number): void {
    this.#offsetMs += byMs;
  }
}
