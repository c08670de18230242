import { messageOf, StatusError } from '../../base/status-error.ts';

/**
 * What this machine refuses (no space, too many open files, no permission) can happen to any pod, and may be over the
 * next time: an `InternalError`. All else is thrown as it is.
 */
export async function systemErrorsTold<T>(body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    throw isSystemError(error) ? new StatusError('InternalError', messageOf(error), { cause: error }) : error;
  }
}

/** Of Node.js: `ENOSPC: no space left on device, write`. */
function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && 'code' in error && typeof error.code === 'string';
}
