import type { ContainerConfig, PodSandboxConfig } from '../runtime.ts';
import type { Isolation } from './launcher.ts';

/**
 * What becomes of each thing that a pod may ask for: whatever is not carried out is refused, if the container might do
 * harm or not work without it, or told. Nothing is ignored in silence; `enforcement.test.ts` has the table.
 */

/** What this process may do on this machine. */
export interface Permissions {
  readonly isolation: Pick<Isolation, 'kind' | 'files' | 'network' | 'reason'>;
  /** Its own number; `undefined`: this operating system has none. */
  readonly uid: number | undefined;
  readonly hasSetpriv: boolean;
}

/** The kubelet mounts these into every container; an app that does not look for them does not miss them. */
const droppableMounts = ['/etc/hosts', '/dev/termination-log', '/var/run/secrets/kubernetes.io/serviceaccount'];

/** What a RuntimeClass may name; there are no others. */
const processHandler = 'process';

/** Root, and not only in a user namespace. */
function isWholeRoot({ isolation, uid }: Permissions): boolean {
  return uid === 0 && isolation.kind !== 'user';
}

/** Why there can be no such sandbox; `undefined`: there can. Names the field of the pod. */
export function sandboxRefusalOf(config: PodSandboxConfig, { isolation }: Permissions): string | undefined {
  const { namespaces, portMappings, sysctls = {}, runtimeHandler = processHandler } = config;
  // As containerd says it.
  if (runtimeHandler !== processHandler) return `no runtime for ${JSON.stringify(runtimeHandler)} is configured`;
  const hasOwnNetwork = isolation.network === 'namespace' && namespaces.network !== 'node';
  const isServed = ({ hostPort, containerPort, protocol }: (typeof portMappings)[number]): boolean =>
    hostPort === 0 || (hasOwnNetwork ? protocol === 'TCP' : hostPort === containerPort);
  const ports = portMappings
    .filter((mapping) => !isServed(mapping))
    .map(
      ({ hostPort, containerPort, protocol }) => `hostPort: ${hostPort} for containerPort ${containerPort}/${protocol}`,
    );
  const [first] = [
    ...(isolation.kind !== 'none' && namespaces.pid === 'node' ? ['hostPID: true'] : []),
    ...(namespaces.pid === 'pod' ? ['shareProcessNamespace: true'] : []),
    ...Object.keys(sysctls).map((name) => `securityContext.sysctls: ${name}`),
    ...ports,
  ];
  return first === undefined ? undefined : `${first} is not supported by the process runtime`;
}

/** What of a sandbox is not carried out, though its containers run as well without. */
export function sandboxNoticesOf({ dnsConfig }: PodSandboxConfig, { isolation }: Permissions): readonly string[] {
  return dnsConfig !== undefined && isolation.kind === 'none'
    ? ['spec.dnsConfig is not enforced: without Linux namespaces containers have the resolver of this machine']
    : [];
}

/** Why there can be no such container; `undefined`: there can. Names the field. */
export function refusalOf(config: ContainerConfig, permissions: Permissions): string | undefined {
  const { privileged, seccompProfile, appArmorProfile, procMount } = config.securityContext;
  const [unsupported] = [
    ...(privileged ? ['securityContext.privileged: true'] : []),
    ...(seccompProfile === 'Localhost' ? ['securityContext.seccompProfile: Localhost'] : []),
    ...(appArmorProfile === 'Localhost' ? ['securityContext.appArmorProfile: Localhost'] : []),
    ...(procMount === undefined || procMount === 'Default' ? [] : [`securityContext.procMount: ${procMount}`]),
    ...(config.targetId === undefined ? [] : ['targetContainerName']),
    ...(config.mounts.some(({ propagation }) => propagation === 'bidirectional')
      ? ['mountPropagation: Bidirectional']
      : []),
  ];
  if (unsupported !== undefined) return `${unsupported} is not supported by the process runtime`;
  return userRefusalOf(config, permissions) ?? filesRefusalOf(config, permissions);
}

function userRefusalOf({ securityContext }: ContainerConfig, permissions: Permissions): string | undefined {
  if (isWholeRoot(permissions)) return undefined;
  const { runAsUser, runAsGroup } = securityContext;
  const own = permissions.isolation.kind === 'user' ? 0 : permissions.uid; // in a user namespace it is root
  const only = 'the process runtime can run as another user only when it is root';
  if (runAsUser !== undefined && runAsUser !== own) return `securityContext.runAsUser: ${runAsUser}: ${only}`;
  if (runAsGroup !== undefined && runAsGroup !== 0) return `securityContext.runAsGroup: ${runAsGroup}: ${only}`;
  return undefined;
}

function filesRefusalOf({ securityContext, mounts }: ContainerConfig, { isolation }: Permissions): string | undefined {
  if (securityContext.readonlyRootfs && isolation.files !== 'overlay') {
    return 'securityContext.readOnlyRootFilesystem: the process runtime can do this only as root on an overlay';
  }
  if (isolation.kind !== 'none') return undefined;
  const impossible = mounts.find(({ containerPath }) => !droppableMounts.includes(containerPath));
  if (impossible === undefined) return undefined;
  const why = `mounting needs Linux namespaces, which are not available here: ${isolation.reason}`;
  return `volumeMounts: ${impossible.containerPath}: ${why}`;
}

/** What of a container is not carried out, though it runs as well without. */
export function noticesOf(config: ContainerConfig, permissions: Permissions): readonly string[] {
  const { mounts, securityContext } = config;
  const { seccompProfile, appArmorProfile, seLinuxOptions, supplementalGroups, noNewPrivs } = securityContext;
  const { addCapabilities, dropCapabilities } = securityContext;
  // On the machine's network, a pod has this file only for its aliases.
  const hasAliases =
    permissions.isolation.kind === 'none' && mounts.some(({ containerPath }) => containerPath === '/etc/hosts');
  const hasRoot = isWholeRoot(permissions);
  const isConfined = (profile: string | undefined): boolean => profile !== undefined && profile !== 'Unconfined';
  // Who is not root has none to drop.
  const keptCapabilities = permissions.isolation.kind === 'user' ? dropCapabilities : [];
  const fields = [
    ...(isConfined(seccompProfile) ? [`securityContext.seccompProfile: ${seccompProfile}`] : []),
    ...(isConfined(appArmorProfile) ? [`securityContext.appArmorProfile: ${appArmorProfile}`] : []),
    ...(seLinuxOptions === undefined ? [] : ['securityContext.seLinuxOptions']),
    ...(hasRoot || supplementalGroups.length === 0 ? [] : ['securityContext.supplementalGroups and fsGroup']),
    ...(hasRoot || addCapabilities.length === 0 ? [] : ['securityContext.capabilities.add']),
    ...(hasRoot || keptCapabilities.length === 0 ? [] : ['securityContext.capabilities.drop']),
    ...(noNewPrivs && !permissions.hasSetpriv ? ['securityContext.allowPrivilegeEscalation: false'] : []),
    ...(hasAliases ? ['spec.hostAliases'] : []),
    ...(mounts.some(({ propagation }) => propagation === 'hostToContainer')
      ? ['mountPropagation: HostToContainer']
      : []),
  ];
  return fields.map((field) => `${field} is not enforced by the process runtime`);
}
