import type { Pod, PodStatus } from '../api/gen/types.ts';
import { formatTime, parseTime } from '../api/time.ts';
import { StatusError, messageOf } from '../base/status-error.ts';
import type { RuntimeContainerStatus } from '../cri/runtime.ts';
import { DoublingBackoff } from './doubling-backoff.ts';
import { removeExcess, removePodRemains } from './garbage.ts';
import { ImagePulls } from './image-pulls.ts';
import { killPod } from './kill-pod.ts';
import type { NodeContext } from './node-context.ts';
import { computePodActions } from './pod-actions.ts';
import { containerStatusesOf, isTerminalPhase, podReference, podUidOf } from './pod-names.ts';
import { anyRegularStarted } from './pod-phase.ts';
import type { PodEnding } from './pod-state.ts';
import { containerIdText, evictedReason, lostState, podIpsOf, podStatusOf } from './pod-status.ts';
import type { Verdict } from './pod-status.ts';
import type { Prober, ProbeResult, ProbeType } from './probes/prober.ts';
import type { PulledImages } from './pulled-images.ts';
import { aliveContainers, readRuntimePod } from './runtime-pod.ts';
import type { RuntimePod } from './runtime-pod.ts';
import { StartFailures } from './start-failures.ts';
import { isStaticPod } from './static-pod.ts';
import type { StatusWriter } from './status-writer.ts';
import { syncContainers } from './sync-containers.ts';
import { TerminationMessages } from './termination-messages.ts';
import { Volumes } from './volumes.ts';
import type { MountableVolume } from './volumes.ts';

/** How a sync went, and so when the next one is due. */
export type SyncOutcome =
  /** All is as it should be. */
  | { readonly kind: 'settled' }
  /** Something was changed: look again, at once unless it was only the second or a later restart of a container. */
  | { readonly kind: 'changed'; readonly isRepeat: boolean }
  /** Something did not work or is in back-off. `afterMs`: instead of the usual 10 to 15 s. */
  | { readonly kind: 'failed'; readonly afterMs?: number }
  /** The pod has run to its end. `graceSeconds`: what is left of its containers, instead of their own. */
  | { readonly kind: 'finished'; readonly graceSeconds?: number };

export interface PodSyncDeps {
  readonly context: NodeContext;
  readonly statuses: StatusWriter;
  readonly prober: Prober;
  readonly pulled: PulledImages;
  /** Why the network of this node is not ready; `undefined`: it is. */
  readonly networkProblem: () => string | undefined;
}

type PreparedVolumes =
  | { readonly kind: 'ready'; readonly volumes: ReadonlyMap<string, MountableVolume> }
  | { readonly kind: 'failed'; readonly afterMs: number };

const evictionGraceSeconds = 1; // upstream: immediateEvictionGracePeriodSeconds; raised to 2 by the kill itself
const mountRetryFirstMs = 500;
const mountRetryMaxMs = 122_000; // upstream: 2 min 2 s

/**
 * What is done with one pod: the steps that its worker calls, one at a time. Upstream: `Kubelet.SyncPod` and its
 * likes.
 */
export class PodSync {
  readonly #deps: PodSyncDeps;
  readonly #images: ImagePulls;
  readonly #failures = new StartFailures();
  readonly #crashBackoff = new DoublingBackoff();
  readonly #messages: TerminationMessages;
  readonly #volumes: Volumes;
  readonly #mountFailures = new Map<string, number>(); // pod uid -> failures in a row
  readonly #evictions = new Map<string, Verdict>(); // by pod uid

  constructor(deps: PodSyncDeps) {
    this.#deps = deps;
    this.#images = new ImagePulls(deps.context, deps.pulled);
    this.#messages = new TerminationMessages(deps.context);
    this.#volumes = new Volumes(deps.context);
  }

  /**
   * Compares what the pod asks for with what the runtime has, and moves it there. `onSeen` gets what the runtime had.
   * Rejects with `signal.reason`, or a StatusError that the next sync may not meet again.
   */
  async sync(pod: Pod, onSeen: (seen: RuntimePod) => void, signal: AbortSignal): Promise<SyncOutcome> {
    const { context, statuses, prober } = this.#deps;
    const runtimePod = await this.#read(pod, signal);
    onSeen(runtimePod);
    // Before its status is computed: no container is ready, or stops being it, because nobody has looked yet. It may
    // run though this kubelet did not start it: an earlier one did, or a start that was given up came to pass.
    if (aliveContainers(runtimePod).length > 0) prober.addPod(pod);
    const eviction = this.#evictions.get(podUidOf(pod));
    const verdict = eviction ?? this.#overdue(pod);
    const status = statuses.set(pod, this.#statusOf(pod, runtimePod, { isTornDown: false, verdict }));
    if (isTerminalPhase(status.phase)) {
      const isHard = eviction?.reason === evictedReason;
      return isHard ? { kind: 'finished', graceSeconds: evictionGraceSeconds } : { kind: 'finished' };
    }

    const problem = this.#deps.networkProblem();
    if (problem !== undefined && pod.spec?.hostNetwork !== true) {
      const message = `network is not ready: ${problem}`;
      context.recorder.event(podReference(pod), 'Warning', 'NetworkNotReady', message);
      return { kind: 'failed', afterMs: 1_000 };
    }
    const volumes = await this.#prepareVolumes(pod, runtimePod, status, signal);
    if (volumes.kind === 'failed') return volumes;
    prober.addPod(pod);
    const probeResultOf = (type: ProbeType, { id }: RuntimeContainerStatus): ProbeResult | undefined =>
      prober.resultOf(type, containerIdText(context.runtimeName(), id));
    const actions = computePodActions({ pod, runtimePod, probeResultOf });
    // Its sandbox is gone, nothing of it runs, and it is not to run again: what has not run by now is lost.
    const isOver = actions.killPod && !actions.createSandbox && aliveContainers(runtimePod).length === 0;
    if (isOver) return { kind: 'finished' };
    const parts = { images: this.#images, failures: this.#failures, crashBackoff: this.#crashBackoff };
    const input = { pod, runtimePod, status, actions, volumes: volumes.volumes };
    const result = await syncContainers(context, parts, input, signal);
    const isShown = (instance: RuntimeContainerStatus): boolean => this.#isShown(status, instance);
    await removeExcess(context, pod, runtimePod, isShown, signal);
    if (result.changed) return { kind: 'changed', isRepeat: result.isRepeat };
    return { kind: result.failed ? 'failed' : 'settled' };
  }

  /** The next sync ends the pod for good. */
  evict(pod: Pod, eviction: Verdict): void {
    const podUid = podUidOf(pod);
    if (this.#evictions.has(podUid)) return;
    this.#evictions.set(podUid, eviction);
    this.#deps.context.recorder.event(podReference(pod), 'Warning', eviction.reason, eviction.message);
  }

  /** How long until the pod's activeDeadlineSeconds are over; `undefined`: it has none. */
  deadlineInMs(pod: Pod): number | undefined {
    const { activeDeadlineSeconds } = pod.spec ?? {};
    const started = this.#deps.statuses.statusOf(podUidOf(pod))?.startTime ?? pod.status?.startTime;
    const startedWallMs = started === undefined ? undefined : parseTime(started);
    if (activeDeadlineSeconds === undefined || startedWallMs === undefined) return undefined;
    return Math.max(0, startedWallMs + activeDeadlineSeconds * 1_000 - this.#deps.context.clock.wallMs());
  }

  /** Ends all containers of the pod, and writes its last status unless this kubelet only goes away. */
  async terminate(pod: Pod, ending: PodEnding, signal: AbortSignal): Promise<void> {
    const { context, statuses, prober } = this.#deps;
    const podUid = podUidOf(pod);
    // It ended under an earlier kubelet: its status stays as it is, whatever the runtime still knows.
    if (isTerminalPhase(pod.status?.phase) && statuses.statusOf(podUid) === undefined) {
      statuses.finish(pod, pod.status ?? {});
    }
    const isShown = ending.cause !== 'shutdown' && !statuses.isFinished(podUid);
    const runtimePod = await this.#read(pod, signal);
    // As above, once: this is tried again until all has ended, and its probes end first.
    const isNew = isShown && statuses.statusOf(podUid) === undefined;
    if (isNew && aliveContainers(runtimePod).length > 0) prober.addPod(pod);
    if (isShown) statuses.set(pod, this.#statusOf(pod, runtimePod, { isTornDown: false, verdict: undefined }));
    prober.stopLivenessAndStartup(podUid);
    try {
      await killPod(context, pod, runtimePod, ending.graceSeconds, signal);
    } catch (error) {
      if (signal.aborted || !(error instanceof StatusError)) throw error;
      const message = `error killing pod: ${messageOf(error)}`;
      context.recorder.event(podReference(pod), 'Warning', 'FailedKillPod', message);
      throw error;
    }
    const after = await this.#read(pod, signal);
    const leftCount = aliveContainers(after).length;
    if (leftCount > 0)
      throw new StatusError('InternalError', `${leftCount} containers of ${pod.metadata?.name} still run`);
    // The start of one that has not begun to run may yet be under way, in a runtime that answers late.
    for (const { id, state } of after.containers) {
      if (state === 'created') await context.runtime.removeContainer(id, signal);
    }
    prober.removePod(podUid);
    if (ending.cause === 'shutdown') return;
    await this.#volumes.remove(podUid);
    await context.podCgroups?.remove(podUid);
    if (!isShown) return;
    const isTornDown = !isStaticPod(pod); // the phase of a static pod does not tell that it was ended
    const last = this.#statusOf(pod, after, { isTornDown, verdict: undefined });
    statuses.finish(pod, isTornDown ? lastStatus(pod, last) : last);
    // Nothing of an evicted pod but its object is kept, so that the node gets its room back.
    if (last.reason === evictedReason) await removePodRemains(context, pod, signal);
  }

  /** This node refuses the pod: nothing of it will run here. */
  reject(pod: Pod, reason: string, message: string): void {
    const { context, statuses } = this.#deps;
    context.recorder.event(podReference(pod), 'Warning', reason, message);
    statuses.finish(pod, rejectedStatus(pod, reason, message, context.clock.wallMs()));
  }

  /** The object is gone as well: removes everything of the pod. */
  async remove(pod: Pod, signal: AbortSignal): Promise<void> {
    const podUid = podUidOf(pod);
    this.#deps.prober.removePod(podUid);
    await this.#volumes.remove(podUid);
    await removePodRemains(this.#deps.context, pod, signal);
    await this.#deps.context.podCgroups?.remove(podUid);
    this.#deps.statuses.forget(podUid);
    this.#images.forgetPod(podUid);
    this.#failures.forgetPod(podUid);
    this.#crashBackoff.forgetPod(podUid);
    this.#messages.forgetPod(podUid);
    this.#mountFailures.delete(podUid);
    this.#evictions.delete(podUid);
  }

  async #read(pod: Pod, signal: AbortSignal): Promise<RuntimePod> {
    return this.#messages.fillIn(pod, await readRuntimePod(this.#deps.context.runtime, podUidOf(pod), signal));
  }

  #statusOf(
    pod: Pod,
    runtimePod: RuntimePod,
    how: {
      readonly isTornDown: boolean;
      readonly verdict: Verdict | undefined;
    },
  ): PodStatus {
    const { context, statuses, prober } = this.#deps;
    const podUid = podUidOf(pod);
    return podStatusOf({
      pod,
      runtimePod,
      previous: statuses.statusOf(podUid) ?? pod.status ?? {},
      startFailureOf: (name) => this.#failures.of(podUid, name),
      flagsOf: (status, kind) => prober.flagsOf(pod, status, kind),
      hostIps: context.hostIps,
      runtimeName: context.runtimeName(),
      ...how,
    });
  }

  #isShown(status: PodStatus, { id }: RuntimeContainerStatus): boolean {
    const text = containerIdText(this.#deps.context.runtimeName(), id);
    return containerStatusesOf(status).some(
      ({ containerID, lastState }) => containerID === text || lastState?.terminated?.containerID === text,
    );
  }

  #overdue(pod: Pod): Verdict | undefined {
    if (this.deadlineInMs(pod) !== 0) return undefined;
    const message = 'Pod was active on the node longer than the specified deadline';
    this.#deps.context.recorder.event(podReference(pod), 'Normal', 'DeadlineExceeded', message);
    return { reason: 'DeadlineExceeded', message };
  }

  async #prepareVolumes(
    pod: Pod,
    runtimePod: RuntimePod,
    status: PodStatus,
    signal: AbortSignal,
  ): Promise<PreparedVolumes> {
    const { context } = this.#deps;
    const { hostIps, allocatable } = context;
    const podIps = podIpsOf(pod, runtimePod, status, hostIps);
    const result = await this.#volumes.prepare({ pod, podIps, hostIps, allocatable }, signal);
    const podUid = podUidOf(pod);
    for (const problem of result.problems) {
      context.recorder.event(podReference(pod), 'Warning', 'FailedMount', problem);
    }
    if (result.volumes !== undefined) {
      this.#mountFailures.delete(podUid);
      return { kind: 'ready', volumes: result.volumes };
    }
    const failures = this.#mountFailures.get(podUid) ?? 0;
    this.#mountFailures.set(podUid, failures + 1);
    return { kind: 'failed', afterMs: Math.min(mountRetryMaxMs, mountRetryFirstMs * 2 ** Math.min(failures, 16)) };
  }
}

/** The last status of a pod that was torn down: what nobody saw end has ended too, and its phase is terminal. */
export function lastStatus(pod: Pod, status: PodStatus): PodStatus {
  const all = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])];
  const lost = lostState('The container could not be located when the pod was terminated');
  const hasRun = anyRegularStarted(pod, all);
  const containerStatuses = (status.containerStatuses ?? []).map((container) =>
    !hasRun || container.state?.terminated !== undefined ? container : { ...container, state: lost },
  );
  const inits = status.initContainerStatuses ?? [];
  const lastStarted = inits.findLastIndex(
    ({ state, lastState }) => state?.waiting === undefined || lastState?.terminated !== undefined,
  );
  const initContainerStatuses = inits.map((container, index) =>
    index > lastStarted || container.state?.terminated !== undefined ? container : { ...container, state: lost },
  );
  return {
    ...status,
    phase: isTerminalPhase(status.phase) ? (status.phase ?? 'Failed') : 'Failed',
    containerStatuses,
    ...(inits.length === 0 ? {} : { initContainerStatuses }),
  };
}

/** The status of a pod that this node refuses (section 5.2). */
export function rejectedStatus(pod: Pod, reason: string, message: string, nowWallMs: number): PodStatus {
  return {
    phase: 'Failed',
    reason,
    message: `Pod was rejected: ${message}`,
    startTime: pod.status?.startTime ?? formatTime(nowWallMs),
    ...(pod.status?.qosClass === undefined ? {} : { qosClass: pod.status.qosClass }),
    ...(pod.metadata?.generation === undefined ? {} : { observedGeneration: pod.metadata.generation }),
    conditions: pod.status?.conditions ?? [],
  };
}
