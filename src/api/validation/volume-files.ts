import { invalid, required } from '../field-error.ts';
import type { DownwardAPIVolumeFile, KeyToPath } from '../gen/types.ts';
import { checkFieldRef, checkResourceFieldRef, volumeFieldPaths } from './field-refs.ts';
import type { Errors } from './metadata.ts';
import { checkFileMode, checkNonReservedPath } from './paths.ts';

/** The files that a volume makes of the keys of a config map or secret. */
export function checkKeysToPaths(errors: Errors, path: string, items: readonly KeyToPath[] | undefined): void {
  items?.forEach((item, index) => {
    const at = `${path}[${index}]`;
    if (item.key === '') errors.push(required(`${at}.key`));
    if (item.path === '') errors.push(required(`${at}.path`));
    checkNonReservedPath(errors, `${at}.path`, item.path);
    checkFileMode(errors, `${at}.mode`, item.mode);
  });
}

/** Without an index in its path, as upstream. */
export function checkDownwardFile(errors: Errors, path: string, file: DownwardAPIVolumeFile): void {
  if (file.path === '') errors.push(required(`${path}.path`));
  checkNonReservedPath(errors, `${path}.path`, file.path);
  if (file.fieldRef !== undefined) {
    checkFieldRef(errors, `${path}.fieldRef`, file.fieldRef, volumeFieldPaths);
    if (file.resourceFieldRef !== undefined) {
      const text = 'fieldRef and resourceFieldRef can not be specified simultaneously';
      errors.push(invalid(path, 'resource', text));
    }
  } else if (file.resourceFieldRef !== undefined) {
    checkResourceFieldRef(errors, `${path}.resourceFieldRef`, file.resourceFieldRef, true);
  } else errors.push(required(path, 'one of fieldRef and resourceFieldRef is required'));
  checkFileMode(errors, `${path}.mode`, file.mode);
}
