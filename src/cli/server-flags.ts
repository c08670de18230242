/** The flags of verbs that start an API server. */
import { clusterCidrDefault, parseClusterCidr } from '../api/cluster-cidr.ts';
import type { FailoverProfile } from '../main/failover-profile.ts';
import { CliError } from './cli-error.ts';
import { checkedFailover, failoverFlag } from './failover-flag.ts';
import type { Flag, FlagValues } from './flags.ts';
import { firstFreePort } from './free-port.ts';

export const serverFlags: readonly Flag[] = [
  {
    name: 'port',
    kind: 'int',
    help: 'TCP port of the API server; 0: any free one. Default: 6443, or the next free one.',
  },
  {
    name: 'bind',
    kind: 'string',
    fallback: '127.0.0.1',
    help: 'Address that the API server listens on; 0.0.0.0: all of this computer.',
  },
  {
    name: 'advertise',
    kind: 'string',
    help: 'Name or address by which others reach the API server, for certificates and kubeconfigs. Default: that of --bind.',
  },
  failoverFlag,
  {
    name: 'cluster-cidr',
    kind: 'string',
    help: `Range of IPv4 addresses of which each node gets a /24 for its pods; nodes that have one keep it. Default: ${clusterCidrDefault}; up takes the next one if this computer has a route into that.`,
  },
];

const defaultPort = 6_443;
const portMax = 65_535;

export function checkServerFlags(flags: FlagValues): void {
  checkedFailover(flags);
  if (flags.has('cluster-cidr')) parseClusterCidr(flags.string('cluster-cidr'));
  const port = flags.int('port');
  if (port < 0 || port > portMax) throw new CliError(`--port ${port} is not between 0 and ${portMax}`);
  if (flags.string('bind') === '') throw new CliError('--bind names no address');
}

/** As options of `main/`. */
export interface ServerFlags {
  readonly port: number;
  readonly bind: string;
  readonly advertise?: string;
  readonly failover: FailoverProfile;
  readonly clusterCidr?: string;
}

export async function serverOptions(flags: FlagValues): Promise<ServerFlags> {
  const advertise = flags.optional('advertise');
  return {
    port: flags.has('port') ? flags.int('port') : await firstFreePort(defaultPort, flags.string('bind')),
    bind: flags.string('bind'),
    failover: checkedFailover(flags),
    ...(flags.has('cluster-cidr') ? { clusterCidr: flags.string('cluster-cidr') } : {}),
    ...(advertise === undefined ? {} : { advertise }),
  };
}
