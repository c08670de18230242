import type { Clock } from '../../base/clock.ts';

/** Something with a time. Belongs to at most one queue. */
export interface Due {
  /** Called when its time has come; it may schedule itself again. Must not throw. */
  onDue(nowMonoMs: number): void;
  /** Of the queue: where it stands in the heap, -1 if nowhere. Start with -1. */
  heapIndex: number;
  /** Of the queue: when it is due. */
  dueMonoMs: number;
  /** Of the queue: ties are first come, first served. */
  dueSequence: number;
}

const wokenUp = 'woken up'; // a constant: an error with its stack for each would cost more than the rest

/**
 * Calls many things when they are due, with one timer for all of them: a binary heap, and one sleeper that waits for
 * the soonest. Never early; late by what the clock's timers are late.
 */
export class DueQueue {
  readonly #heap: Due[] = []; // by (dueMonoMs, dueSequence); each knows its index
  readonly #clock: Clock;
  readonly #timerName: string;
  #sequence = 0;
  #sleepingUntilMonoMs = Number.NEGATIVE_INFINITY; // nothing is due before it, or nobody sleeps
  #wake = new AbortController(); // of the sleeper

  constructor(clock: Clock, timerName: string) {
    this.#clock = clock;
    this.#timerName = timerName;
  }

  get size(): number {
    return this.#heap.length;
  }

  /** Sets (or moves) the time of `due`. In the past: as soon as possible, but never before this call returns. */
  schedule(due: Due, atMonoMs: number): void {
    due.dueMonoMs = atMonoMs;
    due.dueSequence = this.#sequence++;
    if (due.heapIndex < 0) {
      due.heapIndex = this.#heap.length;
      this.#heap.push(due);
    }
    this.#siftUp(due.heapIndex);
    this.#siftDown(due.heapIndex);
    if (atMonoMs >= this.#sleepingUntilMonoMs) return;
    this.#sleepingUntilMonoMs = Number.NEGATIVE_INFINITY;
    this.#wake.abort(wokenUp);
  }

  cancel(due: Due): void {
    const index = due.heapIndex;
    if (index < 0) return;
    due.heapIndex = -1;
    const last = this.#heap.pop();
    if (last === undefined || last === due) return;
    this.#put(index, last);
    this.#siftUp(index);
    this.#siftDown(last.heapIndex);
  }

  /** The sleeper: runs until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#sleep(signal);
      signal.throwIfAborted();
      this.#callDue();
    }
  }

  /** Until something is due, or something was scheduled that is due sooner. */
  async #sleep(signal: AbortSignal): Promise<void> {
    const wake = new AbortController();
    this.#wake = wake;
    const first = this.#heap[0];
    this.#sleepingUntilMonoMs = first?.dueMonoMs ?? Number.POSITIVE_INFINITY;
    const onAbort = (): void => wake.abort(wokenUp);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      if (first === undefined) await aborted(wake.signal);
      else await this.#clock.sleep(Math.max(0, first.dueMonoMs - this.#clock.monoMs()), this.#timerName, wake.signal);
    } catch (error) {
      if (!wake.signal.aborted) throw error; // else woken: the caller looks again
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#sleepingUntilMonoMs = Number.NEGATIVE_INFINITY;
    }
  }

  #callDue(): void {
    const nowMonoMs = this.#clock.monoMs();
    const sequence = this.#sequence; // what is scheduled from now on waits for the next round
    for (let first = this.#heap[0]; first !== undefined; first = this.#heap[0]) {
      if (first.dueMonoMs > nowMonoMs || first.dueSequence >= sequence) return;
      this.cancel(first);
      first.onDue(nowMonoMs);
    }
  }

  #siftUp(start: number): void {
    const due = this.#heap[start];
    if (due === undefined) return;
    let index = start;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = this.#heap[parentIndex];
      if (parent === undefined || !isBefore(due, parent)) break;
      this.#put(index, parent);
      index = parentIndex;
    }
    this.#put(index, due);
  }

  #siftDown(start: number): void {
    const due = this.#heap[start];
    if (due === undefined) return;
    let index = start;
    for (;;) {
      const left = this.#heap[2 * index + 1];
      const right = this.#heap[2 * index + 2];
      const child = right !== undefined && left !== undefined && isBefore(right, left) ? right : left;
      if (child === undefined || !isBefore(child, due)) break;
      const childIndex = child.heapIndex;
      this.#put(index, child);
      index = childIndex;
    }
    this.#put(index, due);
  }

  #put(index: number, due: Due): void {
    this.#heap[index] = due;
    due.heapIndex = index;
  }
}

function isBefore(a: Due, b: Due): boolean {
  return a.dueMonoMs < b.dueMonoMs || (a.dueMonoMs === b.dueMonoMs && a.dueSequence < b.dueSequence);
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
