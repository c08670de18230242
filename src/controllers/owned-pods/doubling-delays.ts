import type { Pod } from '../../api/gen/types.ts';
import type { BackoffLimits } from '../../base/backoff.ts';
import type { Clock } from '../../base/clock.ts';
import { LruMap } from '../../client/lru-map.ts';

interface Delay {
  readonly podUid: string;
  readonly untilMonoMs: number;
  readonly lengthMs: number;
}

const keysMax = 10_000;

/**
 * For each key, how long the next failed pod of it waits to be replaced: at once first, then twice as long each time.
 */
export class DoublingDelays {
  readonly #clock: Clock;
  readonly #limits: BackoffLimits;
  readonly #byKey = new LruMap<string, Delay>(keysMax);

  constructor(clock: Clock, limits: BackoffLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /**
   * In ms from now; asked again for the same pod, the rest of it. Twice the longest delay without a failure: forgotten.
   */
  delayMs(key: string, pod: Pod): number {
    const nowMs = this.#clock.monoMs();
    const podUid = pod.metadata?.uid ?? '';
    const before = this.#byKey.get(key);
    if (before?.podUid === podUid) return Math.max(0, before.untilMonoMs - nowMs);
    const isRecent = before !== undefined && nowMs - before.untilMonoMs <= 2 * this.#limits.maxMs;
    const lengthMs = !isRecent
      ? 0
      : before.lengthMs === 0
        ? this.#limits.firstMs
        : Math.min(this.#limits.maxMs, before.lengthMs * 2);
    this.#byKey.set(key, { podUid, untilMonoMs: nowMs + lengthMs, lengthMs });
    return lengthMs;
  }
}
