import type { ContainerKind } from '../pod-names.ts';
import type { ContainerStatus, Pod } from '../../api/gen/types.ts';

/** The words of events and metrics. */
export type ProbeType = 'Liveness' | 'Readiness' | 'Startup';

/** What the results cache holds for a container. */
export type ProbeResult = 'success' | 'failure' | 'unknown';

/** The stored result of a container's probe changed. */
export interface ProbeUpdate {
  readonly podUid: string;
  readonly containerName: string;
  /** With its scheme, as in the status: `process://...`. */
  readonly containerId: string;
  readonly probeType: ProbeType;
  readonly result: ProbeResult;
}

/** One attempt, whatever came of it: for probe history, `livelet demo`, and metrics. */
export interface ProbeAttempt {
  readonly podUid: string;
  readonly podNamespace: string;
  readonly podName: string;
  readonly containerName: string;
  readonly containerId: string;
  readonly probeType: ProbeType;
  /** `error`: could not be made, and does not count. */
  readonly outcome: 'success' | 'warning' | 'failure' | 'error';
  readonly output: string;
  readonly startedWallMs: number;
  readonly durationMs: number;
  /** Consecutive attempts with this outcome, this one included. */
  readonly consecutive: number;
  /** How many of them change the stored result; 0: no number of errors does. */
  readonly threshold: number;
}

/**
 * Runs the probes of this node's pods. The kubelet's pod worker calls `addPod` before it starts containers,
 * `stopLivenessAndStartup` when termination begins, `removePod` when all containers have ended.
 */
export interface Prober {
  /**
   * Starts a worker for each probe of the pod; those that exist already stay as they are. Instances that the pod's
   * status shows as started or ready (this kubelet was restarted) stay so until an attempt says otherwise.
   */
  addPod(pod: Pod): void;
  stopLivenessAndStartup(podUid: string): void;
  removePod(podUid: string): void;
  /** Removes the workers of all pods but these. */
  cleanUp(podUidsToKeep: ReadonlySet<string>): void;
  /** The stored result for this instance of the container; `undefined`: none (yet). */
  resultOf(probeType: ProbeType, containerId: string): ProbeResult | undefined;
  /**
   * The `started` and `ready` flags of a container's status (section 2.4 of the behaviour sheet). While readiness is not
   * Success this also makes the readiness worker run at once, as upstream does on every status computation.
   */
  flagsOf(
    pod: Pod,
    status: Pick<ContainerStatus, 'name' | 'containerID' | 'state'>,
    kind: ContainerKind,
  ): { readonly started: boolean; readonly ready: boolean };
}
