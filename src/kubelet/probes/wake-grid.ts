const ratePerSecondMin = 10; // fewer have nothing to share
const ratePerSecondMax = 1_000; // more share their wake-ups by themselves
const probesPerWakeUp = 10;
const gridMsMax = 100;

/**
 * Lets the ticks of many probes share wake-ups of this process: one by one each costs several times the CPU of the
 * probe itself (`bench/`). A tick is moved to the next multiple of a step, so it comes up to 100 ms late, never early,
 * and the ticks after it stay where they were. Upstream has a timer for each worker.
 */
export class WakeGrid {
  #ratePerSecond = 0;

  /** A probe with this period has begun to tick. */
  add(periodMs: number): void {
    this.#ratePerSecond += 1_000 / periodMs;
  }

  remove(periodMs: number): void {
    this.#ratePerSecond -= 1_000 / periodMs;
  }

  /** When a tick of `tickMonoMs` is to come. */
  align(tickMonoMs: number): number {
    const rate = this.#ratePerSecond;
    if (rate < ratePerSecondMin || rate > ratePerSecondMax) return tickMonoMs;
    const stepMs = Math.min(gridMsMax, (probesPerWakeUp * 1_000) / rate);
    return Math.ceil(tickMonoMs / stepMs) * stepMs;
  }
}
