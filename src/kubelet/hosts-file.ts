import type { Pod } from '../api/gen/types.ts';
import type { NodeFiles } from './node-files.ts';

const header = '# Kubernetes-managed hosts file.\n';
const headerForHostNetwork = '# Kubernetes-managed hosts file (host network).\n';
const fixedLines = [
  '127.0.0.1\tlocalhost',
  '::1\tlocalhost ip6-localhost ip6-loopback',
  'fe00::0\tip6-localnet',
  'fe00::0\tip6-mcastprefix',
  'fe00::1\tip6-allnodes',
  'fe00::2\tip6-allrouters',
];
const nodeHostsPath = '/etc/hosts';
const nodeHostsBytesMax = 1_024 * 1_024;

/**
 * The content of a pod's /etc/hosts; `undefined`: it keeps the machine's, since it is on the machine's network and
 * adds no aliases.
 */
export async function hostsFileOf(
  files: Pick<NodeFiles, 'readTail'>,
  pod: Pod,
  hostname: string,
  ownIps: readonly string[],
): Promise<string | undefined> {
  const aliases = (pod.spec?.hostAliases ?? []).map(({ ip, hostnames }) => `${ip}\t${(hostnames ?? []).join('\t')}`);
  if (ownIps.length === 0 && aliases.length === 0) return undefined;
  const base =
    ownIps.length === 0
      ? headerForHostNetwork + new TextDecoder().decode(await files.readTail(nodeHostsPath, nodeHostsBytesMax))
      : header + [...fixedLines, ...ownIps.map((ip) => `${ip}\t${nameInFile(pod, hostname)}`)].join('\n') + '\n';
  if (aliases.length === 0) return base;
  return `${base}\n# Entries added by HostAliases.\n${aliases.join('\n')}\n`;
}

function nameInFile(pod: Pod, hostname: string): string {
  const { subdomain } = pod.spec ?? {};
  if (subdomain === undefined || subdomain === '') return hostname;
  const [short = ''] = hostname.split('.');
  if (short !== hostname) return `${hostname}\t${short}`; // setHostnameAsFQDN
  return `${hostname}.${subdomain}.${pod.metadata?.namespace}.svc.cluster.local\t${hostname}`;
}
