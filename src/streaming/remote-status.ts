/** What a remote command's error stream says at its end: a `metav1.Status`. */
import { StatusError } from '../base/status-error.ts';

interface WireStatus {
  readonly status?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly details?: { readonly causes?: readonly { readonly reason?: string; readonly message?: string }[] };
}

/** How a command ended: with an exit code, or with a failure to run it. */
export type RemoteOutcome =
  | { readonly kind: 'exited'; readonly exitCode: number }
  | { readonly kind: 'failed'; readonly message: string };

/** As protocol versions 4 and 5 tell it. */
export function statusOf(outcome: RemoteOutcome): string {
  if (outcome.kind === 'failed') {
    return JSON.stringify({
      metadata: {},
      status: 'Failure',
      message: `Internal error occurred: ${outcome.message}`,
      reason: 'InternalError',
      details: { causes: [{ message: outcome.message }] },
      code: 500,
    });
  }
  if (outcome.exitCode === 0) return JSON.stringify({ metadata: {}, status: 'Success' });
  return JSON.stringify({
    metadata: {},
    status: 'Failure',
    message: exitText(outcome.exitCode),
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: String(outcome.exitCode) }] },
  });
}

/** As the versions before tell it: only what went wrong. */
export function plainTextOf(outcome: RemoteOutcome): string {
  if (outcome.kind === 'failed') return `Internal error occurred: ${outcome.message}`;
  return outcome.exitCode === 0 ? '' : exitText(outcome.exitCode);
}

function exitText(exitCode: number): string {
  return `command terminated with non-zero exit code: command terminated with exit code ${exitCode}`;
}

// What a server of Kubernetes puts before the words of whoever ran the command; whoever passes them on does it again.
const servedPrefix = /^(?:Internal error occurred: )?(?:error (?:executing command in|attaching to) container: )?/;

/** The other way round: the exit code, or a `StatusError` with the bare words of the failure. */
export function exitCodeOf(text: string): number {
  const status = parse(text);
  if (status?.status === 'Success') return 0;
  if (status?.reason === 'NonZeroExitCode') {
    const cause = status.details?.causes?.find(({ reason }) => reason === 'ExitCode');
    const exitCode = Number(cause?.message);
    if (Number.isInteger(exitCode)) return exitCode;
  }
  if (text === '') throw new StatusError('ServiceUnavailable', 'the server did not tell how the command ended');
  throw new StatusError('InternalError', (status?.message ?? text).replace(servedPrefix, ''));
}

function parse(text: string): WireStatus | undefined {
  try {
    const value: unknown = JSON.parse(text);
    // Every field of it is optional, and only compared or printed.
    return typeof value === 'object' && value !== null ? (value as WireStatus) : undefined;
  } catch {
    return undefined; // plain text of an old server
  }
}
