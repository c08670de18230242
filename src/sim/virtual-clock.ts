import type { Clock } from '../base/clock.ts';
import { invariant } from '../base/status-error.ts';

declare function setImmediate(callback: () => void): unknown;
const realSetImmediate = setImmediate; // before anyone can replace it

interface Timer {
  readonly atMs: number;
  readonly sequence: number;
  readonly name: string;
  /** In the heap; -1: not in it. */
  index: number;
  fire(): void;
}

export interface VirtualClockOptions {
  /** What `wallMs()` is at the start. */
  readonly epochMs: number;
  /** Called as each timer fires: for traces. */
  readonly onFire?: (name: string, atMs: number) => void;
  /** A runaway loop fails with a readable error after so many timers. Default 50,000,000. */
  readonly timersMax?: number;
}

/**
 * Time that moves only by `advance`. Timers fire in order of (time, creation), one by one; between two of them every
 * promise settles, so a run is a function of its inputs.
 */
export class VirtualClock implements Clock {
  readonly #timers: Timer[] = []; // a binary heap by (atMs, sequence)
  readonly #options: VirtualClockOptions;
  #nowMs = 0;
  #sequence = 0;
  #firedCount = 0;

  constructor(options: VirtualClockOptions) {
    this.#options = options;
  }

  monoMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#options.epochMs + this.#nowMs;
  }

  get firedCount(): number {
    return this.#firedCount;
  }

  get pendingCount(): number {
    return this.#timers.length;
  }

  /** The names of the timers that wait, soonest first. */
  pendingNames(): string[] {
    return [...this.#timers].sort(compareTimers).map((timer) => timer.name);
  }

  sleep(delayMs: number, name: string, signal: AbortSignal): Promise<void> {
    invariant(delayMs >= 0 && Number.isFinite(delayMs), `sleep(${delayMs}) for ${name}`);
    if (signal.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#remove(timer);
        reject(signal.reason);
      };
      const timer: Timer = {
        atMs: this.#nowMs + delayMs,
        sequence: this.#sequence++,
        name,
        index: -1,
        fire: () => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#push(timer);
    });
  }

  /** Fires every timer due within `deltaMs`, in order, letting all promises settle before and after each. */
  async advance(deltaMs: number): Promise<void> {
    const untilMs = this.#nowMs + deltaMs;
    await settle();
    for (let next = this.#timers[0]; next !== undefined && next.atMs <= untilMs; next = this.#timers[0]) {
      this.#pop();
      this.#nowMs = next.atMs;
      this.#firedCount += 1;
      invariant(
        this.#firedCount <= (this.#options.timersMax ?? 50_000_000),
        `too many timers; the last is ${next.name}`,
      );
      this.#options.onFire?.(next.name, next.atMs);
      next.fire();
      await settle();
    }
    this.#nowMs = untilMs;
  }

  #push(timer: Timer): void {
    timer.index = this.#timers.push(timer) - 1;
    this.#siftUp(timer.index);
  }

  #pop(): void {
    const [first] = this.#timers;
    if (first !== undefined) this.#remove(first);
  }

  #remove(timer: Timer): void {
    const { index } = timer;
    if (index < 0) return;
    timer.index = -1;
    const last = this.#timers.pop();
    if (last === undefined || last === timer) return;
    this.#timers[index] = last;
    last.index = index;
    this.#siftDown(index);
    this.#siftUp(index);
  }

  #siftUp(start: number): void {
    for (let index = start; index > 0;) {
      const parent = (index - 1) >> 1;
      if (!this.#swapIfLater(parent, index)) return;
      index = parent;
    }
  }

  #siftDown(start: number): void {
    for (let index = start; ;) {
      const left = 2 * index + 1;
      const right = left + 1;
      const a = this.#timers[left];
      const b = this.#timers[right];
      if (a === undefined) return;
      const child = b !== undefined && compareTimers(b, a) < 0 ? right : left;
      if (!this.#swapIfLater(index, child)) return;
      index = child;
    }
  }

  /** Swaps if the timer at `parent` is later than the one at `child`. */
  #swapIfLater(parent: number, child: number): boolean {
    const a = this.#timers[parent];
    const b = this.#timers[child];
    if (a === undefined || b === undefined || compareTimers(a, b) <= 0) return false;
    this.#timers[parent] = b;
    this.#timers[child] = a;
    b.index = parent;
    a.index = child;
    return true;
  }
}

function compareTimers(a: Timer, b: Timer): number {
  return a.atMs - b.atMs || a.sequence - b.sequence;
}

/** One macrotask boundary: every promise that could settle has settled on the other side. */
export function settle(): Promise<void> {
  return new Promise((resolve) => {
    realSetImmediate(resolve);
  });
}
