import type { SimServer } from './sim-network.ts';

/** What a simulated container does. Times are counted from its start. */
export interface ContainerScript {
  /** Ends by itself; absent: runs until it is stopped. */
  readonly exit?: { readonly afterMs: number; readonly exitCode: number };
  /**
   * What it does on the stop signal. `ignore` (the default): nothing, as a program without a handler does when it is
   * PID 1. `die`: ends of it. Else it has a handler.
   */
  readonly onStop?: 'ignore' | 'die' | { readonly afterMs: number; readonly exitCode: number };
  readonly output?: readonly { readonly atMs: number; readonly stream: 'stdout' | 'stderr'; readonly text: string }[];
  /** What its commands do; the first entry whose command is the same. Others are not found in $PATH. */
  readonly execs?: readonly SimExec[];
  readonly servers?: readonly SimServerScript[];
  /** What it does with what is typed into it, if it was made with `stdin`. Default: nothing. */
  readonly onInput?: (text: string) => SimReaction;
  /** When its input ends. Default: nothing. */
  readonly onInputEnd?: () => SimReaction;
}

export interface SimReaction {
  /** Whole lines. */
  readonly stdout?: string;
  readonly stderr?: string;
  /** It ends. */
  readonly exitCode?: number;
}

export interface SimExec {
  readonly command: readonly string[];
  /** In order of `fromMs`; the last that is due counts. */
  readonly results: readonly SimExecResult[];
}

export interface SimExecResult {
  /** Since the container's start. Default 0. */
  readonly fromMs?: number;
  readonly exitCode: number;
  readonly stdout?: string;
  readonly stderr?: string;
  /** How long it runs. Default 0. */
  readonly takesMs?: number;
  /** What comes on its input, if it has one, is its output; it runs until that ends. */
  readonly copiesInput?: boolean;
}

export interface SimServerScript {
  readonly port: number;
  /** When it begins to listen. Default 0. */
  readonly fromMs?: number;
  /** A new one for each instance: it starts over when the container does. */
  readonly serve: (instance: SimInstance) => SimServer;
}

/** One run of a container, as its servers and the hooks see it. */
export interface SimInstance {
  readonly containerId: string;
  readonly podUid: string;
  readonly containerName: string;
  readonly hostname: string;
  /** Empty: the machine's network. */
  readonly ip: string;
  /** A line of its log. */
  writeLog(stream: 'stdout' | 'stderr', text: string): void;
}

export interface SimImage {
  /** As containerd names it: `docker.io/library/busybox:1.29`. */
  readonly name: string;
  readonly sizeBytes: number;
  /** Not on the machine until it is pulled. Default: it is there. */
  readonly mustBePulled?: boolean;
  /** Default 0, on top of the verb's own latency. */
  readonly pullMs?: number;
  /** Whoever pulls it has to know it. Default: nobody has to. */
  readonly password?: string;
  /** Whom its processes run as: a number or a name. Default: root. */
  readonly uid?: number;
  readonly username?: string;
  /** What runs without a `command`. */
  readonly entrypoint?: readonly string[];
}

/** The first rule whose image (a name as in `SimImage`; absent: any) and command are the same decides. */
export interface ScriptRule {
  readonly image?: string;
  /** The whole command line; absent: any. */
  readonly command?: readonly string[];
  readonly script: ContainerScript;
}

/** `undefined`: no rule fits, so the command does not exist. */
export function findScript(
  rules: readonly ScriptRule[],
  image: string,
  command: readonly string[],
): ContainerScript | undefined {
  return rules.find(
    (rule) =>
      (rule.image === undefined || rule.image === image) &&
      (rule.command === undefined || sameWords(rule.command, command)),
  )?.script;
}

/** `undefined`: the container has no such command. */
export function findExecResult(
  script: ContainerScript,
  command: readonly string[],
  elapsedMs: number,
): SimExecResult | undefined {
  const exec = script.execs?.find((candidate) => sameWords(candidate.command, command));
  return exec?.results.findLast((result) => (result.fromMs ?? 0) <= elapsedMs);
}

function sameWords(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((word, i) => word === b[i]);
}
