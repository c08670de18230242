/**
 * Gives each of many short tasks a signal of its own that aborts with the parent's. On the parent there is one
 * listener, however many tasks there are: its list is searched at every change, and Node.js warns when it is long.
 */
export class ChildSignals {
  readonly #parent: AbortSignal;
  readonly #children = new Set<AbortController>(); // of tasks that have not ended

  constructor(parent: AbortSignal) {
    this.#parent = parent;
    parent.addEventListener('abort', () => this.#abort(), { once: true });
  }

  /** Runs `body`. Its signal is aborted already if the parent is. */
  async run<T>(body: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const child = new AbortController();
    if (this.#parent.aborted) child.abort(this.#parent.reason);
    this.#children.add(child);
    try {
      return await body(child.signal);
    } finally {
      this.#children.delete(child);
    }
  }

  #abort(): void {
    for (const child of this.#children) child.abort(this.#parent.reason);
  }
}
