import type { Pod } from '../api/gen/types.ts';
import type { DnsConfig, NamespaceMode, PodSandboxConfig, PortMapping, PortProtocol } from '../cri/runtime.ts';
import { sandboxAnnotations, sandboxLabels } from './container-labels.ts';
import { podLogDirectory } from './node-layout.ts';
import type { NodeLayout } from './node-layout.ts';
import { containersOf, podUidOf } from './pod-names.ts';
import { sysctlsOf } from './sysctls.ts';

const hostnameLengthMax = 63;
/** Of a kernel. */
export const fqdnLengthMax = 64;

export interface SandboxFacts {
  readonly attempt: number;
  readonly layout: NodeLayout;
  /** For pods on the machine's network. */
  readonly nodeHostname: string;
  readonly dnsConfig: DnsConfig | undefined;
  /** `undefined`: the runtime's own. */
  readonly cgroupParent: string | undefined;
}

/** The sandbox that a pod asks for. */
export function sandboxConfigOf(pod: Pod, facts: SandboxFacts): PodSandboxConfig {
  const { attempt, layout, nodeHostname, dnsConfig, cgroupParent } = facts;
  const { metadata, spec } = pod;
  const sysctls = sysctlsOf(pod);
  return {
    metadata: { name: metadata?.name ?? '', uid: podUidOf(pod), namespace: metadata?.namespace ?? '', attempt },
    hostname: hostnameOf(pod, nodeHostname),
    logDirectory: podLogDirectory(layout, pod),
    dnsConfig,
    portMappings: (spec?.containers ?? []).flatMap(({ ports }) =>
      (ports ?? []).map(({ protocol, containerPort, hostPort, hostIP }): PortMapping => ({
        protocol: protocolOf(protocol),
        containerPort,
        hostPort: hostPort ?? 0,
        hostIp: hostIP ?? '',
      })),
    ),
    labels: sandboxLabels(pod),
    annotations: sandboxAnnotations(pod),
    namespaces: {
      network: modeOf(spec?.hostNetwork, 'pod'),
      pid: modeOf(spec?.hostPID, spec?.shareProcessNamespace === true ? 'pod' : 'container'),
      ipc: modeOf(spec?.hostIPC, 'pod'),
    },
    ...(containersOf(pod).some(({ container }) => container.securityContext?.privileged === true)
      ? { privileged: true }
      : {}),
    ...(cgroupParent === undefined ? {} : { cgroupParent }),
    ...(Object.keys(sysctls).length === 0 ? {} : { sysctls }),
  };
}

export function hostnameOf(pod: Pod, nodeHostname: string): string {
  if (pod.spec?.hostNetwork === true) return nodeHostname;
  const { hostnameOverride, hostname, subdomain, setHostnameAsFQDN } = pod.spec ?? {};
  const name = hostnameOverride ?? hostname ?? pod.metadata?.name ?? '';
  const short = name.slice(0, hostnameLengthMax).replace(/[-.]+$/, '');
  if (setHostnameAsFQDN !== true || subdomain === undefined || subdomain === '') return short;
  return `${short}.${subdomain}.${pod.metadata?.namespace}.svc.cluster.local`;
}

function modeOf(usesHost: boolean | undefined, otherwise: NamespaceMode): NamespaceMode {
  return usesHost === true ? 'node' : otherwise;
}

function protocolOf(protocol: string | undefined): PortProtocol {
  return protocol === 'UDP' || protocol === 'SCTP' ? protocol : 'TCP';
}
