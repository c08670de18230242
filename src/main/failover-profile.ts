/** How soon the pods of a silent node are replaced: see `failoverNumbers`. */
export type FailoverProfile = 'default' | 'fast';

export const failoverProfiles = ['default', 'fast'] as const satisfies readonly FailoverProfile[];

export function isFailoverProfile(text: string): text is FailoverProfile {
  return failoverProfiles.some((profile) => profile === text);
}
