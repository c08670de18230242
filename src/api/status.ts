import { httpCodeByReason, StatusError, type StatusErrorDetails, type StatusReason } from '../base/status-error.ts';
import type { Status } from './gen/types.ts';

/** The `Status` object that an error is on the wire. */
export function statusOf(error: StatusError): Status {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: error.message,
    reason: error.reason,
    ...(error.details === undefined ? {} : { details: error.details }),
    code: error.httpCode,
  };
}

/** A `Status` for what went well, e.g. a deletion. */
export function successStatus(details?: StatusErrorDetails): Status {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    ...(details === undefined ? {} : { details }),
  };
}

const reasonByCode: ReadonlyMap<number, StatusReason> = new Map<number, StatusReason>([
  [400, 'BadRequest'],
  [401, 'Unauthorized'],
  [403, 'Forbidden'],
  [404, 'NotFound'],
  [405, 'MethodNotAllowed'],
  [406, 'NotAcceptable'],
  [409, 'Conflict'],
  [410, 'Gone'],
  [413, 'RequestEntityTooLarge'],
  [415, 'UnsupportedMediaType'],
  [422, 'Invalid'],
  [429, 'TooManyRequests'],
  [500, 'InternalError'],
  [503, 'ServiceUnavailable'],
  [504, 'Timeout'],
]);

function isStatusReason(text: unknown): text is StatusReason {
  return typeof text === 'string' && Object.hasOwn(httpCodeByReason, text);
}

/**
 * The error in a server's answer: a parsed `Status`, or anything else that came with an HTTP code that tells a
 * failure.
 */
export function fromStatus(body: unknown, httpCode?: number): StatusError {
  // Every field of it is checked below before it is used.
  const status = (typeof body === 'object' && body !== null ? body : {}) as Readonly<Record<string, unknown>>;
  const code = httpCode ?? (typeof status['code'] === 'number' ? status['code'] : 500);
  const reason = status['reason'];
  const known = isStatusReason(reason) ? reason : (reasonByCode.get(code) ?? 'InternalError');
  const text = status['message'];
  const message = typeof text === 'string' && text !== '' ? text : `the server answered with HTTP code ${code}`;
  const details = status['details'];
  if (typeof details !== 'object' || details === null) return new StatusError(known, message);
  // `details` is only handed on; readers of it treat every field as optional.
  return new StatusError(known, message, { details: details as StatusErrorDetails });
}
