import path from 'node:path';
import type { Flag, FlagValues } from './flags.ts';

export const manifestsFlag: Flag = {
  name: 'manifests',
  kind: 'string',
  help: 'Directory of manifests, each of a pod that the node runs whatever its server says.',
};

/** For `NodeHostOptions`. */
export function givenManifests(flags: FlagValues): { readonly manifests?: string } {
  const manifests = flags.optional('manifests');
  return manifests === undefined ? {} : { manifests: path.resolve(manifests) };
}

/** The flag as words, for a process with another working directory. */
export function manifestsWords(flags: FlagValues): string[] {
  const { manifests } = givenManifests(flags);
  return manifests === undefined ? [] : [`--manifests=${manifests}`];
}
