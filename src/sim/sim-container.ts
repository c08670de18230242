import type { Clock } from '../base/clock.ts';
import { StatusError, unreachable } from '../base/status-error.ts';
import { TaskScope } from '../base/task-scope.ts';
import { forEachInput } from '../cri/remote-input.ts';
import type {
  ContainerConfig,
  ContainerEventKind,
  PodSandboxStatus,
  RemoteStreams,
  RuntimeContainerStatus,
} from '../cri/runtime.ts';
import { untilAborted } from '../cri/until-aborted.ts';
import type { ContainerScript, SimInstance, SimReaction } from './container-script.ts';
import { SimAttacher } from './sim-attacher.ts';
import type { SimServer } from './sim-network.ts';

type State =
  | { readonly kind: 'created' }
  | {
      readonly kind: 'running';
      readonly startedWallMs: number;
      readonly startedMonoMs: number;
      /** Aborted at its end: its timers and servers hang on it. */
      readonly life: AbortController;
      readonly ended: Promise<void>;
      readonly onEnded: () => void;
    }
  | {
      readonly kind: 'exited';
      readonly startedWallMs: number;
      readonly finishedWallMs: number;
      readonly exitCode: number;
      readonly reason: string;
      readonly message: string;
    };

export interface SimListeners {
  /** Returns what ends it. */
  listen(address: string, port: number, server: SimServer): () => void;
  find(address: string, port: number): SimServer | undefined;
}

export interface SimContainerDeps {
  readonly clock: Clock;
  readonly network: SimListeners | undefined;
  readonly writeLog: ((logFile: string, line: string) => void) | undefined;
  readonly scope: TaskScope;
  readonly emit: (kind: ContainerEventKind, container: SimContainer) => void;
  readonly onStarted: ((instance: SimInstance) => void) | undefined;
  readonly onExited: ((instance: SimInstance, exitCode: number) => void) | undefined;
}

export interface SimContainerSpec {
  readonly id: string;
  readonly sandbox: PodSandboxStatus;
  readonly hostname: string;
  /** Where it listens if it has no address of its own. */
  readonly hostAddress: string;
  readonly podUid: string;
  readonly config: ContainerConfig;
  readonly imageName: string;
  readonly imageId: string;
  readonly logFile: string;
  readonly command: readonly string[];
  /** `undefined`: there is no such command. */
  readonly script: ContainerScript | undefined;
}

/** One scripted container. */
export class SimContainer {
  readonly #deps: SimContainerDeps;
  readonly #spec: SimContainerSpec;
  readonly #createdWallMs: number;
  #state: State = { kind: 'created' };
  readonly #attachers = new Set<SimAttacher>();
  #hasStopSignal = false; // it was sent

  constructor(deps: SimContainerDeps, spec: SimContainerSpec) {
    this.#deps = deps;
    this.#spec = spec;
    this.#createdWallMs = deps.clock.wallMs();
  }

  get id(): string {
    return this.#spec.id;
  }

  get podUid(): string {
    return this.#spec.podUid;
  }

  /** Fails unless it runs. */
  get script(): ContainerScript {
    if (this.#state.kind !== 'running') throw this.#notRunning();
    return this.#spec.script ?? {};
  }

  /** Aborts when it ends. Fails unless it runs. */
  get life(): AbortSignal {
    if (this.#state.kind !== 'running') throw this.#notRunning();
    return this.#state.life.signal;
  }

  /** Since its start. Fails unless it runs. */
  get elapsedMs(): number {
    if (this.#state.kind !== 'running') throw this.#notRunning();
    return this.#deps.clock.monoMs() - this.#state.startedMonoMs;
  }

  get status(): RuntimeContainerStatus {
    const { config, id, sandbox, imageId, imageName, logFile } = this.#spec;
    const state = this.#state;
    const exited = state.kind === 'exited' ? state : undefined;
    return {
      id,
      podSandboxId: sandbox.id,
      metadata: config.metadata,
      state: state.kind,
      createdWallMs: this.#createdWallMs,
      startedWallMs: state.kind === 'created' ? undefined : state.startedWallMs,
      finishedWallMs: exited?.finishedWallMs,
      exitCode: exited?.exitCode,
      reason: exited?.reason ?? '',
      message: exited?.message ?? '',
      image: imageName,
      imageRef: imageId,
      labels: config.labels,
      annotations: config.annotations,
      logPath: logFile,
    };
  }

  /** `errorText` words why a command that does not exist cannot be run. */
  start(errorText: (word: string) => string): void {
    if (this.#state.kind !== 'created') {
      throw new StatusError('Conflict', `container ${this.id} is in ${stateName(this.#state.kind)} state`);
    }
    const { clock, scope, emit, onStarted } = this.#deps;
    const { script, command } = this.#spec;
    if (script === undefined) {
      const message = errorText(command[0] ?? '');
      const finishedWallMs = clock.wallMs();
      this.#state = { kind: 'exited', startedWallMs: 0, finishedWallMs, exitCode: 128, reason: 'StartError', message };
      emit('stopped', this);
      throw new StatusError('InternalError', message);
    }
    let onEnded: () => void = () => {};
    const ended = new Promise<void>((resolve) => (onEnded = resolve));
    const life = new AbortController();
    const [startedWallMs, startedMonoMs] = [clock.wallMs(), clock.monoMs()];
    this.#state = { kind: 'running', startedWallMs, startedMonoMs, life, ended, onEnded };
    emit('started', this);
    onStarted?.(this.#instance);
    scope.start(() => this.#run(script, life.signal));
  }

  /** Ends it now if it runs. `reason`: default by exit code. */
  end(exitCode: number, reason?: string): void {
    const state = this.#state;
    if (state.kind !== 'running') return;
    this.#state = {
      kind: 'exited',
      startedWallMs: state.startedWallMs,
      finishedWallMs: this.#deps.clock.wallMs(),
      exitCode,
      reason: exitCode === 0 ? 'Completed' : (reason ?? 'Error'),
      message: '',
    };
    state.life.abort(new Error('the container has ended'));
    state.onEnded();
    for (const attacher of this.#attachers) attacher.end();
    this.#deps.onExited?.(this.#instance, exitCode);
    this.#deps.emit('stopped', this);
  }

  /** Joins a client to it until it ends, or the client has no more to say and the input goes on without it. */
  async attach(streams: RemoteStreams, signal: AbortSignal): Promise<void> {
    if (this.#state.kind !== 'running') throw this.#notRunning();
    const { life } = this.#state;
    const { stdin, stdinOnce } = this.#spec.config;
    const attacher = new SimAttacher(streams);
    this.#attachers.add(attacher);
    const client = new TaskScope(life.signal);
    const { stdin: input } = streams;
    if (stdin && input !== undefined) {
      client.start(async (clientSignal) => {
        await forEachInput(input, clientSignal, async (bytes) => {
          this.#react(this.#spec.script?.onInput?.(new TextDecoder().decode(bytes)) ?? {});
          return 'more';
        });
        if (clientSignal.aborted) return;
        if (stdinOnce) this.#react(this.#spec.script?.onInputEnd?.() ?? {});
        else attacher.end();
      });
    }
    try {
      await untilAborted(attacher.run(), signal);
    } finally {
      this.#attachers.delete(attacher);
      await client.close();
    }
  }

  async stop(graceMs: number, signal: AbortSignal): Promise<void> {
    const state = this.#state;
    if (state.kind !== 'running') return;
    if (graceMs <= 0) {
      this.end(137);
      return;
    }
    if (!this.#hasStopSignal) this.#onStopSignal(state.life.signal);
    this.#hasStopSignal = true;
    this.#endAfter(graceMs, 137, 'cri.sim.grace', state.life.signal);
    await untilAborted(state.ended, signal);
  }

  get #instance(): SimInstance {
    const { id, podUid, config, hostname, sandbox } = this.#spec;
    return {
      containerId: id,
      podUid,
      containerName: config.metadata.name,
      hostname,
      ip: sandbox.ips[0] ?? '',
      writeLog: (stream, text) => this.#writeLog(stream, text),
    };
  }

  /** Plays the script until the end of its life. */
  async #run(script: ContainerScript, signal: AbortSignal): Promise<void> {
    const steps: { readonly atMs: number; do(): void }[] = [
      ...(script.output ?? []).map(({ atMs, stream, text }) => ({ atMs, do: () => this.#writeLog(stream, text) })),
      ...(script.servers ?? []).map(({ fromMs, port, serve }) => ({
        atMs: fromMs ?? 0,
        do: () => this.#listen(port, serve(this.#instance), signal),
      })),
    ];
    const { exit } = script;
    if (exit !== undefined) steps.push({ atMs: exit.afterMs, do: () => this.end(exit.exitCode) });
    steps.sort((a, b) => a.atMs - b.atMs); // stable: an end comes after what is said at the same moment
    let nowMs = 0;
    for (const step of steps) {
      if (step.atMs > nowMs && !(await this.#slept(step.atMs - nowMs, 'cri.sim.script', signal))) return;
      nowMs = step.atMs;
      if (signal.aborted) return;
      step.do();
    }
  }

  /** A program that cannot listen says so and ends, as most do. */
  #listen(port: number, server: SimServer, signal: AbortSignal): void {
    let stop: (() => void) | undefined;
    try {
      stop = this.#deps.network?.listen(this.#spec.sandbox.ips[0] ?? this.#spec.hostAddress, port, server);
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      this.#writeLog('stderr', error.message);
      this.end(1);
    }
    if (stop !== undefined) signal.addEventListener('abort', stop, { once: true });
  }

  #onStopSignal(life: AbortSignal): void {
    const onStop = this.#spec.script?.onStop ?? 'ignore';
    switch (onStop) {
      case 'ignore':
        return;
      case 'die':
        this.end(128 + 15);
        return;
      default:
        this.#endAfter(onStop.afterMs, onStop.exitCode, 'cri.sim.onStop', life);
    }
  }

  #endAfter(delayMs: number, exitCode: number, timer: string, life: AbortSignal): void {
    this.#deps.scope.start(async () => {
      if (await this.#slept(delayMs, timer, life)) this.end(exitCode);
    });
  }

  /** False: its life has ended meanwhile. */
  async #slept(delayMs: number, timer: string, life: AbortSignal): Promise<boolean> {
    try {
      await this.#deps.clock.sleep(delayMs, timer, life);
      return true;
    } catch (error) {
      if (life.aborted) return false;
      throw error;
    }
  }

  #react({ stdout, stderr, exitCode }: SimReaction): void {
    for (const line of linesOf(stdout)) this.#writeLog('stdout', line);
    for (const line of linesOf(stderr)) this.#writeLog('stderr', line);
    if (exitCode !== undefined) this.end(exitCode);
  }

  #writeLog(stream: 'stdout' | 'stderr', text: string): void {
    const { clock, writeLog } = this.#deps;
    if (this.#state.kind !== 'running') return;
    for (const attacher of this.#attachers) attacher.push(stream, `${text}\n`);
    if (writeLog === undefined) return;
    const wallMs = clock.wallMs();
    const second = new Date(Math.floor(wallMs)).toISOString().slice(0, -1); // to the millisecond
    const below = Math.floor((wallMs - Math.floor(wallMs)) * 1_000_000);
    writeLog(this.#spec.logFile, `${second}${String(below).padStart(6, '0')}Z ${stream} F ${text}\n`);
  }

  #notRunning(): StatusError {
    return new StatusError('Conflict', `container is in ${stateName(this.#state.kind)} state`);
  }
}

function linesOf(text: string | undefined): readonly string[] {
  return text === undefined ? [] : text.replace(/\n$/, '').split('\n');
}

function stateName(kind: State['kind']): string {
  switch (kind) {
    case 'created':
      return 'CONTAINER_CREATED';
    case 'running':
      return 'CONTAINER_RUNNING';
    case 'exited':
      return 'CONTAINER_EXITED';
    default:
      return unreachable(kind);
  }
}
