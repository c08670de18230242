import type { Container, Pod } from '../api/gen/types.ts';
import type { RuntimeContainerStatus } from '../cri/runtime.ts';
import { containerHash, containerHashAnnotation } from './container-labels.ts';
import { isSidecar } from './pod-names.ts';
import type { ProbeResult, ProbeType } from './probes/prober.ts';
import { newestInstance, restartsOnFailure, shouldStart } from './runtime-pod.ts';
import type { RuntimePod } from './runtime-pod.ts';

/** Why a container is killed; decides its grace period. */
export type KillReason = 'liveness' | 'startup' | 'other';

export interface ContainerKill {
  readonly containerId: string;
  readonly name: string;
  /** The Killing event's text. */
  readonly message: string;
  readonly reason: KillReason;
}

/** What one sync has to do, in this order. Upstream: `podActions`. */
export interface PodActions {
  /** End everything of the pod, its sandbox included. */
  readonly killPod: boolean;
  /** Then make a new sandbox. */
  readonly createSandbox: boolean;
  /** The attempt number of the new sandbox. */
  readonly sandboxAttempt: number;
  /** The sandbox to use when none is made. */
  readonly sandboxId: string | undefined;
  readonly kill: readonly ContainerKill[];
  /** Names, in order: ephemeral ones, before all others. */
  readonly startEphemeral: readonly string[];
  readonly startInit: readonly string[];
  readonly start: readonly string[];
}

export interface PodActionsInput {
  readonly pod: Pod;
  readonly runtimePod: RuntimePod;
  readonly probeResultOf: (type: ProbeType, container: RuntimeContainerStatus) => ProbeResult | undefined;
}

interface Draft {
  killPod: boolean;
  readonly kill: ContainerKill[];
  readonly startInit: number[]; // indexes, found from the last to the first
  readonly start: string[];
}

/**
 * Decides what to do about a pod that is to run, from what the runtime has of it. Pure: the same input gives the same
 * answer. Upstream: `computePodActions`.
 */
export function computePodActions(input: PodActionsInput): PodActions {
  const { pod, runtimePod } = input;
  const sandbox = sandboxChange(pod, runtimePod);
  if (sandbox.changed) return actionsForNewSandbox(pod, runtimePod, sandbox);

  const draft: Draft = { killPod: false, kill: [], startInit: [], start: [] };
  const hasInitialized = decideInit(input, draft);
  if (!draft.killPod && hasInitialized) decideRegular(input, draft);
  const initContainers = pod.spec?.initContainers ?? [];
  return {
    killPod: draft.killPod,
    createSandbox: false,
    sandboxAttempt: sandbox.attempt,
    sandboxId: sandbox.id,
    kill: draft.kill,
    startEphemeral: draft.killPod ? [] : newEphemeral(pod, runtimePod),
    startInit: draft.killPod ? [] : draft.startInit.reverse().map((index) => initContainers[index]?.name ?? ''),
    start: draft.start,
  };
}

/** They run once, whatever becomes of them. */
function newEphemeral(pod: Pod, runtimePod: RuntimePod): string[] {
  const names = (pod.spec?.ephemeralContainers ?? []).map(({ name }) => name);
  return names.filter((name) => newestInstance(runtimePod, name) === undefined);
}

interface SandboxChange {
  readonly changed: boolean;
  readonly attempt: number;
  readonly id: string | undefined;
}

/** Whether the pod needs a (new) sandbox (section 2.4). Upstream: `PodSandboxChanged`. */
function sandboxChange(pod: Pod, { sandboxes }: RuntimePod): SandboxChange {
  const [newest] = sandboxes;
  if (newest === undefined) return { changed: true, attempt: 0, id: undefined };
  const readyCount = sandboxes.filter(({ state }) => state === 'ready').length;
  const wantsNodeNetwork = pod.spec?.hostNetwork === true;
  const isChanged =
    readyCount !== 1 ||
    newest.state !== 'ready' ||
    // A runtime without network namespaces gives every pod the machine's network; that is no change.
    (wantsNodeNetwork && newest.networkMode !== 'node') ||
    (newest.networkMode !== 'node' && newest.ips.length === 0);
  return {
    changed: isChanged,
    attempt: isChanged ? newest.metadata.attempt + 1 : newest.metadata.attempt,
    id: newest.id,
  };
}

function actionsForNewSandbox(pod: Pod, runtimePod: RuntimePod, sandbox: SandboxChange): PodActions {
  const actions: PodActions = {
    killPod: true,
    createSandbox: true,
    sandboxAttempt: sandbox.attempt,
    sandboxId: sandbox.id,
    kill: [],
    startEphemeral: [],
    startInit: [],
    start: [],
  };
  // One that was made and never started has not run: the machine was off before it could.
  const hasRun = runtimePod.containers.some(({ state }) => state !== 'created');
  if (!restartsOnFailure(pod) && sandbox.attempt !== 0 && hasRun) return { ...actions, createSandbox: false };
  const start = (pod.spec?.containers ?? [])
    .filter((container) => pod.spec?.restartPolicy !== 'OnFailure' || !hasSucceeded(container, runtimePod))
    .map(({ name }) => name);
  if (start.length === 0) return { ...actions, createSandbox: false };
  const [firstInit] = pod.spec?.initContainers ?? [];
  return firstInit === undefined ? { ...actions, start } : { ...actions, startInit: [firstInit.name] };
}

function hasSucceeded(container: Container, runtimePod: RuntimePod): boolean {
  const newest = newestInstance(runtimePod, container.name);
  return newest?.state === 'exited' && newest.exitCode === 0;
}

/**
 * Init containers and sidecars. Looks from the last to the first, since instances of earlier ones may have been
 * removed: the last one that ran tells how far the pod got. Returns whether the pod has been initialised.
 */
function decideInit(input: PodActionsInput, draft: Draft): boolean {
  const { pod, runtimePod } = input;
  const initContainers = pod.spec?.initContainers ?? [];
  if (initContainers.length === 0) return true;
  let hasInitialized = (pod.spec?.containers ?? []).some(({ name }) => {
    const state = newestInstance(runtimePod, name)?.state;
    return state === 'running' || state === 'created';
  });
  let isPast = hasInitialized; // the ones before have run: only sidecars among them matter
  for (let index = initContainers.length - 1; index >= 0; index--) {
    const container = initContainers[index];
    if (container === undefined) continue;
    const newest = newestInstance(runtimePod, container.name);
    if (newest === undefined) {
      if (isPast && isSidecar(container)) draft.startInit.push(index);
      continue;
    }
    if (isPast && !isSidecar(container)) continue;
    const verdict = isSidecar(container)
      ? judgeSidecar(input, container, newest, draft)
      : judgeInit(pod, newest, container, draft);
    if (verdict === 'failed') return false;
    if (verdict === 'start') draft.startInit.push(index);
    if (verdict === 'passed' && !isPast) {
      if (index === initContainers.length - 1) hasInitialized = true;
      else draft.startInit.push(index + 1);
    }
    isPast = true;
  }
  if (!isPast) draft.startInit.push(0);
  return hasInitialized;
}

/** `wait`: leave it. `start`: (re)start it. `passed`: the next one may start. `failed`: the pod has failed. */
type InitVerdict = 'wait' | 'start' | 'passed' | 'failed';

function judgeInit(pod: Pod, newest: RuntimeContainerStatus, container: Container, draft: Draft): InitVerdict {
  switch (newest.state) {
    case 'created':
      return 'start';
    case 'running':
      return 'wait';
    case 'exited':
      if (newest.exitCode === 0 && newest.reason !== 'OOMKilled') return 'passed';
      break;
    case 'unknown':
      break;
  }
  if (!restartsOnFailure(pod)) {
    draft.killPod = true;
    return 'failed';
  }
  if (newest.state === 'unknown') draft.kill.push(unknownStateKill(newest, container, 'Init container'));
  return 'start';
}

function judgeSidecar(
  { pod, probeResultOf }: PodActionsInput,
  container: Container,
  newest: RuntimeContainerStatus,
  draft: Draft,
): InitVerdict {
  if (newest.state === 'unknown') draft.kill.push(unknownStateKill(newest, container, 'Init container'));
  if (newest.state !== 'running') return shouldStart(pod, container, newest) ? 'start' : 'wait';
  const kill = (message: string, reason: KillReason): InitVerdict => {
    draft.kill.push({ containerId: newest.id, name: container.name, message, reason });
    return 'start';
  };
  if (isChanged(container, newest)) return kill(`Init container ${container.name} definition changed`, 'other');
  if (container.startupProbe !== undefined) {
    const startup = probeResultOf('Startup', newest);
    if (startup === 'failure') return kill(`Init container ${container.name} failed startup probe`, 'startup');
    if (startup !== 'success') return 'wait';
  }
  if (container.livenessProbe !== undefined && probeResultOf('Liveness', newest) === 'failure') {
    return kill(`Init container ${container.name} failed liveness probe`, 'liveness');
  }
  return 'passed';
}

function decideRegular(input: PodActionsInput, draft: Draft): void {
  const { pod, runtimePod } = input;
  let keepCount = 0;
  for (const container of pod.spec?.containers ?? []) {
    const newest = newestInstance(runtimePod, container.name);
    if (newest === undefined || newest.state !== 'running') {
      if (!shouldStart(pod, container, newest)) continue;
      draft.start.push(container.name);
      if (newest?.state === 'unknown') draft.kill.push(unknownStateKill(newest, container, 'Container'));
      continue;
    }
    const cause = killCause(input, container, newest);
    if (cause === undefined) {
      keepCount += 1;
      continue;
    }
    const restarts = cause.restartsAlways || restartsOnFailure(pod);
    if (restarts) draft.start.push(container.name);
    draft.kill.push({
      containerId: newest.id,
      name: container.name,
      message: `Container ${container.name} ${cause.text}${restarts ? ', will be restarted' : ''}`,
      reason: cause.reason,
    });
  }
  if (keepCount === 0 && draft.start.length === 0) draft.killPod = true;
}

interface KillCause {
  readonly text: string;
  readonly reason: KillReason;
  readonly restartsAlways: boolean;
}

function killCause(
  { probeResultOf }: PodActionsInput,
  container: Container,
  newest: RuntimeContainerStatus,
): KillCause | undefined {
  if (isChanged(container, newest)) return { text: 'definition changed', reason: 'other', restartsAlways: true };
  if (probeResultOf('Liveness', newest) === 'failure') {
    return { text: 'failed liveness probe', reason: 'liveness', restartsAlways: false };
  }
  if (probeResultOf('Startup', newest) === 'failure') {
    return { text: 'failed startup probe', reason: 'startup', restartsAlways: false };
  }
  return undefined;
}

// An instance without the annotation was not made by us; it is left alone.
function isChanged(container: Container, newest: RuntimeContainerStatus): boolean {
  const madeFrom = newest.annotations[containerHashAnnotation];
  return madeFrom !== undefined && madeFrom !== containerHash(container);
}

function unknownStateKill(newest: RuntimeContainerStatus, container: Container, word: string): ContainerKill {
  return {
    containerId: newest.id,
    name: container.name,
    message: `${word} is in "unknown" state, try killing it before restart`,
    reason: 'other',
  };
}
