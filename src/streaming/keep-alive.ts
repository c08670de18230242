import type { Clock } from '../base/clock.ts';
import { StatusError } from '../base/status-error.ts';
import { TaskScope } from '../base/task-scope.ts';

/** For a client to open the streams that it asked for. Upstream: `DefaultStreamCreationTimeout`. */
export const streamCreationMs = 30_000;
/** A session in which nothing comes and nothing goes. Upstream: `streamingConnectionIdleTimeout`. */
export const idleMsMax = 4 * 3_600_000;
/** For a client to take what was sent and to close, once the command has ended. Upstream: `finishTimeout`. */
export const finishMsMax = 15 * 60_000;
const pingMs = 30_000; // finds a client that has gone where nothing is read of it

/** When something last came from the client or went to it; our own pings do not count, its do. */
export class Activity {
  readonly #clock: Clock;
  #lastMonoMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#lastMonoMs = clock.monoMs();
  }

  touch(): void {
    this.#lastMonoMs = this.#clock.monoMs();
  }

  idleMs(): number {
    return this.#clock.monoMs() - this.#lastMonoMs;
  }
}

/** Fails when the session was idle for too long, or when a ping can no longer be sent; never resolves. */
export async function keepAlive(
  clock: Clock,
  activity: Activity,
  ping: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    await clock.sleep(pingMs, 'streaming.ping', signal);
    if (activity.idleMs() >= idleMsMax) throw new StatusError('Timeout', 'the session was idle for too long');
    await ping();
  }
}

/** Resolves as `work` does; `late` after `ms`; fails with its reason when `signal` aborts. */
export async function within<T>(
  clock: Clock,
  ms: number,
  name: string,
  work: Promise<T>,
  signal: AbortSignal,
): Promise<T | 'late'> {
  const waiting = new TaskScope(signal);
  try {
    return await Promise.race([work, clock.sleep(ms, name, waiting.signal).then(() => 'late' as const)]);
  } finally {
    await waiting.close();
  }
}

/** The end of a session: what its connection failed with is nobody's business any more; a bug is. */
export async function closeSession(scope: TaskScope): Promise<void> {
  try {
    await scope.close();
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
  }
}

export function clientGone(): StatusError {
  return new StatusError('ServiceUnavailable', 'the client has closed the connection');
}
