/** Kubernetes' own words for what can go wrong (`metav1.StatusReason`), each with the HTTP code it has on the wire. */
export const httpCodeByReason = {
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  NotAcceptable: 406,
  AlreadyExists: 409,
  Conflict: 409,
  Gone: 410,
  Expired: 410,
  RequestEntityTooLarge: 413,
  UnsupportedMediaType: 415,
  Invalid: 422,
  TooManyRequests: 429,
  InternalError: 500,
  ServiceUnavailable: 503,
  Timeout: 504,
} as const satisfies Record<string, number>;

export type StatusReason = keyof typeof httpCodeByReason;

/** `metav1.StatusCause`. */
export interface StatusErrorCause {
  readonly reason?: string;
  readonly message?: string;
  readonly field?: string;
}

/** `metav1.StatusDetails`. */
export interface StatusErrorDetails {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  readonly uid?: string;
  readonly causes?: readonly StatusErrorCause[];
  readonly retryAfterSeconds?: number;
}

/**
 * A failure that can happen; it becomes a `metav1.Status` on the wire, and comes back as the same error in a client.
 */
export class StatusError extends Error {
  override readonly name = 'StatusError';
  readonly reason: StatusReason;
  readonly details: StatusErrorDetails | undefined;

  constructor(reason: StatusReason, message: string, options?: { cause?: unknown; details?: StatusErrorDetails }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.reason = reason;
    this.details = options?.details;
  }

  get httpCode(): number {
    return httpCodeByReason[this.reason];
  }
}

/** Whether `error` is a `StatusError` with one of `reasons`. */
export function hasReason(error: unknown, ...reasons: readonly StatusReason[]): error is StatusError {
  return error instanceof StatusError && reasons.includes(error.reason);
}

/** Unreachable by design: the state of the process can no longer be trusted, so nothing may catch this to go on. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/** Throws `InvariantError` with `message` (which names the operands) unless `holds`. Stays on in production. */
export function invariant(holds: boolean, message: string): asserts holds {
  if (!holds) throw new InvariantError(message);
}

/** The `default` of every switch over a union. */
export function unreachable(value: never): never {
  throw new InvariantError(`unreachable: ${JSON.stringify(value)}`);
}

/** The text of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
