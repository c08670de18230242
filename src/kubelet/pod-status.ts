import type {
  Container,
  ContainerState,
  ContainerStatus,
  Pod,
  PodCondition,
  PodStatus,
  VolumeMountStatus,
} from '../api/gen/types.ts';
import type { RuntimeContainerStatus } from '../cri/runtime.ts';
import { restartCountOf } from './container-labels.ts';
import { disruptionCondition, isOwnCondition, podConditionsOf } from './pod-conditions.ts';
import { containersOf, containerStatusesOf, ephemeralContainersOf, isTerminalPhase } from './pod-names.ts';
import type { ContainerKind, PodContainer } from './pod-names.ts';
import { podPhaseOf } from './pod-phase.ts';
import type { PodPhase } from './pod-phase.ts';
import { instancesOf, shouldStart } from './runtime-pod.ts';
import type { RuntimePod } from './runtime-pod.ts';
import type { StartFailure } from './start-failures.ts';
import { qosClassOf } from '../api/qos.ts';
import { formatTime } from '../api/time.ts';

/** Of the status and the event of a pod that this kubelet evicted. */
export const evictedReason = 'Evicted';

/** Why this kubelet ends a pod: its phase becomes Failed with this. */
export interface Verdict {
  readonly reason: string;
  readonly message: string;
  /** Of the condition DisruptionTarget; absent: the pod has itself to blame. */
  readonly disruption?: string;
}

export interface PodStatusInput {
  readonly pod: Pod;
  readonly runtimePod: RuntimePod;
  /** The status that the kubelet held before, else the API's. */
  readonly previous: PodStatus;
  /** Why the last start of a container failed, if it did. */
  readonly startFailureOf: (containerName: string) => StartFailure | undefined;
  readonly flagsOf: (
    status: Pick<ContainerStatus, 'name' | 'containerID' | 'state'>,
    kind: ContainerKind,
  ) => { readonly started: boolean; readonly ready: boolean };
  /** Of the node, the primary one first. */
  readonly hostIps: readonly string[];
  /** The scheme of container ids: `process`. */
  readonly runtimeName: string;
  /** The kubelet has ended the pod: what stopped will not run again. */
  readonly isTornDown: boolean;
  /** The kubelet decided to end it: its phase becomes Failed with this. */
  readonly verdict: Verdict | undefined;
}

/** The status of a pod from what the runtime has of it (sections 6.1 and 6.2); conditions carry no times yet. */
export function podStatusOf(input: PodStatusInput): PodStatus {
  const { pod, previous, runtimePod, verdict } = input;
  const statuses = containersOf(pod).map((podContainer) => containerStatusOf(input, podContainer));
  const ephemeralStatuses = ephemeralContainersOf(pod).map((one) => containerStatusOf(input, one));
  const initCount = pod.spec?.initContainers?.length ?? 0;
  const initStatuses = statuses.slice(0, initCount);
  const regularStatuses = statuses.slice(initCount).sort((a, b) => (a.name < b.name ? -1 : 1));
  const phase = phaseOf(input, statuses);
  const explained = explanationOf(input, phase);
  const [sandbox] = runtimePod.sandboxes;
  const hasSandbox = sandbox?.state === 'ready' && (sandbox.networkMode === 'node' || sandbox.ips.length > 0);
  const generation = pod.metadata?.generation;
  return {
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    phase,
    conditions: withDisruption(input, podConditionsOf({ pod, phase, statuses, hasSandbox })),
    ...(verdict === undefined ? explained : { reason: verdict.reason, message: verdict.message }),
    ...addressesOf(input),
    ...(previous.startTime === undefined ? {} : { startTime: previous.startTime }),
    ...(previous.nominatedNodeName === undefined ? {} : { nominatedNodeName: previous.nominatedNodeName }),
    qosClass: pod.status?.qosClass ?? qosClassOf(pod.spec ?? { containers: [] }),
    ...(initStatuses.length === 0 ? {} : { initContainerStatuses: initStatuses }),
    containerStatuses: regularStatuses,
    ...(ephemeralStatuses.length === 0 ? {} : { ephemeralContainerStatuses: ephemeralStatuses }),
  };
}

/** An eviction is told for as long as the pod is there. */
function withDisruption({ pod, previous, verdict }: PodStatusInput, conditions: PodCondition[]): PodCondition[] {
  const disruption =
    verdict?.disruption !== undefined
      ? disruptionCondition(pod, verdict.disruption)
      : (previous.conditions ?? []).find(
          (condition) => isOwnCondition(condition) && condition.type === 'DisruptionTarget',
        );
  if (disruption === undefined) return conditions;
  return [disruption, ...conditions.filter(({ type }) => type !== disruption.type)];
}

function phaseOf(
  { pod, previous, isTornDown, verdict }: PodStatusInput,
  statuses: readonly ContainerStatus[],
): PodPhase {
  // A terminal phase never changes again, neither ours nor the API's.
  const settled = isTerminalPhase(pod.status?.phase) ? pod.status?.phase : previous.phase;
  if (settled === 'Succeeded' || settled === 'Failed') return settled;
  return verdict === undefined ? podPhaseOf(pod, statuses, isTornDown) : 'Failed';
}

// Reason and message belong to the phase they came with.
function explanationOf({ pod, previous }: PodStatusInput, phase: PodPhase): { reason?: string; message?: string } {
  if (phase !== previous.phase) return {};
  const reason = previous.reason ?? pod.status?.reason;
  const message = previous.message ?? pod.status?.message;
  return { ...(reason === undefined ? {} : { reason }), ...(message === undefined ? {} : { message }) };
}

function addressesOf({ pod, runtimePod, previous, hostIps }: PodStatusInput): Partial<PodStatus> {
  const podIps = podIpsOf(pod, runtimePod, previous, hostIps);
  const [hostIp] = hostIps;
  const [podIp] = podIps;
  return {
    ...(hostIp === undefined ? {} : { hostIP: hostIp, hostIPs: hostIps.map((ip) => ({ ip })) }),
    ...(podIp === undefined ? {} : { podIP: podIp, podIPs: podIps.map((ip) => ({ ip })) }),
  };
}

/** The pod's own addresses, or the machine's where it has none of its own; empty until it has a sandbox. */
export function podIpsOf(
  pod: Pod,
  runtimePod: RuntimePod,
  previous: PodStatus,
  hostIps: readonly string[],
): readonly string[] {
  const [sandbox] = runtimePod.sandboxes;
  if (sandbox !== undefined && sandbox.ips.length > 0) return sandbox.ips;
  if (pod.spec?.hostNetwork === true || sandbox?.networkMode === 'node') return hostIps;
  return (previous.podIPs ?? []).flatMap(({ ip }) => (ip === undefined ? [] : [ip]));
}

function containerStatusOf(input: PodStatusInput, { container, kind }: PodContainer): ContainerStatus {
  const { pod, runtimePod, previous } = input;
  const old = containerStatusesOf(previous).find(({ name }) => name === container.name);
  const [newest, older] = instancesOf(runtimePod, container.name);
  let status = newest === undefined ? absentStatus(pod, container, old) : instanceStatus(input, newest, container, old);
  if (older !== undefined) status = { ...status, lastState: instanceState(input, older, undefined) };

  const isDone = kind === 'init' && newest?.state === 'exited' && newest.exitCode === 0;
  const failure = input.startFailureOf(container.name);
  if (!isDone && failure !== undefined && shouldStart(pod, container, newest)) {
    const { reason, message } = failure;
    status = {
      ...status,
      ...(status.state?.terminated === undefined ? {} : { lastState: status.state }),
      state: { waiting: { reason, ...(message === '' ? {} : { message }) } },
    };
  }
  const mounts = volumeMountsOf(container);
  return {
    ...status,
    ...input.flagsOf(status, kind),
    ...(mounts.length === 0 ? {} : { volumeMounts: mounts }),
  };
}

/** The runtime has no instance (any more): it waits, unless it is known to have ended. */
function absentStatus(pod: Pod, container: Container, old: ContainerStatus | undefined): ContainerStatus {
  if (old?.state?.terminated !== undefined) return old;
  const hasInit = (pod.spec?.initContainers?.length ?? 0) > 0;
  const waiting: ContainerStatus = {
    name: container.name,
    image: container.image ?? '',
    imageID: '',
    state: { waiting: { reason: hasInit ? 'PodInitializing' : 'ContainerCreating' } },
    lastState: old?.lastState ?? {},
    ready: false,
    restartCount: old?.restartCount ?? 0,
    started: false,
  };
  if (old?.state?.running === undefined) return waiting;
  if (waiting.lastState?.terminated !== undefined) {
    return { ...waiting, restartCount: lostRestartCount(pod, old) };
  }
  const lost = lostState(
    'The container could not be located when the pod was deleted.  The container used to be Running',
  );
  return { ...waiting, lastState: lost, restartCount: lostRestartCount(pod, old) };
}

// Unless the pod is being deleted, a lost container is going to run once more.
function lostRestartCount(pod: Pod, old: ContainerStatus): number {
  return old.restartCount + (pod.metadata?.deletionTimestamp === undefined ? 1 : 0);
}

/** The state of a container that ran and whose end nobody saw. */
export function lostState(message: string): ContainerState {
  return { terminated: { reason: 'ContainerStatusUnknown', message, exitCode: 137 } };
}

const epoch = formatTime(0); // what a runtime's zero timestamps come out as: it never started

function instanceStatus(
  input: PodStatusInput,
  instance: RuntimeContainerStatus,
  container: Container,
  old: ContainerStatus | undefined,
): ContainerStatus {
  const wasLost = instance.state === 'unknown' && old?.state?.running !== undefined;
  const requests = container.resources?.requests;
  return {
    name: container.name,
    state: instanceState(input, instance, old),
    lastState: {},
    ready: false,
    // Never less than was shown: an instance that was created, never ran and is removed again had the next count.
    restartCount: wasLost ? old.restartCount + 1 : Math.max(restartCountOf(instance), old?.restartCount ?? 0),
    image: instance.image,
    imageID: instance.imageRef,
    containerID: containerIdText(input.runtimeName, instance.id),
    started: false,
    resources: container.resources ?? {},
    ...(requests === undefined || Object.keys(requests).length === 0 ? {} : { allocatedResources: requests }),
  };
}

/** `process://ID`. */
export function containerIdText(runtimeName: string, id: string): string {
  return `${runtimeName}://${id}`;
}

function instanceState(
  { runtimeName }: PodStatusInput,
  instance: RuntimeContainerStatus,
  old: ContainerStatus | undefined,
): ContainerState {
  switch (instance.state) {
    case 'running':
      return { running: { startedAt: formatTime(instance.startedWallMs ?? instance.createdWallMs) } };
    case 'exited':
      return {
        terminated: {
          exitCode: instance.exitCode ?? 0,
          ...(instance.reason === '' ? {} : { reason: instance.reason }),
          ...(instance.message === '' ? {} : { message: instance.message }),
          startedAt: instance.startedWallMs === undefined ? epoch : formatTime(instance.startedWallMs),
          finishedAt: instance.finishedWallMs === undefined ? epoch : formatTime(instance.finishedWallMs),
          containerID: containerIdText(runtimeName, instance.id),
        },
      };
    case 'unknown':
      if (old?.state?.running === undefined) return { waiting: {} };
      return lostState('The container could not be located when the pod was terminated');
    case 'created':
      return { waiting: {} };
  }
}

function volumeMountsOf(container: Container): VolumeMountStatus[] {
  return (container.volumeMounts ?? []).map(({ name, mountPath, readOnly }) => ({
    name,
    mountPath,
    ...(readOnly === true ? { readOnly, recursiveReadOnly: 'Disabled' } : {}),
  }));
}
