import type { Clock } from '../../base/clock.ts';

const driftMsMax = 2; // the wall clock has been set, or the two have run apart: start again from it

/**
 * Timestamps with nine digits of a second. `wallMs()` has whole milliseconds, so the digits below come from
 * `monoMs()`; two timestamps of one clock never go back unless the wall clock was set back.
 */
export class LogClock {
  readonly #clock: Clock;
  #originMs = 0; // wall time at monoMs() = 0
  #second = -1; // of the text below
  #secondText = '';

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Now, e.g. `2026-11-21T20:08:12.464449624Z`. */
  now(): string {
    const monoMs = this.#clock.monoMs();
    const wallMs = this.#clock.wallMs();
    const aheadMs = this.#originMs + monoMs - wallMs;
    if (aheadMs < -driftMsMax || aheadMs > driftMsMax) this.#originMs = wallMs - monoMs;
    const nowMs = this.#originMs + monoMs;
    const second = Math.floor(nowMs / 1_000);
    if (second !== this.#second) {
      this.#second = second;
      this.#secondText = new Date(second * 1_000).toISOString().slice(0, 20); // with the dot
    }
    const nanoseconds = Math.floor((nowMs - second * 1_000) * 1_000_000);
    return `${this.#secondText}${String(nanoseconds).padStart(9, '0')}Z`;
  }
}
