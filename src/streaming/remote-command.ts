/** What remote commands have in common, whatever they travel over. */
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { InvariantError, StatusError, messageOf } from '../base/status-error.ts';
import type { RemoteStreams } from '../cri/runtime.ts';
import type { RemoteOutcome } from './remote-status.ts';

export interface StreamingDeps {
  readonly clock: Clock;
  readonly log: Log;
}

export type RunCommand = (streams: RemoteStreams, signal: AbortSignal) => Promise<number>;

/** `undefined`: the client has gone, so that there is nobody to tell. */
export async function outcomeOf(
  log: Log,
  run: RunCommand,
  streams: RemoteStreams,
  signal: AbortSignal,
): Promise<RemoteOutcome | undefined> {
  try {
    const exitCode = await run(streams, signal);
    return signal.aborted ? undefined : { kind: 'exited', exitCode };
  } catch (error) {
    if (error instanceof InvariantError) throw error;
    if (signal.aborted) return undefined;
    return { kind: 'failed', message: failureText(log, error) };
  }
}

/** What is no `StatusError` is a bug, which is logged and told all the same. */
export function failureText(log: Log, error: unknown): string {
  if (error instanceof InvariantError) throw error;
  const text = messageOf(error);
  if (!(error instanceof StatusError)) log.error('streamFailed', { error: text });
  return text;
}
