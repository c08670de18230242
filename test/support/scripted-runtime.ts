import type { Clock } from '../../src/base/clock.ts';
import { StatusError } from '../../src/base/status-error.ts';
import type {
  ContainerConfig,
  ContainerEvent,
  ContainerRuntime,
  ExecSyncResult,
  PodSandboxConfig,
  PodSandboxStatus,
  PulledImage,
  RuntimeContainerStatus,
  RuntimeImage,
} from '../../src/cri/runtime.ts';
import { podLabels } from '../../src/cri/runtime.ts';
import type { SimNodeFiles } from '../../src/sim/sim-node-files.ts';

/** What a container does; by its name, see `ScriptedRuntime.scripts`. */
export interface Script {
  /** How long it lives; `undefined`: until it is stopped. */
  readonly runMs?: number;
  readonly exitCode?: number;
  /** How long it takes to end after the stop signal; `undefined`: it ignores the signal. */
  readonly stopMs?: number;
  readonly startError?: string;
  readonly output?: string;
  readonly terminationMessage?: string;
  /** `undefined`: exit code 0. */
  readonly exec?: (command: readonly string[], signal: AbortSignal) => Promise<number>;
}

interface Instance {
  status: RuntimeContainerStatus;
  readonly config: ContainerConfig;
  readonly script: Script;
  readonly logFile: string;
  readonly ended: AbortController;
}

/** A small runtime on the virtual clock whose containers do as they are told; it notes every call. */
export class ScriptedRuntime implements ContainerRuntime {
  /** By container name; others run until they are stopped, and end 10 ms after the signal. */
  readonly scripts: Record<string, Script> = {};
  readonly images = new Map<string, RuntimeImage>();
  /** Fails the pull of the image with this text. */
  readonly pullErrors = new Map<string, string>();
  readonly calls: string[] = [];
  sandboxError: string | undefined;
  readonly #clock: Clock;
  readonly #files: SimNodeFiles;
  readonly #sandboxes = new Map<string, PodSandboxStatus>();
  readonly #instances = new Map<string, Instance>();
  readonly #listeners = new Set<(event: ContainerEvent) => void>();
  #ids = 0;

  constructor(deps: { readonly clock: Clock; readonly files: SimNodeFiles }) {
    this.#clock = deps.clock;
    this.#files = deps.files;
  }

  async version() {
    return { runtimeName: 'scripted', runtimeVersion: '1' };
  }

  async status() {
    return [
      { type: 'RuntimeReady', status: true, reason: '', message: '' },
      { type: 'NetworkReady', status: true, reason: '', message: '' },
    ];
  }

  async runPodSandbox(config: PodSandboxConfig): Promise<string> {
    if (this.sandboxError !== undefined) throw new StatusError('InternalError', this.sandboxError);
    const id = this.#newId('sandbox');
    this.calls.push(`runPodSandbox ${config.metadata.name} ${config.metadata.attempt}`);
    this.#sandboxes.set(id, {
      id,
      metadata: config.metadata,
      state: 'ready',
      createdWallMs: this.#clock.wallMs(),
      ips: config.namespaces.network === 'node' ? [] : [`10.0.0.${this.#ids}`],
      networkMode: config.namespaces.network,
      labels: config.labels,
      annotations: config.annotations,
    });
    return id;
  }

  async stopPodSandbox(id: string): Promise<void> {
    const sandbox = this.#sandboxes.get(id);
    if (sandbox === undefined) return;
    this.calls.push(`stopPodSandbox ${sandbox.metadata.name}`);
    for (const instance of this.#instances.values()) if (instance.status.podSandboxId === id) this.#end(instance, 137);
    this.#sandboxes.set(id, { ...sandbox, state: 'notReady' });
  }

  async removePodSandbox(id: string): Promise<void> {
    await this.stopPodSandbox(id);
    for (const [containerId, { status }] of this.#instances) {
      if (status.podSandboxId === id) await this.removeContainer(containerId);
    }
    this.#sandboxes.delete(id);
  }

  async podSandboxStatus(id: string): Promise<PodSandboxStatus> {
    const sandbox = this.#sandboxes.get(id);
    if (sandbox === undefined) throw new StatusError('NotFound', `sandbox ${id}`);
    return sandbox;
  }

  async listPodSandboxes({ podUid }: { readonly podUid?: string }): Promise<readonly PodSandboxStatus[]> {
    return [...this.#sandboxes.values()].filter(({ metadata }) => podUid === undefined || metadata.uid === podUid);
  }

  async createContainer(sandboxId: string, config: ContainerConfig, sandbox: PodSandboxConfig): Promise<string> {
    const id = this.#newId(config.metadata.name);
    const logFile = `${sandbox.logDirectory}/${config.logPath}`;
    this.calls.push(`create ${config.metadata.name} ${config.metadata.attempt}`);
    const status: RuntimeContainerStatus = {
      id,
      podSandboxId: sandboxId,
      metadata: config.metadata,
      state: 'created',
      createdWallMs: this.#clock.wallMs(),
      startedWallMs: undefined,
      finishedWallMs: undefined,
      exitCode: undefined,
      reason: '',
      message: '',
      image: `docker.io/library/${config.image}`,
      imageRef: config.imageRef,
      labels: config.labels,
      annotations: config.annotations,
      logPath: logFile,
    };
    const script = this.scripts[config.metadata.name] ?? { stopMs: 10 };
    this.#instances.set(id, { status, config, script, logFile, ended: new AbortController() });
    return id;
  }

  async startContainer(id: string): Promise<void> {
    const instance = this.#instance(id);
    const { script } = instance;
    this.calls.push(`start ${instance.status.metadata.name}`);
    if (script.startError !== undefined) {
      this.#end(instance, 128, 'StartError', script.startError);
      throw new StatusError('InternalError', script.startError);
    }
    instance.status = { ...instance.status, state: 'running', startedWallMs: this.#clock.wallMs() };
    this.#emit('started', instance);
    if (script.output !== undefined) this.write(id, script.output);
    const messageMount = instance.config.mounts.find(({ containerPath }) => containerPath === '/dev/termination-log');
    if (script.terminationMessage !== undefined && messageMount !== undefined) {
      this.#files.append(messageMount.hostPath, script.terminationMessage);
    }
    if (script.runMs !== undefined) this.#endAfter(instance, script.runMs, script.exitCode ?? 0);
  }

  async stopContainer(id: string, graceMs: number, signal: AbortSignal): Promise<void> {
    const instance = this.#instances.get(id);
    if (instance === undefined || instance.status.state !== 'running') return;
    this.calls.push(`stop ${instance.status.metadata.name} ${graceMs}`);
    const { stopMs, exitCode } = instance.script;
    const endMs = stopMs === undefined || stopMs > graceMs ? graceMs : stopMs;
    this.#endAfter(instance, endMs, stopMs === endMs ? (exitCode ?? 143) : 137);
    if (instance.ended.signal.aborted) return;
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => reject(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true });
      instance.ended.signal.addEventListener('abort', () => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      });
    });
  }

  async removeContainer(id: string): Promise<void> {
    const instance = this.#instances.get(id);
    if (instance === undefined) return;
    this.calls.push(`remove ${instance.status.metadata.name} ${instance.status.metadata.attempt}`);
    this.#end(instance, 137);
    this.#instances.delete(id);
  }

  async containerStatus(id: string): Promise<RuntimeContainerStatus> {
    return this.#instance(id).status;
  }

  async listContainers({ podUid }: { readonly podUid?: string }): Promise<readonly RuntimeContainerStatus[]> {
    return [...this.#instances.values()]
      .map(({ status }) => status)
      .filter(({ labels }) => podUid === undefined || labels[podLabels.podUid] === podUid);
  }

  async reopenContainerLog(id: string): Promise<void> {
    this.calls.push(`reopenLog ${this.#instance(id).status.metadata.name}`);
    await this.#files.write(this.#instance(id).logFile, '', 0o640);
  }

  async execSync(
    id: string,
    command: readonly string[],
    _timeoutMs: number,
    signal: AbortSignal,
  ): Promise<ExecSyncResult> {
    const { script, status } = this.#instance(id);
    this.calls.push(`exec ${status.metadata.name} ${command.join(' ')}`);
    const exitCode = (await script.exec?.(command, signal)) ?? 0;
    return { stdout: new Uint8Array(0), stderr: new Uint8Array(0), exitCode };
  }

  async listImages(): Promise<readonly RuntimeImage[]> {
    return [...this.images.values()];
  }

  async imageStatus(image: string): Promise<RuntimeImage | undefined> {
    return this.images.get(image);
  }

  async pullImage(image: string): Promise<PulledImage> {
    this.calls.push(`pull ${image}`);
    const error = this.pullErrors.get(image);
    if (error !== undefined) throw new StatusError('InternalError', error);
    const pulled = { id: `sha256:${image}`, repoTags: [image], sizeBytes: 1_000 };
    this.images.set(image, pulled);
    return pulled;
  }

  async *events(signal: AbortSignal): AsyncIterable<ContainerEvent> {
    const pending: ContainerEvent[] = [];
    let wake = (): void => {};
    const listener = (event: ContainerEvent): void => {
      pending.push(event);
      wake();
    };
    this.#listeners.add(listener);
    signal.addEventListener('abort', () => wake(), { once: true });
    while (!signal.aborted) {
      const next = pending.shift();
      if (next !== undefined) yield next;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
    this.#listeners.delete(listener);
  }

  /** The running instance of a container, for tests to break. */
  running(name: string): RuntimeContainerStatus | undefined {
    return [...this.#instances.values()]
      .map(({ status }) => status)
      .find((status) => {
        return status.metadata.name === name && status.state === 'running';
      });
  }

  /** Writes lines to its log, as the runtime would. */
  write(id: string, text: string): void {
    const stamp = new Date(this.#clock.wallMs()).toISOString().replace('Z', '000000Z');
    for (const line of text.split('\n')) this.#files.append(this.#instance(id).logFile, `${stamp} stdout F ${line}\n`);
  }

  /** It dies by itself. */
  crash(name: string, exitCode: number): void {
    const found = this.running(name);
    if (found !== undefined) this.#end(this.#instance(found.id), exitCode);
  }

  /** As after a restart of the machine: nothing runs any more. */
  loseEverything(): void {
    for (const instance of this.#instances.values()) this.#end(instance, 255);
    for (const [id, sandbox] of this.#sandboxes) this.#sandboxes.set(id, { ...sandbox, state: 'notReady' });
  }

  configOf(name: string): ContainerConfig | undefined {
    return [...this.#instances.values()].findLast(({ status }) => status.metadata.name === name)?.config;
  }

  #endAfter(instance: Instance, delayMs: number, exitCode: number): void {
    this.#clock.sleep(delayMs, `scripted.${instance.status.metadata.name}`, instance.ended.signal).then(
      () => this.#end(instance, exitCode),
      () => {}, // it ended otherwise
    );
  }

  #end(instance: Instance, exitCode: number, reason = exitCode === 0 ? 'Completed' : 'Error', message = ''): void {
    if (instance.status.state === 'exited') return;
    const finishedWallMs = this.#clock.wallMs();
    instance.status = { ...instance.status, state: 'exited', exitCode, reason, message, finishedWallMs };
    instance.ended.abort(new Error('ended'));
    this.#emit('stopped', instance);
  }

  #instance(id: string): Instance {
    const found = this.#instances.get(id);
    if (found === undefined) throw new StatusError('NotFound', `container ${id}`);
    return found;
  }

  #emit(kind: ContainerEvent['kind'], { status }: Instance): void {
    for (const listener of this.#listeners) {
      listener({ kind, containerId: status.id, podUid: status.labels[podLabels.podUid] ?? '' });
    }
  }

  #newId(name: string): string {
    this.#ids += 1;
    return `${name}-${this.#ids}`;
  }
}
