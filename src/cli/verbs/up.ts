import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { formatTime } from '../../api/time.ts';
import { messageOf, StatusError } from '../../base/status-error.ts';
import type { ClusterHandle } from '../../main/livelet.ts';
import { CliError } from '../cli-error.ts';
import { timerNames } from '../cli-io.ts';
import {
  dataDirFlag,
  dataDirOf,
  findRunning,
  makeDataDir,
  removePidFile,
  takeEndContainers,
  startTicksOf,
  writePidFile,
  type RunningCluster,
} from '../livelet-home.ts';
import { checkedFailover, failoverFlag } from '../failover-flag.ts';
import { fileLog } from '../file-log.ts';
import { firstFreePort } from '../free-port.ts';
import { checkedRuntime, runtimeFlag } from '../runtime-flag.ts';
import type { Verb, VerbCall } from '../verb.ts';

export const verb: Verb = {
  usage:
    'up [--data-dir DIR] [--port N] [--node-name NAME] [--runtime process|cri|unix:///SOCKET] [--failover default|fast] [--detach]',
  help: `Start a cluster in this process: API server, scheduler, controllers and one node. Prints one line when the node is Ready,
and runs until Ctrl-C or SIGTERM: then pods are ended gracefully (a second signal ends at once). Objects stay in the
data directory. Real containers (--runtime cri or unix:///...) run on, and the next up takes them over.`,
  connects: false,
  flags: [
    dataDirFlag,
    {
      name: 'port',
      kind: 'int',
      help: 'TCP port of the API server on 127.0.0.1; 0: any free one. Default: 6443, or the next free one.',
    },
    { name: 'node-name', kind: 'string', help: "Name of the node. Default: this computer's host name." },
    runtimeFlag,
    failoverFlag,
    { name: 'detach', kind: 'bool', help: 'Start it in the background, wait until it is Ready, and return.' },
  ],
  run: (call) => (call.flags.bool('detach') ? runDetached(call) : runHere(call)),
};

const logName = 'livelet.log';
const defaultPort = 6_443;
const portMax = 65_535;
const detachedStartMs = 30_000;
const detachedPollMs = 20;
const stopGraceMs = 5_000;

async function runHere(call: VerbCall): Promise<number> {
  const { io, signal } = call;
  const dataDir = dataDirOf(call.flags, io);
  checkWords(call);
  const already = findRunning(dataDir);
  if (already !== undefined) throw alreadyRuns(dataDir, already);
  const cluster = await startOrExplain(call, dataDir);
  try {
    const running = runningCluster(call, cluster);
    takeEndContainers(dataDir); // asked of an earlier one, which was killed first
    writePidFile(dataDir, running);
    for (const notice of cluster.notices) io.err(`note: ${notice}\n`);
    io.out(readyLine(running));
    const reason = await untilStopped(cluster, signal);
    if (reason === 'brokeDown') return 1;
    await endCluster(dataDir, cluster);
    return 0;
  } finally {
    removePidFile(dataDir);
    await cluster.stop(stopGraceMs);
  }
}

/** Containers that can outlive this process do, unless `down --containers` asked for their end. */
async function endCluster(dataDir: string, cluster: ClusterHandle): Promise<void> {
  if (takeEndContainers(dataDir)) await cluster.stop(stopGraceMs);
  else await cluster.leave();
}

function checkWords({ args, flags }: VerbCall): void {
  if (args.length > 0) throw new CliError(`up takes no arguments: ${args.join(' ')}`);
  checkedRuntime(flags);
  checkedFailover(flags);
  const port = flags.int('port');
  if (port < 0 || port > portMax) throw new CliError(`--port ${port} is not between 0 and ${portMax}`);
}

function alreadyRuns(dataDir: string, running: RunningCluster): CliError {
  return new CliError(`a cluster already runs on ${dataDir} (process ${running.pid}, ${running.url})`);
}

async function startOrExplain({ flags, io }: VerbCall, dataDir: string): Promise<ClusterHandle> {
  makeDataDir(dataDir);
  const port = flags.has('port') ? flags.int('port') : await firstFreePort(defaultPort);
  const nodeName = flags.optional('node-name');
  // Loaded here, since it is most of the program: other verbs start without it.
  const { startCluster } = await import('../../main/cluster.ts');
  try {
    return await startCluster({
      dataDir,
      port,
      runtime: checkedRuntime(flags),
      failover: checkedFailover(flags),
      log: fileLog(path.join(dataDir, logName), io.clock),
      ...(nodeName === undefined ? {} : { nodeName }),
    });
  } catch (error) {
    const running = findRunning(dataDir);
    if (running !== undefined) throw alreadyRuns(dataDir, running);
    // Its message says what to do; the reason is for programs.
    if (error instanceof StatusError) throw new CliError(oneLine(error.message), { cause: error });
    throw new CliError(`the cluster did not start: ${oneLine(messageOf(error))}`, { cause: error });
  }
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, ' ');
}

function runningCluster({ io }: VerbCall, cluster: ClusterHandle): RunningCluster {
  return {
    pid: process.pid,
    startTicks: startTicksOf(process.pid),
    startedAt: formatTime(io.clock.wallMs()),
    url: cluster.url,
    nodeName: cluster.nodeName,
    runtime: cluster.runtime,
    kubeconfigPath: cluster.kubeconfigPath,
  };
}

/** The path itself: `livelet` is not on the PATH of who came by npx. */
function readyLine({ nodeName, url, kubeconfigPath }: RunningCluster): string {
  return `node ${nodeName} is Ready, API server at ${url}; export KUBECONFIG=${shellQuoted(kubeconfigPath)}\n`;
}

function shellQuoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

async function untilStopped(cluster: ClusterHandle, signal: AbortSignal): Promise<'asked' | 'brokeDown'> {
  const asked = new Promise<'asked'>((resolve) => {
    if (signal.aborted) resolve('asked');
    signal.addEventListener('abort', () => resolve('asked'), { once: true });
  });
  const ended = cluster.stopped.then(
    () => 'asked' as const,
    (error: unknown) => {
      throw new CliError(`the cluster broke down: ${messageOf(error)}`, { cause: error });
    },
  );
  return await Promise.race([asked, ended]);
}

/** Starts this program again in the background, with its output in `livelet.log`, and waits for its pid file. */
async function runDetached(call: VerbCall): Promise<number> {
  const { flags, io, signal } = call;
  const dataDir = dataDirOf(flags, io);
  checkWords(call);
  const already = findRunning(dataDir);
  if (already !== undefined) throw alreadyRuns(dataDir, already);
  const logPath = path.join(dataDir, logName);
  const log = openLog(dataDir, logPath);
  const logStart = fs.fstatSync(log).size; // what is before is of earlier ones
  const script = process.argv[1] ?? '';
  const words = ['up', '--data-dir', dataDir, ...passedOn(call)];
  const child = spawn(process.execPath, [...process.execArgv, script, ...words], {
    detached: true,
    stdio: ['ignore', log, log],
    cwd: '/',
  });
  fs.closeSync(log);
  let exitCode: number | undefined;
  child.once('exit', (code) => {
    exitCode = code ?? 1;
  });
  child.once('error', () => {
    exitCode = 1;
  });
  const untilMs = io.clock.monoMs() + detachedStartMs;
  for (;;) {
    const running = findRunning(dataDir);
    if (running?.pid === child.pid && running !== undefined) {
      child.unref();
      for (const line of newLines(logPath, logStart).filter((text) => text.startsWith('note: '))) io.err(`${line}\n`);
      io.out(readyLine(running));
      return 0;
    }
    if (exitCode !== undefined) throw new CliError(lastError(logPath, logStart), { verbatim: true });
    if (io.clock.monoMs() > untilMs) {
      child.kill('SIGTERM');
      throw new CliError(`the cluster was not Ready within ${detachedStartMs / 1_000} s; see ${logPath}`);
    }
    await io.clock.sleep(detachedPollMs, timerNames.upWait, signal);
  }
}

function openLog(dataDir: string, logPath: string): number {
  makeDataDir(dataDir);
  return fs.openSync(logPath, 'a', 0o600);
}

function passedOn({ flags }: VerbCall): string[] {
  const nodeName = flags.optional('node-name');
  return [
    ...(flags.has('port') ? ['--port', String(flags.int('port'))] : []),
    ...(nodeName === undefined ? [] : ['--node-name', nodeName]),
    '--runtime',
    flags.string('runtime'),
    '--failover',
    flags.string('failover'),
  ];
}

function newLines(logPath: string, start: number): string[] {
  return fs.readFileSync(logPath).subarray(start).toString().split('\n');
}

function lastError(logPath: string, start: number): string {
  const lines = newLines(logPath, start).filter((line) => line !== '');
  return lines.findLast((line) => line.startsWith('error: ')) ?? lines.at(-1) ?? 'error: the cluster did not start';
}
