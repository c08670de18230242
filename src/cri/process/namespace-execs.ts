import path from 'node:path';
import type { Clock } from '../../base/clock.ts';
import type { CommandFailure } from '../start-error.ts';
import { boundedOutput } from './bounded-output.ts';
import type { FifoPool } from './fifo-pool.ts';
import type { ExecOutcome, ExecRequest, ExecTarget, StartOutcome, StreamingExecRequest } from './launcher.ts';
import { openLaunchStreams, type LaunchStreams } from './launch-streams.ts';
import { findCommandFunction } from './launcher-script.ts';
import { shellWord, shellWords } from './shell-quote.ts';
import { identityPrefix, type ScriptMode } from './start-script.ts';
import { terminalVariables } from './terminal.ts';
import { within } from './within.ts';

const killMsMax = 1_000; // for the end of a killed exec to be reported

export interface NamespaceExecsDeps {
  readonly clock: Clock;
  readonly mode: ScriptMode;
  readonly fifos: FifoPool;
  /** To the launcher's shell. Does nothing once that has ended. */
  readonly send: (line: string) => void;
  readonly containerDirectory: (containerId: string) => string;
  /** Which namespaces of the container are its pod's: flags of nsenter. */
  readonly enterFlags: (sandboxId: string) => readonly string[];
}

interface RunningExec {
  shellPid: number | undefined; // of the shell that waits for it
  isUnwanted: boolean; // to be ended as soon as its shell is known
  readonly onOpened: () => void;
  readonly onExited: (exitCode: number) => void;
}

interface ExecStreams extends Pick<LaunchStreams, 'paths'> {
  /** They are its controlling terminal. */
  readonly tty: boolean;
  /** It shall be quick, and nobody interrupts it. */
  readonly isProbe: boolean;
  readonly onOpened: () => void;
}

/** Commands in the namespaces of running containers, for `NamespaceLauncher`. */
export class NamespaceExecs {
  readonly #deps: NamespaceExecsDeps;
  readonly #running = new Map<string, RunningExec>(); // from start to exit
  #count = 0;

  constructor(deps: NamespaceExecsDeps) {
    this.#deps = deps;
  }

  async exec(request: ExecRequest, signal: AbortSignal): Promise<ExecOutcome> {
    const outcome = await this.#execBounded(request, signal);
    if (outcome.kind !== 'exited' || (outcome.exitCode !== 127 && outcome.exitCode !== 126)) return outcome;
    // Was it the command's own exit code, or could it not be executed?
    const failure = await this.#failureOf(request, request.timeoutMs, signal);
    return failure === undefined ? outcome : { kind: 'failed', failure };
  }

  async execStreaming(request: StreamingExecRequest, signal: AbortSignal): Promise<StartOutcome> {
    // Before, and not by its exit code: what a shell says of it must not reach the client.
    const failure = await this.#failureOf(request, 0, signal);
    if (failure !== undefined) return { kind: 'failed', failure };
    const { stdinOpen, tty, container } = request;
    const streams = await openLaunchStreams(this.#deps, { stdinOpen, tty, user: container.user });
    const { exited, kill } = this.#start(request, {
      paths: streams.paths,
      tty,
      isProbe: false,
      onOpened: () => streams.onOpened(),
    });
    const { stdin, stdout, stderr, terminal } = streams;
    void exited.then(() => stdin?.destroy());
    // Of its number nobody here knows: signals go to what it has forked as well.
    const process = { stdin, stdout, stderr, terminal, pid: 0, machinePid: undefined, exited, signal: kill, kill };
    return { kind: 'started', process };
  }

  /** The launcher says that the shell of an exec has this number. */
  onShell(id: string, pid: number): void {
    const exec = this.#running.get(id);
    if (exec === undefined) return;
    exec.shellPid = pid;
    this.#endUnwanted(exec);
  }

  /** It has opened its streams. */
  onOpened(id: string): void {
    this.#running.get(id)?.onOpened();
  }

  onExited(id: string, exitCode: number): void {
    const exec = this.#running.get(id);
    this.#running.delete(id);
    exec?.onOpened(); // if it never did: nobody will
    exec?.onExited(exitCode);
  }

  /** The launcher is gone, and so are they. */
  onEnd(): void {
    for (const id of this.#running.keys()) this.onExited(id, 137);
  }

  async #failureOf(target: ExecTarget, timeoutMs: number, signal: AbortSignal): Promise<CommandFailure | undefined> {
    const word = target.command[0] ?? '';
    const script = `${findCommandFunction}find_command "$1"; echo "$failure"`;
    const command = [this.#deps.mode.tools.shell, '-c', script, 'livelet', word];
    const check = await this.#execBounded({ ...target, command, timeoutMs }, signal);
    return commandFailure(check.kind === 'exited' ? new TextDecoder().decode(check.stdout).trim() : '', word);
  }

  async #execBounded(request: ExecRequest, signal: AbortSignal): Promise<ExecOutcome> {
    signal.throwIfAborted();
    const { clock, fifos } = this.#deps;
    const [out, err] = [await fifos.openOutput(), await fifos.openOutput()];
    const [stdout, stderr] = [boundedOutput(out.stream), boundedOutput(err.stream)];
    try {
      const paths = { in: '', out: out.path, err: err.path };
      const { exited, kill } = this.#start(request, { paths, tty: false, isProbe: true, onOpened: () => {} });
      const code = await this.#untilTimeoutOrAbort(exited, request.timeoutMs, signal);
      if (code === undefined) {
        kill();
        await within(clock, killMsMax, 'cri.process.execKill', exited);
        signal.throwIfAborted();
        return { kind: 'timedOut' };
      }
      await Promise.all([stdout.drained(clock), stderr.drained(clock)]);
      return { kind: 'exited', exitCode: code, stdout: stdout.bytes(), stderr: stderr.bytes() };
    } finally {
      out.stream.destroy();
      err.stream.destroy();
    }
  }

  #start(target: ExecTarget, streams: ExecStreams): { readonly exited: Promise<number>; readonly kill: () => void } {
    const id = String(this.#count++);
    let onExited: (exitCode: number) => void = () => {};
    const exited = new Promise<number>((resolve) => (onExited = resolve));
    const exec: RunningExec = { shellPid: undefined, isUnwanted: false, onOpened: streams.onOpened, onExited };
    this.#running.set(id, exec);
    this.#deps.send(this.#execLine(id, target, streams));
    const kill = (): void => {
      exec.isUnwanted = true;
      this.#endUnwanted(exec);
    };
    return { exited, kill };
  }

  #endUnwanted({ isUnwanted, shellPid }: RunningExec): void {
    if (isUnwanted && shellPid !== undefined) this.#deps.send(`c_xkill ${shellPid}`);
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
      const outcome = await within(this.#deps.clock, timeoutMs, 'cri.process.execTimeout', ended);
      return outcome.kind === 'inTime' ? outcome.value : undefined;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  #execLine(id: string, { container, process, command }: ExecTarget, { paths, tty, isProbe }: ExecStreams): string {
    const { mode, containerDirectory, enterFlags } = this.#deps;
    const envFile = shellWord(path.join(containerDirectory(container.id), 'env.sh'));
    const namespaces = ['--pid', '--mount', ...enterFlags(container.podSandboxId)];
    const enter = [mode.tools.nsenter, '--target', String(process.pid), ...namespaces, '--'];
    const inDirectory =
      container.workingDir === '/' ? [] : [mode.tools.shell, '-c', 'cd "$0" && exec "$@"', container.workingDir];
    const onTerminal = tty ? [mode.tools.setsid, '--ctty'] : [];
    const prefix = identityPrefix(container, mode, isProbe ? 'asTheyAre' : 'reset');
    const words = [shellWords([...enter, ...inDirectory, ...onTerminal]), prefix, shellWords(command)].join(' ');
    const variables = tty ? Object.entries(terminalVariables) : [];
    const setTerminal = variables.map(([name, value]) => `export ${name}=${value}; `).join('');
    const input = tty ? '<>' : '<';
    const redirections = `${input}${shellWord(paths.in || '/dev/null')} >${shellWord(paths.out)} 2>${shellWord(paths.err)}`;
    const opened = `exec 3>&1 ${redirections}; echo "xopen ${id}" >&3; exec 3>&-`;
    // A newline cannot stand in a line: the launcher has one in $nl.
    const inner = `${opened}; . ${envFile}; ${setTerminal}exec ${words}`;
    const line = `( ( ${inner} ); echo "xexit ${id} $?" ) & echo "xpid ${id} $!"`;
    return line.replaceAll('\n', `'"$nl"'`);
  }
}

export function commandFailure(kind: string, word: string): CommandFailure | undefined {
  return kind === 'notFound' || kind === 'noSuchFile' || kind === 'notExecutable' ? { kind, word } : undefined;
}
