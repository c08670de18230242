import type { Clock } from './clock.ts';
import { StatusError } from './status-error.ts';

export interface Deadline {
  /** Of the timer. */
  readonly name: string;
  readonly limitMs: number;
  /** Of the `Timeout` that it then fails with. */
  readonly message: string;
}

/** What comes first decides; an answer that comes after the deadline is not listened to. */
export function withDeadline<T>(
  clock: Clock,
  { name, limitMs, message }: Deadline,
  signal: AbortSignal,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const own = new AbortController();
    const timer = new AbortController();
    const end = (): void => {
      signal.removeEventListener('abort', onAbort);
      timer.abort(answered);
    };
    const giveUp = (reason: unknown): void => {
      end();
      reject(reason);
      own.abort(reason);
    };
    const onAbort = (): void => giveUp(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    clock.sleep(limitMs, name, timer.signal).then(
      () => giveUp(new StatusError('Timeout', message)),
      () => {},
    );
    const answer = (async () => call(own.signal))(); // also what is thrown at once is an answer
    answer.then(resolve, reject).finally(end);
    return undefined;
  });
}

const answered = new Error('answered'); // ends the timer, never shown
