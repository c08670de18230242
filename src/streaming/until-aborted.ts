/**
 * The items of `source` until it ends or `signal` aborts, which is an end too. An item that was asked for by then is
 * dropped; `source` is left as it is.
 */
export async function* untilAborted<T>(
  source: AsyncIterable<T> | Iterable<T>,
  signal: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  let stop: () => void = () => {};
  const stopped = new Promise<undefined>((resolve) => (stop = () => resolve(undefined)));
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  const iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
  try {
    for (;;) {
      const asked = Promise.resolve(iterator.next());
      const next = await Promise.race([asked, stopped]);
      if (next === undefined) {
        asked.catch(() => {}); // nobody wants it any more
        return;
      }
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
