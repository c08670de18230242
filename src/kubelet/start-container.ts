import type { Container, LifecycleHandler, Pod } from '../api/gen/types.ts';
import { StatusError, messageOf } from '../base/status-error.ts';
import type { ContainerConfig, Mount, PodSandboxConfig } from '../cri/runtime.ts';
import { containerConfigOf, needsImageUser } from './container-config.ts';
import { containerEnv } from './container-env.ts';
import { serviceEnv } from './service-env.ts';
import { restartCountOf } from './container-labels.ts';
import { runHook } from './hooks.ts';
import type { ImagePulls, ImageResult } from './image-pulls.ts';
import { killContainer } from './kill-container.ts';
import type { NodeContext } from './node-context.ts';
import type { NodeFiles } from './node-files.ts';
import { podLogDirectory, terminationLogPath } from './node-layout.ts';
import { containerReference, podUidOf, targetContainerOf } from './pod-names.ts';
import { instancesOf, newestInstance } from './runtime-pod.ts';
import type { RuntimePod } from './runtime-pod.ts';
import type { StartFailure } from './start-failures.ts';
import type { MountableVolume } from './volumes.ts';

/** What all containers of one sync have in common. */
export interface StartSite {
  readonly pod: Pod;
  /** As it was when the sync began. */
  readonly runtimePod: RuntimePod;
  readonly sandboxId: string;
  readonly sandboxConfig: PodSandboxConfig;
  readonly podIps: readonly string[];
  readonly volumes: ReadonlyMap<string, MountableVolume>;
  readonly hostsFilePath: string | undefined;
  /** The restart count that the status shows, for a container of which the runtime knows no instance. */
  readonly shownRestartCountOf: (containerName: string) => number;
}

/**
 * Image, config, create, start, postStart, each with its events (section 4.5). Returns why the container does not run,
 * or `undefined`. Rejects only with `signal.reason` and for bugs.
 */
export async function startContainer(
  context: NodeContext,
  images: ImagePulls,
  site: StartSite,
  container: Container,
  signal: AbortSignal,
): Promise<StartFailure | undefined> {
  const { pod } = site;
  const warn = (text: string): void => {
    context.recorder.event(containerReference(pod, container.name), 'Warning', 'Failed', `Error: ${text}`);
  };
  const say = (reason: string, message: string): void => {
    context.recorder.event(containerReference(pod, container.name), 'Normal', reason, message);
  };
  const image = await images.ensure(pod, container, signal);
  if (image.kind === 'failed') {
    warn(image.failure.reason);
    return image.failure;
  }
  const removed = await attempt(() => removeUnstarted(context, site, container, signal), signal);
  if (removed.kind === 'failed') {
    warn(removed.message);
    return { reason: 'CreateContainerError', message: removed.message };
  }
  const config = await attempt(() => makeConfig(context, site, container, image, signal), signal);
  if (config.kind === 'failed') {
    warn(config.message);
    return { reason: 'CreateContainerConfigError', message: config.message };
  }
  const created = await attempt(
    () => context.runtime.createContainer(site.sandboxId, config.value, site.sandboxConfig, signal),
    signal,
  );
  if (created.kind === 'failed') {
    warn(created.message);
    return { reason: 'CreateContainerError', message: created.message };
  }
  say('Created', `Created container: ${container.name}`);
  const started = await attempt(() => context.runtime.startContainer(created.value, signal), signal);
  if (started.kind === 'failed') {
    const message = started.message.replaceAll(created.value, container.name);
    warn(message);
    return { reason: 'RunContainerError', message };
  }
  say('Started', `Started container ${container.name}`);
  const { postStart } = container.lifecycle ?? {};
  if (postStart === undefined) return undefined;
  return runPostStart(context, site, container, created.value, postStart, signal);
}

/**
 * An instance that was created and not started, as far as anybody knows: its start may yet come to pass when the
 * runtime answers late. It goes before there is another one, so that never two of them run.
 */
async function removeUnstarted(
  { runtime }: NodeContext,
  { runtimePod }: StartSite,
  { name }: Container,
  signal: AbortSignal,
): Promise<void> {
  for (const { id, state } of instancesOf(runtimePod, name)) {
    if (state === 'created') await runtime.removeContainer(id, signal);
  }
}

type Attempt<T> = { readonly kind: 'done'; readonly value: T } | { readonly kind: 'failed'; readonly message: string };

async function attempt<T>(task: () => Promise<T>, signal: AbortSignal): Promise<Attempt<T>> {
  try {
    return { kind: 'done', value: await task() };
  } catch (error) {
    if (signal.aborted || !(error instanceof StatusError)) throw error;
    return { kind: 'failed', message: messageOf(error) };
  }
}

async function makeConfig(
  context: NodeContext,
  site: StartSite,
  container: Container,
  { imageRef, image }: Extract<ImageResult, { kind: 'present' }>,
  signal: AbortSignal,
): Promise<ContainerConfig> {
  const { pod, podIps, volumes, hostsFilePath } = site;
  const { hostIps, allocatable, files, layout, memoryCapacityBytes } = context;
  const restartCount = await nextRestartCount(context, site, container);
  const facts = { pod, podIps, hostIps, allocatable };
  const links = await serviceEnv(context, pod, signal);
  const envs = await containerEnv({ objects: context.objects, facts, container, links }, signal);
  const isUserAsked = needsImageUser(pod, container);
  const imageUser = isUserAsked ? (image ?? (await context.runtime.imageStatus(imageRef, signal))) : undefined;
  const messagePath = terminationLogPath(layout, podUidOf(pod), container.name, restartCount);
  const config = containerConfigOf({
    pod,
    container,
    restartCount,
    imageRef,
    envs,
    volumes,
    terminationLogPath: messagePath,
    hostsFilePath,
    memoryCapacityBytes,
    imageUser,
    targetId: targetIdOf(site.runtimePod, container),
    seccompRoot: `${layout.rootDir}/seccomp`,
  });
  await files.makeDirectory(messagePath.slice(0, messagePath.lastIndexOf('/')), 0o755);
  await files.truncate(messagePath, 0o666);
  await files.makeDirectory(`${site.sandboxConfig.logDirectory}/${container.name}`, 0o755);
  const mounts: Mount[] = [];
  for (const mount of config.mounts) {
    const volume = [...volumes.values()].find((candidate) => mount.hostPath.startsWith(`${candidate.hostPath}/`));
    if (volume === undefined) mounts.push(mount);
    else mounts.push({ ...mount, hostPath: await prepareSubPath(files, container, mount, volume) });
  }
  return { ...config, mounts };
}

function targetIdOf(runtimePod: RuntimePod, container: Container): string | undefined {
  const name = targetContainerOf(container);
  if (name === undefined) return undefined;
  const instance = newestInstance(runtimePod, name);
  if (instance === undefined) throw new StatusError('NotFound', `unable to find target container ${name}`);
  return instance.id;
}

/**
 * Makes what a subPath names in a volume if it is not there; returns where it is. A symbolic link that leads out of the
 * volume, which a container may have made there, is refused. Upstream: `SafeMakeDir`, `PrepareSafeSubpath`.
 */
async function prepareSubPath(
  files: NodeFiles,
  container: Container,
  { hostPath, containerPath }: Mount,
  volume: MountableVolume,
): Promise<string> {
  let present = hostPath; // as much of it as is there
  let real = await files.realPath(present);
  while (real === undefined && present !== volume.hostPath) {
    present = present.slice(0, present.lastIndexOf('/'));
    real = await files.realPath(present);
  }
  const root = await files.realPath(volume.hostPath);
  if (root === undefined || real === undefined || (real !== root && !real.startsWith(`${root}/`))) {
    const name = (container.volumeMounts ?? []).find(({ mountPath }) => mountPath === containerPath)?.name ?? '';
    const text = `failed to prepare subPath for volumeMount "${name}" of container "${container.name}"`;
    throw new StatusError('BadRequest', text);
  }
  const target = real + hostPath.slice(present.length);
  if (present !== hostPath) await files.makeDirectory(target, volume.directoryMode, volume.groupId);
  return target;
}

/**
 * One more than the instance before, unless that never ran; without one, than the log files and the status remember.
 */
async function nextRestartCount(
  { files, layout }: Pick<NodeContext, 'files' | 'layout'>,
  { pod, runtimePod, shownRestartCountOf }: StartSite,
  { name }: Container,
): Promise<number> {
  const [newest] = instancesOf(runtimePod, name);
  if (newest !== undefined) return restartCountOf(newest) + (newest.state === 'created' ? 0 : 1);
  const logs = await files.list(`${podLogDirectory(layout, pod)}/${name}`);
  const numbers = logs.map((file) => Number(/^(\d+)\.log/.exec(file)?.[1] ?? -1));
  return Math.max(shownRestartCountOf(name), ...numbers.map((number) => number + 1));
}

async function runPostStart(
  context: NodeContext,
  { pod, podIps }: StartSite,
  container: Container,
  containerId: string,
  handler: LifecycleHandler,
  signal: AbortSignal,
): Promise<StartFailure | undefined> {
  const target = { pod, container, containerId, podIp: podIps[0] ?? '' };
  const failure = await runHook(context, target, handler, signal);
  if (failure === undefined) return undefined;
  const reference = containerReference(pod, container.name);
  context.recorder.event(reference, 'Warning', 'FailedPostStartHook', 'PostStartHook failed');
  const options = {
    message: 'FailedPostStartHook',
    reason: 'other',
    graceSeconds: undefined,
    waitTurn: undefined,
  } as const;
  await killContainer(context, target, options, signal);
  return { reason: 'PostStartHookError', message: failure };
}
