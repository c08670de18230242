import { goQuote } from '../api/go-text.ts';
import { hasReason, messageOf, StatusError } from '../base/status-error.ts';

/** What a verb cannot go on with; printed after `error: `. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: number;
  /** Printed as it is, without `error: ` before it. */
  readonly verbatim: boolean;

  constructor(message: string, options: { exitCode?: number; verbatim?: boolean; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.exitCode = options.exitCode ?? 1;
    this.verbatim = options.verbatim ?? false;
  }
}

/** Several objects were tried and some failed. */
export class ManyErrors extends Error {
  override readonly name = 'ManyErrors';
  readonly errors: readonly unknown[];

  constructor(errors: readonly unknown[]) {
    super(errors.map(messageOf).join('\n'));
    this.errors = errors;
  }
}

/** Throws what was collected: nothing, the one error, or all of them as `ManyErrors`. */
export function throwCollected(errors: readonly unknown[]): void {
  if (errors.length === 1) throw errors[0];
  if (errors.length > 1) throw new ManyErrors(errors);
}

/** Where upstream collects errors, even a single one is printed without `error: ` before it. */
export function asOneOfMany(error: unknown): unknown {
  return error instanceof CliError ? new CliError(error.message, { verbatim: true, cause: error }) : error;
}

/** The same error, saying which file the object came from. Upstream: `cmdutil.AddSourceToErr`. */
export function withSource(doing: string, source: string, error: unknown): unknown {
  if (source === '') return error; // it came from no file
  const message = `error when ${doing} ${goQuote(source)}: ${messageOf(error)}`;
  if (isUnreachable(error)) return error;
  if (!(error instanceof StatusError)) return new CliError(message, { cause: error });
  return error.details === undefined
    ? new StatusError(error.reason, message, { cause: error })
    : new StatusError(error.reason, message, { cause: error, details: error.details });
}

/** What kubectl prints on stderr for this error, with an end of line. Upstream: `cmdutil.CheckErr`. */
export function errorText(error: unknown): string {
  if (error instanceof ManyErrors) return error.errors.map((one) => `${oneOfManyText(one)}\n`).join('');
  if (hasReason(error, 'Invalid')) return invalidText(error);
  const known = knownText(error);
  if (known !== undefined) return `${known}\n`;
  const message = messageOf(error);
  const text = message.startsWith('error: ') ? message : `error: ${message}`;
  return text.endsWith('\n') ? text : `${text}\n`;
}

export function exitCodeOf(error: unknown): number {
  return error instanceof CliError ? error.exitCode : 1;
}

function oneOfManyText(error: unknown): string {
  return knownText(error) ?? messageOf(error);
}

/** `undefined`: an error that only its message describes. */
function knownText(error: unknown): string | undefined {
  if (error instanceof CliError && error.verbatim) return error.message;
  if (!(error instanceof StatusError)) return undefined;
  if (isUnreachable(error)) return unreachableText(error);
  if (error.reason === 'Unauthorized') return `error: You must be logged in to the server (${error.message})`;
  return `Error from server (${error.reason}): ${error.message}`;
}

function invalidText(error: StatusError): string {
  const { kind = '', name = '', causes = [] } = error.details ?? {};
  const hasName = kind !== '' || name !== '';
  const subject = hasName ? `The ${kind} ${goQuote(name)} is invalid` : 'The request is invalid';
  if (causes.length === 0) return hasName || error.message === '' ? `${subject}\n` : `${subject}: ${error.message}\n`;
  const lines = [...new Set(causes.map((cause) => `${cause.field ?? ''}: ${cause.message ?? ''}`))];
  if (lines.length === 1) return `${subject}: ${lines[0]}\n`;
  return `${subject}: \n${lines.map((line) => `* ${line}\n`).join('')}`;
}

/**
 * The server was not reached at all, as against one that answered 503: only then there is an error of Node behind it.
 */
export function isUnreachable(error: unknown): boolean {
  return hasReason(error, 'ServiceUnavailable') && error.cause instanceof Error;
}

function unreachableText(error: StatusError): string {
  const url = /^\w+ "([^"]*)": /.exec(error.message);
  const why = url === null ? error.message : error.message.slice(url[0].length);
  if (!why.includes('connection refused') || url?.[1] === undefined) return `Unable to connect to the server: ${why}`;
  const { host } = new URL(url[1]);
  return `The connection to the server ${host} was refused - did you specify the right host or port?`;
}
