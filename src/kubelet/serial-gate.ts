/** Lets one task through at a time, in the order of asking. Upstream: serialised image pulls. */
export class SerialGate {
  #last: Promise<void> = Promise.resolve(); // settles when the last one in line is done; never rejects

  /** Runs `task` when all before it are done; one that is aborted while it waits does not run. */
  async run<T>(task: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const before = this.#last;
    let release = (): void => {};
    this.#last = new Promise((resolve) => {
      release = resolve;
    });
    try {
      await before;
      signal.throwIfAborted();
      return await task();
    } finally {
      release();
    }
  }
}
