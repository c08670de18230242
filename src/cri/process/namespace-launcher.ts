import fs from 'node:fs';
import fsp from 'node:fs/promises';
import path from 'node:path';
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import { StatusError, invariant } from '../../base/status-error.ts';
import type { PodSandboxConfig } from '../runtime.ts';
import type { CommandFailure } from '../start-error.ts';
import { boundedOutput } from './bounded-output.ts';
import { ContainerRoots, makeSkeleton } from './container-root.ts';
import { FifoPool, openFifo } from './fifo-pool.ts';
import type {
  ContainerLaunch,
  ExecOutcome,
  ExecRequest,
  Isolation,
  LaunchedProcess,
  Launcher,
  StartOutcome,
} from './launcher.ts';
import { findCommandFunction, launcherScript } from './launcher-script.ts';
import type { PodNetwork } from './pod-network.ts';
import { SandboxNamespaces } from './sandbox-namespaces.ts';
import { ShellChannel } from './shell-channel.ts';
import { shellWord, shellWords } from './shell-quote.ts';
import { findShellTools, systemPath } from './shell-tools.ts';
import { identityPrefix, type ScriptMode, type ShellTools } from './start-script.ts';

const helloMsMax = 2_000; // usually 10 ms
const startMsMax = 10_000; // usually 5 ms; set-up that takes longer has failed in a way that nobody could report
const exitCheckMs = 2_000; // after SIGKILL: time for the container's own shell to report the end
const execDrainMsMax = 100; // after an exec ended: what it left behind may keep its output open
const execKillMsMax = 1_000; // for the end of a killed exec to be reported

const ownNetworkReason = 'pods reach this machine and each other, but nothing beyond, unless hostNetwork is true';

interface RunningContainer {
  pid: number | undefined; // as the launcher sees it; known once its shell has forked
  isStarted: boolean; // its shell says that the command is about to be executed
  failure: string | undefined;
  onStarted: () => void;
  onExited: (exitCode: number) => void;
}

interface RunningExec {
  shellPid: number | undefined; // of the shell that waits for it
  isUnwanted: boolean; // to be ended as soon as its shell is known
  onExited: (exitCode: number) => void;
}

export interface NamespaceLauncherOptions {
  /** A directory of ours alone; emptied first. */
  readonly directory: string;
  /** `root`: of the machine. `user`: inside a user namespace. */
  readonly as: 'root' | 'user';
  /** `undefined`: pods share the machine's network. */
  readonly network: PodNetwork | undefined;
}

export interface NamespaceLauncherDeps {
  readonly clock: Clock;
  readonly log: Log;
}

/** Containers in PID, mount, UTS and IPC namespaces, and network ones where asked for. See `launcher-script.ts`. */
export class NamespaceLauncher implements Launcher {
  readonly ended: Promise<void>;
  readonly #clock: Clock;
  readonly #as: 'root' | 'user';
  readonly #channel: ShellChannel;
  readonly #mode: ScriptMode;
  readonly #roots: ContainerRoots;
  readonly #fifos: FifoPool;
  readonly #sandboxes: SandboxNamespaces;
  readonly #containers = new Map<string, RunningContainer>(); // from start to exit
  readonly #execs = new Map<string, RunningExec>(); // from start to exit
  readonly #replies = new Map<string, (status: string) => void>(); // by the first two words of the message
  readonly #closing = new AbortController();
  #execCount = 0;
  #networkReason = '';

  /** Resolves to the reason if the kernel or this machine does not permit it. */
  static async open(
    deps: NamespaceLauncherDeps,
    options: NamespaceLauncherOptions,
  ): Promise<NamespaceLauncher | string> {
    const tools = findShellTools();
    if (typeof tools === 'string') return `${tools} is not installed`;
    await fsp.rm(options.directory, { recursive: true, force: true });
    for (const name of ['fifos', 'ns', 'containers', 'layer', 'probe/upper', 'probe/work', 'probe/root']) {
      fs.mkdirSync(path.join(options.directory, name), { recursive: true, mode: 0o711 });
    }
    makeSkeleton(path.join(options.directory, 'skeleton'));
    // Their modes let a container's user open /dev/stdout anew: nobody else may come near them.
    fs.chmodSync(path.join(options.directory, 'fifos'), 0o700);
    let onHello: (files: string | undefined) => void = () => {};
    const hello = new Promise<string | undefined>((resolve) => (onHello = resolve));
    const opened: { launcher?: NamespaceLauncher } = {};
    const channel = new ShellChannel({
      command: launcherCommand(tools, options),
      env: { PATH: systemPath },
      onMessage: (words) => (words[0] === 'hello' ? onHello(words[1]) : opened.launcher?.onMessage(words)),
      onEnd: () => {
        onHello(undefined);
        opened.launcher?.onEnd();
      },
    });
    const timer = new AbortController();
    const late = deps.clock.sleep(helloMsMax, 'cri.process.hello', timer.signal).then(
      () => undefined,
      () => undefined, // it came in time
    );
    const files = await Promise.race([hello, late]);
    timer.abort();
    if (files !== 'overlay' && files !== 'binds') {
      await channel.close();
      return channel.errorText || 'the launcher did not answer';
    }
    opened.launcher = new NamespaceLauncher(deps, options, channel, { tools, files, isRoot: options.as === 'root' });
    return opened.launcher;
  }

  private constructor(
    deps: NamespaceLauncherDeps,
    options: NamespaceLauncherOptions,
    channel: ShellChannel,
    mode: ScriptMode,
  ) {
    this.#clock = deps.clock;
    this.#roots = new ContainerRoots(options.directory, mode);
    this.#as = options.as;
    this.#channel = channel;
    this.#mode = mode;
    this.ended = channel.ended;
    this.#fifos = new FifoPool(path.join(options.directory, 'fifos'), async (first, last) => {
      const status = await this.#call(`fifos ${first}`, `c_fifos ${first} ${first} ${last}`);
      if (status !== '0') throw new StatusError('InternalError', `mkfifo: ${this.#channel.errorText}`);
    });
    this.#sandboxes = new SandboxNamespaces({
      network: options.network,
      call: (reply, line) => this.#call(reply, line),
      send: (line) => this.#channel.send(line),
      errorText: () => this.#channel.errorText,
    });
  }

  get pid(): number {
    return this.#channel.pid ?? 0;
  }

  get isolation(): Isolation {
    return {
      kind: this.#as,
      files: this.#mode.files,
      network: this.#sandboxes.hasNetwork ? 'namespace' : 'host',
      reason: this.#sandboxes.hasNetwork ? ownNetworkReason : this.#networkReason,
    };
  }

  /** Makes what the first pods will need. Falls back to the machine's network when own ones cannot be had. */
  async warmUp(): Promise<void> {
    const [, reason] = await Promise.all([this.#fifos.refill(), this.#sandboxes.tryNetwork()]);
    this.#networkReason = reason;
  }

  openSandbox(id: string, config: PodSandboxConfig): Promise<readonly string[]> {
    return this.#sandboxes.open(id, {
      hostNetwork: config.namespaces.network === 'node',
      hostIpc: config.namespaces.ipc === 'node',
    });
  }

  async closeSandbox(id: string): Promise<void> {
    this.#sandboxes.close(id);
  }

  async prepare(launch: ContainerLaunch): Promise<readonly string[]> {
    const hasOwnName = this.#sandboxes.enterFlags(launch.podSandboxId).includes('--uts');
    invariant(hasOwnName || launch.hostname === '', `${launch.id} would rename this machine to ${launch.hostname}`);
    if (this.#as === 'user' && launch.user !== undefined && launch.user.uid !== 0) {
      throw new StatusError(
        'BadRequest',
        `securityContext.runAsUser: ${launch.user.uid}: the process runtime can run as another user only when it is root`,
      );
    }
    if (launch.readonlyRoot && this.#mode.files !== 'overlay') {
      throw new StatusError(
        'BadRequest',
        'securityContext.readOnlyRootFilesystem: the process runtime can do this only as root on an overlay',
      );
    }
    this.#roots.make(launch);
    return [];
  }

  async start(launch: ContainerLaunch): Promise<StartOutcome> {
    const enter = this.#sandboxes.enterWords(launch.podSandboxId);
    const [out, err] = [await this.#fifos.take(), await this.#fifos.take()];
    const stdin = launch.stdinOpen ? await this.#fifos.take() : '';
    const stdout = openFifo(out);
    const stderr = openFifo(err);
    this.#giveBackAtEnd(stdout, out);
    this.#giveBackAtEnd(stderr, err);
    let onStarted: () => void = () => {};
    let onExited: (exitCode: number) => void = () => {};
    const started = new Promise<void>((resolve) => (onStarted = resolve));
    const exited = new Promise<number>((resolve) => (onExited = resolve));
    const container: RunningContainer = { pid: undefined, isStarted: false, failure: undefined, onStarted, onExited };
    this.#containers.set(launch.id, container);
    this.#channel.send(`c_start ${shellWords([launch.id, enter, out, err, stdin])}`);
    const outcome = await this.#within(startMsMax, 'cri.process.start', Promise.race([started, exited]));
    if (outcome.kind === 'inTime' && outcome.value === undefined) {
      const { pid } = container;
      invariant(pid !== undefined, `container ${launch.id} started without a process id`);
      return { kind: 'started', process: this.#processOf(launch.id, pid, stdout, stderr, exited) };
    }
    this.#containers.delete(launch.id);
    stdout.destroy();
    stderr.destroy();
    return { kind: 'failed', failure: await this.#failureOf(launch, container.failure) };
  }

  async exec(request: ExecRequest, signal: AbortSignal): Promise<ExecOutcome> {
    const outcome = await this.#exec(request, signal);
    if (outcome.kind !== 'exited' || (outcome.exitCode !== 127 && outcome.exitCode !== 126)) return outcome;
    // Was it the command's own exit code, or could it not be executed?
    const word = request.command[0] ?? '';
    const script = `${findCommandFunction}find_command "$1"; echo "$failure"`;
    const command = [this.#mode.tools.shell, '-c', script, 'livelet', word];
    const check = await this.#exec({ ...request, command }, signal);
    const kind = check.kind === 'exited' ? new TextDecoder().decode(check.stdout).trim() : '';
    const failure = commandFailure(kind, word);
    return failure === undefined ? outcome : { kind: 'failed', failure };
  }

  async discard(id: string): Promise<void> {
    await fsp.rm(this.#roots.directoryOf(id), { recursive: true, force: true });
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('the process launcher was closed'));
    await this.#channel.close();
    await this.#sandboxes.release();
  }

  /** A message of the shell; see `launcher-script.ts`. */
  onMessage(words: readonly string[]): void {
    const [kind = '', id = '', value = ''] = words;
    switch (kind) {
      case 'pid':
      case 'started': {
        const container = this.#containers.get(id);
        if (container === undefined) return;
        if (kind === 'pid') container.pid = Number(value);
        else container.isStarted = true;
        if (container.pid !== undefined && container.isStarted) container.onStarted(); // they may come in either order
        return;
      }
      case 'fail': {
        const container = this.#containers.get(id);
        if (container !== undefined) container.failure = value;
        return;
      }
      case 'exit':
        this.#onContainerExit(id, Number(value));
        return;
      case 'xpid': {
        const exec = this.#execs.get(id);
        if (exec === undefined) return;
        exec.shellPid = Number(value);
        this.#endUnwanted(exec);
        return;
      }
      case 'xexit':
        this.#execs.get(id)?.onExited(Number(value));
        this.#execs.delete(id);
        return;
      default: {
        const reply = `${kind} ${id}`;
        this.#replies.get(reply)?.(value);
        this.#replies.delete(reply);
      }
    }
  }

  /** The launcher is gone, and so is everything it started. */
  onEnd(): void {
    for (const id of this.#containers.keys()) this.#onContainerExit(id, 137);
    for (const exec of this.#execs.values()) exec.onExited(137);
    this.#execs.clear();
    for (const reply of this.#replies.values()) reply('ended');
    this.#replies.clear();
  }

  /** Sends `line` and waits for the message that starts with `reply` (two words); resolves to its third word. */
  #call(reply: string, line: string): Promise<string> {
    invariant(!this.#replies.has(reply), `two calls wait for ${reply}`);
    this.#channel.send(line);
    return new Promise((resolve) => this.#replies.set(reply, resolve));
  }

  async #within<T>(
    delayMs: number,
    name: string,
    promise: Promise<T>,
  ): Promise<{ readonly kind: 'inTime'; readonly value: T } | { readonly kind: 'late' }> {
    const timer = new AbortController();
    const late = this.#clock.sleep(delayMs, name, timer.signal).then(
      () => ({ kind: 'late' }) as const,
      () => ({ kind: 'late' }) as const, // aborted below: nobody looks any more
    );
    const outcome = await Promise.race([promise.then((value) => ({ kind: 'inTime', value }) as const), late]);
    timer.abort();
    return outcome;
  }

  #giveBackAtEnd(stream: ReturnType<typeof openFifo>, fifo: string): void {
    let hasEnded = false;
    stream.once('end', () => (hasEnded = true));
    stream.once('close', () => (hasEnded ? this.#fifos.giveBack(fifo) : this.#fifos.discard(fifo)));
  }

  #onContainerExit(id: string, exitCode: number): void {
    const container = this.#containers.get(id);
    this.#containers.delete(id);
    container?.onExited(exitCode);
  }

  #processOf(
    id: string,
    pid: number,
    stdout: LaunchedProcess['stdout'],
    stderr: LaunchedProcess['stderr'],
    exited: Promise<number>,
  ): LaunchedProcess {
    const kill = (signalNumber: number): void => {
      if (this.#containers.has(id) && !this.#channel.isEnded) this.#channel.send(`kill -${signalNumber} ${pid}`);
    };
    return {
      pid,
      machinePid: undefined, // it ends with the launcher
      stdout,
      stderr,
      exited,
      signal: kill,
      kill: () => {
        kill(9);
        this.#clock.sleep(exitCheckMs, 'cri.process.exitCheck', this.#closing.signal).then(
          () => {
            if (this.#containers.has(id) && !this.#channel.isEnded) this.#channel.send(`c_check ${id} ${pid}`);
          },
          () => {}, // closing ends it anyway
        );
      },
    };
  }

  async #failureOf(launch: ContainerLaunch, kind: string | undefined): Promise<CommandFailure> {
    const failure = commandFailure(kind ?? '', launch.argv[0] ?? '');
    if (failure !== undefined) return failure;
    if (kind === 'workingDir') return { kind, path: launch.workingDir };
    const setupError = path.join(this.#roots.directoryOf(launch.id), 'setup.err');
    const text = await fsp.readFile(setupError, 'utf8').catch(() => ''); // it failed before it could write there
    return { kind: 'setup', text: text.trim() || this.#channel.errorText || 'the launcher did not start it' };
  }

  async #exec(request: ExecRequest, signal: AbortSignal): Promise<ExecOutcome> {
    signal.throwIfAborted();
    const [out, err] = [await this.#fifos.take(), await this.#fifos.take()];
    const [stdoutSocket, stderrSocket] = [openFifo(out), openFifo(err)];
    this.#giveBackAtEnd(stdoutSocket, out);
    this.#giveBackAtEnd(stderrSocket, err);
    const [stdout, stderr] = [boundedOutput(stdoutSocket), boundedOutput(stderrSocket)];
    const id = String(this.#execCount++);
    const running: RunningExec = { shellPid: undefined, isUnwanted: false, onExited: () => {} };
    const exited = new Promise<number>((resolve) => (running.onExited = resolve));
    this.#execs.set(id, running);
    try {
      this.#channel.send(this.#execLine(id, request, out, err));
      const code = await this.#untilTimeoutOrAbort(exited, request.timeoutMs, signal);
      if (code === undefined) {
        running.isUnwanted = true;
        this.#endUnwanted(running);
        await this.#within(execKillMsMax, 'cri.process.execKill', exited);
        signal.throwIfAborted();
        return { kind: 'timedOut' };
      }
      await this.#within(execDrainMsMax, 'cri.process.execDrain', Promise.all([stdout.ended, stderr.ended]));
      return { kind: 'exited', exitCode: code, stdout: stdout.bytes(), stderr: stderr.bytes() };
    } finally {
      stdoutSocket.destroy();
      stderrSocket.destroy();
    }
  }

  #endUnwanted({ isUnwanted, shellPid }: RunningExec): void {
    if (isUnwanted && shellPid !== undefined && !this.#channel.isEnded) this.#channel.send(`c_xkill ${shellPid}`);
  }

  /** `undefined`: not in time, or aborted. */
  async #untilTimeoutOrAbort(
    exited: Promise<number>,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<number | undefined> {
    let onAbort: () => void = () => {};
    const aborted = new Promise<undefined>((resolve) => {
      onAbort = () => resolve(undefined);
      signal.addEventListener('abort', onAbort, { once: true });
    });
    try {
      const ended = Promise.race([exited, aborted]);
      if (timeoutMs <= 0) return await ended;
      const outcome = await this.#within(timeoutMs, 'cri.process.execTimeout', ended);
      return outcome.kind === 'inTime' ? outcome.value : undefined;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  #execLine(id: string, request: ExecRequest, out: string, err: string): string {
    const { container, process, command } = request;
    const envFile = shellWord(path.join(this.#roots.directoryOf(container.id), 'env.sh'));
    const { tools } = this.#mode;
    const namespaces = ['--pid', '--mount', ...this.#sandboxes.enterFlags(container.podSandboxId)];
    const enter = [tools.nsenter, '--target', String(process.pid), ...namespaces, '--'];
    const inDirectory =
      container.workingDir === '/' ? [] : [tools.shell, '-c', 'cd "$0" && exec "$@"', container.workingDir];
    const prefix = identityPrefix(container, this.#mode);
    const words = [shellWords([...enter, ...inDirectory]), prefix, shellWords(command)].join(' ');
    // A newline cannot stand in a line: the launcher has one in $nl.
    const inner = `. ${envFile}; exec ${words} </dev/null >${shellWord(out)} 2>${shellWord(err)}`;
    const line = `( ( ${inner} ); echo "xexit ${id} $?" ) & echo "xpid ${id} $!"`;
    return line.replaceAll('\n', `'"$nl"'`);
  }
}

function commandFailure(kind: string, word: string): CommandFailure | undefined {
  return kind === 'notFound' || kind === 'noSuchFile' || kind === 'notExecutable' ? { kind, word } : undefined;
}

function launcherCommand(tools: ShellTools, options: NamespaceLauncherOptions): readonly [string, ...string[]] {
  const inUser = options.as === 'user' ? ['--user', '--map-root-user'] : [];
  const unshare = ['unshare', ...inUser, '--pid', '--fork', '--kill-child=KILL', '--mount', '--propagation', 'slave'];
  const shell = [tools.shell, '-c', launcherScript, 'livelet-launcher', options.directory, options.as, tools.shell];
  return [tools.setpriv, '--pdeathsig', 'KILL', ...unshare, ...shell];
}
