import { CliError } from '../cli-error.ts';
import { timerNames } from '../cli-io.ts';
import { dataDirFlag, dataDirOf, findRunning, isSameProcess, removePidFile } from '../livelet-home.ts';
import type { Verb, VerbCall } from '../verb.ts';

export const verb: Verb = {
  usage: 'down [--data-dir DIR] [--timeout DURATION]',
  help: 'Stop the running cluster: its pods are ended gracefully, its objects stay in the data directory. Nothing running is no error.',
  connects: false,
  flags: [
    dataDirFlag,
    { name: 'timeout', kind: 'duration', fallback: 30_000, help: 'How long to wait until it has ended.' },
  ],
  run: runDown,
};

const pollMs = 50;

async function runDown({ flags, io, signal }: VerbCall): Promise<number> {
  const dataDir = dataDirOf(flags, io);
  const running = findRunning(dataDir);
  if (running === undefined) {
    io.out(`no cluster runs on ${dataDir}\n`);
    return 0;
  }
  process.kill(running.pid, 'SIGTERM');
  const untilMs = io.clock.monoMs() + flags.durationMs('timeout');
  while (isSameProcess(running)) {
    if (io.clock.monoMs() > untilMs) {
      throw new CliError(`the cluster (process ${running.pid}) is still ending; look again with "livelet status"`);
    }
    await io.clock.sleep(pollMs, timerNames.downPoll, signal);
  }
  removePidFile(dataDir);
  io.out(`cluster on ${dataDir} stopped\n`);
  return 0;
}
