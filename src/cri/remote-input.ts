import { StatusError } from '../base/status-error.ts';
import { untilAborted } from './until-aborted.ts';

/**
 * Hands on what a client sends, until it ends, `take` says so, or `signal` aborts; a client that is lost has ended. Not
 * `for await`: that could not stop while it waits.
 */
export async function forEachInput<T>(
  source: AsyncIterable<T>,
  signal: AbortSignal,
  take: (value: T) => Promise<'more' | 'enough'>,
): Promise<void> {
  const iterator = source[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await untilAborted(iterator.next(), signal);
      if (next.done === true || (await take(next.value)) === 'enough') return;
    }
  } catch (error) {
    if (signal.aborted || error instanceof StatusError) return;
    throw error;
  }
}
