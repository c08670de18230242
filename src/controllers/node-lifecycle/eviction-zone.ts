import type { ZoneState } from './zone-state.ts';

/** How quickly nodes are tainted for eviction. */
export interface EvictionRates {
  /** Nodes a second in a zone that is well, or wholly down. */
  readonly perSecond: number;
  /** In a partly disrupted zone of more than `largeZoneSizeMin` nodes; smaller ones then evict nothing. */
  readonly secondaryPerSecond: number;
  readonly largeZoneSizeMin: number;
}

/**
 * The nodes of one zone that wait to be tainted for eviction, one at a time. Upstream: `RateLimitedTimedQueue` with a
 * burst of 1.
 */
export class EvictionZone {
  readonly #waiting = new Set<string>(); // names, first come, first served; at most as many as there are nodes
  #state: ZoneState = 'normal';
  #ratePerSecond: number;
  #nextMonoMs = Number.NEGATIVE_INFINITY;

  constructor(rates: EvictionRates) {
    this.#ratePerSecond = rates.perSecond;
  }

  get state(): ZoneState {
    return this.#state;
  }

  /** Upstream: `setLimiterInZone`. */
  setState(state: ZoneState, nodeCount: number, rates: EvictionRates): void {
    this.#state = state;
    const isLarge = nodeCount > rates.largeZoneSizeMin;
    if (state === 'partial') this.#ratePerSecond = isLarge ? rates.secondaryPerSecond : 0;
    else this.#ratePerSecond = rates.perSecond;
  }

  /** Nothing is evicted while no node at all is Ready: then it is the control plane that is cut off. */
  halt(): void {
    this.#state = 'full';
    this.#ratePerSecond = 0;
    this.#waiting.clear();
  }

  add(nodeName: string): void {
    this.#waiting.add(nodeName);
  }

  remove(nodeName: string): void {
    this.#waiting.delete(nodeName);
  }

  /** When the next one may be taken; `undefined`: none waits, or none may be. */
  nextAfterMs(nowMonoMs: number): number | undefined {
    if (this.#waiting.size === 0 || this.#ratePerSecond === 0) return undefined;
    return Math.max(0, this.#nextMonoMs - nowMonoMs);
  }

  /** The next one. Call it only when its time has come. */
  take(nowMonoMs: number): string | undefined {
    for (const nodeName of this.#waiting) {
      this.#waiting.delete(nodeName);
      this.#nextMonoMs = nowMonoMs + 1_000 / this.#ratePerSecond;
      return nodeName;
    }
    return undefined;
  }
}
