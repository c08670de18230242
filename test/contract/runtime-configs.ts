/** Configurations that the runtime tests share. */
import {
  podLabels,
  type ContainerConfig,
  type ContainerSecurityContext,
  type PodSandboxConfig,
} from '../../src/cri/runtime.ts';

let podCount = 0;

/** A pod of its own for each call. `logRoot`: where the runtime under test may write. */
export function sandboxConfig(logRoot: string, overrides: Partial<PodSandboxConfig> = {}): PodSandboxConfig {
  const name = `pod-${podCount++}`;
  return {
    metadata: { name, uid: `uid-${name}`, namespace: 'default', attempt: 0 },
    hostname: name,
    logDirectory: `${logRoot}/default_${name}_uid-${name}`,
    dnsConfig: undefined,
    portMappings: [],
    labels: { [podLabels.podUid]: `uid-${name}`, [podLabels.podName]: name },
    annotations: { 'example.com/note': 'kept' },
    namespaces: { network: 'pod', pid: 'container', ipc: 'pod' },
    ...overrides,
  };
}

export const plainSecurityContext: ContainerSecurityContext = {
  privileged: false,
  runAsUser: undefined,
  runAsGroup: undefined,
  supplementalGroups: [],
  readonlyRootfs: false,
  noNewPrivs: false,
  addCapabilities: [],
  dropCapabilities: [],
};

export function containerConfig(
  sandbox: PodSandboxConfig,
  command: readonly string[],
  overrides: Partial<ContainerConfig> = {},
): ContainerConfig {
  const metadata = overrides.metadata ?? { name: 'main', attempt: 0 };
  return {
    metadata,
    imageRef: '',
    image: 'busybox',
    command,
    args: [],
    workingDir: '',
    envs: [],
    mounts: [],
    labels: { ...sandbox.labels, [podLabels.containerName]: metadata.name },
    annotations: { 'example.com/restartCount': String(metadata.attempt) },
    logPath: `${metadata.name}/${metadata.attempt}.log`,
    stdin: false,
    stdinOnce: false,
    tty: false,
    stopSignal: undefined,
    securityContext: plainSecurityContext,
    resources: {
      cpuShares: undefined,
      cpuQuota: undefined,
      cpuPeriod: undefined,
      memoryLimitBytes: undefined,
      oomScoreAdj: undefined,
    },
    ...overrides,
  };
}
