import { invalid } from '../field-error.ts';
import type { Errors } from './metadata.ts';

export const fileModeText = 'must be a number between 0 and 0777 (octal), both inclusive';

export function checkFileMode(errors: Errors, path: string, mode: number | undefined): void {
  if (mode !== undefined && (mode < 0 || mode > 0o777)) errors.push(invalid(path, mode, fileModeText));
}

/** No `..` as a part of it. */
export function checkNoBacksteps(errors: Errors, path: string, value: string): void {
  if (value.split('/').includes('..')) errors.push(invalid(path, value, "must not contain '..'"));
}

/** Relative, and it stays below where it starts. Upstream: `validateLocalDescendingPath`. */
export function checkDescendingPath(errors: Errors, path: string, value: string): void {
  if (value.startsWith('/')) errors.push(invalid(path, value, 'must be a relative path'));
  checkNoBacksteps(errors, path, value);
}

/** The same, and its first part does not begin with `..`. Upstream: `ValidateLocalNonReservedPath`. */
export function checkNonReservedPath(errors: Errors, path: string, value: string): void {
  checkDescendingPath(errors, path, value);
  if (value.startsWith('..') && !value.startsWith('../')) {
    errors.push(invalid(path, value, "must not start with '..'"));
  }
}
