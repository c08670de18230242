import type { Container, Pod, PodStatus } from '../api/gen/types.ts';
import { StatusError, messageOf } from '../base/status-error.ts';
import { restartCountOf } from './container-labels.ts';
import type { DoublingBackoff } from './doubling-backoff.ts';
import { hostsFileOf } from './hosts-file.ts';
import type { ImagePulls } from './image-pulls.ts';
import { containerTypeOf } from './kubelet-metrics.ts';
import { killContainer } from './kill-container.ts';
import { definitionOf, killPod } from './kill-pod.ts';
import type { NodeContext } from './node-context.ts';
import { hostsFilePath, podDirectory } from './node-layout.ts';
import type { PodActions } from './pod-actions.ts';
import {
  containerReference,
  containerStatusesOf,
  findContainer,
  isSidecar,
  podReference,
  podText,
  podUidOf,
} from './pod-names.ts';
import { podIpsOf } from './pod-status.ts';
import { newestDead, newestInstance } from './runtime-pod.ts';
import type { RuntimePod } from './runtime-pod.ts';
import { podDnsConfig } from './pod-dns.ts';
import { sandboxConfigOf } from './sandbox-config.ts';
import { startContainer } from './start-container.ts';
import type { StartSite } from './start-container.ts';
import type { StartFailure, StartFailures } from './start-failures.ts';
import type { MountableVolume } from './volumes.ts';
import { formatDuration } from '../api/duration.ts';

export interface SyncParts {
  readonly images: ImagePulls;
  readonly failures: StartFailures;
  readonly crashBackoff: DoublingBackoff;
}

export interface SyncInput {
  readonly pod: Pod;
  /** As it was when the sync began; back-off is decided on it, also after a kill in this very sync. */
  readonly runtimePod: RuntimePod;
  /** As computed at the beginning of this sync. */
  readonly status: PodStatus;
  readonly actions: PodActions;
  readonly volumes: ReadonlyMap<string, MountableVolume>;
}

export interface SyncResult {
  /** Something was made, started or ended: what the runtime has now differs from what was seen. */
  readonly changed: boolean;
  /** Something did not work, or is in back-off: try again soon. */
  readonly failed: boolean;
  /** All that was started has been restarted before. */
  readonly isRepeat: boolean;
}

/** Carries out the actions of one sync, in order. Upstream: `kubeGenericRuntimeManager.SyncPod`. */
export async function syncContainers(
  context: NodeContext,
  parts: SyncParts,
  input: SyncInput,
  signal: AbortSignal,
): Promise<SyncResult> {
  const { pod, runtimePod, actions } = input;
  if (actions.createSandbox && actions.sandboxId !== undefined) {
    const message = 'Pod sandbox changed, it will be killed and re-created.';
    context.recorder.event(podReference(pod), 'Normal', 'SandboxChanged', message);
  }
  let changed = false;
  if (actions.killPod) {
    changed = runtimePod.sandboxes.some(({ state }) => state === 'ready');
    await killPod(context, pod, runtimePod, undefined, signal);
    if (!actions.createSandbox) return { changed, failed: false, isRepeat: false };
    await purgeInit(context, pod, runtimePod, signal);
  }
  for (const kill of actions.kill) {
    changed = true;
    const instance = runtimePod.containers.find(({ id }) => id === kill.containerId);
    if (instance === undefined) continue;
    const target = {
      pod,
      container: definitionOf(pod, instance),
      containerId: kill.containerId,
      podIp: input.status.podIP ?? '',
    };
    await killContainer(context, target, { ...kill, graceSeconds: undefined, waitTurn: undefined }, signal);
  }
  const { startEphemeral, startInit, start } = actions;
  if (!actions.createSandbox && startEphemeral.length + startInit.length + start.length === 0) {
    return { changed, failed: false, isRepeat: false };
  }
  const site = await prepareSite(context, input, signal);
  if (site === undefined) return { changed, failed: true, isRepeat: false };
  const started = await startAll(context, parts, site, actions, signal);
  return { ...started, changed: changed || actions.createSandbox || started.changed };
}

/** In a new sandbox the pod starts from its first init container, so no trace of earlier runs may tell otherwise. */
async function purgeInit(
  { runtime }: NodeContext,
  pod: Pod,
  runtimePod: RuntimePod,
  signal: AbortSignal,
): Promise<void> {
  const names = new Set((pod.spec?.initContainers ?? []).map(({ name }) => name));
  for (const { id, metadata } of runtimePod.containers) {
    if (names.has(metadata.name)) await runtime.removeContainer(id, signal);
  }
}

/** Makes the sandbox if there is to be a new one. `undefined`: it could not be made; the event has been written. */
async function prepareSite(
  context: NodeContext,
  { pod, runtimePod, status, actions, volumes }: SyncInput,
  signal: AbortSignal,
): Promise<StartSite | undefined> {
  const cgroup = await ensureCgroup(context, pod);
  if (cgroup.kind === 'failed') return undefined;
  const sandboxConfig = sandboxConfigOf(pod, {
    attempt: actions.sandboxAttempt,
    layout: context.layout,
    nodeHostname: context.hostname,
    dnsConfig: await podDnsConfig(context, pod),
    cgroupParent: cgroup.path,
  });
  let sandboxId = actions.sandboxId;
  if (actions.createSandbox || sandboxId === undefined) {
    sandboxId = await createSandbox(context, pod, sandboxConfig, signal);
    if (sandboxId === undefined) return undefined;
  }
  const sandbox =
    runtimePod.sandboxes.find(({ id }) => id === sandboxId) ??
    (await context.runtime.podSandboxStatus(sandboxId, signal));
  const shown = containerStatusesOf(status);
  return {
    pod,
    // Instances of the old sandbox are gone from the point of view of init containers, but count for restarts.
    runtimePod,
    sandboxId,
    sandboxConfig,
    podIps: podIpsOf(pod, { sandboxes: [sandbox], containers: [] }, status, context.hostIps),
    volumes,
    hostsFilePath: await writeHostsFile(context, pod, sandboxConfig.hostname, sandbox.ips),
    shownRestartCountOf: (name) => {
      const container = shown.find((candidate) => candidate.name === name);
      return (container?.restartCount ?? 0) + (container?.state?.terminated === undefined ? 0 : 1);
    },
  };
}

type PodCgroup = { readonly kind: 'ready'; readonly path: string | undefined } | { readonly kind: 'failed' };

async function ensureCgroup({ podCgroups, recorder }: NodeContext, pod: Pod): Promise<PodCgroup> {
  try {
    return { kind: 'ready', path: await podCgroups?.ensure(pod) };
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    const message = `unable to ensure pod container exists: ${error.message}`;
    recorder.event(podReference(pod), 'Warning', 'FailedCreatePodContainer', message);
    return { kind: 'failed' };
  }
}

async function createSandbox(
  context: NodeContext,
  pod: Pod,
  config: StartSite['sandboxConfig'],
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    await context.files.makeDirectory(config.logDirectory, 0o755);
    const { runtimeClassName = '' } = pod.spec ?? {};
    const handler =
      runtimeClassName === ''
        ? {}
        : { runtimeHandler: (await context.objects.runtimeClass(runtimeClassName, signal)).handler };
    const sandboxId = await context.runtime.runPodSandbox({ ...config, ...handler }, signal);
    context.metrics.startedPods.inc({});
    return sandboxId;
  } catch (error) {
    if (signal.aborted || !(error instanceof StatusError)) throw error;
    context.metrics.startedPodsErrors.inc({});
    const message = `Failed to create pod sandbox: ${messageOf(error)}`;
    context.recorder.event(podReference(pod), 'Warning', 'FailedCreatePodSandBox', message);
    return undefined;
  }
}

async function writeHostsFile(
  { files, layout }: NodeContext,
  pod: Pod,
  hostname: string,
  ownIps: readonly string[],
): Promise<string | undefined> {
  const content = await hostsFileOf(files, pod, hostname, ownIps);
  if (content === undefined) return undefined;
  const path = hostsFilePath(layout, podUidOf(pod));
  await files.makeDirectory(podDirectory(layout, podUidOf(pod)), 0o755);
  await files.write(path, content, 0o644);
  return path;
}

async function startAll(
  context: NodeContext,
  parts: SyncParts,
  site: StartSite,
  actions: PodActions,
  signal: AbortSignal,
): Promise<SyncResult> {
  let changed = false;
  let failed = false;
  let isRepeat = true;
  for (const name of [...actions.startEphemeral, ...actions.startInit, ...actions.start]) {
    const found = findContainer(site.pod, name);
    if (found === undefined) continue;
    const { container } = found;
    const failure = await startOne(context, parts, site, container, signal);
    const podUid = podUidOf(site.pod);
    if (failure === undefined) {
      parts.failures.clear(podUid, name);
      context.metrics.startedContainers.inc({ container_type: containerTypeOf(found.kind) });
      changed = true;
      const before = newestInstance(site.runtimePod, name);
      isRepeat &&= before !== undefined && restartCountOf(before) > 0;
      continue;
    }
    parts.failures.set(podUid, name, failure);
    if (failure.reason !== 'CrashLoopBackOff' && failure.reason !== 'ImagePullBackOff') {
      const labels = { container_type: containerTypeOf(found.kind), code: failure.reason };
      context.metrics.startedContainersErrors.inc(labels);
    }
    failed = true;
    changed ||= failure.reason === 'RunContainerError' || failure.reason === 'PostStartHookError';
    // An init container that does not start holds up all that follow; a sidecar, or a regular one, does not.
    if (actions.startInit.includes(name) && !isSidecar(container)) break;
  }
  return { changed, failed, isRepeat: changed && !failed && isRepeat };
}

async function startOne(
  context: NodeContext,
  { images, crashBackoff }: SyncParts,
  site: StartSite,
  container: Container,
  signal: AbortSignal,
): Promise<StartFailure | undefined> {
  const { pod } = site;
  const podUid = podUidOf(pod);
  const dead = newestDead(site.runtimePod, container.name);
  if (dead !== undefined) {
    const key = backoffKey(container);
    const finishedWallMs = dead.finishedWallMs ?? dead.createdWallMs;
    const nowWallMs = context.clock.wallMs();
    if (crashBackoff.isWaitingSince(podUid, key, finishedWallMs, nowWallMs)) {
      const delay = formatDuration(crashBackoff.delayMs(podUid, key));
      const reference = containerReference(pod, container.name);
      const text = `restarting failed container ${container.name} in pod ${podText(pod)}`;
      context.recorder.event(reference, 'Warning', 'BackOff', `Back-off ${text}`);
      return {
        reason: 'CrashLoopBackOff',
        message: `back-off ${delay} restarting failed container=${container.name} pod=${podText(pod)}`,
      };
    }
    crashBackoff.advance(podUid, key, finishedWallMs, nowWallMs);
  }
  return startContainer(context, images, site, container, signal);
}

function backoffKey({ name, image, resources }: Container): string {
  return JSON.stringify([name, image, resources ?? {}]);
}
