import type { Clock } from '../base/clock.ts';
import type { Entropy } from '../base/entropy.ts';

/** `NAME.HEXNANOS`, as every event is called: the hexadecimal digits are nanoseconds since 1970. */
export function eventName(objectName: string, wallMs: number, nanosWithinMs: number): string {
  const nanos = BigInt(Math.floor(wallMs)) * 1_000_000n + BigInt(nanosWithinMs);
  return `${objectName}.${nanos.toString(16)}`;
}

/** Events about objects without a namespace are in `default`. */
export function eventNamespace(objectNamespace: string | undefined): string {
  return objectNamespace === undefined || objectNamespace === '' ? 'default' : objectNamespace;
}

const nanosPerMs = 1_000_000;
const firstShare = 1 / 2; // of a millisecond: where the first event of it may lie
const nextShare = 1 / 64; // of what is left of it: how far the next one is at most from the one before

/**
 * When events are said, to the nanosecond, though the clock has only milliseconds: what is said later has a later
 * instant, since clients show events of one second in the order of their names. Drawn at random within that, because
 * two
 * components may write about one object at once.
 */
export class EventInstants {
  readonly #deps: { readonly clock: Clock; readonly entropy: Entropy };
  #lastWallMs = 0;
  #lastNanos = 0; // within #lastWallMs; below nanosPerMs

  constructor(deps: { readonly clock: Clock; readonly entropy: Entropy }) {
    this.#deps = deps;
  }

  /** `nanosWithinMs`: 0 to 999,999. */
  next(): { readonly wallMs: number; readonly nanosWithinMs: number } {
    const wallMs = Math.floor(this.#deps.clock.wallMs());
    const share = this.#deps.entropy.unit();
    const nanosWithinMs =
      wallMs === this.#lastWallMs
        ? Math.min(nanosPerMs - 1, this.#lastNanos + 1 + Math.floor((nanosPerMs - this.#lastNanos) * nextShare * share))
        : Math.floor(nanosPerMs * firstShare * share);
    this.#lastWallMs = wallMs;
    this.#lastNanos = nanosWithinMs;
    return { wallMs, nanosWithinMs };
  }
}
