import { setMaxListeners } from 'node:events';
import fs from 'node:fs';
import fsp from 'node:fs/promises';
import type net from 'node:net';
import path from 'node:path';
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import { StatusError, invariant } from '../../base/status-error.ts';
import type { PodSandboxConfig } from '../runtime.ts';
import type { CommandFailure } from '../start-error.ts';
import { ContainerRoots, makeSkeleton } from './container-root.ts';
import { FifoPool } from './fifo-pool.ts';
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
import { openLaunchStreams, type LaunchStreams } from './launch-streams.ts';
import { launcherScript } from './launcher-script.ts';
import { commandFailure, NamespaceExecs } from './namespace-execs.ts';
import { connectHere, PodConnector } from './pod-connector.ts';
import type { PodNetwork } from './pod-network.ts';
import { SandboxNamespaces } from './sandbox-namespaces.ts';
import { ShellChannel } from './shell-channel.ts';
import { shellWords } from './shell-quote.ts';
import { findShellTools, systemPath } from './shell-tools.ts';
import type { ScriptMode, ShellTools } from './start-script.ts';
import { within } from './within.ts';

const helloMsMax = 10_000; // usually 10 ms; one that cannot work ends, and is not waited for
const startMsMax = 10_000; // usually 5 ms; set-up that takes longer has failed in a way that nobody could report
const exitCheckMs = 2_000; // after SIGKILL: time for the container's own shell to report the end

const ownNetworkReason = 'pods reach this machine and each other, but nothing beyond, unless hostNetwork is true';

interface RunningContainer {
  pid: number | undefined; // as the launcher sees it; known once its shell has forked
  isStarted: boolean; // its shell says that the command is about to be executed
  failure: string | undefined;
  onStarted: () => void;
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
  readonly #directory: string;
  readonly #as: 'root' | 'user';
  readonly #channel: ShellChannel;
  readonly #mode: ScriptMode;
  readonly #roots: ContainerRoots;
  readonly #fifos: FifoPool;
  readonly #sandboxes: SandboxNamespaces;
  readonly #containers = new Map<string, RunningContainer>(); // from start to exit
  readonly #execs: NamespaceExecs;
  readonly #connector: PodConnector;
  readonly #replies = new Map<string, (status: string) => void>(); // by the first two words of the message
  readonly #closing = new AbortController();
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
    let onHello: (words: readonly string[]) => void = () => {};
    const hello = new Promise<readonly string[]>((resolve) => (onHello = resolve));
    const opened: { launcher?: NamespaceLauncher } = {};
    const channel = new ShellChannel({
      command: launcherCommand(tools, options),
      env: { PATH: systemPath },
      onMessage: (words) => (words[0] === 'hello' ? onHello(words) : opened.launcher?.onMessage(words)),
      onEnd: () => {
        onHello([]);
        opened.launcher?.onEnd();
      },
    });
    const said = await within(deps.clock, helloMsMax, 'cri.process.hello', hello);
    const [, files, signals] = said.kind === 'inTime' ? said.value : [];
    if (files !== 'overlay' && files !== 'binds') {
      await channel.close();
      return channel.errorText || 'the launcher did not answer';
    }
    opened.launcher = new NamespaceLauncher(deps, options, channel, {
      tools,
      files,
      isRoot: options.as === 'root',
      canResetSignals: signals === 'reset',
    });
    return opened.launcher;
  }

  private constructor(
    deps: NamespaceLauncherDeps,
    options: NamespaceLauncherOptions,
    channel: ShellChannel,
    mode: ScriptMode,
  ) {
    setMaxListeners(0, this.#closing.signal); // one for each container that is being killed
    this.#clock = deps.clock;
    this.#directory = options.directory;
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
    this.#execs = new NamespaceExecs({
      clock: deps.clock,
      mode,
      fifos: this.#fifos,
      send: (line) => {
        if (!channel.isEnded) channel.send(line);
      },
      containerDirectory: (id) => this.#roots.directoryOf(id),
      enterFlags: (sandboxId) => this.#sandboxes.enterFlags(sandboxId),
    });
    this.#connector = new PodConnector(mode.tools.nsenter);
  }

  get pid(): number {
    return this.#channel.pid ?? 0;
  }

  get mountPid(): number | undefined {
    return this.#channel.pid;
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

  networkProblem(): string | undefined {
    return this.#sandboxes.networkProblem();
  }

  usePodCidr(podCidr: string): void {
    this.#sandboxes.usePodCidr(podCidr);
  }

  openSandbox(id: string, config: PodSandboxConfig): Promise<readonly string[]> {
    return this.#sandboxes.open(id, {
      hostNetwork: config.namespaces.network === 'node',
      hostIpc: config.namespaces.ipc === 'node',
    });
  }

  async closeSandbox(id: string): Promise<void> {
    this.#connector.close(id);
    this.#sandboxes.close(id);
  }

  async prepare(launch: ContainerLaunch): Promise<void> {
    const hasOwnName = this.#sandboxes.enterFlags(launch.podSandboxId).includes('--uts');
    invariant(hasOwnName || launch.hostname === '', `${launch.id} would rename this machine to ${launch.hostname}`);
    this.#roots.make(launch);
  }

  async start(launch: ContainerLaunch): Promise<StartOutcome> {
    const enter = this.#sandboxes.enterWords(launch.podSandboxId);
    const streams = await openLaunchStreams({ clock: this.#clock, fifos: this.#fifos }, launch);
    const { paths } = streams;
    let onStarted: () => void = () => {};
    let onExited: (exitCode: number) => void = () => {};
    const started = new Promise<void>((resolve) => (onStarted = resolve));
    const exited = new Promise<number>((resolve) => (onExited = resolve));
    const container: RunningContainer = { pid: undefined, isStarted: false, failure: undefined, onStarted, onExited };
    this.#containers.set(launch.id, container);
    this.#channel.send(`c_start ${shellWords([launch.id, enter, paths.out, paths.err, paths.in])}`);
    const outcome = await within(this.#clock, startMsMax, 'cri.process.start', Promise.race([started, exited]));
    streams.onOpened();
    if (outcome.kind === 'inTime' && outcome.value === undefined) {
      const { pid } = container;
      invariant(pid !== undefined, `container ${launch.id} started without a process id`);
      return { kind: 'started', process: this.#processOf(launch.id, pid, streams, exited) };
    }
    this.#containers.delete(launch.id);
    streams.destroy();
    return { kind: 'failed', failure: await this.#failureOf(launch, container.failure) };
  }

  exec(request: ExecRequest, signal: AbortSignal): Promise<ExecOutcome> {
    return this.#execs.exec(request, signal);
  }

  execStreaming(request: StreamingExecRequest, signal: AbortSignal): Promise<StartOutcome> {
    return this.#execs.execStreaming(request, signal);
  }

  connect(sandboxId: string, port: number, signal: AbortSignal): Promise<net.Socket> {
    const file = this.#sandboxes.networkFile(sandboxId);
    if (file === undefined) return connectHere(sandboxId, port, signal);
    // The namespaces are mounted where only the launcher and its children see them.
    const root = `/proc/${this.pid}/root`;
    return this.#connector.connect(sandboxId, `${root}${path.join(this.#directory, file)}`, port, signal);
  }

  async discard(id: string): Promise<void> {
    await fsp.rm(this.#roots.directoryOf(id), { recursive: true, force: true });
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('the process launcher was closed'));
    this.#connector.closeAll();
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
      case 'xpid':
        this.#execs.onShell(id, Number(value));
        return;
      case 'xopen':
        this.#execs.onOpened(id);
        return;
      case 'xexit':
        this.#execs.onExited(id, Number(value));
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
    this.#execs.onEnd();
    for (const reply of this.#replies.values()) reply('ended');
    this.#replies.clear();
  }

  /** Sends `line` and waits for the message that starts with `reply` (two words); resolves to its third word. */
  #call(reply: string, line: string): Promise<string> {
    invariant(!this.#replies.has(reply), `two calls wait for ${reply}`);
    this.#channel.send(line);
    return new Promise((resolve) => this.#replies.set(reply, resolve));
  }

  #onContainerExit(id: string, exitCode: number): void {
    const container = this.#containers.get(id);
    this.#containers.delete(id);
    container?.onExited(exitCode);
  }

  #processOf(id: string, pid: number, streams: LaunchStreams, exited: Promise<number>): LaunchedProcess {
    const { stdin, stdout, stderr, terminal } = streams;
    void exited.then(() => stdin?.destroy());
    const kill = (signalNumber: number): void => {
      if (this.#containers.has(id) && !this.#channel.isEnded) this.#channel.send(`kill -${signalNumber} ${pid}`);
    };
    return {
      pid,
      machinePid: undefined, // it ends with the launcher
      stdin,
      stdout,
      stderr,
      terminal,
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
}

function launcherCommand(tools: ShellTools, options: NamespaceLauncherOptions): readonly [string, ...string[]] {
  const inUser = options.as === 'user' ? ['--user', '--map-root-user'] : [];
  const unshare = ['unshare', ...inUser, '--pid', '--fork', '--kill-child=KILL', '--mount', '--propagation', 'slave'];
  const shell = [tools.shell, '-c', launcherScript, 'livelet-launcher', options.directory, options.as, tools.shell];
  return [tools.setpriv, '--pdeathsig', 'KILL', ...unshare, ...shell];
}
