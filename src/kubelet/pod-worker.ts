import type { Pod } from '../api/gen/types.ts';
import type { Clock } from '../base/clock.ts';
import type { Entropy } from '../base/entropy.ts';
import type { Log } from '../base/log.ts';
import { StatusError, messageOf, unreachable } from '../base/status-error.ts';
import { Alarm } from '../base/alarm.ts';
import { isTerminalPhase, podUidOf } from './pod-names.ts';
import type { Admission } from './critical-pods.ts';
import { nextPodState } from './pod-state.ts';
import type { PodEnding, PodEvent, PodState } from './pod-state.ts';
import type { PodSync, SyncOutcome } from './pod-sync.ts';
import type { RuntimePod } from './runtime-pod.ts';

const settledRetryMs = 60_000; // upstream: syncFrequency
const failedRetryMs = 10_000; // upstream: backOffPeriod
const retryJitter = 0.5; // times 1 to 1.5
// A container that keeps ending is not shown as running until it has lived so long; upstream's relist hides up to 1 s.
const repeatSettleMs = 250;
const changesInARowMax = 8; // then something undoes what a sync does: no faster than upstream's loop any more
const loopMs = 1_000; // upstream's main loop looks once a second for pods that are due

export interface PodWorkerDeps {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
  readonly sync: PodSync;
  /** Whether this node takes the pod. Asked before its first sync, and while it waits for room again and again. */
  readonly admit: (pod: Pod) => Admission;
  /** When the kubelet's own second began: retries fall on whole seconds from there. */
  readonly originMonoMs: number;
  /** Its state is another one now. */
  readonly onState: () => void;
}

/**
 * Works on one pod, one step at a time, from when it is first seen until nothing is left of it. Deletion interrupts a
 * sync; a shorter grace period interrupts the ending. Upstream: a goroutine of `podWorkers`.
 */
export class PodWorker {
  readonly #deps: PodWorkerDeps;
  readonly #alarm: Alarm;
  #pod: Pod; // the newest version seen
  #state: PodState = { kind: 'waiting' };
  #step: AbortController | undefined; // of the step that runs now
  #changesInARow = 0; // syncs that found something to change, one right after the other
  #isWaitingForRoom = false; // its last admission said so
  #isPoked = false; // something changed that the running step may not have seen
  #hasFailed = false; // the last step, by an error
  readonly #unseenDeaths = new Set<string>(); // ids of containers that ended after the last look at the runtime
  #seenDead: ReadonlySet<string> = new Set(); // at the last look at the runtime
  #seenAlive = ''; // likewise; as `aliveText` has it

  constructor(deps: PodWorkerDeps, pod: Pod) {
    this.#deps = deps;
    this.#pod = pod;
    this.#alarm = new Alarm(deps.clock, 'kubelet.pod.sync');
  }

  get pod(): Pod {
    return this.#pod;
  }

  get state(): PodState {
    return this.#state;
  }

  /** Others of this node are ended for its sake. */
  get isWaitingForRoom(): boolean {
    return this.#isWaitingForRoom;
  }

  /** The object as it is in the API now. The caller pokes if it asks for something else than before. */
  update(pod: Pod): void {
    this.#pod = pod;
    const { deletionTimestamp, deletionGracePeriodSeconds } = pod.metadata ?? {};
    if (deletionTimestamp !== undefined) {
      const graceSeconds = Math.max(1, deletionGracePeriodSeconds ?? pod.spec?.terminationGracePeriodSeconds ?? 1);
      this.#apply({ kind: 'ending', ending: { cause: 'deleted', graceSeconds } });
    } else if (isTerminalPhase(pod.status?.phase)) {
      // Also by somebody else: a controller that took this node for lost, and did not come to delete the pod.
      this.#apply({ kind: 'ending', ending: { cause: 'finished', graceSeconds: undefined } });
    }
  }

  /** The object is gone from the API. */
  remove(): void {
    const { deletionGracePeriodSeconds } = this.#pod.metadata ?? {};
    const graceSeconds = deletionGracePeriodSeconds === undefined ? undefined : Math.max(1, deletionGracePeriodSeconds);
    this.#apply({ kind: 'removed', graceSeconds });
  }

  /** This kubelet stops: the containers are ended, the object and its status stay. */
  shutDown(graceSeconds: number): void {
    this.#apply({ kind: 'ending', ending: { cause: 'shutdown', graceSeconds } });
  }

  /** Something about the pod may have changed: look at it as soon as the running step is done. */
  poke(): void {
    this.#isPoked = true;
    this.#alarm.ring();
  }

  /** A container of it has ended. */
  onContainerEnded(containerId: string): void {
    if (this.#seenDead.has(containerId)) return;
    this.#unseenDeaths.add(containerId);
    this.#alarm.ring();
  }

  /** What the runtime has of it, though no event told: looks again if that is not what the last sync left behind. */
  onRelist({ sandboxes, containers }: RuntimePod): void {
    if (this.#state.kind !== 'syncing' || this.#step !== undefined) return;
    for (const { id, state } of containers) if (state === 'exited') this.onContainerEnded(id);
    if (this.#seenAlive !== aliveText({ sandboxes, containers })) this.poke();
  }

  /** Works until the pod is gone and nothing of it is left, or until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    for (;;) {
      const state = this.#state;
      if (state.kind === 'terminated' && state.isRemoved) {
        const delayMs = await this.#attempt((stepSignal) => this.#removeRemains(stepSignal), signal);
        if (delayMs === undefined) return;
        await this.#wait(delayMs, signal);
        continue;
      }
      this.#isPoked = false;
      const delayMs = await this.#attempt((stepSignal) => this.#runStep(state, stepSignal), signal);
      if (this.#state !== state) continue;
      if (state.kind === 'syncing' && (this.#isPoked || this.#unseenDeaths.size > 0)) {
        if (!this.#hasFailed) continue;
        await this.#wait(loopMs, signal); // the runtime does not answer: no sooner than a relist would see it
        continue;
      }
      await this.#wait(delayMs, signal);
    }
  }

  /** Called when everything that rang so far was seen by the step before. */
  async #wait(delayMs: number | undefined, signal: AbortSignal): Promise<void> {
    this.#alarm.reset();
    await this.#alarm.wait(delayMs, signal);
  }

  /** Runs one step, which the next change of state may interrupt. Returns when to go on by itself. */
  async #attempt(
    step: (signal: AbortSignal) => Promise<number | undefined>,
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const controller = new AbortController();
    const onAbort = (): void => controller.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    this.#step = controller;
    this.#hasFailed = false;
    try {
      return await step(controller.signal);
    } catch (error) {
      if (signal.aborted) throw error;
      if (controller.signal.aborted) return 0; // interrupted: the new state says what is next
      if (!(error instanceof StatusError)) throw error;
      this.#hasFailed = true;
      this.#deps.log.warn('podStepFailed', {
        podUid: podUidOf(this.#pod),
        podName: this.#pod.metadata?.name,
        state: this.#state.kind,
        error: messageOf(error),
      });
      return this.#jittered(failedRetryMs);
    } finally {
      this.#step = undefined;
      signal.removeEventListener('abort', onAbort);
    }
  }

  async #removeRemains(signal: AbortSignal): Promise<number | undefined> {
    await this.#deps.sync.remove(this.#pod, signal);
    return undefined;
  }

  /** `undefined`: there is nothing to do until something happens. */
  async #runStep(state: PodState, signal: AbortSignal): Promise<number | undefined> {
    switch (state.kind) {
      case 'waiting':
        return this.#admit();
      case 'syncing':
        return this.#sync(signal);
      case 'terminating':
        await this.#deps.sync.terminate(this.#pod, state.ending, signal);
        this.#apply({ kind: 'ended' });
        return 0;
      case 'terminated':
        return undefined;
      default:
        return unreachable(state);
    }
  }

  /** Returns when to ask again. */
  #admit(): number {
    this.#isWaitingForRoom = false;
    const admission = this.#deps.admit(this.#pod);
    switch (admission.kind) {
      case 'welcome':
        this.#apply({ kind: 'admitted' });
        return 0;
      case 'waits':
        this.#isWaitingForRoom = true;
        return loopMs;
      case 'refused':
        this.#deps.sync.reject(this.#pod, admission.reason, admission.message);
        this.#apply({ kind: 'ending', ending: { cause: 'finished', graceSeconds: undefined } });
        return 0;
      default:
        return unreachable(admission);
    }
  }

  async #sync(signal: AbortSignal): Promise<number> {
    const { sync } = this.#deps;
    const pod = this.#pod;
    const before = [...this.#unseenDeaths]; // whatever became of them, the look that follows shows it
    const outcome = await sync.sync(
      pod,
      (seen) => {
        this.#seenDead = new Set(seen.containers.filter(({ state }) => state === 'exited').map(({ id }) => id));
        this.#seenAlive = aliveText(seen);
        for (const id of [...before, ...this.#seenDead]) this.#unseenDeaths.delete(id);
      },
      signal,
    );
    if (outcome.kind === 'finished') {
      const ending: PodEnding = { cause: 'finished', graceSeconds: outcome.graceSeconds };
      this.#apply({ kind: 'ending', ending });
    }
    return Math.min(this.#delayAfter(outcome), sync.deadlineInMs(pod) ?? Number.POSITIVE_INFINITY);
  }

  #delayAfter(outcome: SyncOutcome): number {
    this.#changesInARow = outcome.kind === 'changed' ? this.#changesInARow + 1 : 0;
    switch (outcome.kind) {
      case 'changed':
        if (this.#changesInARow > changesInARowMax) return loopMs;
        return outcome.isRepeat ? repeatSettleMs : 0;
      case 'finished':
        return 0;
      case 'failed':
        return this.#jittered(outcome.afterMs ?? failedRetryMs);
      case 'settled':
        return this.#jittered(settledRetryMs);
      default:
        return unreachable(outcome);
    }
  }

  /** `delayMs` times 1 to 1.5, and then to the next whole second of the kubelet. */
  #jittered(delayMs: number): number {
    const { clock, entropy, originMonoMs } = this.#deps;
    const elapsedMs = clock.monoMs() - originMonoMs;
    const dueMs = elapsedMs + delayMs * (1 + retryJitter * entropy.unit());
    return Math.ceil(dueMs / loopMs) * loopMs - elapsedMs;
  }

  #apply(event: PodEvent): void {
    const next = nextPodState(this.#state, event);
    if (next === this.#state) return;
    const before = this.#state;
    this.#state = next;
    this.#deps.log.info('podStateChanged', {
      podUid: podUidOf(this.#pod),
      podName: this.#pod.metadata?.name,
      from: before.kind,
      to: next.kind,
    });
    if (isInterrupting(before, next)) this.#step?.abort(interrupted);
    this.#alarm.ring();
    this.#deps.onState();
  }
}

/** The ids of what runs. */
function aliveText({ sandboxes, containers }: RuntimePod): string {
  const ready = sandboxes.filter(({ state }) => state === 'ready').map(({ id }) => id);
  const running = containers.filter(({ state }) => state === 'running').map(({ id }) => id);
  return [...ready, ...running].sort().join(' ');
}

const interrupted = new Error('the pod is to be ended'); // told apart by the step's own signal, never shown

/** A step goes on to its end, unless the pod is to be ended, or ended sooner. */
function isInterrupting(before: PodState, next: PodState): boolean {
  if (next.kind !== 'terminating') return false;
  return before.kind !== 'terminating' || before.ending.graceSeconds !== next.ending.graceSeconds;
}
