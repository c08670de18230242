import type { Container, Pod } from '../api/gen/types.ts';
import type { ContainerRuntime, PodSandboxStatus, RuntimeContainerStatus } from '../cri/runtime.ts';
import { isSidecar, restartPolicyOf } from './pod-names.ts';

/** What the runtime has of one pod at one instant. Upstream: `kubecontainer.PodStatus`. */
export interface RuntimePod {
  /** Newest first. */
  readonly sandboxes: readonly PodSandboxStatus[];
  /** All instances of all containers, newest first. */
  readonly containers: readonly RuntimeContainerStatus[];
}

export const noRuntimePod: RuntimePod = { sandboxes: [], containers: [] };

export async function readRuntimePod(
  runtime: ContainerRuntime,
  podUid: string,
  signal: AbortSignal,
): Promise<RuntimePod> {
  const [sandboxes, containers] = await Promise.all([
    runtime.listPodSandboxes({ podUid }, signal),
    runtime.listContainers({ podUid }, signal),
  ]);
  return {
    sandboxes: [...sandboxes].sort((a, b) => newestFirst(a, b)),
    containers: [...containers].sort((a, b) => newestFirst(a, b)),
  };
}

interface Numbered {
  readonly createdWallMs: number;
  readonly metadata: { readonly attempt: number };
}

// Within a millisecond, or after the clock was set back, the attempt decides among instances of one container.
function newestFirst(a: Numbered, b: Numbered): number {
  return b.createdWallMs - a.createdWallMs || b.metadata.attempt - a.metadata.attempt;
}

/** The instances of one container, newest first. */
export function instancesOf(runtimePod: RuntimePod, name: string): RuntimeContainerStatus[] {
  return runtimePod.containers.filter((container) => container.metadata.name === name);
}

export function newestInstance(runtimePod: RuntimePod, name: string): RuntimeContainerStatus | undefined {
  return runtimePod.containers.find((container) => container.metadata.name === name);
}

/** The newest that has ended; crash-loop back-off counts from its end. */
export function newestDead(runtimePod: RuntimePod, name: string): RuntimeContainerStatus | undefined {
  return runtimePod.containers.find((candidate) => candidate.metadata.name === name && candidate.state === 'exited');
}

/** May still have a process. */
export function isAlive(container: RuntimeContainerStatus): boolean {
  return container.state === 'running' || container.state === 'unknown';
}

export function aliveContainers(runtimePod: RuntimePod): RuntimeContainerStatus[] {
  return runtimePod.containers.filter(isAlive);
}

/** Whether the restart policy wants another run after a failure. */
export function restartsOnFailure(pod: Pod): boolean {
  return restartPolicyOf(pod) !== 'Never';
}

/** Whether a container that does not run now is to be (re)started. Upstream: `ShouldContainerBeRestarted`. */
export function shouldStart(pod: Pod, container: Container, newest: RuntimeContainerStatus | undefined): boolean {
  if (pod.metadata?.deletionTimestamp !== undefined) return false;
  if (newest === undefined) return true;
  if (newest.state === 'running') return false;
  if (newest.state !== 'exited') return true; // created but never started, or unknown
  if (isSidecar(container)) return true;
  switch (restartPolicyOf(pod)) {
    case 'Never':
      return false;
    case 'OnFailure':
      return newest.exitCode !== 0;
    case 'Always':
      return true;
  }
}
