import fs from 'node:fs';
import type { DnsConfig } from '../runtime.ts';

const resolvConfFile = '/etc/resolv.conf';
const systemdResolvConfFile = '/run/systemd/resolve/resolv.conf';

/** The pod's resolv.conf. A resolver on the machine's loopback cannot be reached from a network of its own. */
export function resolvConfText(dns: DnsConfig | undefined, hasOwnNetwork: boolean): string {
  if (dns !== undefined) {
    return [
      ...dns.servers.map((server) => `nameserver ${server}\n`),
      dns.searches.length === 0 ? '' : `search ${dns.searches.join(' ')}\n`,
      dns.options.length === 0 ? '' : `options ${dns.options.join(' ')}\n`,
    ].join('');
  }
  const text = readText(resolvConfFile);
  const isLocal = /^nameserver\s+(?:127\.|::1)/m.test(text);
  return (hasOwnNetwork && isLocal && readText(systemdResolvConfFile)) || text;
}

/** Where a container's resolv.conf must be mounted: the path is often a link. `undefined`: this machine has none. */
export function resolvConfTarget(): string | undefined {
  try {
    return fs.realpathSync(resolvConfFile);
  } catch {
    return undefined; // no such file, or a link that leads nowhere
  }
}

function readText(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return ''; // not there
  }
}
