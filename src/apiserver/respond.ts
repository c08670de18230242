/** Answers: JSON texts with their headers, and errors as `metav1.Status`. */
import { statusOf } from '../api/status.ts';
import type { HttpResponse } from '../base/http.ts';
import { StatusError } from '../base/status-error.ts';
import type { StatusErrorDetails } from '../base/status-error.ts';
import { ExpiredContinueError } from './continue-token.ts';

const jsonHeaders: Readonly<Record<string, string>> = {
  'content-type': 'application/json',
  'cache-control': 'no-cache, private',
};

/** `body` as a JSON answer. */
export function jsonResponse(status: number, body: string): HttpResponse {
  return { status, headers: jsonHeaders, body };
}

export function textResponse(status: number, body: string): HttpResponse {
  return {
    status,
    headers: {
      'content-type': 'text/plain; charset=utf-8',
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-cache, private',
    },
    body,
  };
}

/** Warnings go into as many headers as there are, RFC 7234's `299 - "text"`; kubectl prints them. */
export function warningHeader(warnings: readonly string[]): string {
  return warnings.map((warning) => `299 - "${quote(warning)}"`).join(', ');
}

/** Quotes and backslashes are escaped; control characters, which would break the header, become spaces. */
function quote(text: string): string {
  let quoted = '';
  for (const char of text) {
    const code = char.charCodeAt(0);
    if (code < 0x20 || code === 0x7f) quoted += ' ';
    else if (char === '"' || char === '\\') quoted += `\\${char}`;
    else quoted += code > 0x7e ? '?' : char;
  }
  return quoted;
}

export function errorResponse(error: StatusError): HttpResponse {
  const status = statusOf(error);
  const isContinued = error instanceof ExpiredContinueError;
  const shown = isContinued ? { ...status, metadata: { continue: error.continueToken } } : status;
  const response = jsonResponse(error.httpCode, JSON.stringify(shown));
  const retryAfterSeconds = error.details?.retryAfterSeconds;
  if (retryAfterSeconds === undefined) return response;
  return { ...response, headers: { ...response.headers, 'retry-after': String(retryAfterSeconds) } };
}

interface NamedResource {
  readonly group: string;
  readonly resource: string;
}

/** The details of an error about one object; empty parts are left out. */
function detailsOf(type: NamedResource, name: string): StatusErrorDetails {
  return {
    ...(name === '' ? {} : { name }),
    ...(type.group === '' ? {} : { group: type.group }),
    kind: type.resource,
  };
}

/** `pods`, `leases.coordination.k8s.io`: how texts name a resource. */
export function qualifiedResource(type: NamedResource): string {
  return type.group === '' ? type.resource : `${type.resource}.${type.group}`;
}

export function notFound(type: NamedResource, name: string): StatusError {
  return new StatusError('NotFound', `${qualifiedResource(type)} "${name}" not found`, {
    details: detailsOf(type, name),
  });
}

export function alreadyExists(type: NamedResource, name: string): StatusError {
  return new StatusError('AlreadyExists', `${qualifiedResource(type)} "${name}" already exists`, {
    details: detailsOf(type, name),
  });
}

export function conflict(type: NamedResource, name: string, text: string): StatusError {
  return new StatusError('Conflict', `Operation cannot be fulfilled on ${qualifiedResource(type)} "${name}": ${text}`, {
    details: detailsOf(type, name),
  });
}

export function forbidden(
  type: NamedResource,
  name: string,
  text: string,
  causes?: StatusErrorDetails['causes'],
): StatusError {
  const subject = name === '' ? qualifiedResource(type) : `${qualifiedResource(type)} "${name}"`;
  return new StatusError('Forbidden', `${subject} is forbidden: ${text}`, {
    details: { ...detailsOf(type, name), ...(causes === undefined ? {} : { causes }) },
  });
}

/** A path that leads nowhere. */
export function noSuchPath(): StatusError {
  return new StatusError('NotFound', 'the server could not find the requested resource', { details: {} });
}

export function wrongMethod(): StatusError {
  return new StatusError('MethodNotAllowed', 'the server does not allow this method on the requested resource', {
    details: {},
  });
}

/** The text of `optimisticLock` conflicts. */
export const objectModifiedText =
  'the object has been modified; please apply your changes to the latest version and try again';
