import type { Pod } from '../api/gen/types.ts';
import { StatusError, hasReason, messageOf } from '../base/status-error.ts';
import { podLabels } from '../cri/runtime.ts';
import type { RuntimeContainerStatus } from '../cri/runtime.ts';
import { killPod } from './kill-pod.ts';
import type { NodeContext } from './node-context.ts';
import { podDirectory, podLogDirectory, terminationLogPath } from './node-layout.ts';
import { podUidOf } from './pod-names.ts';
import type { RuntimeView } from './relist.ts';
import { isAlive, readRuntimePod } from './runtime-pod.ts';
import type { RuntimePod } from './runtime-pod.ts';

const orphanGraceSeconds = 1; // raised to 2 by the kill itself

/**
 * Removes what a pod that goes on living has too much of: old sandboxes, and all but one dead instance per container.
 * `isShown`: its status refers to the instance, whose log may thus be asked for.
 */
export async function removeExcess(
  context: NodeContext,
  pod: Pod,
  runtimePod: RuntimePod,
  isShown: (instance: RuntimeContainerStatus) => boolean,
  signal: AbortSignal,
): Promise<void> {
  const kept = new Set<string>(); // names with their one dead instance
  for (const instance of runtimePod.containers) {
    if (instance.state !== 'exited') continue;
    const { name } = instance.metadata;
    if (kept.has(name) && !isShown(instance)) await removeInstance(context, pod, instance, signal);
    else kept.add(name);
  }
  const [, ...olderSandboxes] = runtimePod.sandboxes;
  for (const sandbox of olderSandboxes) {
    const hasContainers = runtimePod.containers.some(({ podSandboxId }) => podSandboxId === sandbox.id);
    if (sandbox.state === 'notReady' && !hasContainers) await context.runtime.removePodSandbox(sandbox.id, signal);
  }
}

async function removeInstance(
  context: NodeContext,
  pod: Pod,
  instance: RuntimeContainerStatus,
  signal: AbortSignal,
): Promise<void> {
  await context.runtime.removeContainer(instance.id, signal);
  const { name, attempt } = instance.metadata;
  const directory = `${podLogDirectory(context.layout, pod)}/${name}`;
  for (const file of await context.files.list(directory)) {
    if (file === `${attempt}.log` || file.startsWith(`${attempt}.log.`)) {
      await context.files.remove(`${directory}/${file}`);
    }
  }
  await context.files.remove(terminationLogPath(context.layout, podUidOf(pod), name, attempt));
}

/** Removes everything that is left of a pod that is gone: containers, sandboxes, logs, directories. */
export async function removePodRemains(context: NodeContext, pod: Pod, signal: AbortSignal): Promise<void> {
  const runtimePod = await readRuntimePod(context.runtime, podUidOf(pod), signal);
  for (const { id } of runtimePod.containers) await context.runtime.removeContainer(id, signal);
  for (const { id } of runtimePod.sandboxes) await context.runtime.removePodSandbox(id, signal);
  await context.files.remove(podLogDirectory(context.layout, pod));
  await context.files.remove(podDirectory(context.layout, podUidOf(pod)));
}

/**
 * Ends and removes what belongs to no known pod: containers of pods that were deleted while no kubelet ran, and their
 * directories. Upstream: `HandlePodCleanups`.
 */
export async function removeOrphans(
  context: NodeContext,
  { sandboxes, containers }: RuntimeView,
  isKnown: (podUid: string) => boolean,
  signal: AbortSignal,
): Promise<void> {
  const orphans = new Map<string, Pod>();
  for (const { labels } of [...sandboxes, ...containers]) {
    const podUid = labels[podLabels.podUid];
    if (podUid !== undefined && !isKnown(podUid) && !orphans.has(podUid)) orphans.set(podUid, podFromLabels(labels));
  }
  const left = new Set<string>(); // pod uids; they may run yet, and need their directories
  const ends = [...orphans].map(async ([podUid, pod]) => {
    try {
      await removeOrphan(context, pod, signal);
    } catch (error) {
      if (signal.aborted || !(error instanceof StatusError)) throw error;
      context.log.warn('orphanNotRemoved', { podUid, error: messageOf(error) }); // the next round tries again
      left.add(podUid);
    }
  });
  await Promise.all(ends);
  await removeOrphanDirectories(context, (podUid) => isKnown(podUid) || left.has(podUid));
}

async function removeOrphan(context: NodeContext, pod: Pod, signal: AbortSignal): Promise<void> {
  const runtimePod = await readRuntimePod(context.runtime, podUidOf(pod), signal);
  const aliveCount = runtimePod.containers.filter(isAlive).length;
  context.log.info('orphanFound', { podUid: podUidOf(pod), podName: pod.metadata?.name, aliveCount });
  try {
    await killPod(context, pod, runtimePod, orphanGraceSeconds, signal);
  } catch (error) {
    if (!hasReason(error, 'NotFound')) throw error;
  }
  await removePodRemains(context, pod, signal);
}

function podFromLabels(labels: Readonly<Record<string, string>>): Pod {
  return {
    metadata: {
      name: labels[podLabels.podName] ?? '',
      namespace: labels[podLabels.podNamespace] ?? '',
      uid: labels[podLabels.podUid] ?? '',
    },
    spec: { containers: [] },
  };
}

async function removeOrphanDirectories(
  { files, layout }: Pick<NodeContext, 'files' | 'layout'>,
  isKnown: (podUid: string) => boolean,
): Promise<void> {
  for (const podUid of await files.list(`${layout.rootDir}/pods`)) {
    if (!isKnown(podUid)) await files.remove(`${layout.rootDir}/pods/${podUid}`);
  }
  for (const directory of await files.list(layout.podLogsDir)) {
    const [, , podUid] = directory.split('_'); // NAMESPACE_NAME_UID; anything else there is not ours
    if (podUid !== undefined && !isKnown(podUid)) await files.remove(`${layout.podLogsDir}/${directory}`);
  }
}
