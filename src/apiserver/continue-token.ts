/** Where a list in pages goes on: the revision of its first page, and the first key that is still to come. */
import { StatusError } from '../base/status-error.ts';

export interface ContinueToken {
  /** -1: the newest; the pages no longer show one state. */
  readonly revision: number;
  /** Relative to the list's prefix. */
  readonly start: string;
}

export function encodeContinue(token: ContinueToken): string {
  const text = JSON.stringify({ v: 'meta.k8s.io/v1', rv: token.revision, start: token.start });
  return btoa(text).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

export function decodeContinue(text: string): ContinueToken {
  let decoded: unknown;
  try {
    decoded = JSON.parse(atob(text.replaceAll('-', '+').replaceAll('_', '/')));
  } catch (error) {
    throw badToken('continue key is not valid: it is no base64 of JSON', error);
  }
  if (typeof decoded !== 'object' || decoded === null || !('v' in decoded)) {
    throw badToken('continue key is not valid: no version');
  }
  if (decoded.v !== 'meta.k8s.io/v1') {
    throw badToken(
      `continue key is not valid: server does not recognize this encoded version ${JSON.stringify(decoded.v)}`,
    );
  }
  const revision = 'rv' in decoded ? decoded.rv : undefined;
  if (typeof revision !== 'number' || !Number.isSafeInteger(revision) || revision === 0 || revision < -1) {
    throw badToken('continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)');
  }
  const start = 'start' in decoded ? decoded.start : undefined;
  if (typeof start !== 'string' || start === '' || start.startsWith('/') || start.includes('..')) {
    throw badToken('continue key is not valid: encoded start key empty or not clean (version meta.k8s.io/v1)');
  }
  return { revision, start };
}

function badToken(detail: string, cause?: unknown): StatusError {
  return new StatusError('BadRequest', `invalid continue token: ${detail}`, cause === undefined ? {} : { cause });
}

/** A `continue` whose state is compacted away; it carries a token that goes on in the newest state. */
export class ExpiredContinueError extends StatusError {
  readonly continueToken: string;

  constructor(message: string, continueToken: string, cause: unknown) {
    super('Expired', message, { cause });
    this.continueToken = continueToken;
  }
}
