import os from 'node:os';
import type { Clock } from '../base/clock.ts';

/** The terminal that a person types at. */
export interface Terminal {
  /** Raw: every key goes to the program as it is, Ctrl-C too. */
  setRaw(isRaw: boolean): void;
  /** Columns and rows. */
  size(): { readonly width: number; readonly height: number };
  /** Calls `listener` after each change of its size, until what it returns is called. */
  onResize(listener: () => void): () => void;
}

/** The surroundings of one run of the CLI; tests inject their own. */
export interface CliIo {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly homeDir: string;
  readonly stdin: AsyncIterable<Uint8Array>;
  /** Whether a person looks at stdout: only then colour and redrawing. */
  readonly stdoutIsTty: boolean;
  /** Where stdin is one. */
  readonly terminal?: Terminal | undefined;
  readonly clock: Clock;
  /** As `out`; resolves when it has gone out, so that a slow reader slows the writer down. */
  write(bytes: Uint8Array): Promise<void>;
  out(text: string | Uint8Array): void;
  err(text: string): void;
}

/** Names of this program's waits. */
export const timerNames = {
  deletePoll: 'cli.delete.poll',
  deleteTimeout: 'cli.delete.timeout',
  downPoll: 'cli.down.poll',
  upWait: 'cli.up.wait',
  rolloutTimeout: 'cli.rollout.timeout',
  drillPoll: 'cli.drill.poll',
  rolloutPoll: 'cli.rollout.poll',
  logsRetry: 'cli.logs.retry',
  demoBound: 'cli.demo.bound',
  demoPoll: 'cli.demo.poll',
  requestTimeout: 'cli.request.timeout',
} as const;

/** This process's own streams. `clock`: of this computer. */
export function processIo(clock: Clock): CliIo {
  // A reader that went away (`| head`) ends the program quietly.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(0);
      throw error;
    });
  }
  return {
    env: process.env,
    homeDir: os.homedir(),
    stdin: process.stdin,
    stdoutIsTty: process.stdout.isTTY === true,
    terminal: process.stdin.isTTY === true ? processTerminal() : undefined,
    clock,
    write: (bytes) =>
      new Promise((resolve) => {
        process.stdout.write(bytes, () => resolve());
      }),
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
  };
}

function processTerminal(): Terminal {
  return {
    setRaw: (isRaw) => void process.stdin.setRawMode(isRaw),
    size: () => ({ width: process.stdout.columns ?? 80, height: process.stdout.rows ?? 24 }),
    onResize(listener) {
      process.stdout.on('resize', listener);
      return () => void process.stdout.off('resize', listener);
    },
  };
}
