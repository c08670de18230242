/** What the tests of `ContainerRuntime` share: the commands that a runtime under test must know, and a bench for each test. */
import type {
  ContainerConfig,
  ContainerRuntime,
  PodSandboxConfig,
  RuntimeContainerStatus,
} from '../../src/cri/runtime.ts';
import { containerConfig, sandboxConfig } from './runtime-configs.ts';

export interface OpenedRuntime {
  readonly runtime: ContainerRuntime;
  readonly logRoot: string;
  readonly readLog: (logPath: string) => Promise<string>;
  /** Whether a container's command is PID 1, and so ignores signals that it has no handler for. */
  readonly isPid1: boolean;
  /** What listens on `suitePort` and sends back all that comes, until that ends. Default: `suiteCommands.echoServer`. */
  readonly echoServer?: readonly string[];
  /** Whether pods' addresses are of the range that it is told. Default: yes, where pods have addresses. */
  readonly followsPodCidr?: boolean;
  /** Whether `tty: true` is possible. Default: yes. */
  readonly hasTerminals?: boolean;
  readonly close: () => Promise<void>;
}

/** Another one for each process: some runtimes have no networks of pods. */
export const suitePort = 20_000 + (process.pid % 20_000);
export const suiteBigBytes = 1_000_000;

export const suiteCommands = {
  /** Writes `out` and, to stderr, `err`; ends with 7. */
  seven: ['sh', '-c', 'echo out; echo err >&2; exit 7'],
  /** Ends with 0 at once. */
  zero: ['sh', '-c', 'echo done'],
  /** Has no handler for SIGTERM. */
  sleeper: ['sleep', '600'],
  /** Says `up` when its handler for SIGTERM, which ends it with 3, is in place. */
  handler: ['sh', '-c', "trap 'exit 3' TERM; echo up; while true; do sleep 0.02; done"],
  /** Says `before`; answers each line with `got LINE` and, on stderr, `err`; ends with 4 at the line `end`. */
  reader: [
    'sh',
    '-c',
    'echo before; while read line; do [ "$line" = end ] && exit 4; echo "got $line"; echo err >&2; done',
  ],
  /** Its input is its output. */
  copier: ['cat'],
  echoServer: ['nc', '-ll', '-p', String(suitePort), '-e', 'cat'],
} as const satisfies Record<string, readonly string[]>;

export const suiteExecs = {
  fails: ['sh', '-c', 'echo o; echo e >&2; exit 5'],
  lasts: ['sleep', '30'],
  /** Dies of SIGKILL. */
  dies: ['sh', '-c', 'kill -KILL $$'],
  copies: ['cat'],
  big: ['sh', '-c', `yes | head -c ${suiteBigBytes}`],
} as const satisfies Record<string, readonly string[]>;

/** One test's runtime, with what the tests do all the time. */
export class RuntimeBench {
  readonly opened: OpenedRuntime;
  readonly runtime: ContainerRuntime;
  readonly signal: AbortSignal;

  constructor(opened: OpenedRuntime, signal: AbortSignal) {
    this.opened = opened;
    this.runtime = opened.runtime;
    this.signal = signal;
  }

  async sandbox(overrides: Partial<PodSandboxConfig> = {}): Promise<{ id: string; config: PodSandboxConfig }> {
    const config = sandboxConfig(this.opened.logRoot, overrides);
    return { id: await this.runtime.runPodSandbox(config, this.signal), config };
  }

  async create(
    sandbox: { id: string; config: PodSandboxConfig },
    command: readonly string[],
    overrides: Partial<ContainerConfig> = {},
  ): Promise<string> {
    const config = containerConfig(sandbox.config, command, overrides);
    return await this.runtime.createContainer(sandbox.id, config, sandbox.config, this.signal);
  }

  /** Creates and starts it in `sandbox`, or in one of its own. */
  async run(
    command: readonly string[],
    overrides: Partial<ContainerConfig> = {},
    sandbox?: { id: string; config: PodSandboxConfig },
  ): Promise<string> {
    const id = await this.create(sandbox ?? (await this.sandbox()), command, overrides);
    await this.runtime.startContainer(id, this.signal);
    return id;
  }

  status(id: string): Promise<RuntimeContainerStatus> {
    return this.runtime.containerStatus(id, this.signal);
  }

  /** Its status once it has ended by itself. Waits for events, not for time. */
  async ended(id: string): Promise<RuntimeContainerStatus> {
    const stop = new AbortController();
    const events = this.runtime.events(stop.signal);
    try {
      if ((await this.status(id)).state === 'exited') return await this.status(id);
      for await (const event of events) {
        if (event.containerId === id && event.kind === 'stopped') break;
      }
      return await this.status(id);
    } finally {
      stop.abort(new Error('seen'));
    }
  }

  async log(id: string): Promise<string> {
    return await this.opened.readLog((await this.status(id)).logPath);
  }

  /** Runs to its end, and gives the texts of its log. */
  async output(command: readonly string[], overrides: Partial<ContainerConfig> = {}): Promise<string> {
    const id = await this.run(command, overrides);
    await this.ended(id);
    return logTexts(await this.log(id));
  }

  /** Waits until the log says `text`. */
  async said(id: string, text: string): Promise<void> {
    while (!(await this.log(id).catch(() => '')).includes(text)) await this.status(id);
  }
}

/** Without timestamps, streams and tags. */
export function logTexts(log: string): string {
  return log.replaceAll(/^\S+ (?:stdout|stderr) [FP] /gm, '');
}

export type RuntimeTest = (sentence: string, body: (bench: RuntimeBench) => Promise<void>) => void;
