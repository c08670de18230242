import type { Container, ContainerStatus, Pod, PodStatus, Probe } from '../../api/gen/types.ts';
import { ChildSignals } from '../../base/child-signals.ts';
import type { Clock } from '../../base/clock.ts';
import type { Entropy } from '../../base/entropy.ts';
import type { Log } from '../../base/log.ts';
import type { Metrics } from '../../base/metrics.ts';
import { messageOf } from '../../base/status-error.ts';
import { TaskScope } from '../../base/task-scope.ts';
import type { EventRecorder } from '../../client/event-recorder.ts';
import type { ContainerRuntime } from '../../cri/runtime.ts';
import type { ContainerKind } from '../pod-names.ts';
import { DueQueue } from './due-queue.ts';
import { makeProbeHandler, type ProbeHandlerDeps } from './probe-handler.ts';
import { makeProbeMetrics, type ProbeMetrics, ProbeSeries } from './probe-metrics.ts';
import type { ProbeTransport } from './probe-transport.ts';
import { ProbeWorker, type ProbeWorkerDeps, workerSubject } from './probe-worker.ts';
import type { ProbeAttempt, Prober, ProbeResult, ProbeType, ProbeUpdate } from './prober.ts';
import { ResultsCache } from './results-cache.ts';
import { WakeGrid } from './wake-grid.ts';

export interface ProbeManagerDeps {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly transport: ProbeTransport;
  readonly runtime: Pick<ContainerRuntime, 'execSync'>;
  readonly recorder: EventRecorder;
  readonly metrics: Metrics;
  readonly log: Log;
  /** The pod's status as last computed, with the flags of `flagsOf` in it; asked on every tick. */
  podStatus(podUid: string): PodStatus | undefined;
  /** A stored result changed; also the initial ones, as upstream. Must not throw. */
  onUpdate(update: ProbeUpdate): void;
  /** Every attempt, whatever came of it. Must not throw. */
  onAttempt?(attempt: ProbeAttempt): void;
  /** The prober broke by a bug of its own, and probes nothing any more. Default: it is logged. */
  onFatal?(error: unknown): void;
}

export interface ProbeManagerOptions {
  /** When this kubelet started: soon after it, workers begin at random moments of their first period. */
  readonly startedMonoMs: number;
  /** Attempts at once; more wait their turn, in order. Default 4,096: each may hold a socket. */
  readonly attemptsInFlightMax?: number;
}

const probeTypes: readonly ProbeType[] = ['Startup', 'Readiness', 'Liveness']; // in the order of making workers

/**
 * Runs the probes of this node's pods until `signal` aborts. Upstream: `prober.Manager` with its workers and results.
 *
 *     const prober = new ProbeManager(deps, { startedMonoMs: clock.monoMs() }, signal);
 *     prober.addPod(pod);      // just before its containers are started
 *     await prober.close();    // ends all workers; throws what broke, if anything did
 */
export class ProbeManager implements Prober {
  readonly #deps: ProbeManagerDeps;
  readonly #options: ProbeManagerOptions;
  readonly #scope: TaskScope;
  readonly #queue: DueQueue;
  readonly #entropy: Entropy;
  readonly #metrics: ProbeMetrics;
  readonly #workerDeps: ProbeWorkerDeps;
  readonly #handlerDeps: ProbeHandlerDeps;
  /** By pod uid, then by `TYPE CONTAINER`; none is empty. */
  readonly #workersByPod = new Map<string, Map<string, ProbeWorker>>();
  readonly #results = {
    Liveness: new ResultsCache(),
    Readiness: new ResultsCache(),
    Startup: new ResultsCache(),
  } as const satisfies Record<ProbeType, ResultsCache>;
  readonly #attemptsWaiting = new Set<ProbeWorker>(); // in order; empty unless the bound is reached
  readonly #idleRunners: ((worker: ProbeWorker | undefined) => void)[] = []; // empty while #attemptsWaiting is not
  #runnerCount = 0; // at most attemptsInFlightMax; each makes one attempt at a time, and then the next

  constructor(deps: ProbeManagerDeps, options: ProbeManagerOptions, signal: AbortSignal) {
    this.#deps = deps;
    this.#options = options;
    this.#entropy = deps.entropy.fork('kubelet.probe.firstDelay');
    this.#metrics = makeProbeMetrics(deps.metrics);
    this.#scope = new TaskScope(signal);
    const { clock, transport, runtime } = deps;
    this.#handlerDeps = { clock, transport, runtime, execSignals: new ChildSignals(this.#scope.signal) };
    this.#queue = new DueQueue(deps.clock, 'kubelet.probe.due');
    this.#workerDeps = {
      clock: deps.clock,
      queue: this.#queue,
      grid: new WakeGrid(),
      recorder: deps.recorder,
      podStatus: (podUid) => deps.podStatus(podUid),
      requestAttempt: (worker) => this.#requestAttempt(worker),
      storeResult: (worker, containerId, result) => this.#storeResult(worker, containerId, result),
      forgetResult: (worker, containerId) => this.#results[worker.subject.probeType].remove(containerId),
      onEnded: (worker) => this.#forgetWorker(worker),
      onAttempt: deps.onAttempt === undefined ? undefined : (attempt) => deps.onAttempt?.(attempt),
    };
    this.#scope.signal.addEventListener('abort', () => this.#endRunners(), { once: true });
    this.#scope.start((scopeSignal) => this.#guard(() => this.#queue.run(scopeSignal)));
  }

  /** How many probes there are now. */
  get workerCount(): number {
    let count = 0;
    for (const workers of this.#workersByPod.values()) count += workers.size;
    return count;
  }

  addPod(pod: Pod): void {
    for (const container of pod.spec?.containers ?? []) {
      if (!this.#addContainer(pod, container, 'containers')) return;
    }
    for (const container of pod.spec?.initContainers ?? []) {
      if (container.restartPolicy !== 'Always') continue;
      if (!this.#addContainer(pod, container, 'initContainers')) return;
    }
  }

  stopLivenessAndStartup(podUid: string): void {
    for (const worker of this.#workersOf(podUid)) {
      if (worker.subject.probeType !== 'Readiness' && !worker.subject.isSidecar) worker.stop();
    }
  }

  removePod(podUid: string): void {
    for (const worker of this.#workersOf(podUid)) worker.stop();
  }

  cleanUp(podUidsToKeep: ReadonlySet<string>): void {
    for (const podUid of this.#workersByPod.keys()) if (!podUidsToKeep.has(podUid)) this.removePod(podUid);
  }

  resultOf(probeType: ProbeType, containerId: string): ProbeResult | undefined {
    return this.#results[probeType].get(containerId);
  }

  /** The readiness worker's extra run sees what `podStatus` says then: store the new status before awaiting anything. */
  flagsOf(
    pod: Pod,
    status: Pick<ContainerStatus, 'name' | 'containerID' | 'state'>,
    kind: ContainerKind,
  ): { readonly started: boolean; readonly ready: boolean } {
    const podUid = pod.metadata?.uid ?? '';
    const started = this.#isStarted(podUid, status);
    if (kind === 'ephemeral') return { started: false, ready: false };
    if (kind === 'init') return { started, ready: status.state?.terminated?.exitCode === 0 };
    return { started, ready: started && this.#isReady(podUid, status) };
  }

  /** Ends everything and waits for it. Throws the first failure that was nobody's wish. */
  async close(): Promise<void> {
    for (const podUid of this.#workersByPod.keys()) this.removePod(podUid);
    await this.#scope.close();
  }

  #isStarted(podUid: string, status: Pick<ContainerStatus, 'name' | 'containerID' | 'state'>): boolean {
    if (status.state?.running === undefined) return false;
    const result = this.resultOf('Startup', status.containerID ?? '');
    if (result !== undefined) return result === 'success';
    return this.#workerOf(podUid, 'Startup', status.name) === undefined;
  }

  #isReady(podUid: string, status: Pick<ContainerStatus, 'name' | 'containerID'>): boolean {
    if (this.resultOf('Readiness', status.containerID ?? '') === 'success') return true;
    const worker = this.#workerOf(podUid, 'Readiness', status.name);
    worker?.trigger();
    return worker === undefined;
  }

  /** Whether all was new; if not, the rest of the pod is known too, and stays as it is. */
  #addContainer(pod: Pod, container: Container, field: 'containers' | 'initContainers'): boolean {
    for (const probeType of probeTypes) {
      const spec = specOf(container, probeType);
      if (spec === undefined) continue;
      if (this.#workerOf(pod.metadata?.uid ?? '', probeType, container.name) !== undefined) return false;
      this.#startWorker(pod, container, probeType, spec, field);
    }
    return true;
  }

  #startWorker(
    pod: Pod,
    container: Container,
    probeType: ProbeType,
    spec: Probe,
    field: 'containers' | 'initContainers',
  ): void {
    const subject = workerSubject(pod, container, probeType, spec, field);
    const { podUid, podName, podNamespace, containerName, periodMs } = subject;
    const labels = { probe_type: probeType, container: containerName, pod: podName, namespace: podNamespace };
    const handler = makeProbeHandler(spec, container, `${podName}_${podNamespace}(${podUid})`, this.#handlerDeps);
    const series = new ProbeSeries(this.#metrics, labels, podUid);
    const worker = new ProbeWorker(this.#workerDeps, subject, handler, series);
    const workers = this.#workersByPod.get(podUid) ?? new Map<string, ProbeWorker>();
    this.#workersByPod.set(podUid, workers.set(workerKey(probeType, containerName), worker));
    const held = heldInstance(pod, containerName, probeType);
    if (held !== undefined) {
      worker.carryOver(held);
      this.#results[probeType].set(held, 'success');
    }
    const upMs = this.#deps.clock.monoMs() - this.#options.startedMonoMs;
    worker.start(periodMs > upMs ? this.#entropy.unit() * periodMs : 0);
  }

  #workersOf(podUid: string): readonly ProbeWorker[] {
    return [...(this.#workersByPod.get(podUid)?.values() ?? [])];
  }

  #workerOf(podUid: string, probeType: ProbeType, containerName: string): ProbeWorker | undefined {
    return this.#workersByPod.get(podUid)?.get(workerKey(probeType, containerName));
  }

  #forgetWorker(worker: ProbeWorker): void {
    const { podUid, probeType, containerName } = worker.subject;
    const workers = this.#workersByPod.get(podUid);
    workers?.delete(workerKey(probeType, containerName));
    if (workers?.size === 0) this.#workersByPod.delete(podUid);
    this.#attemptsWaiting.delete(worker);
  }

  #storeResult(worker: ProbeWorker, containerId: string, result: ProbeResult): void {
    const { podUid, containerName, probeType } = worker.subject;
    if (!this.#results[probeType].set(containerId, result)) return;
    this.#deps.log.info('probeResultChanged', { podUid, containerName, containerId, probeType, result });
    this.#deps.onUpdate({ podUid, containerName, containerId, probeType, result });
  }

  #requestAttempt(worker: ProbeWorker): void {
    const idle = this.#idleRunners.pop();
    if (idle !== undefined) return idle(worker);
    if (this.#runnerCount >= (this.#options.attemptsInFlightMax ?? attemptsInFlightMaxDefault)) {
      this.#attemptsWaiting.add(worker);
      return;
    }
    this.#runnerCount += 1;
    this.#scope.start((signal) => this.#guard(() => this.#runAttempts(worker, signal)));
  }

  /** Makes attempts one after the other: those that wait, or else the next that is asked for. */
  async #runAttempts(first: ProbeWorker, signal: AbortSignal): Promise<void> {
    for (let worker: ProbeWorker | undefined = first; worker !== undefined && !signal.aborted;) {
      await worker.attempt(signal);
      worker = this.#takeWaiting() ?? (await this.#nextWorker(signal));
    }
  }

  /** `undefined`: there will be none any more. */
  #nextWorker(signal: AbortSignal): Promise<ProbeWorker | undefined> {
    if (signal.aborted) return Promise.resolve(undefined);
    return new Promise((resolve) => this.#idleRunners.push(resolve));
  }

  #takeWaiting(): ProbeWorker | undefined {
    for (const worker of this.#attemptsWaiting) {
      this.#attemptsWaiting.delete(worker);
      return worker;
    }
    return undefined;
  }

  #endRunners(): void {
    for (const idle of this.#idleRunners.splice(0)) idle(undefined);
  }

  async #guard(body: () => Promise<void>): Promise<void> {
    try {
      await body();
    } catch (error) {
      if (!this.#scope.signal.aborted) this.#onFatal(error);
      throw error;
    }
  }

  #onFatal(error: unknown): void {
    if (this.#deps.onFatal === undefined) this.#deps.log.error('proberBroke', { error: messageOf(error) });
    else this.#deps.onFatal(error);
  }
}

const attemptsInFlightMaxDefault = 4_096;

function workerKey(probeType: ProbeType, containerName: string): string {
  return `${probeType} ${containerName}`;
}

/**
 * The id of the instance that the API shows as having passed this probe already: then an earlier kubelet saw it, and
 * the container stays ready (or started) until an attempt says otherwise. Upstream 1.35: KEP-4781.
 */
function heldInstance(pod: Pod, containerName: string, probeType: ProbeType): string | undefined {
  const { initContainerStatuses = [], containerStatuses = [] } = pod.status ?? {};
  const shown = [...containerStatuses, ...initContainerStatuses].find(({ name }) => name === containerName);
  if (shown?.state?.running === undefined || shown.started !== true) return undefined;
  const hasPassed = probeType === 'Startup' || (probeType === 'Readiness' && shown.ready);
  return hasPassed ? shown.containerID : undefined;
}

function specOf(container: Container, probeType: ProbeType): Probe | undefined {
  switch (probeType) {
    case 'Startup':
      return container.startupProbe;
    case 'Readiness':
      return container.readinessProbe;
    default:
      return container.livenessProbe;
  }
}
