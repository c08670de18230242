import fs from 'node:fs';
import fsp from 'node:fs/promises';
import path from 'node:path';
import type { ByteStream } from '../../base/byte-stream.ts';
import type { Clock } from '../../base/clock.ts';
import { randomHex, type Entropy } from '../../base/entropy.ts';
import type { Log } from '../../base/log.ts';
import { StatusError, messageOf, unreachable } from '../../base/status-error.ts';
import { TaskScope } from '../../base/task-scope.ts';
import { ContainerEvents } from '../container-events.ts';
import {
  ExecTimeoutError,
  podLabels,
  type ContainerConfig,
  type ContainerEvent,
  type ContainerEventKind,
  type ContainerRuntime,
  type ExecSyncResult,
  type PodSandboxConfig,
  type PodSandboxStatus,
  type PulledImage,
  type RemoteStreams,
  type RuntimeCondition,
  type RuntimeContainerStatus,
  type RuntimeImage,
  type RuntimeNetworkConfig,
  type RuntimeVersion,
} from '../runtime.ts';
import { execErrorText, type CommandFailure } from '../start-error.ts';
import { makeApplets } from './applets.ts';
import { makeCgroup, removeCgroup, unlimitedText, wantsCgroup, type CgroupLimits } from './cgroups.ts';
import { attachStreams } from './attachers.ts';
import { containerLaunch } from './container-launch.ts';
import { noticesOf, refusalOf, sandboxNoticesOf, sandboxRefusalOf, type Permissions } from './enforcement.ts';
import { HostPorts } from './host-ports.ts';
import { ProcessImages, type ResolvedImage } from './images.ts';
import { removeUnfinished } from './json-file.ts';
import { joinStreams } from './join-streams.ts';
import type { ContainerLaunch, ExecTarget, Isolation, Launcher } from './launcher.ts';
import { endedState, endLeftover, endLeftoverLauncher } from './leftovers.ts';
import { LogClock } from './log-clock.ts';
import { openLauncher, type LauncherChoice } from './open-launcher.ts';
import { ProcessContainer, type ProcessContainerDeps } from './process-container.ts';
import { runWithStreams, type StreamDeps } from './process-streams.ts';
import { Records, sandboxStatus, type ContainerRecord, type SandboxRecord } from './records.ts';
import { resolvConfTarget, resolvConfText } from './sandbox-files.ts';
import { findTool } from './shell-tools.ts';
import { conditionsOf } from './runtime-conditions.ts';
import { stopSignalNumber } from './stop-signal.ts';
import { systemErrorsTold } from './system-errors.ts';

const relaunchMs = 1_000; // after the launcher was lost: whatever ended it may still be at work

export interface ProcessRuntimeDeps {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
}

/** What a user should know about a pod: something in its description that is not carried out here. */
export interface ContainerNotice {
  readonly podNamespace: string;
  readonly podName: string;
  readonly podUid: string;
  /** `undefined`: it is about the pod as a whole. */
  readonly containerName: string | undefined;
  readonly message: string;
}

export interface ProcessRuntimeOptions extends LauncherChoice {
  /** Absolute. Ours alone: records, private layers, FIFOs, the registry of images. Made if it is not there. */
  readonly stateDir: string;
  /** The images that livelet ships (`images/` of the package). */
  readonly imagesDir: string;
  /** Livelet's own: shown as `process://VERSION`. */
  readonly version: string;
  /** Default: logged as `containerNotice`. */
  readonly onNotice?: (notice: ContainerNotice) => void;
}

interface Sandbox {
  record: SandboxRecord;
  readonly containerIds: Set<string>;
}

interface Prepared {
  readonly launch: ContainerLaunch;
  readonly cgroup: CgroupLimits | undefined;
}

/**
 * Containers as processes of this computer: no daemon, no images to download, no root needed. See `launcher.ts` for
 * how they are kept apart. Open one per state directory; `close` ends all containers. None outlives this process,
 * however it ends.
 */
export class ProcessRuntime implements ContainerRuntime {
  readonly #deps: ProcessRuntimeDeps;
  readonly #options: ProcessRuntimeOptions;
  readonly #scope: TaskScope;
  readonly #records: Records;
  readonly #images: ProcessImages;
  readonly #events = new ContainerEvents();
  readonly #hostPorts = new HostPorts();
  readonly #containerDeps: ProcessContainerDeps;
  readonly #streamDeps: StreamDeps;
  readonly #sandboxes = new Map<string, Sandbox>();
  readonly #containers = new Map<string, ProcessContainer>();
  readonly #prepared = new Map<string, Prepared>(); // containers that can still be started, or that run
  #launcher: Launcher;
  #isClosing = false;
  #applets: Promise<string | undefined> | undefined; // made at first need

  /**
   * Ends what an earlier livelet has left behind and reports it as exited; then finds out how containers can be
   * isolated.
   */
  static async open(
    deps: ProcessRuntimeDeps,
    options: ProcessRuntimeOptions,
    signal: AbortSignal,
  ): Promise<ProcessRuntime> {
    const stateDir = path.resolve(options.stateDir);
    await fsp.mkdir(stateDir, { recursive: true, mode: 0o700 });
    removeUnfinished(stateDir);
    await endLeftoverLauncher(stateDir, deps.clock, signal);
    const records = new Records(stateDir);
    const launcher = await openLauncher(deps, { ...options, stateDir }, records.podCidr());
    const runtime = new ProcessRuntime(deps, { ...options, stateDir }, records, launcher, signal);
    await runtime.#adopt(signal);
    return runtime;
  }

  private constructor(
    deps: ProcessRuntimeDeps,
    options: ProcessRuntimeOptions,
    records: Records,
    launcher: Launcher,
    signal: AbortSignal,
  ) {
    this.#deps = deps;
    this.#options = options;
    this.#records = records;
    this.#launcher = launcher;
    this.#scope = new TaskScope(signal);
    this.#images = new ProcessImages(options);
    this.#containerDeps = {
      clock: deps.clock,
      log: deps.log,
      logClock: new LogClock(deps.clock),
      scope: this.#scope,
      emit: (kind, container) => this.#emit(kind, container),
      save: (record) => this.#save(record),
    };
    this.#streamDeps = { clock: deps.clock, scope: this.#scope };
    fs.mkdirSync(this.#binDirectory, { recursive: true });
    replaceLink(process.execPath, path.join(this.#binDirectory, 'node'));
    this.#scope.start((scopeSignal) => this.#watchLauncher(launcher, scopeSignal));
  }

  /** How containers are kept apart here, and why not better: to be printed once at start. */
  get isolation(): Isolation {
    return this.#launcher.isolation;
  }

  /** See `Launcher.mountPid`. It changes when the launcher was lost. */
  get mountPid(): number | undefined {
    return this.#launcher.mountPid;
  }

  async version(): Promise<RuntimeVersion> {
    return { runtimeName: 'process', runtimeVersion: this.#options.version };
  }

  async status(): Promise<readonly RuntimeCondition[]> {
    return conditionsOf(this.#launcher);
  }

  /** Remembered, so that the next start need not wait for it. */
  updateRuntimeConfig({ podCidr }: RuntimeNetworkConfig): Promise<void> {
    return systemErrorsTold(async () => {
      this.#launcher.usePodCidr(podCidr);
      await this.#records.savePodCidr(podCidr);
    });
  }

  runPodSandbox(config: PodSandboxConfig, signal: AbortSignal): Promise<string> {
    return systemErrorsTold(() => this.#runPodSandbox(config, signal));
  }

  async #runPodSandbox(config: PodSandboxConfig, signal: AbortSignal): Promise<string> {
    signal.throwIfAborted();
    const refusal = sandboxRefusalOf(config, this.#permissions);
    if (refusal !== undefined) throw new StatusError('BadRequest', refusal);
    const id = randomHex(this.#deps.entropy, 32);
    const ips = await this.#launcher.openSandbox(id, config, signal);
    const networkMode = ips.length === 0 ? 'node' : config.namespaces.network;
    const createdWallMs = this.#deps.clock.wallMs();
    const record: SandboxRecord = { id, config, createdWallMs, state: 'ready', ips, networkMode };
    this.#sandboxes.set(id, { record, containerIds: new Set() });
    try {
      if (ips[0] !== undefined) await this.#hostPorts.open(id, config.portMappings, ips[0]);
      if (this.isolation.kind !== 'none') {
        const text = resolvConfText(config.dnsConfig, ips.length > 0);
        await fsp.writeFile(this.#resolvConfFile(id), text, { mode: 0o644 });
      }
      await this.#records.saveSandbox(record);
    } catch (error) {
      this.#sandboxes.delete(id);
      this.#hostPorts.close(id);
      await this.#launcher.closeSandbox(id);
      throw error;
    }
    if (config.metadata.attempt === 0) {
      for (const message of sandboxNoticesOf(config, this.#permissions)) this.#notice(undefined, config, message);
    }
    return id;
  }

  stopPodSandbox(podSandboxId: string, signal: AbortSignal): Promise<void> {
    return systemErrorsTold(() => this.#stopPodSandbox(podSandboxId, signal));
  }

  async #stopPodSandbox(podSandboxId: string, signal: AbortSignal): Promise<void> {
    const sandbox = this.#sandboxes.get(podSandboxId);
    if (sandbox === undefined) return;
    await Promise.all([...sandbox.containerIds].map((id) => this.stopContainer(id, 0, signal)));
    await this.#endSandbox(sandbox);
  }

  removePodSandbox(podSandboxId: string, signal: AbortSignal): Promise<void> {
    return systemErrorsTold(() => this.#removePodSandbox(podSandboxId, signal));
  }

  async #removePodSandbox(podSandboxId: string, signal: AbortSignal): Promise<void> {
    const sandbox = this.#sandboxes.get(podSandboxId);
    if (sandbox === undefined) return;
    await Promise.all([...sandbox.containerIds].map((id) => this.removeContainer(id, signal)));
    await this.#endSandbox(sandbox);
    this.#sandboxes.delete(podSandboxId);
    await fsp.rm(this.#resolvConfFile(podSandboxId), { force: true });
    await this.#records.removeSandbox(podSandboxId);
  }

  async podSandboxStatus(podSandboxId: string): Promise<PodSandboxStatus> {
    return sandboxStatus(this.#sandbox(podSandboxId).record);
  }

  async listPodSandboxes(filter: { readonly podUid?: string }): Promise<readonly PodSandboxStatus[]> {
    return [...this.#sandboxes.values()]
      .map((sandbox) => sandboxStatus(sandbox.record))
      .filter((status) => filter.podUid === undefined || status.metadata.uid === filter.podUid);
  }

  createContainer(
    podSandboxId: string,
    config: ContainerConfig,
    sandboxConfig: PodSandboxConfig,
    signal: AbortSignal,
  ): Promise<string> {
    return systemErrorsTold(() => this.#createContainer(podSandboxId, config, sandboxConfig, signal));
  }

  async #createContainer(
    podSandboxId: string,
    config: ContainerConfig,
    sandboxConfig: PodSandboxConfig,
    signal: AbortSignal,
  ): Promise<string> {
    const sandbox = this.#sandbox(podSandboxId);
    if (sandbox.record.state !== 'ready') {
      throw new StatusError('Conflict', `sandbox container ${JSON.stringify(podSandboxId)} is not running`);
    }
    const image = this.#images.find(config.imageRef) ?? this.#images.find(config.image);
    if (image === undefined) throw new StatusError('NotFound', `image ${JSON.stringify(config.image)}: not found`);
    const id = randomHex(this.#deps.entropy, 32);
    const stopSignal = config.stopSignal ?? image.config.stopSignal ?? 'SIGTERM';
    stopSignalNumber(stopSignal); // refused now rather than when it is needed
    const { launch, cgroup } = await this.#prepare(id, podSandboxId, config, sandboxConfig, image, signal);
    const record: ContainerRecord = {
      id,
      podSandboxId,
      podUid: config.labels[podLabels.podUid] ?? sandboxConfig.metadata.uid,
      config,
      // By the name that the user gave: several names may stand for one image.
      imageName: this.#images.find(config.image)?.name ?? image.name,
      imageId: image.id,
      stopSignal,
      logFile: path.join(sandboxConfig.logDirectory, config.logPath),
      createdWallMs: this.#deps.clock.wallMs(),
      state: { kind: 'created' },
    };
    try {
      await this.#records.saveContainer(record);
    } catch (error) {
      cgroup?.remove();
      await this.#launcher.discard(id);
      throw error;
    }
    const container = new ProcessContainer(this.#containerDeps, record);
    this.#containers.set(id, container);
    this.#prepared.set(id, { launch, cgroup });
    sandbox.containerIds.add(id);
    this.#emit('created', container);
    return id;
  }

  startContainer(containerId: string, signal: AbortSignal): Promise<void> {
    return systemErrorsTold(() => this.#startContainer(containerId, signal));
  }

  async #startContainer(containerId: string, signal: AbortSignal): Promise<void> {
    const container = this.#container(containerId);
    const prepared = this.#prepared.get(containerId);
    if (prepared === undefined) throw new StatusError('Conflict', `container ${containerId} cannot be started again`);
    await container.start(this.#launcher, prepared.launch, prepared.cgroup, signal);
  }

  stopContainer(containerId: string, graceMs: number, signal: AbortSignal): Promise<void> {
    return systemErrorsTold(() => this.#stopContainer(containerId, graceMs, signal));
  }

  async #stopContainer(containerId: string, graceMs: number, signal: AbortSignal): Promise<void> {
    const container = this.#containers.get(containerId);
    await container?.stop(graceMs, stopSignalNumber(container.record.stopSignal), signal);
  }

  removeContainer(containerId: string, signal: AbortSignal): Promise<void> {
    return systemErrorsTold(() => this.#removeContainer(containerId, signal));
  }

  async #removeContainer(containerId: string, signal: AbortSignal): Promise<void> {
    const container = this.#containers.get(containerId);
    if (container === undefined) return;
    await container.stop(0, 0, signal);
    if (!this.#containers.delete(containerId)) return; // removed meanwhile
    this.#sandboxes.get(container.podSandboxId)?.containerIds.delete(containerId);
    this.#prepared.get(containerId)?.cgroup?.remove();
    this.#prepared.delete(containerId);
    this.#emit('deleted', container);
    await Promise.all([this.#records.removeContainer(containerId), this.#launcher.discard(containerId)]);
  }

  async containerStatus(containerId: string): Promise<RuntimeContainerStatus> {
    return this.#container(containerId).status;
  }

  async listContainers(filter: { readonly podUid?: string }): Promise<readonly RuntimeContainerStatus[]> {
    return [...this.#containers.values()]
      .filter((container) => filter.podUid === undefined || container.podUid === filter.podUid)
      .map((container) => container.status);
  }

  reopenContainerLog(containerId: string): Promise<void> {
    return systemErrorsTold(async () => await this.#container(containerId).reopenLog());
  }

  async execSync(
    containerId: string,
    command: readonly string[],
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<ExecSyncResult> {
    const request = { ...this.#execTarget(containerId, command), timeoutMs };
    const outcome = await systemErrorsTold(async () => await this.#launcher.exec(request, signal));
    switch (outcome.kind) {
      case 'exited':
        // Fails if the container has ended under the command.
        if (outcome.exitCode !== 0) void this.#container(containerId).runningProcess;
        return outcome;
      case 'timedOut':
        throw new ExecTimeoutError(`command ${JSON.stringify(command.join(' '))} timed out after ${timeoutMs} ms`);
      case 'failed':
        throw this.#execError(outcome.failure);
      default:
        return unreachable(outcome);
    }
  }

  /** From now on `image` is the program in `directory`. */
  registerImage(image: string, directory: string): Promise<RuntimeImage> {
    return this.#images.register(image, directory);
  }

  async exec(
    containerId: string,
    { command, tty }: { readonly command: readonly string[]; readonly tty: boolean },
    streams: RemoteStreams,
    signal: AbortSignal,
  ): Promise<number> {
    const target = this.#execTarget(containerId, command);
    return await systemErrorsTold(async () => {
      const request = { ...target, stdinOpen: streams.stdin !== undefined, tty };
      const outcome = await this.#launcher.execStreaming(request, signal);
      if (outcome.kind === 'failed') throw this.#execError(outcome.failure);
      return await runWithStreams(this.#streamDeps, outcome.process, streams, signal);
    });
  }

  async attach(
    containerId: string,
    _options: { readonly tty: boolean },
    streams: RemoteStreams,
    signal: AbortSignal,
  ): Promise<void> {
    const container = this.#container(containerId);
    const { stdinOnce } = container.record.config;
    await attachStreams(container.runningProcess, container.attachers, stdinOnce, streams, signal);
  }

  async portForward(podSandboxId: string, port: number, stream: ByteStream, signal: AbortSignal): Promise<void> {
    const { record } = this.#sandbox(podSandboxId);
    if (record.state !== 'ready') {
      throw new StatusError('Conflict', `sandbox container ${JSON.stringify(podSandboxId)} is not running`);
    }
    await joinStreams(await this.#launcher.connect(podSandboxId, port, signal), stream, signal);
  }

  async listImages(): Promise<readonly RuntimeImage[]> {
    return this.#images.list();
  }

  async imageStatus(image: string): Promise<RuntimeImage | undefined> {
    const found = this.#images.find(image);
    return found === undefined ? undefined : { id: found.id, repoTags: [found.name], sizeBytes: found.sizeBytes };
  }

  async pullImage(image: string): Promise<PulledImage> {
    return this.#images.pull(image);
  }

  events(signal: AbortSignal): AsyncIterable<ContainerEvent> {
    return this.#events.listen(signal);
  }

  /** Ends every container at once. Who wants them to end gracefully stops them first. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#hostPorts.closeAll();
    await this.#launcher.close();
    await Promise.all([...this.#containers.values()].map((c) => c.stop(0, 0, new AbortController().signal)));
    for (const { cgroup } of this.#prepared.values()) cgroup?.remove();
    await this.#scope.close(new Error('the process runtime was closed'));
    this.#events.breakOff('the process runtime was closed');
  }

  get #binDirectory(): string {
    return path.join(this.#options.stateDir, 'bin');
  }

  #resolvConfFile(podSandboxId: string): string {
    return path.join(this.#options.stateDir, 'sandboxes', `${podSandboxId}.resolv.conf`);
  }

  #sandbox(id: string): Sandbox {
    const sandbox = this.#sandboxes.get(id);
    if (sandbox === undefined)
      throw new StatusError('NotFound', `an error occurred when try to find sandbox: not found`);
    return sandbox;
  }

  #container(id: string): ProcessContainer {
    const container = this.#containers.get(id);
    if (container === undefined) {
      throw new StatusError(
        'NotFound',
        `an error occurred when try to find container ${JSON.stringify(id)}: not found`,
      );
    }
    return container;
  }

  #execTarget(containerId: string, command: readonly string[]): ExecTarget {
    const { runningProcess } = this.#container(containerId);
    const launch = this.#prepared.get(containerId)?.launch;
    if (launch === undefined) throw new StatusError('Conflict', `container ${containerId} is not running`);
    if (command.length === 0) throw new StatusError('BadRequest', 'exec: no command');
    return { container: launch, process: runningProcess, command };
  }

  #execError(failure: CommandFailure): StatusError {
    return new StatusError('InternalError', execErrorText(randomHex(this.#deps.entropy, 32), failure));
  }

  #emit(kind: ContainerEventKind, container: ProcessContainer): void {
    this.#events.emit({ kind, containerId: container.id, podUid: container.podUid });
  }

  /** A record that cannot be written (disk full) costs a later start what it says, but no container its life. */
  async #save(record: ContainerRecord): Promise<void> {
    if (!this.#containers.has(record.id)) return; // removed meanwhile
    try {
      await this.#records.saveContainer(record);
    } catch (error) {
      this.#deps.log.warn('containerRecordLost', { containerId: record.id, error: messageOf(error) });
    }
  }

  async #prepare(
    id: string,
    podSandboxId: string,
    config: ContainerConfig,
    sandboxConfig: PodSandboxConfig,
    image: ResolvedImage,
    signal: AbortSignal,
  ): Promise<Prepared> {
    const refusal = refusalOf(config, this.#permissions);
    if (refusal !== undefined) throw new StatusError('BadRequest', refusal);
    if (image.isBusybox) this.#applets ??= makeApplets(path.join(this.#options.stateDir, 'applets'));
    const target = this.isolation.kind === 'none' ? undefined : resolvConfTarget();
    const cgroup = wantsCgroup(config.resources) ? makeCgroup(id, config.resources) : undefined;
    const limits = typeof cgroup === 'string' ? undefined : cgroup;
    try {
      const launch = containerLaunch(id, podSandboxId, config, sandboxConfig, image, {
        isolation: this.isolation,
        binDirectory: this.#binDirectory,
        appletDirectory: image.isBusybox ? await this.#applets : undefined,
        resolvConf:
          target === undefined
            ? undefined
            : { hostPath: this.#resolvConfFile(podSandboxId), containerPath: target, readonly: false },
        cgroupProcsFiles: limits?.procsFiles ?? [],
      });
      await this.#launcher.prepare(launch, signal);
      // For the first instance only: the next ones are made of the same description.
      if (config.metadata.attempt === 0) {
        const unlimited = typeof cgroup === 'string' ? [unlimitedText(config.resources, cgroup)] : [];
        const messages = [...unlimited, ...noticesOf(config, this.#permissions)];
        for (const message of messages) this.#notice(config.metadata.name, sandboxConfig, message);
      }
      return { launch, cgroup: limits };
    } catch (error) {
      limits?.remove();
      throw error;
    }
  }

  get #permissions(): Permissions {
    const hasSetpriv = findTool('setpriv') !== '';
    return { isolation: this.isolation, uid: process.getuid?.(), hasSetpriv };
  }

  #notice(containerName: string | undefined, sandbox: PodSandboxConfig, message: string): void {
    const { namespace: podNamespace, name: podName, uid: podUid } = sandbox.metadata;
    const notice = { podNamespace, podName, podUid, containerName, message };
    if (this.#options.onNotice !== undefined) this.#options.onNotice(notice);
    else this.#deps.log.warn('containerNotice', notice);
  }

  async #endSandbox(sandbox: Sandbox): Promise<void> {
    if (sandbox.record.state === 'notReady') return;
    sandbox.record = { ...sandbox.record, state: 'notReady' };
    this.#hostPorts.close(sandbox.record.id);
    await Promise.all([this.#launcher.closeSandbox(sandbox.record.id), this.#records.saveSandbox(sandbox.record)]);
  }

  /** If something ends the launcher, all that it started is gone: the pods are made anew in another one. */
  async #watchLauncher(launcher: Launcher, signal: AbortSignal): Promise<void> {
    await launcher.ended;
    if (signal.aborted || this.#isClosing) return;
    this.#deps.log.error('processLauncherLost', {});
    this.#hostPorts.closeAll();
    for (const sandbox of this.#sandboxes.values()) {
      sandbox.record = { ...sandbox.record, state: 'notReady', ips: [] };
    }
    await this.#deps.clock.sleep(relaunchMs, 'cri.process.relaunch', signal);
    this.#launcher = await openLauncher(this.#deps, this.#options, this.#records.podCidr());
    this.#scope.start((scopeSignal) => this.#watchLauncher(this.#launcher, scopeSignal));
  }

  /** What the records of an earlier livelet tell. None of it runs any more. */
  async #adopt(signal: AbortSignal): Promise<void> {
    const { sandboxes, containers } = this.#records.load();
    for (const record of sandboxes) {
      this.#sandboxes.set(record.id, { record: { ...record, state: 'notReady' }, containerIds: new Set() });
    }
    for (const record of containers) await this.#adoptContainer(record, signal);
  }

  async #adoptContainer(record: ContainerRecord, signal: AbortSignal): Promise<void> {
    const { state } = record;
    if (state.kind === 'running' && state.leftover !== undefined) {
      if (await endLeftover(state.leftover, this.#deps.clock, signal)) {
        this.#deps.log.info('leftoverEnded', { containerId: record.id, pid: state.leftover.pid });
      }
    }
    removeCgroup(record.id);
    const container = new ProcessContainer(this.#containerDeps, { ...record, state: endedState(record) });
    this.#containers.set(record.id, container);
    this.#sandboxes.get(record.podSandboxId)?.containerIds.add(record.id);
    if (state.kind !== 'exited') await this.#save(container.record);
  }
}

function replaceLink(target: string, link: string): void {
  fs.rmSync(link, { force: true });
  fs.symlinkSync(target, link);
}
