import type { ContainerStatus, PodStatus } from '../../api/gen/types.ts';
import type { ProbeResult, ProbeType } from './prober.ts';

/**
 * What a probe worker does on a tick, as pure decisions. `nextProbeStep` looks at the world and says what to do;
 * after an `adopt` it is asked again; after a `probe` the result goes through `afterAttempt`. Upstream:
 * `worker.doProbe`.
 */
export interface ProbeState {
  /** The instance whose result is stored, with its scheme; empty before the first was seen. */
  readonly containerId: string;
  /** The verdict over this instance is final: nothing to do until there is another one. */
  readonly isOnHold: boolean;
  /** Of attempts that count. Neither this nor `consecutive` is reset by a new instance. */
  readonly lastResult: 'success' | 'failure';
  readonly consecutive: number;
}

export const firstProbeState: ProbeState = { containerId: '', isOnHold: false, lastResult: 'success', consecutive: 0 };

/** What a worker knew of its pod when it was made; it never sees a later spec. */
export interface ProbeSubject {
  readonly probeType: ProbeType;
  readonly containerName: string;
  readonly isSidecar: boolean;
  readonly isPodDeleted: boolean;
  readonly restartsNever: boolean;
  readonly initialDelaySeconds: number;
  readonly failureThreshold: number;
  readonly successThreshold: number;
}

export type ProbeStep =
  | { readonly kind: 'wait' }
  | { readonly kind: 'end' }
  | { readonly kind: 'probe' }
  /** Another instance: drop the old one's result, store the initial one for this. */
  | { readonly kind: 'adopt'; readonly containerId: string }
  | { readonly kind: 'store'; readonly result: ProbeResult; readonly next: 'wait' | 'end' };

export const initialResults = {
  Liveness: 'success',
  Readiness: 'failure',
  Startup: 'unknown',
} as const satisfies Record<ProbeType, ProbeResult>;

const wait: ProbeStep = { kind: 'wait' };
const end: ProbeStep = { kind: 'end' };
const probe: ProbeStep = { kind: 'probe' };

/** `status`: the pod's status as the kubelet last computed it. */
export function nextProbeStep(
  state: ProbeState,
  subject: ProbeSubject,
  status: PodStatus | undefined,
  nowWallMs: number,
): ProbeStep {
  if (status === undefined) return wait;
  if (status.phase === 'Failed' || status.phase === 'Succeeded') return end;
  const container = containerStatusOf(status, subject.containerName);
  if (container?.containerID === undefined) return wait;
  if (container.containerID !== state.containerId) return { kind: 'adopt', containerId: container.containerID };
  if (state.isOnHold) return wait;
  const running = container.state?.running;
  if (running === undefined) {
    const isOver = container.state?.terminated !== undefined && subject.restartsNever && !subject.isSidecar;
    return { kind: 'store', result: 'failure', next: isOver ? 'end' : 'wait' };
  }
  if (subject.isPodDeleted && subject.probeType !== 'Readiness') {
    return { kind: 'store', result: 'success', next: 'end' }; // so that the pod's last moments are quiet
  }
  if (ageSeconds(running.startedAt, nowWallMs) < subject.initialDelaySeconds) return wait;
  // A startup probe runs until the container has started, the others only after that.
  return (container.started === true) === (subject.probeType === 'Startup') ? wait : probe;
}

/** The state once another instance was seen. */
export function afterAdoption(state: ProbeState, containerId: string): ProbeState {
  return { ...state, containerId, isOnHold: false };
}

/** Counts an attempt. `stored`: whether the threshold was reached, and so the result is to be stored. */
export function afterAttempt(
  state: ProbeState,
  subject: ProbeSubject,
  result: 'success' | 'failure',
): { readonly state: ProbeState; readonly stored: boolean; readonly consecutive: number } {
  const consecutive = result === state.lastResult ? state.consecutive + 1 : 1;
  const stored = consecutive >= thresholdOf(subject, result);
  const isFinal = subject.probeType === 'Startup' || (subject.probeType === 'Liveness' && result === 'failure');
  const isOnHold = stored && isFinal;
  const next = { ...state, isOnHold, lastResult: result, consecutive: isOnHold ? 0 : consecutive };
  return { state: next, stored, consecutive };
}

export function thresholdOf(subject: ProbeSubject, result: 'success' | 'failure'): number {
  return result === 'success' ? subject.successThreshold : subject.failureThreshold;
}

/** The status of the container, regular ones first; one without an id counts as absent. */
function containerStatusOf(status: PodStatus, name: string): ContainerStatus | undefined {
  return withIdOf(status.containerStatuses, name) ?? withIdOf(status.initContainerStatuses, name);
}

function withIdOf(statuses: readonly ContainerStatus[] | undefined, name: string): ContainerStatus | undefined {
  if (statuses === undefined) return undefined;
  for (const status of statuses) {
    if (status.name === name) return status.containerID === undefined || status.containerID === '' ? undefined : status;
  }
  return undefined;
}

/** Whole seconds since `startedAt`, which itself has whole seconds. */
function ageSeconds(startedAt: string | undefined, nowWallMs: number): number {
  const startedWallMs = startedAt === undefined ? Number.NaN : Date.parse(startedAt);
  return Number.isNaN(startedWallMs) ? Number.MAX_SAFE_INTEGER : Math.trunc((nowWallMs - startedWallMs) / 1_000);
}
