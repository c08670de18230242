import { execFile, spawn, type ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import fsp from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import type { Clock } from '../../base/clock.ts';
import { StatusError, messageOf } from '../../base/status-error.ts';
import type { CommandFailure } from '../start-error.ts';
import { boundedOutput } from './bounded-output.ts';
import { FifoPool, openFifo } from './fifo-pool.ts';
import { GroupGuardian } from './group-guardian.ts';
import type {
  ContainerLaunch,
  ExecOutcome,
  ExecRequest,
  Isolation,
  LaunchedProcess,
  Launcher,
  StartOutcome,
} from './launcher.ts';
import { findTool } from './shell-tools.ts';
import { identityOptions } from './start-script.ts';

const execDrainMsMax = 100; // as in NamespaceLauncher

/** The kubelet mounts these into every container; an app that does not look for them does not miss them. */
const droppableMounts = ['/etc/hosts', '/dev/termination-log', '/var/run/secrets/kubernetes.io/serviceaccount'];

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
  readonly ended: Promise<void>;
  readonly #clock: Clock;
  readonly #guardian: GroupGuardian | undefined; // absent on Windows
  readonly #fifos: FifoPool | undefined; // absent on Windows: pipes of Node.js then, which /dev/stdout cannot reopen
  readonly #running = new Set<ChildProcess>();
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

  async openSandbox(): Promise<readonly string[]> {
    return [];
  }

  async closeSandbox(): Promise<void> {}

  async prepare(launch: ContainerLaunch): Promise<readonly string[]> {
    const impossible = launch.mounts.filter((mount) => !droppableMounts.includes(mount.containerPath));
    const [first] = impossible;
    if (first !== undefined) {
      throw new StatusError(
        'BadRequest',
        `volumeMounts: ${first.containerPath}: mounting needs Linux namespaces, which are not available here: ${this.isolation.reason}`,
      );
    }
    const { user } = launch;
    if (user !== undefined && process.getuid?.() !== 0 && user.uid !== os.userInfo().uid) {
      throw new StatusError('BadRequest', `securityContext.runAsUser: ${user.uid}: only root can run as another user`);
    }
    if (launch.readonlyRoot) {
      throw new StatusError(
        'BadRequest',
        'securityContext.readOnlyRootFilesystem: the process runtime can do this only with Linux namespaces',
      );
    }
    const hasSetpriv = findTool('setpriv') !== '';
    if (launch.noNewPrivs && !hasSetpriv) {
      return ['securityContext.allowPrivilegeEscalation: false is not enforced: setpriv is not installed'];
    }
    return [];
  }

  async start(launch: ContainerLaunch): Promise<StartOutcome> {
    const outcome = await this.#spawn(launch, launch.argv, launch.stdinOpen);
    if (outcome.kind === 'failed') return outcome;
    const { child, stdout, stderr, exited } = outcome;
    const pid = child.pid ?? 0;
    for (const file of launch.cgroupProcsFiles) fs.writeFileSync(file, String(pid));
    if (launch.oomScoreAdj !== undefined && process.platform === 'linux') {
      fs.writeFile(`/proc/${pid}/oom_score_adj`, String(launch.oomScoreAdj), () => {}); // lowering may be forbidden
    }
    return { kind: 'started', process: this.#processOf(child, stdout, stderr, exited) };
  }

  async exec(request: ExecRequest, signal: AbortSignal): Promise<ExecOutcome> {
    signal.throwIfAborted();
    const outcome = await this.#spawn(request.container, request.command, false);
    if (outcome.kind === 'failed') return outcome;
    const { child, exited } = outcome;
    const [stdout, stderr] = [boundedOutput(outcome.stdout), boundedOutput(outcome.stderr)];
    const kill = (): void => killGroup(child);
    const timer = new AbortController();
    signal.addEventListener('abort', kill, { once: true });
    let hasTimedOut = false;
    if (request.timeoutMs > 0) {
      this.#clock.sleep(request.timeoutMs, 'cri.process.execTimeout', timer.signal).then(
        () => {
          hasTimedOut = true;
          kill();
        },
        () => {}, // it ended in time
      );
    }
    try {
      const exitCode = await exited;
      timer.abort();
      signal.throwIfAborted();
      if (hasTimedOut) return { kind: 'timedOut' };
      await this.#drained(Promise.all([stdout.ended, stderr.ended]));
      return { kind: 'exited', exitCode, stdout: stdout.bytes(), stderr: stderr.bytes() };
    } finally {
      signal.removeEventListener('abort', kill);
      outcome.stdout.destroy();
      outcome.stderr.destroy();
    }
  }

  async discard(): Promise<void> {}

  async close(): Promise<void> {
    const ends = [...this.#running].map((child) => new Promise<void>((resolve) => child.once('exit', () => resolve())));
    for (const child of this.#running) killGroup(child);
    await Promise.all(ends);
    await this.#guardian?.close();
    this.#onEnded();
  }

  async #drained(ends: Promise<unknown>): Promise<void> {
    const timer = new AbortController();
    const late = this.#clock.sleep(execDrainMsMax, 'cri.process.execDrain', timer.signal).catch(() => {}); // ended
    await Promise.race([ends, late]);
    timer.abort();
  }

  async #spawn(
    launch: ContainerLaunch,
    command: readonly string[],
    stdinOpen: boolean,
  ): Promise<
    | { kind: 'spawned'; child: ChildProcess; stdout: Readable; stderr: Readable; exited: Promise<number> }
    | { kind: 'failed'; failure: CommandFailure }
  > {
    const show = (text: string): string => shownPath(launch, text);
    const cwd = show(launch.workingDir);
    if (!fs.existsSync(cwd)) return { kind: 'failed', failure: { kind: 'workingDir', path: launch.workingDir } };
    const env = Object.fromEntries(launch.env);
    env['PATH'] = (env['PATH'] ?? '').split(':').map(show).join(':');
    const word = command[0] ?? '';
    const failure = commandFailure(show(word), word, env['PATH']);
    if (failure !== undefined) return { kind: 'failed', failure };
    const [program = '', ...args] = [...identityCommand(launch), ...command.map(show)];
    const outputs = await this.#openOutputs();
    const stdio = [stdinOpen ? 'pipe' : 'ignore', outputs?.out.fd ?? 'pipe', outputs?.err.fd ?? 'pipe'] as const;
    const child = spawn(program, args, { cwd, env, detached: process.platform !== 'win32', stdio: [...stdio] });
    outputs?.closeWriters();
    const exited = new Promise<number>((resolve) => {
      child.once('exit', (code, signalName) =>
        resolve(code ?? 128 + (os.constants.signals[signalName ?? 'SIGKILL'] ?? 9)),
      );
    });
    const stdout = outputs?.out.socket ?? child.stdout;
    const stderr = outputs?.err.socket ?? child.stderr;
    const error = await new Promise<Error | undefined>((resolve) => {
      child.once('spawn', () => resolve(undefined));
      child.once('error', resolve);
    });
    if (error !== undefined || stdout === null || stderr === null) {
      return { kind: 'failed', failure: { kind: 'setup', text: messageOf(error) } };
    }
    this.#own(child);
    return { kind: 'spawned', child, stdout, stderr, exited };
  }

  #own(child: ChildProcess): void {
    this.#running.add(child);
    if (child.pid !== undefined) this.#guardian?.add(child.pid);
    child.once('exit', () => {
      this.#running.delete(child);
      killGroup(child); // what it forked
      if (child.pid !== undefined) this.#guardian?.remove(child.pid);
    });
  }

  async #openOutputs(): Promise<{ readonly out: FifoEnds; readonly err: FifoEnds; closeWriters(): void } | undefined> {
    if (this.#fifos === undefined) return undefined;
    const out = openBothEnds(this.#fifos, await this.#fifos.take());
    const err = openBothEnds(this.#fifos, await this.#fifos.take());
    return {
      out,
      err,
      closeWriters: () => {
        fs.closeSync(out.fd);
        fs.closeSync(err.fd);
      },
    };
  }

  #processOf(child: ChildProcess, stdout: Readable, stderr: Readable, exited: Promise<number>): LaunchedProcess {
    return {
      pid: child.pid ?? 0,
      machinePid: child.pid,
      stdout,
      stderr,
      exited,
      signal: (signalNumber) => {
        if (this.#running.has(child)) child.kill(signalNumber);
      },
      kill: () => {
        if (this.#running.has(child)) killGroup(child);
      },
    };
  }
}

interface FifoEnds {
  readonly socket: Readable;
  /** The writing end, for the child. */
  readonly fd: number;
}

function openBothEnds(fifos: FifoPool, fifo: string): FifoEnds {
  const socket = openFifo(fifo);
  socket.once('close', () => fifos.discard(fifo)); // somebody who left the group may still have it
  return { socket, fd: fs.openSync(fifo, fs.constants.O_WRONLY) };
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

/** The group's number is the child's: it was made its leader. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    if (process.platform === 'win32') child.kill('SIGKILL');
    else process.kill(-child.pid, 'SIGKILL');
  } catch {
    return; // nobody is left in it
  }
}
