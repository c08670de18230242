import type { Pod } from '../api/gen/types.ts';

type SysctlNamespace = 'IPC' | 'Net';

/** Kernel parameters that belong to one pod alone and harm nobody else. Upstream: `SafeSysctlAllowlist`. */
const safeSysctls: ReadonlyMap<string, SysctlNamespace> = new Map([
  ['kernel.shm_rmid_forced', 'IPC'],
  ['net.ipv4.ip_local_port_range', 'Net'],
  ['net.ipv4.ip_local_reserved_ports', 'Net'],
  ['net.ipv4.ip_unprivileged_port_start', 'Net'],
  ['net.ipv4.ping_group_range', 'Net'],
  ['net.ipv4.tcp_fin_timeout', 'Net'],
  ['net.ipv4.tcp_keepalive_intvl', 'Net'],
  ['net.ipv4.tcp_keepalive_probes', 'Net'],
  ['net.ipv4.tcp_keepalive_time', 'Net'],
  ['net.ipv4.tcp_rmem', 'Net'],
  ['net.ipv4.tcp_syncookies', 'Net'],
  ['net.ipv4.tcp_wmem', 'Net'],
]);

/** With dots between its parts; in what is written with slashes, dots stand for slashes. Upstream: `NormalizeName`. */
function normalName(name: string): string {
  const separator = /[./]/.exec(name)?.[0];
  if (separator !== '/') return name;
  return name.replace(/[./]/g, (found) => (found === '/' ? '.' : '/'));
}

/** By normal name, as a sandbox gets them. */
export function sysctlsOf({ spec }: Pod): Readonly<Record<string, string>> {
  const sysctls = spec?.securityContext?.sysctls ?? [];
  return Object.fromEntries(sysctls.map(({ name, value }) => [normalName(name), value]));
}

/** Why this node does not set one of them, in upstream's words; `undefined`: it sets them all. */
export function sysctlProblem(pod: Pod): string | undefined {
  const { hostNetwork = false, hostIPC = false } = pod.spec ?? {};
  for (const name of Object.keys(sysctlsOf(pod))) {
    const owner = safeSysctls.get(name);
    if (owner === undefined) return `forbidden sysctl: "${name}" not allowlisted`;
    if (owner === 'IPC' ? hostIPC : hostNetwork) {
      return `forbidden sysctl: "${name}" not allowed with host ${owner} enabled`;
    }
  }
  return undefined;
}
