import type { Container, Pod, VolumeMount } from '../api/gen/types.ts';
import { qosClassOf } from '../api/qos.ts';
import { quantityMilliValue, quantityOf, quantityValue } from '../api/quantity.ts';
import { StatusError } from '../base/status-error.ts';
import type {
  ContainerConfig,
  ContainerSecurityContext,
  LinuxContainerResources,
  Mount,
  RuntimeImage,
} from '../cri/runtime.ts';
import { cpuPeriodMicros, cpuQuotaMicrosOf, cpuSharesOf } from './cgroup-values.ts';
import { expand } from './container-env.ts';
import type { EnvValue } from './container-env.ts';
import { containerAnnotations, containerLabels } from './container-labels.ts';
import { containerLogPath } from './node-layout.ts';
import { isSidecar, podText } from './pod-names.ts';
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
  /** Whom the image runs as; only looked at where `needsImageUser`. */
  readonly imageUser: Pick<RuntimeImage, 'uid' | 'username'> | undefined;
  /** See `ContainerConfig.targetId`. */
  readonly targetId: string | undefined;
  /** Where `Localhost` profiles of seccomp lie. */
  readonly seccompRoot: string;
}

/** Whether the image has to say whom it runs as, since the pod insists on not being root and does not name a user. */
export function needsImageUser(pod: Pod, container: Container): boolean {
  const user = container.securityContext?.runAsUser ?? pod.spec?.securityContext?.runAsUser;
  return isNonRootWanted(pod, container) && user === undefined;
}

/**
 * What the runtime is told to make; fails with the text of CreateContainerConfigError. Upstream:
 * `generateContainerConfig`.
 */
export function containerConfigOf(input: ContainerConfigInput): ContainerConfig {
  const { pod, container, restartCount, envs } = input;
  const values = new Map(envs.map(({ key, value }) => [key, value]));
  checkNonRoot(input);
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
    securityContext: securityContextOf(pod, container, input.seccompRoot),
    resources: resourcesOf(pod, container, input.memoryCapacityBytes),
    ...(input.targetId === undefined ? {} : { targetId: input.targetId }),
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

function isNonRootWanted(pod: Pod, container: Container): boolean {
  return (container.securityContext?.runAsNonRoot ?? pod.spec?.securityContext?.runAsNonRoot) === true;
}

/** Upstream: `verifyRunAsNonRoot`. */
function checkNonRoot({ pod, container, imageUser }: ContainerConfigInput): void {
  if (!isNonRootWanted(pod, container)) return;
  const where = `(pod: "${podText(pod)}", container: ${container.name})`;
  const user = container.securityContext?.runAsUser ?? pod.spec?.securityContext?.runAsUser;
  if (user === 0) throw new StatusError('BadRequest', `container's runAsUser breaks non-root policy ${where}`);
  if (user !== undefined) return;
  const { uid, username = '' } = imageUser ?? {};
  if (uid === undefined && username !== '') {
    const text = `image has non-numeric user (${username}), cannot verify user is non-root`;
    throw new StatusError('BadRequest', `container has runAsNonRoot and ${text} ${where}`);
  }
  if (uid === undefined || uid === 0) {
    throw new StatusError('BadRequest', `container has runAsNonRoot and image will run as root ${where}`);
  }
}

function securityContextOf(pod: Pod, container: Container, seccompRoot: string): ContainerSecurityContext {
  const ofPod = pod.spec?.securityContext ?? {};
  const own = container.securityContext ?? {};
  const seccomp = own.seccompProfile ?? ofPod.seccompProfile;
  const appArmor = own.appArmorProfile ?? ofPod.appArmorProfile;
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
    // Unconfined is what a runtime does without a word about seccomp; with AppArmor it has to be said.
    ...(seccomp === undefined || seccomp.type === 'Unconfined' ? {} : { seccompProfile: seccomp.type }),
    ...(seccomp?.type === 'Localhost'
      ? { seccompLocalhostPath: `${seccompRoot}/${seccomp.localhostProfile ?? ''}` }
      : {}),
    ...(appArmor === undefined ? {} : { appArmorProfile: appArmor.type }),
    ...(appArmor?.type === 'Localhost' ? { appArmorLocalhostName: appArmor.localhostProfile ?? '' } : {}),
    ...(seLinuxOptions === undefined ? {} : { seLinuxOptions: { ...seLinuxOptions } }),
    ...(own.procMount === undefined || own.procMount === 'Default' ? {} : { procMount: own.procMount }),
  };
}

function resourcesOf(pod: Pod, container: Container, memoryCapacityBytes: number): LinuxContainerResources {
  const { requests, limits } = container.resources ?? {};
  const requestMilli = quantityMilliValue(quantityOf(requests?.['cpu'] ?? limits?.['cpu']));
  const limitMilli = quantityMilliValue(quantityOf(limits?.['cpu']));
  const memoryLimitBytes = quantityValue(quantityOf(limits?.['memory']));
  return {
    cpuShares: cpuSharesOf(requestMilli),
    cpuQuota: limitMilli === 0 ? undefined : cpuQuotaMicrosOf(limitMilli),
    cpuPeriod: limitMilli === 0 ? undefined : cpuPeriodMicros,
    memoryLimitBytes: memoryLimitBytes === 0 ? undefined : memoryLimitBytes,
    oomScoreAdj: oomScoreAdjOf(pod, container, memoryCapacityBytes),
  };
}

/**
 * Who is killed first when memory runs out: those that asked for little, and a sidecar not before the containers that
 * it serves. Upstream: `GetContainerOOMScoreAdjust`.
 */
function oomScoreAdjOf(pod: Pod, container: Container, memoryCapacityBytes: number): number {
  const spec = pod.spec ?? { containers: [] };
  switch (qosClassOf(spec)) {
    case 'Guaranteed':
      return -997;
    case 'BestEffort':
      return 1_000;
    case 'Burstable': {
      const scoreOf = ({ resources }: Container): number => {
        const requestBytes = quantityValue(quantityOf(resources?.requests?.['memory']));
        return memoryCapacityBytes === 0 ? 1_000 : 1_000 - (1_000 * requestBytes) / memoryCapacityBytes;
      };
      const highestMax = isSidecar(container) ? Math.max(...spec.containers.map(scoreOf)) : 1_000;
      return Math.min(999, Math.max(3, Math.floor(Math.min(scoreOf(container), highestMax))));
    }
  }
}
