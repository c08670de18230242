const stallMsMin = 20; // so late a timer of an idle process never is

/**
 * Calls `onExpired` once, after `timeoutMs`, unless it is cleared. When this process itself was kept from running (no
 * CPU time, a long pause), the answer may be there and only not read yet, so what a stall took is given back once:
 * nobody's container is restarted because the node agent was late. Node keeps one list for each duration, so that a
 * timer for each attempt costs next to nothing.
 */
export class Deadline {
  readonly #timeoutMs: number;
  readonly #onExpired: () => void;
  readonly #dueMs: number;
  #timer: NodeJS.Timeout;

  constructor(timeoutMs: number, onExpired: () => void) {
    this.#timeoutMs = timeoutMs;
    this.#onExpired = onExpired;
    this.#dueMs = performance.now() + timeoutMs;
    this.#timer = setTimeout(onTimer, timeoutMs, this);
  }

  clear(): void {
    clearTimeout(this.#timer);
  }

  /** Of the timer. */
  fire(): void {
    const lateMs = performance.now() - this.#dueMs;
    if (lateMs < stallMsMin) return this.#onExpired();
    this.#timer = setTimeout(this.#onExpired, Math.min(lateMs, this.#timeoutMs));
  }
}

function onTimer(deadline: Deadline): void {
  deadline.fire();
}
