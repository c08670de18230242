import type { Container, Pod, VolumeMount } from '../api/gen/types.ts';
import { qosClassOf } from '../api/qos.ts';
import { quantityMilliValue, quantityOf, quantityValue } from '../api/quantity.ts';
import { StatusError } from '../base/status-error.ts';
import type { ContainerConfig, ContainerSecurityContext, LinuxContainerResources, Mount } from '../cri/runtime.ts';
import { expand } from './container-env.ts';
import type { EnvValue } from './container-env.ts';
import { containerAnnotations, containerLabels } from './container-labels.ts';
import { containerLogPath } from './node-layout.ts';
import { podText } from './pod-names.ts';
import type { MountableVolume } from './volumes.ts';

export interface ContainerConfigInput {
  readonly pod: Pod;
  readonly container: Container;
  readonly restartCount: number;
  /** The image's id. */
  readonly imageRef: string;
  readonly envs: readonly EnvValue[];
  readonly volumes: ReadonlyMap<string, MountableVolume>;
  /** Of the file for the termination message. */
  readonly terminationLogPath: string;
  /** Of the file to mount at /etc/hosts; `undefined`: none. */
  readonly hostsFilePath: string | undefined;
  /** Of the node, in bytes. */
  readonly memoryCapacityBytes: number;
}

/**
 * What the runtime is told to make; fails with the text of CreateContainerConfigError. Upstream:
 * `generateContainerConfig`.
 */
export function containerConfigOf(input: ContainerConfigInput): ContainerConfig {
  const { pod, container, restartCount, envs } = input;
  const values = new Map(envs.map(({ key, value }) => [key, value]));
  checkNonRoot(pod, container);
  return {
    metadata: { name: container.name, attempt: restartCount },
    imageRef: input.imageRef,
    image: container.image ?? '',
    command: (container.command ?? []).map((word) => expand(word, values)),
    args: (container.args ?? []).map((word) => expand(word, values)),
    workingDir: container.workingDir ?? '',
    envs,
    mounts: mountsOf(input, values),
    labels: containerLabels(pod, container),
    annotations: containerAnnotations(pod, container, restartCount),
    logPath: containerLogPath(container.name, restartCount),
    stdin: container.stdin ?? false,
    stdinOnce: container.stdinOnce ?? false,
    tty: container.tty ?? false,
    stopSignal: container.lifecycle?.stopSignal,
    securityContext: securityContextOf(pod, container),
    resources: resourcesOf(pod, container, input.memoryCapacityBytes),
  };
}

function mountsOf(input: ContainerConfigInput, values: ReadonlyMap<string, string>): readonly Mount[] {
  const { container, volumes } = input;
  const mounts = (container.volumeMounts ?? []).map((mount): Mount => {
    const volume = volumes.get(mount.name);
    if (volume === undefined) throw new StatusError('NotFound', `volume "${mount.name}" is not mounted`);
    return {
      containerPath: mount.mountPath.startsWith('/') ? mount.mountPath : `/${mount.mountPath}`,
      hostPath: `${volume.hostPath}${subPathOf(mount, values)}`,
      readonly: mount.readOnly === true || volume.isReadOnly,
      ...propagationOf(mount),
    };
  });
  const has = (path: string): boolean => mounts.some(({ containerPath }) => containerPath === path);
  const { hostsFilePath, terminationLogPath } = input;
  if (hostsFilePath !== undefined && !has('/etc/hosts')) {
    mounts.push({ containerPath: '/etc/hosts', hostPath: hostsFilePath, readonly: false });
  }
  const messagePath = container.terminationMessagePath ?? '';
  if (messagePath !== '' && !has(messagePath)) {
    mounts.push({ containerPath: messagePath, hostPath: terminationLogPath, readonly: false });
  }
  return mounts;
}

function propagationOf({ mountPropagation }: VolumeMount): Pick<Mount, 'propagation'> {
  if (mountPropagation === 'HostToContainer') return { propagation: 'hostToContainer' };
  return mountPropagation === 'Bidirectional' ? { propagation: 'bidirectional' } : {};
}

function subPathOf({ subPath, subPathExpr }: VolumeMount, values: ReadonlyMap<string, string>): string {
  const path = subPathExpr === undefined || subPathExpr === '' ? subPath : expandSubPath(subPathExpr, values);
  if (path === undefined || path === '') return '';
  if (path.startsWith('/')) throw new StatusError('BadRequest', `subPath must not be an absolute path: ${path}`);
  if (path.split('/').includes('..')) throw new StatusError('BadRequest', `subPath must not contain '..': ${path}`);
  return `/${path}`;
}

function expandSubPath(expression: string, values: ReadonlyMap<string, string>): string {
  const missing = [...expression.matchAll(/\$\(([^)]*)\)/g)]
    .map(([, name = '']) => name)
    .filter((name) => !values.has(name));
  if (missing.length === 0) return expand(expression, values);
  const list = missing.map((name) => JSON.stringify(name)).join(' ');
  throw new StatusError('BadRequest', `missing value for [${list}] in subPathExpr ${JSON.stringify(expression)}`);
}

// The image's own user is not known here, so a pod that insists has to say which user it wants.
function checkNonRoot(pod: Pod, container: Container): void {
  const mustBe = container.securityContext?.runAsNonRoot ?? pod.spec?.securityContext?.runAsNonRoot;
  if (mustBe !== true) return;
  const user = container.securityContext?.runAsUser ?? pod.spec?.securityContext?.runAsUser;
  const where = `(pod: "${podText(pod)}", container: ${container.name})`;
  if (user === 0) throw new StatusError('BadRequest', `container's runAsUser breaks non-root policy ${where}`);
  if (user === undefined) {
    throw new StatusError('BadRequest', `container has runAsNonRoot and image will run as root ${where}`);
  }
}

function securityContextOf(pod: Pod, container: Container): ContainerSecurityContext {
  const ofPod = pod.spec?.securityContext ?? {};
  const own = container.securityContext ?? {};
  const seLinuxOptions = own.seLinuxOptions ?? ofPod.seLinuxOptions;
  return {
    privileged: own.privileged ?? false,
    runAsUser: own.runAsUser ?? ofPod.runAsUser,
    runAsGroup: own.runAsGroup ?? ofPod.runAsGroup,
    supplementalGroups: [...(ofPod.supplementalGroups ?? []), ...(ofPod.fsGroup === undefined ? [] : [ofPod.fsGroup])],
    readonlyRootfs: own.readOnlyRootFilesystem ?? false,
    noNewPrivs: own.allowPrivilegeEscalation === false,
    addCapabilities: own.capabilities?.add ?? [],
    dropCapabilities: own.capabilities?.drop ?? [],
    ...profileOf('seccompProfile', (own.seccompProfile ?? ofPod.seccompProfile)?.type),
    ...profileOf('appArmorProfile', (own.appArmorProfile ?? ofPod.appArmorProfile)?.type),
    ...(seLinuxOptions === undefined ? {} : { seLinuxOptions: { ...seLinuxOptions } }),
    ...(own.procMount === undefined || own.procMount === 'Default' ? {} : { procMount: own.procMount }),
  };
}

function profileOf<K extends string>(key: K, type: string | undefined): Partial<Record<K, string>> {
  const profile: Partial<Record<K, string>> = {};
  if (type !== undefined && type !== 'Unconfined') profile[key] = type;
  return profile;
}

const cpuPeriodMicros = 100_000;
const cpuSharesMin = 2;

function resourcesOf(pod: Pod, container: Container, memoryCapacityBytes: number): LinuxContainerResources {
  const { requests, limits } = container.resources ?? {};
  const requestMilli = quantityMilliValue(quantityOf(requests?.['cpu'] ?? limits?.['cpu']));
  const limitMilli = quantityMilliValue(quantityOf(limits?.['cpu']));
  const memoryLimitBytes = quantityValue(quantityOf(limits?.['memory']));
  return {
    cpuShares: Math.max(cpuSharesMin, Math.floor((requestMilli * 1_024) / 1_000)),
    cpuQuota: limitMilli === 0 ? undefined : Math.max(1_000, (limitMilli * cpuPeriodMicros) / 1_000),
    cpuPeriod: limitMilli === 0 ? undefined : cpuPeriodMicros,
    memoryLimitBytes: memoryLimitBytes === 0 ? undefined : memoryLimitBytes,
    oomScoreAdj: oomScoreAdjOf(pod, container, memoryCapacityBytes),
  };
}

/** Who is killed first when memory runs out: those that asked for little. Upstream: `GetContainerOOMScoreAdjust`. */
function oomScoreAdjOf(pod: Pod, container: Container, memoryCapacityBytes: number): number {
  switch (qosClassOf(pod.spec ?? { containers: [] })) {
    case 'Guaranteed':
      return -997;
    case 'BestEffort':
      return 1_000;
    case 'Burstable': {
      const requestBytes = quantityValue(quantityOf(container.resources?.requests?.['memory']));
      const share = memoryCapacityBytes === 0 ? 0 : (1_000 * requestBytes) / memoryCapacityBytes;
      return Math.min(999, Math.max(3, Math.floor(1_000 - share)));
    }
  }
}
