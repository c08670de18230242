import { forbidden, invalid, required } from '../field-error.ts';
import type { KeyToPath, ProjectedVolumeSource, VolumeProjection } from '../gen/types.ts';
import type { Errors } from './metadata.ts';
import { checkFileMode, checkNonReservedPath } from './paths.ts';
import { checkDownwardFile, checkKeysToPaths } from './volume-files.ts';

const tokenSecondsMin = 600;
const tokenSecondsMax = 2 ** 32;

/** Upstream: `validateProjectedVolumeSource`. */
export function checkProjected(errors: Errors, path: string, projected: ProjectedVolumeSource): void {
  checkFileMode(errors, `${path}.defaultMode`, projected.defaultMode);
  const filePaths = new Set<string>(); // of all sources: no two may write one file
  const note = (filePath: string, badValue: string): void => {
    if (filePath === '') return;
    if (filePaths.has(filePath)) errors.push(invalid(path, badValue, 'conflicting duplicate paths'));
    filePaths.add(filePath);
  };
  projected.sources?.forEach((source, index) => {
    const at = `${path}.sources[${index}]`;
    checkKeyedSource(errors, `${at}.secret`, source.secret, note);
    checkKeyedSource(errors, `${at}.configMap`, source.configMap, note);
    for (const file of source.downwardAPI?.items ?? []) {
      checkDownwardFile(errors, `${at}.downwardAPI`, file);
      note(file.path, file.path);
    }
    checkToken(errors, path, `${at}.serviceAccountToken`, source);
    checkTrustBundle(errors, `${at}.clusterTrustBundle`, source, note);
    const { secret, configMap, downwardAPI, serviceAccountToken, clusterTrustBundle } = source;
    const all = [secret, configMap, downwardAPI, serviceAccountToken, clusterTrustBundle];
    if (all.filter((one) => one !== undefined).length > 1) {
      errors.push(forbidden(at, 'may not specify more than 1 volume type per source'));
    }
  });
}

type Note = (filePath: string, badValue: string) => void;

function checkKeyedSource(
  errors: Errors,
  path: string,
  source: { readonly name?: string; readonly items?: readonly KeyToPath[] } | undefined,
  note: Note,
): void {
  if (source === undefined) return;
  const { name = '' } = source;
  if (name === '') errors.push(required(`${path}.name`));
  checkKeysToPaths(errors, `${path}.items`, source.items);
  for (const item of source.items ?? []) note(item.path, name);
}

function checkToken(errors: Errors, volumePath: string, path: string, source: VolumeProjection): void {
  const token = source.serviceAccountToken;
  if (token === undefined) return;
  checkTokenSeconds(errors, `${path}.expirationSeconds`, token.expirationSeconds);
  if (token.path === '') errors.push(required(`${volumePath}.path`));
  else checkNonReservedPath(errors, `${volumePath}.path`, token.path);
}

/** How long a token is to be good. */
export function checkTokenSeconds(errors: Errors, path: string, seconds = 0): void {
  if (seconds < tokenSecondsMin) errors.push(invalid(path, seconds, 'may not specify a duration less than 10 minutes'));
  if (seconds > tokenSecondsMax) {
    errors.push(invalid(path, seconds, 'may not specify a duration larger than 2^32 seconds'));
  }
}

function checkTrustBundle(errors: Errors, path: string, source: VolumeProjection, note: Note): void {
  const bundle = source.clusterTrustBundle;
  if (bundle === undefined) return;
  if (bundle.name !== undefined && bundle.signerName !== undefined) {
    errors.push(invalid(path, bundle, 'only one of name and signerName may be used'));
  } else if (bundle.name === undefined && bundle.signerName === undefined) {
    errors.push(required(path, 'either name or signerName must be specified'));
  } else if (bundle.name === '') errors.push(required(`${path}.name`, 'must be a valid object name'));
  else if (bundle.signerName === '') errors.push(required(`${path}.signerName`, 'must be a valid signer name'));
  if (bundle.name !== undefined && bundle.signerName === undefined && bundle.labelSelector !== undefined) {
    const text = 'labelSelector must be unset if name is specified';
    errors.push(invalid(`${path}.labelSelector`, bundle.labelSelector, text));
  }
  if (bundle.path === '') errors.push(required(`${path}.path`));
  checkNonReservedPath(errors, `${path}.path`, bundle.path);
  note(bundle.path, bundle.path);
}
