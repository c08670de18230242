/** A prober in virtual time, and what a test has to see of it. */
import assert from 'node:assert/strict';
import type { Container, ContainerState, ContainerStatus, ObjectReference, Pod } from '../../src/api/gen/types.ts';
import { noLog } from '../../src/base/log.ts';
import { type Metrics, noMetrics } from '../../src/base/metrics.ts';
import type { ExecSyncResult } from '../../src/cri/runtime.ts';
import { ProbeManager } from '../../src/kubelet/probes/probe-manager.ts';
import type { ProbeAttempt, ProbeUpdate } from '../../src/kubelet/probes/prober.ts';
import { SeededEntropy } from '../../src/sim/seeded-entropy.ts';
import { SimNetwork, type SimServer } from '../../src/sim/sim-network.ts';
import { VirtualClock } from '../../src/sim/virtual-clock.ts';

export const podIP = '10.244.0.5';
export const podUid = '4ce41688-5e75-4bd8-b5e8-decc9386d4cb';
const epochMs = Date.UTC(2026, 0, 2, 3, 4, 5);

export interface BedOptions {
  readonly podSpec?: Partial<Pod['spec']>;
  readonly deletionTimestamp?: string;
  /** The kubelet's age when the bed starts. Default: so long that workers begin at once. */
  readonly kubeletUpMs?: number;
  readonly attemptsInFlightMax?: number;
  readonly metrics?: Metrics;
  readonly exec?: (command: readonly string[], containerId: string) => Promise<ExecSyncResult>;
}

/** A kubelet around a prober: a pod, its statuses as the kubelet would compute them, and a record of what happened. */
export function startBed(container: Partial<Container>, options: BedOptions = {}) {
  const clock = new VirtualClock({ epochMs });
  const network = new SimNetwork(clock, { roundTripMs: 1 });
  const controller = new AbortController();
  const trace: string[] = []; // `SECONDS what`
  const attempts: ProbeAttempt[] = [];
  const updates: ProbeUpdate[] = [];
  const references: ObjectReference[] = [];
  const note = (what: string): void => void trace.push(`${(clock.monoMs() / 1_000).toFixed(3)} ${what}`);
  const pod: Pod = {
    metadata: {
      uid: podUid,
      name: 'kubia',
      namespace: 'default',
      resourceVersion: '258',
      ...(options.deletionTimestamp === undefined ? {} : { deletionTimestamp: options.deletionTimestamp }),
    },
    spec: { containers: [{ name: 'main', ...container }], ...options.podSpec },
  };
  let phase: string | undefined = 'Running';
  const states = new Map<string, { readonly containerID: string; readonly state: ContainerState }>();
  const flagged = (name: string, kind: 'regular' | 'sidecar'): ContainerStatus[] => {
    const known = states.get(name);
    if (known === undefined) return [];
    const flags = prober.flagsOf(pod, { name, ...known }, kind);
    return [{ name, image: 'i', imageID: 'i', restartCount: 0, ...known, ...flags }];
  };
  let status: Pod['status'];
  /** Upstream computes the status on every pod sync, and stores it. */
  const syncStatus = (): void => {
    const regular = (pod.spec?.containers ?? []).flatMap(({ name }) => flagged(name, 'regular'));
    const sidecars = (pod.spec?.initContainers ?? []).flatMap(({ name }) => flagged(name, 'sidecar'));
    const lists = { containerStatuses: regular, initContainerStatuses: sidecars };
    status = { ...(phase === undefined ? {} : { phase }), podIP, ...lists };
  };
  const prober: ProbeManager = new ProbeManager(
    {
      clock,
      entropy: new SeededEntropy('probes'),
      transport: network,
      runtime: {
        execSync: async (containerId, command) =>
          options.exec === undefined
            ? { stdout: new Uint8Array(), stderr: new Uint8Array(), exitCode: 0 }
            : options.exec(command, containerId),
      },
      recorder: {
        event: (object, type, reason, message) => {
          references.push(object);
          note(`event ${type} ${reason} ${message}`);
        },
      },
      metrics: options.metrics ?? noMetrics,
      log: noLog,
      podStatus: () => status,
      onUpdate: (update) => {
        updates.push(update);
        note(`${update.probeType} of ${update.containerId} is ${update.result}`);
      },
      onAttempt: (attempt) => {
        attempts.push(attempt);
      },
    },
    {
      startedMonoMs: -(options.kubeletUpMs ?? 3_600_000),
      ...(options.attemptsInFlightMax === undefined ? {} : { attemptsInFlightMax: options.attemptsInFlightMax }),
    },
    controller.signal,
  );
  return {
    clock,
    network,
    prober,
    pod,
    trace,
    attempts,
    updates,
    references,
    syncStatus,
    setPhase: (next: string): void => {
      phase = next;
      syncStatus();
    },
    /** An instance begins to run now. */
    run: (containerID: string, name = 'main'): void => {
      const startedAt = new Date(Math.floor(clock.wallMs() / 1_000) * 1_000).toISOString();
      states.set(name, { containerID, state: { running: { startedAt } } });
      syncStatus();
    },
    exit: (exitCode: number, name = 'main'): void => {
      const containerID = states.get(name)?.containerID ?? '';
      states.set(name, { containerID, state: { terminated: { exitCode } } });
      syncStatus();
    },
    attemptTimes: (): number[] => attempts.map((attempt) => (attempt.startedWallMs - epochMs) / 1_000),
    statusOf: (name = 'main'): ContainerStatus | undefined =>
      status?.containerStatuses?.find((candidate) => candidate.name === name) ??
      status?.initContainerStatuses?.find((candidate) => candidate.name === name),
    close: async (): Promise<void> => {
      await prober.close();
      assert.deepEqual(clock.pendingNames(), [], 'no timer is left');
    },
  };
}

/** Answers with these statuses one after the other, the last of them for ever. */
export const answers = (...statuses: readonly number[]): SimServer => ({
  http: (_request, index) => ({ kind: 'response', status: statuses[Math.min(index, statuses.length - 1)] ?? 200 }),
});
export const httpGet = { path: '/', port: 8080 };
