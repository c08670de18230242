const firstDelayMs = 10_000;
const maxDelayMs = 300_000;
const resetAfterMs = 600_000; // a fixed 10 minutes, upstream
// Kills by a probe come in steps of its period, so a delay often ends at the very moment of one. Upstream then always
// comes some milliseconds after the end, for want of speed; with this much allowed we decide the same.
const slackMs = 100;

interface Entry {
  readonly delayMs: number;
  readonly advancedWallMs: number;
}

/**
 * Back-off per key: 10 s, doubling to 300 s, no jitter; forgotten when 10 minutes went well. Keys belong to a pod and
 * go with it. Two users with their own instance: restarts after a crash (section 4.2) and image pulls (4.4). Upstream:
 * `flowcontrol.Backoff`.
 */
export class DoublingBackoff {
  readonly #byPod = new Map<string, Map<string, Entry>>(); // pod uid -> key; bounded by the pods of the node

  /** The delay that the key is at; 0 without an entry. */
  delayMs(podUid: string, key: string): number {
    return this.#byPod.get(podUid)?.get(key)?.delayMs ?? 0;
  }

  /**
   * Whether the delay has not yet passed since `sinceWallMs` (the crash). An entry that was last advanced more than 10
   * minutes before the crash does not count: the instance in between ran well.
   */
  isWaitingSince(podUid: string, key: string, sinceWallMs: number, nowWallMs: number): boolean {
    const entry = this.#byPod.get(podUid)?.get(key);
    if (entry === undefined || isExpired(entry, sinceWallMs)) return false;
    return elapsedMs(sinceWallMs, nowWallMs) < entry.delayMs - slackMs;
  }

  /** The same, counted from when the key was last advanced (the last failed pull). */
  isWaiting(podUid: string, key: string, nowWallMs: number): boolean {
    const entry = this.#byPod.get(podUid)?.get(key);
    if (entry === undefined || isExpired(entry, nowWallMs)) return false;
    return elapsedMs(entry.advancedWallMs, nowWallMs) < entry.delayMs - slackMs;
  }

  /** The next step: 10 s for a new or expired entry, else twice as much as before. */
  advance(podUid: string, key: string, sinceWallMs: number, nowWallMs: number): void {
    const entries = this.#byPod.get(podUid) ?? new Map<string, Entry>();
    const entry = entries.get(key);
    const delayMs =
      entry === undefined || isExpired(entry, sinceWallMs) ? firstDelayMs : Math.min(maxDelayMs, entry.delayMs * 2);
    entries.set(key, { delayMs, advancedWallMs: nowWallMs });
    this.#byPod.set(podUid, entries);
  }

  forgetPod(podUid: string): void {
    this.#byPod.delete(podUid);
  }
}

function isExpired(entry: Entry, sinceWallMs: number): boolean {
  return sinceWallMs - entry.advancedWallMs > resetAfterMs;
}

// A wall clock that was set back makes the event lie in the future: then nobody is made to wait for it.
function elapsedMs(sinceWallMs: number, nowWallMs: number): number {
  return sinceWallMs > nowWallMs + 1_000 ? Number.POSITIVE_INFINITY : nowWallMs - sinceWallMs;
}
