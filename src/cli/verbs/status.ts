import { humanDuration } from '../../api/age.ts';
import { parseTime } from '../../api/time.ts';
import { resources } from '../../api/resources.ts';
import type { HttpClient } from '../../client/http/http-client.ts';
import { messageOf } from '../../base/status-error.ts';
import { dataDirFlag, dataDirOf, findRunning, visiblePods, type RunningCluster } from '../livelet-home.ts';
import { describeLayout, TabWriter } from '../printers/tab-writer.ts';
import { clientOf } from '../running-client.ts';
import type { Verb, VerbCall } from '../verb.ts';

/** Exit code of `status` when nothing runs: as of `systemctl status`. */
export const notRunningExitCode = 3;

export const verb: Verb = {
  usage: 'status [--data-dir DIR]',
  help: `Show the running cluster: its URL, node, process and pods. Exit code 0: it runs. ${notRunningExitCode}: it does not. 1: it runs and does not answer.`,
  connects: false,
  flags: [dataDirFlag],
  run: runStatus,
};

async function runStatus(call: VerbCall): Promise<number> {
  const { flags, io } = call;
  const dataDir = dataDirOf(flags, io);
  const running = findRunning(dataDir);
  if (running === undefined) {
    io.out(`no cluster runs on ${dataDir}\n`);
    return notRunningExitCode;
  }
  const client = clientOf(running);
  const tabs = new TabWriter(describeLayout);
  const startedMs = parseTime(running.startedAt);
  const isAlone = running.url === '';
  if (!isAlone) tabs.write(`URL:\t${running.url}\n`);
  tabs.write(`Data:\t${dataDir}\n`);
  if (!isAlone) tabs.write(`Kubeconfig:\t${running.kubeconfigPath}\n`);
  if (running.runtime !== '') tabs.write(`Runtime:\t${running.runtime}\n`);
  tabs.write(`Process:\t${running.pid}\n`);
  if (startedMs !== undefined) tabs.write(`Up for:\t${humanDuration(io.clock.wallMs() - startedMs)}\n`);
  try {
    if (isAlone) {
      tabs.write(`Node:\t${running.nodeName} (without an API server)\n`);
      io.out(tabs.flush());
      return 0;
    }
    if (running.nodeName !== '') {
      tabs.write(`Node:\t${running.nodeName} (${await nodeState(client, running, call.signal)})\n`);
    }
    tabs.write(`Pods:\t${await podCounts(client, running, call.signal)}\n`);
    io.out(tabs.flush());
    return 0;
  } catch (error) {
    io.out(tabs.flush());
    io.err(`error: the process is there, but it does not answer: ${messageOf(error)}\n`);
    return 1;
  } finally {
    client?.close();
  }
}

async function nodeState(
  client: HttpClient | undefined,
  { nodeName }: RunningCluster,
  signal: AbortSignal,
): Promise<string> {
  const node = await client?.get(resources.nodes, { name: nodeName }, signal);
  const ready = node?.status?.conditions?.find((condition) => condition.type === 'Ready');
  return ready?.status === 'True' ? 'Ready' : 'NotReady';
}

/** `3 (2 Running, 1 Pending)`. */
async function podCounts(
  client: HttpClient | undefined,
  running: RunningCluster,
  signal: AbortSignal,
): Promise<string> {
  const pods = (await client?.list(resources.pods, visiblePods(running), signal))?.items ?? [];
  const counts = new Map<string, number>();
  for (const { status } of pods)
    counts.set(status?.phase ?? 'Unknown', (counts.get(status?.phase ?? 'Unknown') ?? 0) + 1);
  const parts = [...counts].map(([phase, count]) => `${count} ${phase}`);
  return parts.length === 0 ? '0' : `${pods.length} (${parts.join(', ')})`;
}
