import { StatusError } from './status-error.ts';

let prepareSignal: (signal: AbortSignal) => void = () => {};

/**
 * Sets what is done with the signal of each scope from now on. For hosts only: Node.js warns of a leak when more than
 * ten
 * listen to one signal, as many tasks of one scope rightly do.
 */
export function prepareScopeSignals(prepare: (signal: AbortSignal) => void): void {
  prepareSignal = prepare;
}

/**
 * Owns every background task started under it: `close()` aborts them, waits for all of them, and reports the first real
 * failure. A task that fails takes its siblings down. Nothing in the program runs outside a scope. Once asked to stop,
 * a task may end with the reason of the abort, or with the StatusError of what it was doing: neither is a failure.
 */
export class TaskScope {
  readonly #controller = new AbortController();
  readonly #running = new Set<Promise<void>>(); // started, not yet settled
  readonly #detach: () => void;
  #failure: unknown;

  constructor(parent?: AbortSignal) {
    prepareSignal(this.#controller.signal);
    const onParentAbort = (): void => this.#controller.abort(parent?.reason);
    parent?.addEventListener('abort', onParentAbort, { once: true });
    this.#detach = () => parent?.removeEventListener('abort', onParentAbort);
    if (parent?.aborted) onParentAbort();
  }

  /** Aborted when the scope closes, when its parent aborts, or when one of its tasks fails. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The first failure of any task that was not the abort itself. */
  get failure(): unknown {
    return this.#failure;
  }

  /** Starts `body`; its failure, other than the abort itself, aborts all its siblings. */
  start(body: (signal: AbortSignal) => Promise<void>): void {
    const task = body(this.signal).catch((error: unknown) => {
      // Asked to stop: what did not work out on the way matters to nobody any more; a bug does.
      if (this.signal.aborted && (error === this.signal.reason || error instanceof StatusError)) return;
      this.#failure ??= error;
      this.#controller.abort(error);
    });
    this.#running.add(task);
    void task.finally(() => this.#running.delete(task));
  }

  /** Aborts, waits for every task, and throws the first real failure if there was one. */
  async close(reason: unknown = new Error('scope closed')): Promise<void> {
    this.#controller.abort(reason);
    while (this.#running.size > 0) await Promise.all(this.#running);
    this.#detach();
    if (this.#failure !== undefined) throw this.#failure;
  }
}
