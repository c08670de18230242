/**
 * What a simulated process hangs on. From the cut on (it is killed) nothing that it asked for is answered, and nothing
 * it asks is done; while it is paused (stopped by a signal) answers wait until it goes on.
 */
export class Lifeline {
  #state: 'running' | 'paused' | 'cut' = 'running';
  #waiting: (() => void)[] = []; // what came while it was paused, in order; what it had asked for is all there can be

  get isCut(): boolean {
    return this.#state === 'cut';
  }

  cut(): void {
    this.#state = 'cut';
    this.#waiting = [];
  }

  pause(): void {
    if (this.#state === 'running') this.#state = 'paused';
  }

  /** Everything that came meanwhile comes now. */
  resume(): void {
    if (this.#state !== 'paused') return;
    this.#state = 'running';
    for (const deliver of this.#waiting.splice(0)) deliver();
  }

  /** Now, when it goes on, or never. */
  #deliver(deliver: () => void): void {
    if (this.#state === 'running') deliver();
    else if (this.#state === 'paused') this.#waiting.push(deliver);
  }

  /** Settles as `promise` does, but never after the cut. */
  #guard<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      promise.then(
        (value) => this.#deliver(() => resolve(value)),
        (error: unknown) => this.#deliver(() => reject(error)),
      );
    });
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => this.#deliver(resolve));
  }

  async *#guardEach<T>(stream: AsyncIterable<T>): AsyncGenerator<T> {
    try {
      for await (const piece of stream) {
        if (this.#state !== 'running') await this.#turn();
        yield piece;
      }
    } catch (error) {
      if (this.#state !== 'running') await this.#turn();
      throw error;
    }
    if (this.#state !== 'running') await this.#turn();
  }

  /** The view that the process has of `target`: its clock, its runtime, its files. */
  view<T extends object>(target: T): T {
    return new Proxy(target, {
      get: (inner, key) => {
        const value: unknown = Reflect.get(inner, key, inner);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]): unknown => {
          if (this.isCut && !immediate.has(key)) return endless();
          const result: unknown = Reflect.apply(value, inner, args);
          if (result instanceof Promise) return this.#guard(result);
          return isStream(result) ? this.#guardEach(result) : result;
        };
      },
    });
  }

  /** The same for a function that answers later. */
  call<A extends readonly unknown[], T>(task: (...args: A) => Promise<T>): (...args: A) => Promise<T> {
    return (...args) => (this.isCut ? endless() : this.#guard(task(...args)));
  }

  stream<T>(stream: AsyncIterable<T>): AsyncIterable<T> {
    return this.#guardEach(stream);
  }
}

// Of a clock: a dead process that still looks at it does no harm.
const immediate: ReadonlySet<string | symbol> = new Set(['monoMs', 'wallMs']);

function endless<T>(): Promise<T> {
  return new Promise(() => {});
}

function isStream(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}
