import type { Clock } from '../../base/clock.ts';

/** What was asked for and is not seen within this time is given up: the watch may have dropped it. */
export const expectationsTimeoutMs = 300_000;

interface Expected {
  creations: number; // falls to 0 and below as they are seen
  readonly deletions: Set<string>; // UIDs of what was asked to go and is not seen going yet
  readonly sinceMonoMs: number;
}

/**
 * What a controller has asked for and its cache does not show yet, by the key of what it manages: until it does, or
 * `expectationsTimeoutMs` have passed, counting would be wrong. Upstream: `UIDTrackingControllerExpectations`.
 */
export class Expectations {
  readonly #clock: Clock;
  readonly #byKey = new Map<string, Expected>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Forgets what was expected before. */
  expect(key: string, wanted: { readonly creations?: number; readonly deletions?: readonly string[] }): void {
    const { creations = 0, deletions = [] } = wanted;
    this.#byKey.set(key, { creations, deletions: new Set(deletions), sinceMonoMs: this.#clock.monoMs() });
  }

  /** `count` were seen, or will never be. */
  creationSeen(key: string, count = 1): void {
    const expected = this.#byKey.get(key);
    if (expected !== undefined) expected.creations -= count;
  }

  /** It was seen going, or is not going. */
  deletionSeen(key: string, uid: string): void {
    this.#byKey.get(key)?.deletions.delete(uid);
  }

  forget(key: string): void {
    this.#byKey.delete(key);
  }

  /** Whether everything was seen that was asked for, or waited for long enough. */
  areMet(key: string): boolean {
    return this.#waitMs(key) <= 0;
  }

  /** Until when to wait at most; 0 if they are met. */
  patienceMs(key: string): number {
    return Math.max(0, this.#waitMs(key));
  }

  #waitMs(key: string): number {
    const expected = this.#byKey.get(key);
    if (expected === undefined || (expected.creations <= 0 && expected.deletions.size === 0)) return 0;
    return expected.sinceMonoMs + expectationsTimeoutMs - this.#clock.monoMs();
  }
}
