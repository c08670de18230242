import type { ByteStream } from '../base/byte-stream.ts';
import type { Clock } from '../base/clock.ts';
import { randomHex, type Entropy } from '../base/entropy.ts';
import { StatusError } from '../base/status-error.ts';
import { TaskScope } from '../base/task-scope.ts';
import { ContainerEvents } from '../cri/container-events.ts';
import {
  ExecTimeoutError,
  podLabels,
  type ContainerConfig,
  type ContainerEvent,
  type ContainerEventKind,
  type ContainerRuntime,
  type ExecSyncResult,
  type ImageAuth,
  type ImageFsInfo,
  type PodSandboxConfig,
  type PodSandboxStatus,
  type PulledImage,
  type RemoteStreams,
  type RuntimeCondition,
  type RuntimeContainerStatus,
  type RuntimeImage,
  type RuntimeNetworkConfig,
  type RuntimeVersion,
} from '../cri/runtime.ts';
import { execErrorText, startErrorText } from '../cri/start-error.ts';
import { portForwardErrorText } from '../cri/port-forward-error.ts';
import { forEachInput } from '../cri/remote-input.ts';
import { untilAborted } from '../cri/until-aborted.ts';
import { findExecResult, findScript } from './container-script.ts';
import type { ContainerScript, ScriptRule, SimExecResult, SimImage, SimInstance } from './container-script.ts';
import { noFaults, type Faults } from './faults.ts';
import { SimContainer, type SimListeners } from './sim-container.ts';
import { idOf, normalName, runtimeImage, unknownHostText } from './sim-images.ts';

/** The verbs that take time and can fail; the fault sites are `cri.VERB.lostRequest` and `cri.VERB.lostReply`. */
export const simVerbs = [
  'runPodSandbox',
  'stopPodSandbox',
  'removePodSandbox',
  'podSandboxStatus',
  'listPodSandboxes',
  'createContainer',
  'startContainer',
  'stopContainer',
  'removeContainer',
  'containerStatus',
  'listContainers',
  'reopenContainerLog',
  'execSync',
  'exec',
  'attach',
  'portForward',
  'listImages',
  'imageStatus',
  'pullImage',
  'removeImage',
  'imageFsInfo',
  'status',
  'updateRuntimeConfig',
] as const;

export type SimVerb = (typeof simVerbs)[number];

const hungStopMs = 20_000; // fault `cri.stopContainer.hung`: how long even SIGKILL does not help
const lateStartMs = 125_000; // fault `cri.startContainer.late`: longer than a kubelet waits
const slowPullMs = 60_000; // fault `cri.pullImage.slow`
const hostNumbers = 253; // .2 to .254 of the subnet

export interface SimRuntimeDeps {
  readonly clock: Clock;
  readonly entropy: Entropy;
  /** Default: nothing goes wrong. */
  readonly faults?: Faults;
  /** Where scripts' servers listen; absent: they do not. */
  readonly network?: SimListeners;
  /** Takes each finished log line (in CRI format, with its newline); absent: they are dropped. */
  readonly writeLog?: (logFile: string, line: string) => void;
}

export interface SimRuntimeOptions {
  readonly images: readonly SimImage[];
  readonly rules: readonly ScriptRule[];
  /** Bounds of what a verb takes, in milliseconds; drawn evenly. Default 1 to 5. */
  readonly latencyMs?: readonly [min: number, max: number];
  /** The first three bytes of its pods' addresses, until it is told others. Default `10.244.0`. */
  readonly podSubnet?: string;
  /** Whether it is not ready before it is told them. Default: no. */
  readonly awaitsPodCidr?: boolean;
  /** Where pods on the machine's own network listen. Default `127.0.0.1`. */
  readonly hostAddress?: string;
  /** What pulling an unknown image fails with. Default: as containerd when the registry's name is unknown. */
  readonly pullErrorText?: (image: string) => string;
  readonly onStarted?: (instance: SimInstance) => void;
  readonly onExited?: (instance: SimInstance, exitCode: number) => void;
}

interface SimSandbox {
  status: PodSandboxStatus;
  readonly config: PodSandboxConfig;
}

/**
 * Containers that follow scripts, on the injected clock: the runtime of `livelet simulate` and of the tests. Obeys
 * the same contract as the real ones. A container ends on its own stop signal only if its script says so, as a real
 * PID 1.
 */
export class SimRuntime implements ContainerRuntime {
  readonly #deps: SimRuntimeDeps;
  readonly #options: SimRuntimeOptions;
  readonly #faults: Faults;
  readonly #ids: Entropy;
  readonly #latencies: Entropy;
  readonly #scope: TaskScope;
  readonly #events = new ContainerEvents();
  readonly #sandboxes = new Map<string, SimSandbox>();
  readonly #containers = new Map<string, SimContainer>();
  readonly #present: Set<string>; // names of images
  #connection = new AbortController(); // of all calls in flight; replaced when the runtime restarts
  #podSubnet: string;
  #hasPodSubnet: boolean;
  #hostNumber = 0;
  #isDown = false;

  /** Everything of it ends when `signal` aborts. */
  constructor(deps: SimRuntimeDeps, options: SimRuntimeOptions, signal: AbortSignal) {
    this.#deps = deps;
    this.#options = options;
    this.#podSubnet = options.podSubnet ?? '10.244.0';
    this.#hasPodSubnet = options.awaitsPodCidr !== true;
    this.#present = new Set(options.images.filter(({ mustBePulled }) => mustBePulled !== true).map(({ name }) => name));
    this.#faults = deps.faults ?? noFaults;
    this.#ids = deps.entropy.fork('ids');
    this.#latencies = deps.entropy.fork('latencies');
    this.#scope = new TaskScope(signal);
    this.#scope.signal.addEventListener('abort', () => this.#endAll(), { once: true });
  }

  // For whoever directs the simulation.

  /** The runtime itself ends and comes back after `downMs`. Calls fail, `events` breaks off, containers live on. */
  async restart(downMs: number, signal: AbortSignal): Promise<void> {
    this.#isDown = true;
    this.#connection.abort(unavailable());
    this.#events.breakOff('the runtime is restarting');
    await this.#deps.clock.sleep(downMs, 'cri.sim.restart', signal);
    this.#connection = new AbortController();
    this.#isDown = false;
  }

  /** The container ends now, by itself. `reason`: as in its status; default by exit code. */
  endContainer(containerId: string, exitCode: number, reason?: string): void {
    this.#containers.get(containerId)?.end(exitCode, reason);
  }

  /** The kernel ends it for want of memory. */
  oomKill(containerId: string): void {
    this.endContainer(containerId, 137, 'OOMKilled');
  }

  /** The machine loses power: everything that runs ends at once, and nobody is told. */
  powerOff(): void {
    this.#connection.abort(unavailable()); // what was asked for and not yet done never will be
    this.#connection = new AbortController();
    this.#endAll();
    for (const sandbox of this.#sandboxes.values()) sandbox.status = { ...sandbox.status, state: 'notReady' };
  }

  /** Those that run, for checkers: no latency, no faults. */
  runningContainers(): readonly RuntimeContainerStatus[] {
    return [...this.#containers.values()].map(({ status }) => status).filter(({ state }) => state === 'running');
  }

  async close(): Promise<void> {
    this.#connection.abort(unavailable());
    await this.#scope.close(new Error('the simulated runtime was closed'));
  }

  // The contract.

  async version(): Promise<RuntimeVersion> {
    return { runtimeName: 'sim', runtimeVersion: '1' };
  }

  status(signal: AbortSignal): Promise<readonly RuntimeCondition[]> {
    return this.#call('status', signal, () => [
      { type: 'RuntimeReady', status: true, reason: '', message: '' },
      {
        type: 'NetworkReady',
        status: this.#hasPodSubnet,
        reason: this.#hasPodSubnet ? '' : 'NetworkPluginNotReady',
        message: this.#hasPodSubnet ? '' : 'cni config uninitialized',
      },
    ]);
  }

  updateRuntimeConfig({ podCidr }: RuntimeNetworkConfig, signal: AbortSignal): Promise<void> {
    return this.#call('updateRuntimeConfig', signal, () => {
      if (!/^(?:\d{1,3}\.){3}0\/24$/.test(podCidr)) {
        throw new StatusError('Invalid', `pod CIDR ${JSON.stringify(podCidr)}: a simulated node needs a /24 of IPv4`);
      }
      this.#hasPodSubnet = true;
      this.#podSubnet = podCidr.slice(0, podCidr.lastIndexOf('.'));
    });
  }

  runPodSandbox(config: PodSandboxConfig, signal: AbortSignal): Promise<string> {
    return this.#call('runPodSandbox', signal, () => {
      const id = randomHex(this.#ids, 32);
      const { metadata, labels, annotations, namespaces } = config;
      const ips = namespaces.network === 'node' ? [] : [this.#takeIp()];
      const networkMode = namespaces.network;
      const createdWallMs = this.#deps.clock.wallMs();
      this.#sandboxes.set(id, {
        config,
        status: { id, metadata, state: 'ready', createdWallMs, ips, networkMode, labels, annotations },
      });
      return id;
    });
  }

  stopPodSandbox(podSandboxId: string, signal: AbortSignal): Promise<void> {
    return this.#call('stopPodSandbox', signal, () => this.#stopSandbox(podSandboxId));
  }

  removePodSandbox(podSandboxId: string, signal: AbortSignal): Promise<void> {
    return this.#call('removePodSandbox', signal, () => {
      this.#stopSandbox(podSandboxId);
      for (const container of this.#containersOf(podSandboxId)) this.#remove(container);
      this.#sandboxes.delete(podSandboxId);
    });
  }

  podSandboxStatus(podSandboxId: string, signal: AbortSignal): Promise<PodSandboxStatus> {
    return this.#call('podSandboxStatus', signal, () => this.#sandbox(podSandboxId).status);
  }

  listPodSandboxes(filter: { readonly podUid?: string }, signal: AbortSignal): Promise<readonly PodSandboxStatus[]> {
    return this.#call('listPodSandboxes', signal, () =>
      [...this.#sandboxes.values()]
        .map(({ status }) => status)
        .filter(({ metadata }) => filter.podUid === undefined || metadata.uid === filter.podUid),
    );
  }

  createContainer(
    podSandboxId: string,
    config: ContainerConfig,
    sandboxConfig: PodSandboxConfig,
    signal: AbortSignal,
  ): Promise<string> {
    return this.#call('createContainer', signal, () => {
      const sandbox = this.#sandbox(podSandboxId);
      if (sandbox.status.state !== 'ready') {
        throw new StatusError('Conflict', `sandbox container ${JSON.stringify(podSandboxId)} is not running`);
      }
      const image = this.#findImage(config.image) ?? this.#findImage(config.imageRef);
      if (image === undefined) throw new StatusError('NotFound', `image ${JSON.stringify(config.image)}: not found`);
      const container = this.#newContainer(sandbox, config, sandboxConfig, image);
      this.#containers.set(container.id, container);
      this.#emit('created', container);
      return container.id;
    });
  }

  startContainer(containerId: string, signal: AbortSignal): Promise<void> {
    return this.#call('startContainer', signal, async () => {
      // Whoever asked may have given up by then; it is started all the same, unless it was removed.
      if (this.#faults.hit('cri.startContainer.late')) {
        await this.#deps.clock.sleep(lateStartMs, 'cri.sim.lateStart', this.#scope.signal);
      }
      const container = this.#container(containerId);
      const { podSandboxId } = container.status;
      if (this.#sandbox(podSandboxId).status.state !== 'ready') {
        throw new StatusError('Conflict', `sandbox container ${JSON.stringify(podSandboxId)} is not running`);
      }
      container.start((text) => startErrorText({ kind: 'notFound', word: text }));
    });
  }

  stopContainer(containerId: string, graceMs: number, signal: AbortSignal): Promise<void> {
    return this.#call('stopContainer', signal, async () => {
      const container = this.#containers.get(containerId);
      if (container === undefined) return;
      const isHung = this.#faults.hit('cri.stopContainer.hung');
      await container.stop(graceMs + (isHung ? hungStopMs : 0), signal);
    });
  }

  removeContainer(containerId: string, signal: AbortSignal): Promise<void> {
    return this.#call('removeContainer', signal, () => {
      const container = this.#containers.get(containerId);
      if (container !== undefined) this.#remove(container);
    });
  }

  containerStatus(containerId: string, signal: AbortSignal): Promise<RuntimeContainerStatus> {
    return this.#call('containerStatus', signal, () => this.#container(containerId).status);
  }

  listContainers(
    filter: { readonly podUid?: string },
    signal: AbortSignal,
  ): Promise<readonly RuntimeContainerStatus[]> {
    return this.#call('listContainers', signal, () =>
      [...this.#containers.values()]
        .filter(({ podUid }) => filter.podUid === undefined || podUid === filter.podUid)
        .map(({ status }) => status),
    );
  }

  reopenContainerLog(containerId: string, signal: AbortSignal): Promise<void> {
    return this.#call('reopenContainerLog', signal, () => {
      if (this.#container(containerId).status.state !== 'running') {
        throw new StatusError('Conflict', 'container is not running');
      }
    });
  }

  execSync(
    containerId: string,
    command: readonly string[],
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<ExecSyncResult> {
    return this.#call('execSync', signal, async () => {
      const container = this.#container(containerId);
      const result = this.#execResult(container, command);
      const takesMs = result.takesMs ?? 0;
      const isLate = timeoutMs > 0 && takesMs >= timeoutMs;
      await this.#deps.clock.sleep(isLate ? timeoutMs : takesMs, 'cri.sim.exec', signal);
      if (isLate) {
        throw new ExecTimeoutError(`command ${JSON.stringify(command.join(' '))} timed out after ${timeoutMs} ms`);
      }
      const encoder = new TextEncoder();
      return {
        exitCode: result.exitCode,
        stdout: encoder.encode(result.stdout ?? ''),
        stderr: encoder.encode(result.stderr ?? ''),
      };
    });
  }

  exec(
    containerId: string,
    { command }: { readonly command: readonly string[]; readonly tty: boolean },
    streams: RemoteStreams,
    signal: AbortSignal,
  ): Promise<number> {
    return this.#call('exec', signal, async () => {
      const container = this.#container(containerId);
      const result = this.#execResult(container, command);
      const { life } = container;
      const running = runExec(this.#deps.clock, result, streams, signal);
      return await untilAborted(untilAborted(running, life), signal).catch((error: unknown) => {
        if (error === life.reason && !signal.aborted) return 137; // killed with its container
        throw error;
      });
    });
  }

  attach(
    containerId: string,
    _options: { readonly tty: boolean },
    streams: RemoteStreams,
    signal: AbortSignal,
  ): Promise<void> {
    return this.#call('attach', signal, () => this.#container(containerId).attach(streams, signal));
  }

  portForward(podSandboxId: string, port: number, stream: ByteStream, signal: AbortSignal): Promise<void> {
    return this.#call('portForward', signal, async () => {
      const { ips, state } = this.#sandbox(podSandboxId).status;
      if (state !== 'ready') {
        throw new StatusError('Conflict', `sandbox container ${JSON.stringify(podSandboxId)} is not running`);
      }
      const server = this.#deps.network?.find(ips[0] ?? this.#hostAddress, port);
      if (server === undefined) {
        const refused = 'connection refused';
        throw new StatusError('ServiceUnavailable', portForwardErrorText(podSandboxId, port, refused, refused));
      }
      if (server.tcp === undefined) await stream.end();
      else await untilAborted(server.tcp(stream, signal), signal);
    });
  }

  listImages(signal: AbortSignal): Promise<readonly RuntimeImage[]> {
    return this.#call('listImages', signal, () => this.#presentImages().map(runtimeImage));
  }

  imageStatus(image: string, signal: AbortSignal): Promise<RuntimeImage | undefined> {
    return this.#call('imageStatus', signal, () => {
      const found = this.#findImage(image);
      return found === undefined ? undefined : runtimeImage(found);
    });
  }

  pullImage(image: string, signal: AbortSignal, auth?: ImageAuth): Promise<PulledImage> {
    return this.#call('pullImage', signal, async () => {
      const name = normalName(image);
      const found = this.#options.images.find((candidate) => candidate.name === name);
      if (found?.password !== undefined && found.password !== auth?.password) {
        throw new StatusError('Forbidden', `failed to authorize: pull access denied for ${name}`);
      }
      const pullMs = (found?.pullMs ?? 0) + (this.#faults.hit('cri.pullImage.slow') ? slowPullMs : 0);
      await this.#deps.clock.sleep(pullMs, 'cri.sim.pull', signal);
      if (found === undefined) {
        throw new StatusError('NotFound', (this.#options.pullErrorText ?? unknownHostText)(image));
      }
      this.#present.add(found.name);
      return { id: idOf(found), sizeBytes: found.sizeBytes };
    });
  }

  removeImage(image: string, signal: AbortSignal): Promise<void> {
    return this.#call('removeImage', signal, () => {
      const found = this.#findImage(image);
      if (found !== undefined) this.#present.delete(found.name);
    });
  }

  imageFsInfo(signal: AbortSignal): Promise<ImageFsInfo> {
    return this.#call('imageFsInfo', signal, () => ({
      mountpoint: '/var/lib/sim',
      usedBytes: this.#presentImages().reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    }));
  }

  events(signal: AbortSignal): AsyncIterable<ContainerEvent> {
    if (!this.#isDown) return this.#events.listen(signal);
    return {
      [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(unavailable()) }),
    };
  }

  #endAll(): void {
    for (const container of this.#containers.values()) container.end(137, 'Error');
  }

  /**
   * One call over the wire: it takes its time, may be lost on the way there or back, and ends when the runtime does.
   */
  async #call<T>(verb: SimVerb, signal: AbortSignal, body: () => T | Promise<T>): Promise<T> {
    signal.throwIfAborted();
    if (this.#isDown) throw unavailable();
    const connection = this.#connection.signal;
    const [minMs, maxMs] = this.#options.latencyMs ?? [1, 5];
    await this.#deps.clock.sleep(minMs + this.#latencies.unit() * (maxMs - minMs), `cri.sim.${verb}`, signal);
    if (connection.aborted) throw unavailable();
    if (this.#faults.hit(`cri.${verb}.lostRequest`)) throw lost(verb);
    const result = await untilAborted(
      Promise.resolve().then(() => {
        if (this.#scope.signal.aborted) throw unavailable(); // nothing starts any more
        return body();
      }),
      connection,
    );
    if (this.#faults.hit(`cri.${verb}.lostReply`)) throw lost(verb);
    return result;
  }

  #newContainer(
    sandbox: SimSandbox,
    config: ContainerConfig,
    sandboxConfig: PodSandboxConfig,
    image: SimImage,
  ): SimContainer {
    const command = commandOf(config, image);
    if (command.length === 0) {
      throw new StatusError('BadRequest', `no command specified for image ${image.name}`);
    }
    const { clock, network, writeLog } = this.#deps;
    return new SimContainer(
      {
        clock,
        network,
        writeLog,
        scope: this.#scope,
        emit: (kind, container) => this.#emit(kind, container),
        onStarted: this.#options.onStarted,
        onExited: this.#options.onExited,
      },
      {
        id: randomHex(this.#ids, 32),
        sandbox: sandbox.status,
        hostname: sandboxConfig.hostname,
        hostAddress: this.#hostAddress,
        podUid: config.labels[podLabels.podUid] ?? sandboxConfig.metadata.uid,
        config,
        imageName: image.name,
        imageId: idOf(image),
        logFile: `${sandboxConfig.logDirectory}/${config.logPath}`,
        command,
        script: this.#scriptOf(image, command),
      },
    );
  }

  #scriptOf(image: SimImage, command: readonly string[]): ContainerScript | undefined {
    return findScript(this.#options.rules, image.name, command);
  }

  #execResult(container: SimContainer, command: readonly string[]): SimExecResult {
    const result = findExecResult(container.script, command, container.elapsedMs);
    if (result !== undefined) return result;
    const failure = { kind: 'notFound', word: command[0] ?? '' } as const;
    throw new StatusError('InternalError', execErrorText(randomHex(this.#ids, 32), failure));
  }

  #emit(kind: ContainerEventKind, container: SimContainer): void {
    if (this.#isDown) return; // whoever comes back has to relist
    this.#events.emit({ kind, containerId: container.id, podUid: container.podUid });
  }

  #stopSandbox(podSandboxId: string): void {
    const sandbox = this.#sandboxes.get(podSandboxId);
    if (sandbox === undefined) return;
    for (const container of this.#containersOf(podSandboxId)) container.end(137, 'Error');
    sandbox.status = { ...sandbox.status, state: 'notReady' };
  }

  #remove(container: SimContainer): void {
    container.end(137, 'Error');
    this.#containers.delete(container.id);
    this.#emit('deleted', container);
  }

  #containersOf(podSandboxId: string): SimContainer[] {
    return [...this.#containers.values()].filter(({ status }) => status.podSandboxId === podSandboxId);
  }

  #sandbox(id: string): SimSandbox {
    const sandbox = this.#sandboxes.get(id);
    if (sandbox === undefined)
      throw new StatusError('NotFound', 'an error occurred when try to find sandbox: not found');
    return sandbox;
  }

  #container(id: string): SimContainer {
    const container = this.#containers.get(id);
    if (container !== undefined) return container;
    throw new StatusError('NotFound', `an error occurred when try to find container ${JSON.stringify(id)}: not found`);
  }

  get #hostAddress(): string {
    return this.#options.hostAddress ?? '127.0.0.1';
  }

  #takeIp(): string {
    this.#hostNumber = (this.#hostNumber % hostNumbers) + 1;
    return `${this.#podSubnet}.${this.#hostNumber + 1}`;
  }

  #presentImages(): SimImage[] {
    return this.#options.images.filter(({ name }) => this.#present.has(name));
  }

  #findImage(image: string): SimImage | undefined {
    const name = normalName(image);
    return this.#presentImages().find((candidate) => candidate.name === name || idOf(candidate) === image);
  }
}

async function runExec(
  clock: Clock,
  result: SimExecResult,
  streams: RemoteStreams,
  signal: AbortSignal,
): Promise<number> {
  const encoder = new TextEncoder();
  if (result.copiesInput === true && streams.stdin !== undefined) {
    await forEachInput(streams.stdin, signal, async (bytes) => {
      await streams.stdout?.(bytes);
      return 'more';
    });
  }
  await clock.sleep(result.takesMs ?? 0, 'cri.sim.exec', signal);
  if (result.stdout !== undefined) await streams.stdout?.(encoder.encode(result.stdout));
  if (result.stderr !== undefined) await streams.stderr?.(encoder.encode(result.stderr));
  return result.exitCode;
}

/** As in Kubernetes: `command` replaces the entrypoint, `args` what follows it. */
function commandOf(config: ContainerConfig, image: SimImage): readonly string[] {
  return [...(config.command.length > 0 ? config.command : (image.entrypoint ?? [])), ...config.args];
}

function unavailable(): StatusError {
  return new StatusError('ServiceUnavailable', 'connection error: the simulated runtime is down');
}

function lost(verb: SimVerb): StatusError {
  return new StatusError('Timeout', `${verb}: context deadline exceeded`);
}
