import type { Node, Pod, PodStatus, Service } from '../api/gen/types.ts';
import { quantityOf, quantityValue } from '../api/quantity.ts';
import { resources } from '../api/resources.ts';
import type { Clock } from '../base/clock.ts';
import type { Entropy } from '../base/entropy.ts';
import type { HttpHandler } from '../base/http.ts';
import type { Log } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import { InvariantError, StatusError, messageOf } from '../base/status-error.ts';
import { TaskScope } from '../base/task-scope.ts';
import type { Client } from '../client/client.ts';
import type { EventRecorder } from '../client/event-recorder.ts';
import type { HeartbeatSource } from '../client/heartbeat.ts';
import type { Informer, InformerChange } from '../client/informer.ts';
import { LeaseRenewer } from '../client/lease.ts';
import { ListWatchInformer } from '../client/list-watch-informer.ts';
import { podLabels } from '../cri/runtime.ts';
import type { ContainerEvent, ContainerRuntime } from '../cri/runtime.ts';
import { admissionOf, isCritical, preemption } from './critical-pods.ts';
import type { Admission } from './critical-pods.ts';
import { Alarm } from '../base/alarm.ts';
import type { Cgroups } from './cgroups.ts';
import { removeOrphans } from './garbage.ts';
import { ImageGc } from './image-gc.ts';
import { makeKubeletMetrics } from './kubelet-metrics.ts';
import { LogRotation } from './log-rotation.ts';
import type { NodeContext } from './node-context.ts';
import type { NodeFiles } from './node-files.ts';
import { NodeRegistration, nodeReference } from './node-registration.ts';
import { nodeServerHandler } from './node-server.ts';
import { noServer } from './no-server.ts';
import { networkProblemOf } from './node-status.ts';
import type { HostInfo } from './node-status.ts';
import { ObjectReader } from './object-reader.ts';
import { isWorthSync } from './pod-changes.ts';
import { isTerminalPhase, podReference, podUidOf } from './pod-names.ts';
import type { PodState } from './pod-state.ts';
import { evictedReason } from './pod-status.ts';
import type { Verdict } from './pod-status.ts';
import { PodCgroups } from './pod-cgroups.ts';
import { PodSync } from './pod-sync.ts';
import { PodWorker } from './pod-worker.ts';
import { ProbeManager } from './probes/probe-manager.ts';
import type { ProbeTransport } from './probes/probe-transport.ts';
import type { ProbeAttempt, Prober, ProbeUpdate } from './probes/prober.ts';
import { withProbeResult } from './probe-flags.ts';
import { PulledImages } from './pulled-images.ts';
import { Relist } from './relist.ts';
import type { RuntimeView } from './relist.ts';
import { withDeadlines } from './runtime-deadlines.ts';
import { isMirrorPod, mirroredUidOf } from './static-pod.ts';
import { StaticPodKeeper } from './static-pod-keeper.ts';
import type { StaticPodSource } from './static-pod-source.ts';
import { StatusWriter } from './status-writer.ts';
import type { StreamServer } from './stream-server.ts';
import { VolumeLimits } from './volume-limits.ts';
import { unenforcedFieldsOf } from './unenforced-fields.ts';

const runtimeRetryMs = 1_000;
export const kubeletVersion = 'v1.34.2';

export interface KubeletDeps {
  /** `undefined`: there is no API server, and this node runs its static pods alone. */
  readonly client: Client | undefined;
  /** Pods that the node runs whatever the API says. Default: none. */
  readonly staticPods?: StaticPodSource;
  readonly runtime: ContainerRuntime;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Those of the probes, which are served apart, at `/metrics/probes`. */
  readonly probeMetrics: Metrics;
  /** With component `kubelet` and this node's name as host. */
  readonly recorder: EventRecorder;
  readonly files: NodeFiles;
  /** For network probes and HTTP hooks. */
  readonly transport: ProbeTransport;
  /** For exec, attach and port-forward. Default: they are refused. */
  readonly streams?: StreamServer;
  /** For runtimes that put containers below the control group of their pod. Default: there are no such groups. */
  readonly cgroups?: Cgroups;
  readonly onProbeAttempt?: (attempt: ProbeAttempt) => void;
  /** How often this node says that it lives. Default: as upstream. */
  readonly heartbeat?: HeartbeatSource;
  /** Default: an informer of the pods that are bound to this node. */
  readonly pods?: Informer<Pod>;
  /** Default: `ProbeManager`. */
  readonly createProber?: (hooks: ProberHooks, signal: AbortSignal) => Prober;
}

export interface ProberHooks {
  readonly podStatus: (podUid: string) => PodStatus | undefined;
  readonly onUpdate: (update: ProbeUpdate) => void;
}

export interface KubeletOptions {
  readonly nodeName: string;
  /** Of this computer, as pods on its network see it. */
  readonly hostname: string;
  /** The primary one first. */
  readonly nodeIps: readonly string[];
  /** Where this kubelet's server listens. */
  readonly kubeletPort: number;
  /** `cpu`, `memory`, `ephemeral-storage`, `pods`: quantities. */
  readonly capacity: Readonly<Record<string, string>>;
  /** Default: all of the capacity. */
  readonly allocatable?: Readonly<Record<string, string>>;
  readonly hostInfo: HostInfo;
  /** Beside those that every node has. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Likewise. `null`: it is not to have this one, which an earlier run may have set. */
  readonly annotations?: Readonly<Record<string, string | null>>;
  /** For pods' directories and volumes; upstream `/var/lib/kubelet`. */
  readonly rootDir: string;
  /** For containers' logs; upstream `/var/log/pods`. */
  readonly podLogsDir: string;
  /** The control group that those of pods lie below. Default `/kubepods`; only with `cgroups`. */
  readonly cgroupRoot?: string;
  /** What a node says it is. Default: the version whose behaviour this is. */
  readonly kubeletVersion?: string;
}

/**
 * The node agent: keeps the containers of the pods that are bound to this node running, and of those that its manifests
 * describe, and tells the API how they are.
 *
 *     const kubelet = new Kubelet(deps, options);
 *     scope.start((signal) => kubelet.run(signal));        // registers the node and works until `signal` aborts
 *     serve(kubelet.handle);                               // logs, pods, metrics: what the API server asks of nodes
 *     await kubelet.shutdown(5_000, signal);               // ends all containers; then abort `run`
 *
 * A restarted kubelet takes over what its predecessor left in the runtime. Ends with an error only for bugs.
 */
export class Kubelet {
  readonly handle: HttpHandler;
  readonly #deps: KubeletDeps;
  readonly #context: NodeContext;
  readonly #isAlone: boolean;
  readonly #pods: Informer<Pod>; // with mirrors of static pods; empty if alone
  readonly #services: Informer<Service> | undefined;
  readonly #ownNode: Informer<Node>; // so that a label counts for the kubelet as soon as for the scheduler
  readonly #statics: StaticPodKeeper;
  readonly #statuses: StatusWriter;
  readonly #registration: NodeRegistration;
  readonly #relist: Relist;
  readonly #houseAlarm: Alarm; // rings when there is a new view of the runtime
  readonly #workers = new Map<string, PodWorker>(); // by pod uid
  readonly #workerDone = new Set<() => void>(); // of those who wait for the shutdown
  #running: Running | undefined;
  #isShuttingDown = false;
  #hasToldMissingDns = false;
  #runtimeName = '';

  constructor(deps: KubeletDeps, options: KubeletOptions) {
    this.#deps = deps;
    const { client = noServer, clock, entropy, log, recorder, files, transport } = deps;
    this.#isAlone = deps.client === undefined;
    const runtime = withDeadlines(deps.runtime, clock);
    const allocatable = options.allocatable ?? options.capacity;
    const reading = { client, clock, entropy, log };
    this.#services = this.#isAlone ? undefined : new ListWatchInformer({ ...reading, type: resources.services });
    this.#context = {
      clock,
      entropy: entropy.fork('kubelet'),
      log,
      metrics: makeKubeletMetrics(deps.metrics),
      client,
      objects: new ObjectReader(client, clock),
      services: this.#services,
      recorder,
      runtime,
      files,
      transport,
      layout: { rootDir: options.rootDir, podLogsDir: options.podLogsDir },
      podCgroups: deps.cgroups && new PodCgroups(deps.cgroups, options.cgroupRoot ?? '/kubepods', allocatable),
      nodeName: options.nodeName,
      hostname: options.hostname,
      hostIps: options.nodeIps,
      allocatable,
      memoryCapacityBytes: quantityValue(quantityOf(options.capacity['memory'])),
      runtimeName: () => this.#runtimeName,
    };
    const fieldSelector = `spec.nodeName=${options.nodeName}`;
    this.#pods = deps.pods ?? new ListWatchInformer<Pod>({ ...reading, type: resources.pods, fieldSelector });
    const isOwn = `metadata.name=${options.nodeName}`;
    this.#ownNode = new ListWatchInformer<Node>({ ...reading, type: resources.nodes, fieldSelector: isOwn });
    this.#pods.onChange((change) => this.#onPodChange(change));
    this.#ownNode.onChange(({ previous, current }) => {
      if (previous?.spec?.podCIDR !== current?.spec?.podCIDR) this.#registration.poke(); // pods wait for it
    });
    this.#statuses = new StatusWriter({ client, clock, log, podOf: (pod) => this.#statics.shownAs(pod) });
    this.#statics = this.#createStatics(deps.staticPods);
    this.#houseAlarm = new Alarm(clock, 'kubelet.housekeeping');
    this.#relist = new Relist(this.#context, (view) => this.#onView(view));
    const plegProblem = (): string | undefined => this.#relist.problem();
    this.#registration = new NodeRegistration(
      { client, clock, entropy: this.#context.entropy, log, recorder, runtime, plegProblem },
      {
        nodeName: options.nodeName,
        nodeIps: options.nodeIps,
        kubeletPort: options.kubeletPort,
        kubeletVersion: options.kubeletVersion ?? kubeletVersion,
        capacity: options.capacity,
        allocatable,
        hostInfo: options.hostInfo,
        labels: options.labels ?? {},
        annotations: options.annotations ?? {},
      },
    );
    this.handle = nodeServerHandler({
      context: this.#context,
      metrics: deps.metrics,
      probeMetrics: deps.probeMetrics,
      pods: () => this.#ownPods(),
      statusOf: (podUid) => this.#statuses.statusOf(podUid),
      streams: deps.streams,
    });
  }

  /** The pods of this node, as it sees them itself. */
  pods(): readonly Pod[] {
    return this.#ownPods().map((pod) => ({
      ...pod,
      status: this.#statuses.statusOf(podUidOf(pod)) ?? pod.status ?? {},
    }));
  }

  #ownPods(): Pod[] {
    return [...this.#workers.values()].map(({ pod }) => pod);
  }

  /** Works until `signal` aborts; containers then go on running, unless `shutdown` ended them before. */
  async run(signal: AbortSignal): Promise<void> {
    const scope = new TaskScope(signal);
    const { clock } = this.#deps;
    try {
      scope.start((inner) => this.#relist.run(inner));
      if (this.#isAlone) {
        scope.start((inner) => this.#registration.runAlone(inner));
      } else {
        scope.start((inner) => this.#registration.run(inner));
        scope.start((inner) => this.#lease().run(inner));
        scope.start((inner) => this.#ownNode.run(inner));
        scope.start(async (inner) => this.#services?.run(inner));
      }
      this.#runtimeName = await this.#untilRuntimeAnswers(scope.signal);
      const prober = this.#createProber(scope.signal);
      const pulled = new PulledImages(this.#context);
      const sync = new PodSync({
        context: this.#context,
        statuses: this.#statuses,
        prober,
        pulled,
        networkProblem: () => networkProblemOf(this.#registration.runtime),
      });
      this.#running = { scope, sync, prober, originMonoMs: clock.monoMs() };
      scope.start((inner) => this.#watchRuntime(inner));
      if (!this.#isAlone) this.#startTalking(scope);
      scope.start((inner) => this.#statics.run(inner));
      scope.start((inner) => this.#keepHouse(inner));
      const rotation = new LogRotation(this.#context, () => this.#relist.view?.containers ?? []);
      scope.start((inner) => rotation.run(inner));
      const limits = new VolumeLimits(
        this.#context,
        () => [...this.#workers.values()].filter(({ state }) => state.kind === 'syncing').map(({ pod }) => pod),
        (pod, message) => this.#evict(pod, { reason: evictedReason, message, disruption: message }),
      );
      scope.start((inner) => limits.run(inner));
      const node = nodeReference(this.#context.nodeName);
      const containers = () => this.#relist.view?.containers;
      const imageGc = new ImageGc({ context: this.#context, node, pulled, containers });
      scope.start((inner) => imageGc.run(inner));
      for (const pod of this.#pods.list()) this.#onPodChange({ previous: undefined, current: pod });
      await untilAborted(scope.signal);
    } finally {
      this.#running = undefined;
      await scope.close(signal.reason);
    }
  }

  /** What brings pods here from the API, and their state there. */
  #startTalking(scope: TaskScope): void {
    scope.start((inner) => this.#statuses.run(inner));
    scope.start((inner) => this.#statics.runMirrors(inner));
    scope.start((inner) => this.#pods.run(inner));
  }

  /**
   * Ends the containers of all pods, each with its own grace period but none later than `graceMs` from now, and leaves
   * their objects as they are: the next kubelet on this node runs them again. New pods are not started any more.
   */
  async shutdown(graceMs: number, signal: AbortSignal): Promise<void> {
    this.#isShuttingDown = true;
    const { clock, log, runtime } = this.#context;
    for (const worker of this.#workers.values()) {
      const ownSeconds = worker.pod.spec?.terminationGracePeriodSeconds ?? graceMs / 1_000;
      worker.shutDown(Math.min(ownSeconds, graceMs / 1_000));
    }
    const scope = new TaskScope(signal);
    const limit = clock.sleep(graceMs, 'kubelet.shutdown', scope.signal);
    const ended = this.#allEnded();
    try {
      await Promise.race([ended, limit]);
    } finally {
      await scope.close();
      await Promise.allSettled([limit]);
    }
    try {
      const sandboxes = await runtime.listPodSandboxes({}, signal);
      const left = sandboxes.filter(({ state }) => state === 'ready');
      if (left.length > 0) log.warn('podsKilledAtShutdown', { count: left.length });
      for (const result of await Promise.allSettled(left.map(({ id }) => runtime.stopPodSandbox(id, signal)))) {
        if (result.status === 'rejected') log.warn('podNotKilledAtShutdown', { error: messageOf(result.reason) });
      }
    } catch (error) {
      if (signal.aborted || !(error instanceof StatusError)) throw error;
      log.warn('podsNotKilledAtShutdown', { error: error.message }); // the runtime is away, and its pods are its own
    }
  }

  #allEnded(): Promise<void> {
    const isEnded = (): boolean => [...this.#workers.values()].every(({ state }) => state.kind === 'terminated');
    if (isEnded()) return Promise.resolve();
    return new Promise((resolve) => {
      const check = (): void => {
        if (!isEnded()) return;
        this.#workerDone.delete(check);
        resolve();
      };
      this.#workerDone.add(check);
    });
  }

  /** The runtime's name, which the ids in statuses begin with. One that is down is waited for: the node is not Ready. */
  async #untilRuntimeAnswers(signal: AbortSignal): Promise<string> {
    const { clock, log, runtime } = this.#context;
    for (;;) {
      try {
        return (await runtime.version(signal)).runtimeName;
      } catch (error) {
        if (signal.aborted || !(error instanceof StatusError)) throw error;
        log.warn('runtimeNotReached', { error: error.message });
      }
      await clock.sleep(runtimeRetryMs, 'kubelet.runtime.version', signal);
    }
  }

  #createProber(signal: AbortSignal): Prober {
    const { clock, entropy, transport, recorder, probeMetrics, log, onProbeAttempt, createProber } = this.#deps;
    const { runtime } = this.#context;
    const hooks: ProberHooks = {
      podStatus: (podUid) => this.#statuses.statusOf(podUid),
      onUpdate: (update) => this.#onProbeUpdate(update),
    };
    if (createProber !== undefined) return createProber(hooks, signal);
    return new ProbeManager(
      {
        clock,
        entropy,
        transport,
        runtime,
        recorder,
        metrics: probeMetrics,
        log,
        ...hooks,
        ...(onProbeAttempt === undefined ? {} : { onAttempt: onProbeAttempt }),
        onFatal: (error) => this.#running?.scope.start(() => Promise.reject(error)),
      },
      { startedMonoMs: clock.monoMs() },
      signal,
    );
  }

  #createStatics(source: StaticPodSource | undefined): StaticPodKeeper {
    return new StaticPodKeeper({
      context: this.#context,
      client: this.#context.client,
      source,
      apiPods: this.#pods,
      node: () => this.#registration.node,
      pods: () => this.#ownPods(),
      start: (pod) => this.#startWorker(pod),
      end: (podUid) => this.#workers.get(podUid)?.remove(),
    });
  }

  #lease(): LeaseRenewer {
    const { clock, entropy, log, heartbeat } = this.#deps;
    const { client } = this.#context;
    const name = this.#context.nodeName;
    return new LeaseRenewer({
      client,
      clock,
      entropy,
      log,
      namespace: 'kube-node-lease',
      name,
      holderIdentity: name,
      ...(heartbeat === undefined ? {} : { heartbeat }),
      owner: () => {
        const uid = this.#registration.node?.metadata?.uid;
        return uid === undefined ? undefined : { apiVersion: 'v1', kind: 'Node', name, uid };
      },
    });
  }

  #onPodChange({ previous, current }: InformerChange<Pod>): void {
    const gone = previous !== undefined && podUidOf(previous) !== (current && podUidOf(current)) ? previous : undefined;
    for (const pod of [gone, current]) if (pod !== undefined) this.#onShownChange(pod);
    if (gone !== undefined && !isMirrorPod(gone)) this.#workers.get(podUidOf(gone))?.remove();
    if (current === undefined || isMirrorPod(current)) return;
    const worker = this.#workers.get(podUidOf(current));
    if (worker === undefined) {
      this.#startWorker(current);
      return;
    }
    const before = worker.pod;
    worker.update(current);
    if (worker.state.kind === 'terminated') this.#statuses.poke(current);
    else if (isWorthSync(before, current)) worker.poke();
  }

  /** A pod in the API changed that may show a static one. */
  #onShownChange(pod: Pod): void {
    this.#statics.onApiChange(pod);
    const uid = mirroredUidOf(pod);
    const shown = uid === undefined ? undefined : this.#workers.get(uid);
    if (shown !== undefined) this.#statuses.poke(shown.pod);
  }

  #startWorker(pod: Pod): void {
    const running = this.#running;
    if (running === undefined || this.#isShuttingDown) return; // taken up by the next `run`
    const podUid = podUidOf(pod);
    const { clock, entropy, log } = this.#context;
    const { scope, sync, originMonoMs } = running;
    const worker = new PodWorker(
      {
        clock,
        entropy: entropy.fork(podUid),
        log,
        sync,
        originMonoMs,
        admit: (own) => this.#admit(own),
        onState: () => this.#onWorkerState(),
      },
      pod,
    );
    this.#workers.set(podUid, worker);
    worker.update(pod);
    scope.start(async (signal) => {
      try {
        await worker.run(signal);
      } finally {
        this.#workers.delete(podUid);
        this.#onWorkerState();
        if (!signal.aborted) this.#statics.onEnded(worker.pod); // not `pod`, which would be kept so long
      }
    });
  }

  #onWorkerState(): void {
    for (const check of this.#workerDone) check();
    for (const worker of this.#workers.values()) if (worker.isWaitingForRoom) worker.poke();
  }

  #evict(pod: Pod, verdict: Verdict): void {
    this.#running?.sync.evict(pod, verdict);
    this.#workers.get(podUidOf(pod))?.poke();
  }

  #admit(pod: Pod): Admission {
    const podsThat = (kind: PodState['kind']): readonly Pod[] =>
      [...this.#workers.values()]
        .filter(({ state }) => state.kind === kind)
        .map((worker) => worker.pod)
        .filter((other) => podUidOf(other) !== podUidOf(pod));
    const isActive = (other: Pod): boolean => !isTerminalPhase(other.status?.phase);
    // Who preempts waits for the last container of a victim, whose phase is Failed at once.
    const leaving = podsThat('terminating').filter((other) => isCritical(pod) || isActive(other));
    const others = [...podsThat('syncing').filter(isActive), ...leaving];
    const node = this.#ownNode.get('', this.#context.nodeName) ?? this.#registration.node;
    const allocatable = { ...node?.status?.allocatable, ...this.#context.allocatable };
    const admission = admissionOf({ pod, others, allocatable, node }, leaving);
    if (admission.kind === 'waits') {
      for (const victim of admission.victims) this.#evict(victim, preemption);
    }
    if (admission.kind === 'welcome' && pod.status?.startTime === undefined) {
      for (const message of unenforcedFieldsOf(pod, this.#context)) {
        this.#deps.recorder.event(podReference(pod), 'Warning', 'NotEnforced', message);
      }
      if (pod.spec?.dnsPolicy === 'ClusterFirst') this.#tellMissingDns();
    }
    return admission;
  }

  /** Once: upstream writes it for every pod, but a node without cluster DNS is nothing that a pod can help. */
  #tellMissingDns(): void {
    if (this.#hasToldMissingDns) return;
    this.#hasToldMissingDns = true;
    const message =
      'kubelet does not have ClusterDNS IP configured and cannot create Pod using "ClusterFirst" policy. ' +
      'Falling back to "Default" policy.';
    this.#deps.recorder.event(nodeReference(this.#context.nodeName), 'Warning', 'MissingClusterDNS', message);
  }

  #onProbeUpdate(update: ProbeUpdate): void {
    const { podUid, probeType } = update;
    if (probeType === 'Liveness') {
      if (update.result === 'failure') this.#workers.get(podUid)?.poke();
      return;
    }
    this.#statuses.amend(podUid, (status, pod) => withProbeResult(pod, status, update));
    this.#workers.get(podUid)?.poke();
  }

  /** Wakes pods as their containers end. */
  async #watchRuntime(signal: AbortSignal): Promise<void> {
    const { clock, log, runtime } = this.#context;
    for (;;) {
      try {
        const events = runtime.events(signal);
        this.#relist.ring(); // what happened before was not seen
        for await (const event of events) this.#onRuntimeEvent(event);
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof InvariantError || !(error instanceof StatusError)) throw error;
        log.warn('runtimeEventsLost', { error: error.message });
      }
      if (signal.aborted) return;
      await clock.sleep(runtimeRetryMs, 'kubelet.runtimeEvents.retry', signal);
    }
  }

  #onRuntimeEvent({ kind, podUid, containerId }: ContainerEvent): void {
    if (kind === 'stopped') this.#workers.get(podUid)?.onContainerEnded(containerId);
  }

  /** Wakes the pods of which something happened that no event told, and whoever looks after the rest. */
  #onView(view: RuntimeView): void {
    const sandboxes = byPodUid(view.sandboxes);
    const containers = byPodUid(view.containers);
    for (const [podUid, worker] of this.#workers) {
      worker.onRelist({ sandboxes: sandboxes.get(podUid) ?? [], containers: containers.get(podUid) ?? [] });
    }
    this.#houseAlarm.ring();
  }

  /** Removes what belongs to no pod of this node: at the start, and after each look at the whole runtime. */
  async #keepHouse(signal: AbortSignal): Promise<void> {
    if (!this.#isAlone) await this.#pods.synced(signal);
    for (;;) {
      const { view } = this.#relist;
      try {
        if (view !== undefined && this.#statics.hasRead) {
          const isKnown = (podUid: string): boolean => this.#workers.has(podUid);
          await removeOrphans(this.#context, view, isKnown, signal);
          await this.#context.podCgroups?.cleanUp(isKnown);
        }
        this.#running?.prober.cleanUp(new Set(this.#workers.keys()));
      } catch (error) {
        if (signal.aborted || !(error instanceof StatusError)) throw error;
        this.#context.log.warn('housekeepingFailed', { error: error.message });
      }
      await this.#houseAlarm.wait(undefined, signal);
    }
  }
}

function byPodUid<T extends { readonly labels: Readonly<Record<string, string>> }>(
  items: readonly T[],
): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const podUid = item.labels[podLabels.podUid] ?? '';
    const group = groups.get(podUid);
    if (group === undefined) groups.set(podUid, [item]);
    else group.push(item);
  }
  return groups;
}

interface Running {
  readonly scope: TaskScope;
  readonly sync: PodSync;
  readonly prober: Prober;
  readonly originMonoMs: number;
}

function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
