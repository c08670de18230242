import { resources } from '../../api/resources.ts';
import { StatusError } from '../../base/status-error.ts';
import { CliError } from '../cli-error.ts';
import { timerNames } from '../cli-io.ts';
import {
  askToEndContainers,
  dataDirFlag,
  dataDirOf,
  findRunning,
  isSameProcess,
  removePidFile,
  visiblePods,
  type RunningCluster,
} from '../livelet-home.ts';
import { clientOf } from '../running-client.ts';
import type { Verb, VerbCall } from '../verb.ts';

export const verb: Verb = {
  usage: 'down [--data-dir DIR] [--containers] [--timeout DURATION]',
  help: `Stop the running cluster: its pods are ended gracefully, its objects stay in the data directory. Nothing running is no
error. Real containers (up --runtime cri or unix:///...) run on, and the next up takes them over; --containers ends
them too.`,
  connects: false,
  flags: [
    dataDirFlag,
    { name: 'containers', kind: 'bool', help: 'End the containers too, also those that could run on.' },
    { name: 'timeout', kind: 'duration', fallback: 30_000, help: 'How long to wait until it has ended.' },
  ],
  run: runDown,
};

const pollMs = 50;

async function runDown({ flags, io, signal }: VerbCall): Promise<number> {
  const dataDir = dataDirOf(flags, io);
  const running = findRunning(dataDir);
  const endsContainers = flags.bool('containers');
  if (running === undefined) {
    io.out(`no cluster runs on ${dataDir}\n`);
    return 0;
  }
  const left = endsContainers || running.runtime === 'process' ? 0 : await runningContainers(running, signal);
  if (endsContainers) askToEndContainers(dataDir);
  process.kill(running.pid, 'SIGTERM');
  const untilMs = io.clock.monoMs() + flags.durationMs('timeout');
  while (isSameProcess(running)) {
    if (io.clock.monoMs() > untilMs) {
      throw new CliError(`the cluster (process ${running.pid}) is still ending; look again with "livelet status"`);
    }
    await io.clock.sleep(pollMs, timerNames.downPoll, signal);
  }
  removePidFile(dataDir);
  const rest = left === 0 ? '' : `; ${left} ${left === 1 ? 'container runs' : 'containers run'} on`;
  io.out(`cluster on ${dataDir} stopped${rest}\n`);
  return 0;
}

/** As its API tells; 0 if it does not. */
async function runningContainers(running: RunningCluster, signal: AbortSignal): Promise<number> {
  const client = clientOf(running);
  try {
    const pods = (await client?.list(resources.pods, visiblePods(running), signal))?.items ?? [];
    const containers = pods.flatMap(({ status }) => [
      ...(status?.containerStatuses ?? []),
      ...(status?.initContainerStatuses ?? []),
    ]);
    return containers.filter(({ state }) => state?.running !== undefined).length;
  } catch (error) {
    if (signal.aborted || !(error instanceof StatusError)) throw error;
    return 0; // it does not answer any more, and is to end
  } finally {
    client?.close();
  }
}
