/** What the contract's configurations are in CRI's messages. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { StatusError } from '../../base/status-error.ts';
import type {
  ContainerConfig,
  ContainerSecurityContext,
  LinuxContainerResources,
  PodSandboxConfig,
} from '../runtime.ts';
import { namespaceModes, profileTypes, propagations, protocols, stopSignalValue, targetPidMode } from './cri-values.ts';
import type {
  ContainerConfigSchema,
  LinuxContainerResourcesSchema,
  LinuxContainerSecurityContextSchema,
  NamespaceOptionSchema,
  PodSandboxConfigSchema,
  SELinuxOptionSchema,
  SecurityProfileSchema,
} from './gen/cri_pb.ts';

/** `cgroupParent`: as the runtime spells it; empty: its own. */
export function sandboxMessage(
  config: PodSandboxConfig,
  cgroupParent: string,
): MessageInitShape<typeof PodSandboxConfigSchema> {
  const { metadata, hostname, logDirectory, dnsConfig, labels, annotations, namespaces } = config;
  return {
    metadata: { ...metadata },
    // As upstream: the machine's network comes with the machine's name.
    hostname: namespaces.network === 'node' ? '' : hostname,
    logDirectory,
    ...(dnsConfig === undefined
      ? {}
      : {
          dnsConfig: {
            servers: [...dnsConfig.servers],
            searches: [...dnsConfig.searches],
            options: [...dnsConfig.options],
          },
        }),
    portMappings: config.portMappings.map(({ protocol, containerPort, hostPort, hostIp }) => ({
      protocol: protocols[protocol],
      containerPort,
      hostPort,
      hostIp,
    })),
    labels: { ...labels },
    annotations: { ...annotations },
    linux: {
      cgroupParent,
      sysctls: { ...config.sysctls },
      securityContext: {
        namespaceOptions: namespaceMessage(config),
        privileged: config.privileged ?? false,
        // As upstream: the sandbox's own process needs nothing that the default profile forbids.
        seccomp: { profileType: profileTypes.RuntimeDefault },
      },
    },
  };
}

function namespaceMessage({ namespaces }: PodSandboxConfig): MessageInitShape<typeof NamespaceOptionSchema> {
  return {
    network: namespaceModes[namespaces.network],
    pid: namespaceModes[namespaces.pid],
    ipc: namespaceModes[namespaces.ipc],
  };
}

/** Fails with BadRequest for what CRI has no word for. */
export function containerMessage(
  config: ContainerConfig,
  sandbox: PodSandboxConfig,
): MessageInitShape<typeof ContainerConfigSchema> {
  return {
    metadata: { ...config.metadata },
    image: { image: config.imageRef === '' ? config.image : config.imageRef, userSpecifiedImage: config.image },
    command: [...config.command],
    args: [...config.args],
    workingDir: config.workingDir,
    envs: config.envs.map(({ key, value }) => ({ key, value })),
    mounts: config.mounts.map(({ containerPath, hostPath, readonly, propagation = 'private' }) => ({
      containerPath,
      hostPath,
      readonly,
      propagation: propagations[propagation],
    })),
    labels: { ...config.labels },
    annotations: { ...config.annotations },
    logPath: config.logPath,
    stdin: config.stdin,
    stdinOnce: config.stdinOnce,
    tty: config.tty,
    linux: {
      resources: resourcesMessage(config.resources),
      securityContext: securityMessage(config, sandbox),
    },
    stopSignal: stopSignalOf(config.stopSignal),
  };
}

function stopSignalOf(name: string | undefined): number {
  const value = stopSignalValue(name);
  if (value === undefined) throw new StatusError('BadRequest', `lifecycle.stopSignal: ${name} is not a signal of CRI`);
  return value;
}

function resourcesMessage(resources: LinuxContainerResources): MessageInitShape<typeof LinuxContainerResourcesSchema> {
  const { cpuPeriod, cpuQuota, cpuShares, memoryLimitBytes, oomScoreAdj, unified } = resources;
  return {
    cpuPeriod: integer(cpuPeriod),
    cpuQuota: integer(cpuQuota),
    cpuShares: integer(cpuShares),
    memoryLimitInBytes: integer(memoryLimitBytes),
    oomScoreAdj: integer(oomScoreAdj),
    unified: { ...unified },
  };
}

function integer(value: number | undefined): bigint {
  return BigInt(Math.trunc(value ?? 0)); // 0: not specified
}

function securityMessage(
  { securityContext: context, targetId }: Pick<ContainerConfig, 'securityContext' | 'targetId'>,
  sandbox: PodSandboxConfig,
): MessageInitShape<typeof LinuxContainerSecurityContextSchema> {
  const { runAsUser, runAsGroup, seLinuxOptions, privileged, readonlyRootfs, noNewPrivs } = context;
  const isMasked = context.procMount !== 'Unmasked';
  return {
    capabilities: {
      addCapabilities: [...context.addCapabilities],
      dropCapabilities: [...context.dropCapabilities],
    },
    privileged,
    namespaceOptions: {
      ...namespaceMessage(sandbox),
      ...(targetId === undefined ? {} : { pid: targetPidMode, targetId }),
    },
    ...(seLinuxOptions === undefined ? {} : { selinuxOptions: seLinuxMessage(seLinuxOptions) }),
    ...(runAsUser === undefined ? {} : { runAsUser: { value: BigInt(runAsUser) } }),
    ...(runAsGroup === undefined ? {} : { runAsGroup: { value: BigInt(runAsGroup) } }),
    readonlyRootfs,
    supplementalGroups: context.supplementalGroups.map(BigInt),
    noNewPrivs,
    maskedPaths: isMasked ? maskedPaths : [],
    readonlyPaths: isMasked ? readonlyPaths : [],
    seccomp: profileMessage(context.seccompProfile ?? 'Unconfined', context.seccompLocalhostPath, 'seccompProfile'),
    ...(context.appArmorProfile === undefined
      ? {}
      : { apparmor: profileMessage(context.appArmorProfile, context.appArmorLocalhostName, 'appArmorProfile') }),
  };
}

// CRI runtimes hide nothing unless told to. Upstream: `defaultMaskedPaths`, `defaultReadonlyPaths` of 1.34.
const maskedPaths = (
  '/proc/asound /proc/acpi /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list ' +
  '/proc/timer_stats /proc/sched_debug /proc/scsi /sys/firmware /sys/devices/virtual/powercap'
).split(' ');
const readonlyPaths = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

function profileMessage(
  type: string,
  localhostRef: string | undefined,
  field: string,
): MessageInitShape<typeof SecurityProfileSchema> {
  switch (type) {
    case 'RuntimeDefault':
    case 'Unconfined':
      return { profileType: profileTypes[type] };
    case 'Localhost':
      if (localhostRef === undefined) {
        throw new StatusError('BadRequest', `${field}.localhostProfile must be set if ${field} type is Localhost.`);
      }
      return { profileType: profileTypes.Localhost, localhostRef };
    default:
      throw new StatusError('BadRequest', `${field}.type: ${type} is not known`);
  }
}

function seLinuxMessage(
  options: NonNullable<ContainerSecurityContext['seLinuxOptions']>,
): MessageInitShape<typeof SELinuxOptionSchema> {
  const { user = '', role = '', type = '', level = '' } = options;
  return { user, role, type, level };
}
