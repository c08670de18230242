import type { Clock } from '../base/clock.ts';
import type { Entropy } from '../base/entropy.ts';
import type { Log } from '../base/log.ts';
import { StatusError } from '../base/status-error.ts';

export const queuedEventsMax = 1_000;
export const triesMax = 12;
export const retryDelayMs = 10_000;
const retriedReasons: ReadonlySet<string> = new Set(['ServiceUnavailable', 'Timeout', 'TooManyRequests']);

/** Writes one event to the API server. */
export type EventWrite = (signal: AbortSignal) => Promise<void>;

export interface EventSenderDeps {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
}

/**
 * Writes events one after the other, in the order in which they came. What the server refuses is given up; while it
 * cannot be reached, each is tried `triesMax` times, `retryDelayMs` apart. More than `queuedEventsMax` are dropped.
 */
export class EventSender {
  readonly #deps: EventSenderDeps;
  readonly #queue: (() => EventWrite | undefined)[] = []; // at most queuedEventsMax
  #wake: (() => void) | undefined; // set while run() waits for work
  #idleWaiters: (() => void)[] = []; // of flush(); empty unless run() is sending
  #isRunning = false;
  #isSending = false;
  #droppedCount = 0;

  constructor(deps: EventSenderDeps) {
    this.#deps = deps;
  }

  /** How many events were dropped because the queue was full, or because all tries failed. */
  get droppedCount(): number {
    return this.#droppedCount;
  }

  /** `prepare` is called once, when it is this event's turn; it may find that there is nothing to write. */
  offer(prepare: () => EventWrite | undefined): void {
    if (this.#queue.length >= queuedEventsMax) {
      this.#drop('queue full');
      return;
    }
    this.#queue.push(prepare);
    this.#wake?.();
  }

  /** Sends until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    this.#isRunning = true;
    try {
      while (!signal.aborted) {
        await this.#sendAll(signal);
        for (const waiter of this.#idleWaiters.splice(0)) waiter();
        await this.#waitForWork(signal);
      }
    } finally {
      this.#isRunning = false;
      for (const waiter of this.#idleWaiters.splice(0)) waiter();
    }
  }

  /** Sends what is queued, also after `run` has ended. Gives up when `signal` aborts. */
  async flush(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && (this.#queue.length > 0 || this.#isSending)) {
      if (!this.#isRunning) await this.#sendAll(signal);
      else await this.#waitForIdle(signal);
    }
  }

  async #sendAll(signal: AbortSignal): Promise<void> {
    this.#isSending = true;
    try {
      for (let prepare = this.#queue[0]; prepare !== undefined && !signal.aborted; prepare = this.#queue[0]) {
        this.#queue.shift();
        const write = prepare();
        if (write !== undefined) await this.#send(write, signal);
      }
    } finally {
      this.#isSending = false;
    }
  }

  async #send(write: EventWrite, signal: AbortSignal): Promise<void> {
    const { clock, entropy } = this.#deps;
    for (let tries = 1; ; tries++) {
      try {
        await write(signal);
        return;
      } catch (error) {
        if (signal.aborted) {
          this.#queue.unshift(() => write); // for flush()
          return;
        }
        if (!(error instanceof StatusError)) throw error;
        if (!retriedReasons.has(error.reason)) {
          this.#refused(error);
          return;
        }
        if (tries >= triesMax) {
          this.#drop(error.message);
          return;
        }
      }
      // The first delay is drawn, so that many nodes do not come back at once.
      const delayMs = tries === 1 ? retryDelayMs * entropy.unit() : retryDelayMs;
      try {
        await clock.sleep(delayMs, 'event.retry', signal);
      } catch (error) {
        if (!signal.aborted) throw error;
        this.#queue.unshift(() => write);
        return;
      }
    }
  }

  /** One that there is already, or whose namespace is going away, is no news. */
  #refused(error: StatusError): void {
    if (error.reason === 'AlreadyExists' || error.details?.causes?.some(isNamespaceGoing) === true) return;
    this.#deps.log.warn('eventRefused', { reason: error.reason, error: error.message });
  }

  #drop(why: string): void {
    this.#droppedCount += 1;
    this.#deps.log.warn('eventDropped', { why, droppedCount: this.#droppedCount });
  }

  #waitForWork(signal: AbortSignal): Promise<void> {
    if (this.#queue.length > 0 || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined;
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      const onAbort = this.#wake;
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  #waitForIdle(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        signal.removeEventListener('abort', done);
        resolve();
      };
      signal.addEventListener('abort', done, { once: true });
      this.#idleWaiters.push(done);
    });
  }
}

function isNamespaceGoing(cause: { readonly reason?: string }): boolean {
  return cause.reason === 'NamespaceTerminating';
}
