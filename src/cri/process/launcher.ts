import type { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import type { Mount, PodSandboxConfig, TerminalSize } from '../runtime.ts';
import type { CommandFailure } from '../start-error.ts';

/**
 * Starts and ends processes for `ProcessRuntime`. Two ways to do it: `NamespaceLauncher` (Linux, where the kernel
 * permits) and `GroupLauncher` (everywhere). Neither keeps state across a restart, and nothing they start outlives
 * this process.
 */

/** How containers are kept apart. Printed once at start. */
export interface Isolation {
  /** `root`, `user`: own namespaces, made as root or in a user namespace. `none`: plain process groups. */
  readonly kind: 'root' | 'user' | 'none';
  /**
   * `overlay`: a private writable layer over this machine's files. `binds`: a private root directory. `shared`:
   * neither.
   */
  readonly files: 'overlay' | 'binds' | 'shared';
  /** `namespace`: each pod has its own address. `host`: pods share the machine's network. */
  readonly network: 'namespace' | 'host';
  /** Why it is not better than it is; empty when it is the best there is. */
  readonly reason: string;
}

export interface ProcessUser {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

export interface ContainerLaunch {
  readonly id: string;
  readonly podSandboxId: string;
  readonly hostname: string;
  readonly argv: readonly string[];
  /** In order, no name twice. PATH and HOME included. */
  readonly env: readonly (readonly [name: string, value: string])[];
  readonly workingDir: string;
  /** What the image consists of, and where in the container it is to be seen. */
  readonly imageMounts: readonly Mount[];
  readonly mounts: readonly Mount[];
  /** `undefined`: as this process. */
  readonly user: ProcessUser | undefined;
  readonly noNewPrivs: boolean;
  /** `undefined`: all that this process has. Without `CAP_`, in lower case. */
  readonly capabilities: readonly string[] | undefined;
  readonly oomScoreAdj: number | undefined;
  /** The root directory cannot be written to; only with `overlay`. */
  readonly readonlyRoot: boolean;
  /** Files into which the process writes its id before it runs (cgroups). */
  readonly cgroupProcsFiles: readonly string[];
  /** Standard input stays open, instead of ending at once. */
  readonly stdinOpen: boolean;
  /** All three streams are one terminal, which is its controlling one. */
  readonly tty: boolean;
}

/** Of a process whose streams are a terminal. Does nothing once that is closed. */
export interface TerminalControl {
  resize(size: TerminalSize): void;
  /** As when a modem hangs up: SIGHUP, and no more input or output. */
  hangUp(): void;
}

export interface LaunchedProcess {
  /** Ending it ends the process' input, unless that is a terminal. `undefined`: it has no input. */
  readonly stdin: Writable | undefined;
  readonly stdout: Readable;
  /** `undefined` with a terminal: all comes on stdout. */
  readonly stderr: Readable | undefined;
  readonly terminal: TerminalControl | undefined;
  /** As the launcher numbers it: in a PID namespace that is not this machine's number. */
  readonly pid: number;
  /** Set where nothing but its number tells a later start that it is left over: without namespaces. */
  readonly machinePid: number | undefined;
  /** 128 + N when it died of signal N. Never rejects. */
  readonly exited: Promise<number>;
  /** To the process alone. Does nothing once it has ended. */
  signal(signalNumber: number): void;
  /** Ends it and all that it started. */
  kill(): void;
}

export type StartOutcome =
  | { readonly kind: 'started'; readonly process: LaunchedProcess }
  | { readonly kind: 'failed'; readonly failure: CommandFailure };

/** A command to be run beside a container's process. */
export interface ExecTarget {
  readonly container: ContainerLaunch;
  readonly process: LaunchedProcess;
  readonly command: readonly string[];
}

export interface ExecRequest extends ExecTarget {
  /** 0: no limit. */
  readonly timeoutMs: number;
}

export interface StreamingExecRequest extends ExecTarget {
  readonly stdinOpen: boolean;
  readonly tty: boolean;
}

export type ExecOutcome =
  | { readonly kind: 'exited'; readonly exitCode: number; readonly stdout: Uint8Array; readonly stderr: Uint8Array }
  | { readonly kind: 'timedOut' }
  | { readonly kind: 'failed'; readonly failure: CommandFailure };

export interface Launcher {
  readonly isolation: Isolation;
  /** A process in the mount namespace that containers have their volumes from; `undefined`: this machine's. */
  readonly mountPid: number | undefined;
  /** Resolves when all its processes are gone: asked to by `close`, or because something ended the launcher itself. */
  readonly ended: Promise<void>;
  /** Why no pod can have an address of its own now; `undefined`: it can, or pods share the machine's network. */
  networkProblem(): string | undefined;
  /** What new pods have their addresses from. `Invalid`: nothing that can be. Ignored with the machine's network. */
  usePodCidr(podCidr: string): void;
  /** The pod's addresses; empty with the machine's network. */
  openSandbox(id: string, config: PodSandboxConfig, signal: AbortSignal): Promise<readonly string[]>;
  closeSandbox(id: string): Promise<void>;
  /**
   * Writes what `start` needs, so that starting itself is short. What it cannot do was refused before, by
   * `enforcement.ts`.
   */
  prepare(launch: ContainerLaunch, signal: AbortSignal): Promise<void>;
  start(launch: ContainerLaunch, signal: AbortSignal): Promise<StartOutcome>;
  exec(request: ExecRequest, signal: AbortSignal): Promise<ExecOutcome>;
  /** Starts a command with streams of its own; it ends by itself, or with its container. */
  execStreaming(request: StreamingExecRequest, signal: AbortSignal): Promise<StartOutcome>;
  /** A connection to `localhost:port` as the pod sees it; fails with `StatusError`, in containerd's words. */
  connect(sandboxId: string, port: number, signal: AbortSignal): Promise<Socket>;
  /** Gives back what `prepare` took. */
  discard(id: string): Promise<void>;
  /** Ends every process. */
  close(): Promise<void>;
}
