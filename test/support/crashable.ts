/** How a process dies in a simulation: from the cut on nothing that it asked for is answered, and nothing it asks is done. */
export class Lifeline {
  #isCut = false;

  get isCut(): boolean {
    return this.#isCut;
  }

  cut(): void {
    this.#isCut = true;
  }

  /** Settles as `promise` does, but never after the cut. */
  #guard<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      promise.then(
        (value) => {
          if (!this.#isCut) resolve(value);
        },
        (error: unknown) => {
          if (!this.#isCut) reject(error);
        },
      );
    });
  }

  async *#guardEach<T>(stream: AsyncIterable<T>): AsyncGenerator<T> {
    try {
      for await (const piece of stream) {
        if (this.#isCut) await endless();
        yield piece;
      }
    } catch (error) {
      if (this.#isCut) await endless();
      throw error;
    }
    if (this.#isCut) await endless();
  }

  /** The view that the process has of `target`: its clock, its runtime, its files. */
  view<T extends object>(target: T): T {
    return new Proxy(target, {
      get: (inner, key) => {
        const value: unknown = Reflect.get(inner, key, inner);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]): unknown => {
          if (this.#isCut && !immediate.has(key)) return endless();
          const result: unknown = Reflect.apply(value, inner, args);
          if (result instanceof Promise) return this.#guard(result);
          return isStream(result) ? this.#guardEach(result) : result;
        };
      },
    });
  }

  /** The same for a function that answers later. */
  call<A extends readonly unknown[], T>(task: (...args: A) => Promise<T>): (...args: A) => Promise<T> {
    return (...args) => (this.#isCut ? endless() : this.#guard(task(...args)));
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
