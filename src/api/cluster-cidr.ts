import { formatIpv4Range, overlaps, parseIpv4Range } from '../base/ipv4-range.ts';
import type { Ipv4Range } from '../base/ipv4-range.ts';
import { StatusError } from '../base/status-error.ts';

/** What the ranges of nodes are taken from. Upstream: `--cluster-cidr`, which has no default; this is flannel's. */
export const clusterCidrDefault = '10.244.0.0/16';
/** How many leading bits the addresses of one node's pods share. Upstream: the default of `--node-cidr-mask-size`. */
export const nodeCidrBits = 24;

const bitsMin = nodeCidrBits - 16; // upstream: clusterSubnetMaxDiff
const unusable = ['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/3'].flatMap(
  (text) => parseIpv4Range(text) ?? [],
);

/** `Invalid`: pods can have no addresses of it. */
export function parseClusterCidr(text: string): Ipv4Range {
  const refused = (why: string): StatusError =>
    new StatusError('Invalid', `cluster CIDR ${JSON.stringify(text)}: ${why}`);
  if (text.includes(',')) throw refused('it has to be one range; two of them (dual stack) are not supported');
  if (text.includes(':')) throw refused('IPv6 is not supported');
  const range = parseIpv4Range(text);
  if (range === undefined) throw refused(`it has to be a range of IPv4 addresses, such as ${clusterCidrDefault}`);
  if (range.bits > nodeCidrBits) throw refused(`it is smaller than the range of one node (/${nodeCidrBits})`);
  if (range.bits < bitsMin) throw refused(`it is larger than /${bitsMin}`);
  const reserved = unusable.find((other) => overlaps(other, range));
  if (reserved !== undefined) throw refused(`no pod can have an address of ${formatIpv4Range(reserved)}`);
  return range;
}
