import { failoverProfiles, isFailoverProfile } from '../main/failover-profile.ts';
import type { FailoverProfile } from '../main/failover-profile.ts';
import { CliError } from './cli-error.ts';
import type { Flag, FlagValues } from './flags.ts';

const choices = failoverProfiles.join(' or ');

export const failoverFlag: Flag = {
  name: 'failover',
  kind: 'string',
  fallback: 'default',
  help: `How soon pods of a lost node are replaced: ${choices}. default: 50 s and 300 s, as upstream; fast: within 10 s.`,
};

export function checkedFailover(flags: FlagValues): FailoverProfile {
  const profile = flags.string('failover');
  if (isFailoverProfile(profile)) return profile;
  throw new CliError(`unknown failover profile ${JSON.stringify(profile)}: it can be ${choices}`);
}
