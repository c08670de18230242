import type { Entropy } from './entropy.ts';

export interface BackoffLimits {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** Delay before attempt `attempt` (0-based): doubles from `firstMs` to `maxMs`, then 20 % jitter to either side. */
export function backoffMs(attempt: number, limits: BackoffLimits, entropy: Entropy): number {
  const baseMs = Math.min(limits.maxMs, limits.firstMs * 2 ** Math.min(attempt, 30));
  return Math.round(baseMs * (0.8 + 0.4 * entropy.unit()));
}
