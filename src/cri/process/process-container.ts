import type { Readable } from 'node:stream';
import type { Clock } from '../../base/clock.ts';
import { StatusError, invariant, messageOf, unreachable } from '../../base/status-error.ts';
import type { TaskScope } from '../../base/task-scope.ts';
import type { ContainerEventKind, ContainerRuntimeState, RuntimeContainerStatus } from '../runtime.ts';
import { startErrorText } from '../start-error.ts';
import { untilAborted } from '../until-aborted.ts';
import { Attachers } from './attachers.ts';
import type { CgroupLimits } from './cgroups.ts';
import { ContainerLog, type ContainerLogDeps, type LogTee } from './container-log.ts';
import type { ContainerLaunch, LaunchedProcess, Launcher } from './launcher.ts';
import { processIdentity } from './leftovers.ts';
import type { ContainerRecord, RecordedState } from './records.ts';

/**
 *   created -> starting -> running -> exited       starting -> exited when the command cannot be run
 * There is no way back: a restart is another container.
 */
type State =
  | { readonly kind: 'created' }
  | { readonly kind: 'starting'; readonly done: Promise<void> }
  | {
      readonly kind: 'running';
      readonly process: LaunchedProcess;
      readonly log: ContainerLog;
      readonly startedWallMs: number;
      /** Resolves when the state is `exited`. */
      readonly ended: Promise<void>;
    }
  | Extract<RecordedState, { kind: 'exited' }>;

const stateNames = {
  created: 'CONTAINER_CREATED',
  starting: 'CONTAINER_CREATED',
  running: 'CONTAINER_RUNNING',
  exited: 'CONTAINER_EXITED',
} as const satisfies Record<State['kind'], string>;

export interface ProcessContainerDeps extends ContainerLogDeps {
  readonly clock: Clock;
  /** Owns what goes on after a verb has returned: the watch for the end, pending kills. */
  readonly scope: TaskScope;
  readonly emit: (kind: ContainerEventKind, container: ProcessContainer) => void;
  readonly save: (record: ContainerRecord) => Promise<void>;
}

/** One container, from create to remove. */
export class ProcessContainer {
  readonly #deps: ProcessContainerDeps;
  readonly #base: Omit<ContainerRecord, 'state'>;
  /** Those who see its output as it comes. */
  readonly attachers: Attachers;
  #state: State;
  #hasStopSignal = false; // the stop signal was sent

  constructor(deps: ProcessContainerDeps, record: ContainerRecord) {
    const { state, ...base } = record;
    invariant(state.kind !== 'running', `container ${record.id} was made running`);
    this.#deps = deps;
    this.#base = base;
    this.attachers = new Attachers(deps.clock);
    this.#state = state;
  }

  get record(): ContainerRecord {
    const state = this.#state;
    const isAlive = state.kind === 'starting' || state.kind === 'running';
    if (!isAlive) return { ...this.#base, state };
    const machinePid = state.kind === 'running' ? state.process.machinePid : undefined;
    const leftover = machinePid === undefined ? undefined : processIdentity(machinePid);
    const startedWallMs = state.kind === 'running' ? state.startedWallMs : this.#base.createdWallMs;
    return { ...this.#base, state: { kind: 'running', startedWallMs, leftover } };
  }

  get id(): string {
    return this.#base.id;
  }

  get podSandboxId(): string {
    return this.#base.podSandboxId;
  }

  get podUid(): string {
    return this.#base.podUid;
  }

  get status(): RuntimeContainerStatus {
    const { config, createdWallMs, imageId, imageName, logFile, id, podSandboxId } = this.#base;
    const state = this.#state;
    const exited = state.kind === 'exited' ? state : undefined;
    return {
      id,
      podSandboxId,
      metadata: config.metadata,
      state: runtimeState(state.kind),
      createdWallMs,
      startedWallMs: state.kind === 'running' ? state.startedWallMs : exited?.startedWallMs,
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

  /** The process to execute a command beside. Fails unless it runs. */
  get runningProcess(): LaunchedProcess {
    if (this.#state.kind === 'running') return this.#state.process;
    throw new StatusError('Conflict', `container is in ${stateNames[this.#state.kind]} state`);
  }

  async start(
    launcher: Launcher,
    launch: ContainerLaunch,
    cgroup: CgroupLimits | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    if (this.#state.kind !== 'created') {
      throw new StatusError('Conflict', `container ${this.id} is in ${stateNames[this.#state.kind]} state`);
    }
    const done = this.#start(launcher, launch, cgroup, signal);
    this.#state = {
      kind: 'starting',
      done: done.catch(() => {}), // `start` itself reports it
    };
    await done;
  }

  /** The stop signal once, SIGKILL at the earliest time that any caller has asked for. Resolves when it has ended. */
  async stop(graceMs: number, signalNumber: number, signal: AbortSignal): Promise<void> {
    if (this.#state.kind === 'starting') await this.#state.done;
    const state = this.#state;
    if (state.kind !== 'running') return;
    if (graceMs <= 0) {
      state.process.kill();
    } else {
      if (!this.#hasStopSignal) state.process.signal(signalNumber);
      this.#hasStopSignal = true;
      // Under the runtime's scope: who has asked for the end may stop waiting, the end comes all the same.
      this.#deps.scope.start((scopeSignal) => this.#killAfter(state.process, state.ended, graceMs, scopeSignal));
    }
    await untilAborted(state.ended, signal);
  }

  async reopenLog(): Promise<void> {
    if (this.#state.kind !== 'running') throw new StatusError('Conflict', 'container is not running');
    await this.#state.log.reopen();
  }

  async #start(
    launcher: Launcher,
    launch: ContainerLaunch,
    cgroup: CgroupLimits | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock } = this.#deps;
    let log: ContainerLog | undefined;
    try {
      log = await ContainerLog.open(this.#deps, this.#base.logFile);
      const outcome = await launcher.start(launch, signal);
      if (outcome.kind === 'failed') throw new StatusError('InternalError', startErrorText(outcome.failure));
      const { process } = outcome;
      const { attachers } = this;
      const tee: LogTee = (stream, bytes) => attachers.push(stream, bytes);
      log.attach(process.stdout, 'stdout', tee);
      if (process.stderr !== undefined) log.attach(process.stderr, 'stderr', tee);
      const startedWallMs = clock.wallMs();
      const ended = this.#watch(process, log, startedWallMs, cgroup);
      this.#state = { kind: 'running', process, log, startedWallMs, ended };
      this.#deps.scope.start(() => ended);
      this.#deps.scope.start(() => this.#deps.save(this.record));
      this.#deps.emit('started', this);
    } catch (error) {
      await log?.close([]);
      await this.#end({
        kind: 'exited',
        startedWallMs: 0,
        finishedWallMs: clock.wallMs(),
        exitCode: 128,
        reason: 'StartError',
        message: messageOf(error),
      });
      throw error;
    }
  }

  async #watch(
    process: LaunchedProcess,
    log: ContainerLog,
    startedWallMs: number,
    cgroup: CgroupLimits | undefined,
  ): Promise<void> {
    const exitCode = await process.exited;
    this.attachers.stopHolding();
    const finishedWallMs = this.#deps.clock.wallMs();
    const sources: readonly Readable[] = [process.stdout, ...(process.stderr === undefined ? [] : [process.stderr])];
    try {
      await log.close(sources); // what it has said must be readable once it is known to have ended
    } catch (error) {
      this.#deps.log.warn('containerLogLost', { file: this.#base.logFile, error: messageOf(error) });
    }
    this.attachers.end();
    this.attachers.end();
    const isOom = exitCode === 137 && cgroup?.wasOomKilled() === true;
    cgroup?.remove();
    const reason = isOom ? 'OOMKilled' : exitCode === 0 ? 'Completed' : 'Error';
    await this.#end({ kind: 'exited', startedWallMs, finishedWallMs, exitCode, reason, message: '' });
  }

  async #end(state: Extract<State, { kind: 'exited' }>): Promise<void> {
    this.#state = state;
    this.#deps.emit('stopped', this);
    await this.#deps.save(this.record);
  }

  async #killAfter(
    process: LaunchedProcess,
    ended: Promise<void>,
    graceMs: number,
    scopeSignal: AbortSignal,
  ): Promise<void> {
    const timer = new AbortController();
    const onScopeAbort = (): void => timer.abort();
    scopeSignal.addEventListener('abort', onScopeAbort, { once: true });
    const due = this.#deps.clock.sleep(graceMs, 'cri.process.grace', timer.signal).then(
      () => process.kill(),
      () => {}, // it has ended, or everything ends now
    );
    await Promise.race([ended, due]);
    timer.abort();
    scopeSignal.removeEventListener('abort', onScopeAbort);
  }
}

function runtimeState(kind: State['kind']): ContainerRuntimeState {
  switch (kind) {
    case 'created':
    case 'starting':
      return 'created';
    case 'running':
    case 'exited':
      return kind;
    default:
      return unreachable(kind);
  }
}
