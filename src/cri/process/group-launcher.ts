import { execFile, spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import fs from 'node:fs';
import fsp from 'node:fs/promises';
import type net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Clock } from '../../base/clock.ts';
import { invariant } from '../../base/status-error.ts';
import type { CommandFailure } from '../start-error.ts';
import { boundedOutput } from './bounded-output.ts';
import { FifoPool } from './fifo-pool.ts';
import { GroupGuardian } from './group-guardian.ts';
import { stdioOfChild } from './inherited-files.ts';
import { openLaunchStreams, type LaunchStreams } from './launch-streams.ts';
import type {
  ContainerLaunch,
  ExecOutcome,
  ExecRequest,
  Isolation,
  LaunchedProcess,
  Launcher,
  StartOutcome,
  StreamingExecRequest,
} from './launcher.ts';
import { connectHere } from './pod-connector.ts';
import { findTool } from './shell-tools.ts';
import { identityOptions } from './start-script.ts';
import { spawnOnTerminal, terminalVariables, type Program, type SpawnedProcess } from './terminal.ts';
import { within } from './within.ts';

export interface GroupLauncherOptions {
  readonly directory: string;
  /** Why there are no namespaces. */
  readonly reason: string;
}

/**
 * Containers as process groups: for machines and kernels without namespaces. They share everything with this machine,
 * are not PID 1, and have no mounts. What they fork ends with them unless it leaves the group.
 */
export class GroupLauncher implements Launcher {
  readonly isolation: Isolation;
  readonly mountPid: undefined;
  readonly ended: Promise<void>;
  readonly #clock: Clock;
  readonly #guardian: GroupGuardian | undefined; // absent on Windows
  readonly #fifos: FifoPool | undefined; // absent on Windows: pipes of Node.js then, which /dev/stdout cannot reopen
  readonly #running = new Map<number, Promise<number>>(); // by process id, until the exit that is promised
  #onEnded: () => void = () => {};

  static async open(deps: { readonly clock: Clock }, options: GroupLauncherOptions): Promise<GroupLauncher> {
    await fsp.rm(options.directory, { recursive: true, force: true });
    await fsp.mkdir(path.join(options.directory, 'fifos'), { recursive: true, mode: 0o700 });
    return new GroupLauncher(deps.clock, options);
  }

  private constructor(clock: Clock, options: GroupLauncherOptions) {
    this.#clock = clock;
    this.isolation = { kind: 'none', files: 'shared', network: 'host', reason: options.reason };
    this.ended = new Promise((resolve) => (this.#onEnded = resolve));
    if (process.platform === 'win32') return;
    const directory = path.join(options.directory, 'fifos');
    this.#guardian = new GroupGuardian();
    this.#fifos = new FifoPool(directory, (first, last) => makeFifos(directory, first, last));
  }

  networkProblem(): undefined {}

  usePodCidr(): void {}

  async openSandbox(): Promise<readonly string[]> {
    return [];
  }

  async closeSandbox(): Promise<void> {}

  async prepare(): Promise<void> {}

  async start(launch: ContainerLaunch): Promise<StartOutcome> {
    const outcome = await this.#spawn(launch, launch.argv, launch);
    if (outcome.kind === 'failed') return outcome;
    const { pid } = outcome.process;
    for (const file of launch.cgroupProcsFiles) fs.writeFileSync(file, String(pid));
    if (launch.oomScoreAdj !== undefined && process.platform === 'linux') {
      fs.writeFile(`/proc/${pid}/oom_score_adj`, String(launch.oomScoreAdj), () => {}); // lowering may be forbidden
    }
    return outcome;
  }

  async exec(request: ExecRequest, signal: AbortSignal): Promise<ExecOutcome> {
    signal.throwIfAborted();
    const outcome = await this.#spawn(request.container, request.command, { stdinOpen: false, tty: false });
    if (outcome.kind === 'failed') return outcome;
    const { exited, kill, stdout: out, stderr: err } = outcome.process;
    invariant(err !== undefined, 'without a terminal there are two outputs');
    const [stdout, stderr] = [boundedOutput(out), boundedOutput(err)];
    signal.addEventListener('abort', kill, { once: true });
    try {
      const limitMs = request.timeoutMs > 0 ? request.timeoutMs : Number.POSITIVE_INFINITY;
      const inTime = await this.#withinLimit(limitMs, exited);
      if (!inTime) kill();
      const exitCode = await exited;
      signal.throwIfAborted();
      if (!inTime) return { kind: 'timedOut' };
      await Promise.all([stdout.drained(this.#clock), stderr.drained(this.#clock)]);
      return { kind: 'exited', exitCode, stdout: stdout.bytes(), stderr: stderr.bytes() };
    } finally {
      signal.removeEventListener('abort', kill);
      out.destroy();
      err.destroy();
    }
  }

  async execStreaming(request: StreamingExecRequest, signal: AbortSignal): Promise<StartOutcome> {
    signal.throwIfAborted();
    const outcome = await this.#spawn(request.container, request.command, request);
    // It belongs to the container, though nothing but its launcher knows.
    if (outcome.kind === 'started') void request.process.exited.then(() => outcome.process.kill());
    return outcome;
  }

  connect(sandboxId: string, port: number, signal: AbortSignal): Promise<net.Socket> {
    return connectHere(sandboxId, port, signal);
  }

  async discard(): Promise<void> {}

  async close(): Promise<void> {
    for (const pid of this.#running.keys()) killGroup(pid);
    await Promise.all(this.#running.values());
    await this.#guardian?.close();
    this.#onEnded();
  }

  async #withinLimit(limitMs: number, exited: Promise<number>): Promise<boolean> {
    if (limitMs === Number.POSITIVE_INFINITY) return true;
    return (await within(this.#clock, limitMs, 'cri.process.execTimeout', exited)).kind === 'inTime';
  }

  async #spawn(
    launch: ContainerLaunch,
    command: readonly string[],
    streams: { readonly stdinOpen: boolean; readonly tty: boolean },
  ): Promise<StartOutcome> {
    const show = (text: string): string => shownPath(launch, text);
    const cwd = show(launch.workingDir);
    if (!fs.existsSync(cwd)) return { kind: 'failed', failure: { kind: 'workingDir', path: launch.workingDir } };
    const env = { ...Object.fromEntries(launch.env), ...(streams.tty ? terminalVariables : {}) };
    env['PATH'] = (env['PATH'] ?? '').split(':').map(show).join(':');
    const word = command[0] ?? '';
    const failure = commandFailure(show(word), word, env['PATH']);
    if (failure !== undefined) return { kind: 'failed', failure };
    const words = [...identityCommand(launch), ...command.map(show)];
    const spawned = await this.#spawnWith({ words, cwd, env }, { ...streams, user: launch.user });
    if (typeof spawned === 'string') return { kind: 'failed', failure: { kind: 'setup', text: spawned } };
    this.#own(spawned.pid, spawned.exited);
    return { kind: 'started', process: this.#processOf(spawned) };
  }

  /** Resolves to the reason if it could not be started. */
  async #spawnWith(program: Program, asked: AskedStreams): Promise<SpawnedProcess | string> {
    // Elsewhere than on Linux, no program makes a terminal the controlling one.
    if (asked.tty && process.platform !== 'linux') return await spawnOnTerminal(this.#clock, program);
    if (this.#fifos === undefined) return await spawnOnPipes(program, asked.stdinOpen);
    if (asked.tty && findTool('setsid') === '') return 'tty: true: setsid is not installed';
    const streams = await openLaunchStreams({ clock: this.#clock, fifos: this.#fifos }, asked);
    const fds = openForChild(streams.paths, asked.tty);
    const words = asked.tty ? [findTool('setsid'), '--ctty', ...program.words] : program.words;
    // setsid(1) makes it the leader of a session, and so of a group; it would fork if it were one already.
    const spawned = await spawnOn({ ...program, words }, stdioOfChild(fds), !asked.tty);
    for (const fd of fds) if (typeof fd === 'number') fs.closeSync(fd);
    streams.onOpened();
    if (typeof spawned === 'string') {
      streams.destroy();
      return spawned;
    }
    const { pid, exited } = spawned;
    const { stdin, stdout, stderr, terminal } = streams;
    void exited.then(() => stdin?.destroy());
    return { pid, stdin, stdout, stderr, terminal, exited };
  }

  #own(pid: number, exited: Promise<number>): void {
    this.#running.set(pid, exited);
    this.#guardian?.add(pid);
    void exited.then(() => {
      this.#running.delete(pid);
      killGroup(pid); // what it forked
      this.#guardian?.remove(pid);
    });
  }

  #processOf(spawned: SpawnedProcess): LaunchedProcess {
    const { pid } = spawned;
    return {
      ...spawned,
      machinePid: pid,
      signal: (signalNumber) => {
        if (this.#running.has(pid)) sendSignal(pid, signalNumber);
      },
      kill: () => {
        if (this.#running.has(pid)) killGroup(pid);
      },
    };
  }
}

type AskedStreams = Parameters<typeof openLaunchStreams>[1];

/** The program's ends, in the order of its file numbers. */
function openForChild(paths: LaunchStreams['paths'], tty: boolean): (number | 'ignore')[] {
  const { O_RDONLY, O_WRONLY, O_RDWR, O_NONBLOCK, O_NOCTTY } = fs.constants;
  if (tty) return [paths.in, paths.out, paths.err].map((file) => fs.openSync(file, O_RDWR | O_NOCTTY));
  return [
    paths.in === '' ? 'ignore' : fs.openSync(paths.in, O_RDONLY | O_NONBLOCK), // Node.js takes the flag away
    fs.openSync(paths.out, O_WRONLY),
    fs.openSync(paths.err, O_WRONLY),
  ];
}

async function spawnOnPipes(program: Program, stdinOpen: boolean): Promise<SpawnedProcess | string> {
  const spawned = await spawnOn(program, [stdinOpen ? 'pipe' : 'ignore', 'pipe', 'pipe'], true);
  if (typeof spawned === 'string') return spawned;
  const { pid, exited } = spawned;
  const { stdin, stdout, stderr } = spawned.child;
  invariant(stdout !== null && stderr !== null, 'pipes were asked for');
  stdin?.on('error', () => {}); // nobody reads any more; whoever writes is told
  return { pid, stdin: stdin ?? undefined, stdout, stderr, terminal: undefined, exited };
}

/** Resolves to the reason if it could not be started. */
async function spawnOn(
  { words: [file = '', ...args], cwd, env }: Program,
  stdio: Exclude<StdioOptions, string>,
  detached: boolean,
): Promise<{ readonly child: ChildProcess; readonly pid: number; readonly exited: Promise<number> } | string> {
  const child = spawn(file, args, { cwd, env, detached: detached && process.platform !== 'win32', stdio });
  const exited = new Promise<number>((resolve) => {
    child.once('exit', (code, signalName) =>
      resolve(code ?? 128 + (os.constants.signals[signalName ?? 'SIGKILL'] ?? 9)),
    );
  });
  const error = await new Promise<Error | undefined>((resolve) => {
    child.once('spawn', () => resolve(undefined));
    child.once('error', resolve);
  });
  return error === undefined ? { child, pid: child.pid ?? 0, exited } : error.message;
}

async function makeFifos(directory: string, first: number, last: number): Promise<void> {
  const names = Array.from({ length: last - first + 1 }, (_, i) => path.join(directory, String(first + i)));
  await promisify(execFile)('mkfifo', ['-m', '666', ...names]);
}

/** A path of the image as this machine knows it: nothing can be mounted here. */
function shownPath(launch: ContainerLaunch, text: string): string {
  for (const { containerPath, hostPath } of launch.imageMounts) {
    if (text === containerPath) return hostPath;
    if (text.startsWith(`${containerPath}/`)) return path.join(hostPath, text.slice(containerPath.length + 1));
  }
  return text;
}

function identityCommand(launch: ContainerLaunch): string[] {
  const setpriv = process.platform === 'linux' ? findTool('setpriv') : '';
  const options = identityOptions(launch);
  return setpriv === '' || options.length === 0 ? [] : [setpriv, ...options, '--'];
}

function commandFailure(shown: string, word: string, searchPath: string): CommandFailure | undefined {
  if (word.includes('/')) {
    if (!fs.existsSync(shown)) return { kind: 'noSuchFile', word };
    return isExecutable(shown) ? undefined : { kind: 'notExecutable', word };
  }
  if (process.platform === 'win32') return undefined; // its own rules of search: spawn says so
  const found = searchPath.split(':').some((directory) => isExecutable(path.join(directory, word)));
  return found ? undefined : { kind: 'notFound', word };
}

function isExecutable(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false; // not there, or not for us
  }
}

/** The group's number is that of its leader, the process that was started. */
function killGroup(pid: number): void {
  sendSignal(process.platform === 'win32' ? pid : -pid, 'SIGKILL');
}

function sendSignal(pid: number, signal: number | 'SIGKILL'): void {
  try {
    process.kill(pid, signal);
  } catch {
    return; // it has ended, or nobody is left in the group
  }
}
