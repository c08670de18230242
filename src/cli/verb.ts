import type { ApiConnection } from './api-connection.ts';
import type { CliIo } from './cli-io.ts';
import type { Flag, FlagValues } from './flags.ts';

/** What a verb gets to work with. */
export interface VerbCall {
  readonly args: readonly string[];
  /** How many of them stand before `--`; `undefined`: there is none. */
  readonly argsBeforeDash: number | undefined;
  readonly flags: FlagValues;
  readonly io: CliIo;
  /** Aborted by Ctrl-C or SIGTERM. */
  readonly signal: AbortSignal;
  /**
   * Opens the connection that `flags` (default: the call's own) and the environment name; closed when the verb ends.
   */
  connect(flags?: FlagValues): ApiConnection;
  /** All verbs by name. */
  readonly verbs: VerbTable;
}

export type VerbTable = Readonly<Record<string, VerbEntry>>;

export interface VerbEntry {
  /** One line of `livelet --help`; absent: not listed there. */
  readonly summary?: string;
  load(): Promise<{ readonly verb: Verb }>;
}

/** One verb of the CLI; each has a file of its own under `verbs/`, loaded only when it is called. */
export interface Verb {
  /** After `Usage:`, without the program's name: `get (TYPE [NAME | -l label]) [flags]`. */
  readonly usage: string;
  /** What `--help` says first. */
  readonly help: string;
  /** Its own, besides those of the connection. */
  readonly flags: readonly Flag[];
  /** Whether it talks to an API server, and so takes the flags that say which. */
  readonly connects: boolean;
  /** Resolves to the exit code; what goes wrong is thrown. */
  run(call: VerbCall): Promise<number>;
}
