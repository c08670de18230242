import type { Container, ObjectReference, Pod, PodStatus, Probe } from '../../api/gen/types.ts';
import type { Clock } from '../../base/clock.ts';
import { InvariantError, messageOf, unreachable } from '../../base/status-error.ts';
import type { EventRecorder } from '../../client/event-recorder.ts';
import type { Due, DueQueue } from './due-queue.ts';
import type { ProbeHandler } from './probe-handler.ts';
import type { ProbeSeries } from './probe-metrics.ts';
import { type ProbeOutcome, unknownError } from './probe-outcome.ts';
import {
  afterAdoption,
  afterAttempt,
  firstProbeState,
  initialResults,
  nextProbeStep,
  type ProbeState,
  type ProbeSubject,
  thresholdOf,
} from './probe-step.ts';
import type { ProbeAttempt, ProbeResult, ProbeType } from './prober.ts';
import type { WakeGrid } from './wake-grid.ts';

const triesMax = 3; // of one tick; another one only after an error

/** What a worker needs of the whole. */
export interface ProbeWorkerDeps {
  readonly clock: Clock;
  readonly queue: DueQueue;
  readonly grid: WakeGrid;
  readonly recorder: EventRecorder;
  podStatus(podUid: string): PodStatus | undefined;
  /** Makes `worker.attempt` run, at once or when there is room for it. */
  requestAttempt(worker: ProbeWorker): void;
  storeResult(worker: ProbeWorker, containerId: string, result: ProbeResult): void;
  forgetResult(worker: ProbeWorker, containerId: string): void;
  /** Called once, when it has stopped or come to its end. */
  onEnded(worker: ProbeWorker): void;
  onAttempt: ((attempt: ProbeAttempt) => void) | undefined;
}

/** What is probed, as it was when the worker was made. */
export interface ProbeWorkerSubject extends ProbeSubject {
  readonly podUid: string;
  readonly podNamespace: string;
  readonly podName: string;
  readonly periodMs: number;
  /** The pod, with the container as its fieldPath. */
  readonly reference: ObjectReference;
}

/**
 * Probes one container in one way, from just before it is started until its pod is gone. Ticks are anchored where the
 * worker started; one that comes during an attempt is made up for right after it, more than one are one.
 *
 *     waiting (in the queue of what is due) -> attempting -> waiting ... -> ended
 */
export class ProbeWorker implements Due {
  heapIndex = -1;
  dueMonoMs = 0;
  dueSequence = 0;
  readonly subject: ProbeWorkerSubject;
  readonly #deps: ProbeWorkerDeps;
  readonly #handler: ProbeHandler;
  readonly #series: ProbeSeries;
  #state: ProbeState = firstProbeState;
  #phase: 'delayed' | 'waiting' | 'attempting' | 'ended' = 'delayed'; // delayed: has not begun to tick
  #nextTickMonoMs = 0;
  #isTriggered = false; // somebody wants an attempt at once
  #errorsInRow = 0;

  constructor(deps: ProbeWorkerDeps, subject: ProbeWorkerSubject, handler: ProbeHandler, series: ProbeSeries) {
    this.#deps = deps;
    this.subject = subject;
    this.#handler = handler;
    this.#series = series;
  }

  /** The first tick is after `delayMs`, the others at every period from then on. */
  start(delayMs: number): void {
    this.#nextTickMonoMs = this.#deps.clock.monoMs() + delayMs;
    this.#deps.grid.add(this.subject.periodMs);
    this.#deps.queue.schedule(this, this.#nextTickMonoMs);
  }

  /** Takes over what an earlier kubelet found out about a running instance, so that it is not judged anew. */
  carryOver(containerId: string): void {
    this.#state = { ...afterAdoption(this.#state, containerId), isOnHold: this.subject.probeType === 'Startup' };
  }

  /** Makes it tick at once (but not before this returns), and then a period later. Called for readiness. */
  trigger(): void {
    if (this.#isTriggered || this.#phase === 'ended') return;
    this.#isTriggered = true;
    if (this.#phase === 'waiting') this.#deps.queue.schedule(this, this.#deps.clock.monoMs());
  }

  /** No tick after this; what comes of an attempt that is under way is dropped. */
  stop(): void {
    if (this.#phase === 'ended') return;
    this.#phase = 'ended';
    this.#deps.grid.remove(this.subject.periodMs);
    this.#deps.queue.cancel(this);
    if (this.#state.containerId !== '') this.#deps.forgetResult(this, this.#state.containerId);
    this.#series.remove();
    this.#deps.onEnded(this);
  }

  onDue(nowMonoMs: number): void {
    const { periodMs } = this.subject;
    if (this.#phase === 'waiting' && this.#isTriggered) {
      this.#nextTickMonoMs = nowMonoMs + periodMs;
    } else {
      const missed = Math.max(0, Math.floor((nowMonoMs - this.#nextTickMonoMs) / periodMs));
      this.#nextTickMonoMs += (missed + 1) * periodMs;
    }
    this.#isTriggered = false; // whoever wanted an attempt gets this one
    this.#tick();
  }

  /** One tick's attempt: up to three tries. Called by who was asked with `requestAttempt`. */
  async attempt(signal: AbortSignal): Promise<void> {
    const status = this.#deps.podStatus(this.subject.podUid);
    if (this.#phase === 'ended' || status === undefined) return this.#waitForTick();
    const startedWallMs = this.#deps.clock.wallMs();
    const startedMonoMs = this.#deps.clock.monoMs();
    let outcome: ProbeOutcome;
    let tries = 0;
    do {
      try {
        outcome = await this.#handler(status, this.#state.containerId, signal);
      } catch (error) {
        if (signal.aborted || error instanceof InvariantError) throw error;
        outcome = unknownError(messageOf(error));
      }
      if (this.#isEnded()) return;
    } while (outcome.kind === 'error' && ++tries < triesMax);
    this.#conclude(outcome, startedWallMs, this.#deps.clock.monoMs() - startedMonoMs);
    this.#waitForTick();
  }

  #tick(): void {
    const { clock } = this.#deps;
    const status = this.#deps.podStatus(this.subject.podUid);
    for (;;) {
      const step = nextProbeStep(this.#state, this.subject, status, clock.wallMs());
      switch (step.kind) {
        case 'adopt':
          this.#adopt(step.containerId);
          continue;
        case 'wait':
          return this.#waitForTick();
        case 'end':
          return this.stop();
        case 'store':
          this.#deps.storeResult(this, this.#state.containerId, step.result);
          return step.next === 'end' ? this.stop() : this.#waitForTick();
        case 'probe':
          this.#phase = 'attempting';
          return this.#deps.requestAttempt(this);
        default:
          return unreachable(step);
      }
    }
  }

  #adopt(containerId: string): void {
    if (this.#state.containerId !== '') this.#deps.forgetResult(this, this.#state.containerId);
    this.#state = afterAdoption(this.#state, containerId);
    this.#deps.storeResult(this, containerId, initialResults[this.subject.probeType]);
  }

  #waitForTick(): void {
    if (this.#phase === 'ended') return;
    this.#phase = 'waiting';
    const { clock, grid, queue } = this.#deps;
    queue.schedule(this, this.#isTriggered ? clock.monoMs() : grid.align(this.#nextTickMonoMs));
  }

  #isEnded(): boolean {
    return this.#phase === 'ended';
  }

  #conclude(outcome: ProbeOutcome, startedWallMs: number, durationMs: number): void {
    const { probeType } = this.subject;
    if (outcome.kind === 'error') {
      this.#errorsInRow += 1;
      this.#warn('Unhealthy', `${probeType} probe errored and resulted in ${outcome.state} state: ${outcome.message}`);
      this.#report(outcome.kind, outcome.message, startedWallMs, durationMs, this.#errorsInRow, 0);
      return;
    }
    this.#errorsInRow = 0;
    if (outcome.kind === 'failure') this.#warn('Unhealthy', `${probeType} probe failed: ${outcome.output}`);
    if (outcome.kind === 'warning') this.#warn('ProbeWarning', `${probeType} probe warning: ${outcome.output}`);
    const result = outcome.kind === 'failure' ? 'failure' : 'success';
    this.#series.observe(result, durationMs);
    const next = afterAttempt(this.#state, this.subject, result);
    this.#state = next.state;
    const threshold = thresholdOf(this.subject, result);
    this.#report(outcome.kind, outcome.output, startedWallMs, durationMs, next.consecutive, threshold);
    if (next.stored) this.#deps.storeResult(this, this.#state.containerId, result);
  }

  #warn(reason: 'Unhealthy' | 'ProbeWarning', message: string): void {
    this.#deps.recorder.event(this.subject.reference, 'Warning', reason, message);
  }

  #report(
    outcome: ProbeAttempt['outcome'],
    output: string,
    startedWallMs: number,
    durationMs: number,
    consecutive: number,
    threshold: number,
  ): void {
    if (this.#deps.onAttempt === undefined) return;
    const { podUid, podNamespace, podName, containerName, probeType } = this.subject;
    const { containerId } = this.#state;
    this.#deps.onAttempt({
      podUid,
      podNamespace,
      podName,
      containerName,
      containerId,
      probeType,
      outcome,
      output,
      startedWallMs,
      durationMs,
      consecutive,
      threshold,
    });
  }
}

/** What a worker for `spec` has to know. `field`: the list that the container stands in. */
export function workerSubject(
  pod: Pod,
  container: Container,
  probeType: ProbeType,
  spec: Probe,
  field: 'containers' | 'initContainers',
): ProbeWorkerSubject {
  const { uid = '', namespace = '', name = '', resourceVersion, deletionTimestamp } = pod.metadata ?? {};
  return {
    probeType,
    podUid: uid,
    podNamespace: namespace,
    podName: name,
    containerName: container.name,
    isSidecar: field === 'initContainers',
    isPodDeleted: deletionTimestamp !== undefined,
    restartsNever: pod.spec?.restartPolicy === 'Never',
    initialDelaySeconds: spec.initialDelaySeconds ?? 0,
    failureThreshold: spec.failureThreshold ?? 3,
    successThreshold: spec.successThreshold ?? 1,
    periodMs: (spec.periodSeconds ?? 10) * 1_000,
    reference: {
      apiVersion: 'v1',
      kind: 'Pod',
      namespace,
      name,
      uid,
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
      fieldPath: `spec.${field}{${container.name}}`,
    },
  };
}
