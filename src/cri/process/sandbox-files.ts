import fs from 'node:fs';
import { StatusError } from '../../base/status-error.ts';
import type { DnsConfig, PodSandboxConfig } from '../runtime.ts';
import type { Isolation } from './launcher.ts';

const resolvConfFile = '/etc/resolv.conf';
const systemdResolvConfFile = '/run/systemd/resolve/resolv.conf';

/** Refuses what a pod asks for and this runtime cannot give. Names the field of the pod. */
export function refuseImpossibleSandbox(config: PodSandboxConfig, isolation: Isolation): void {
  const refuse = (text: string): never => {
    throw new StatusError('BadRequest', `${text} is not supported by the process runtime`);
  };
  if (isolation.kind !== 'none' && config.namespaces.pid === 'node') refuse('hostPID: true');
  if (config.namespaces.pid === 'pod') refuse('shareProcessNamespace: true');
  const hasOwnNetwork = isolation.network === 'namespace' && config.namespaces.network !== 'node';
  for (const { hostPort, containerPort, protocol } of config.portMappings) {
    if (hostPort === 0 || (hostPort === containerPort && !hasOwnNetwork)) continue;
    if (hasOwnNetwork && protocol === 'TCP') continue;
    refuse(`hostPort: ${hostPort} for containerPort ${containerPort}/${protocol}`);
  }
}

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
