import os from 'node:os';
import type { Clock } from '../base/clock.ts';

/** The surroundings of one run of the CLI; tests inject their own. */
export interface CliIo {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly homeDir: string;
  readonly stdin: AsyncIterable<Uint8Array>;
  /** Whether a person looks at stdout: only then colour and redrawing. */
  readonly stdoutIsTty: boolean;
  readonly clock: Clock;
  out(text: string | Uint8Array): void;
  err(text: string): void;
}

/** Names of this program's waits. */
export const timerNames = {
  deletePoll: 'cli.delete.poll',
  deleteTimeout: 'cli.delete.timeout',
  downPoll: 'cli.down.poll',
  upWait: 'cli.up.wait',
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
    clock,
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
  };
}
