/** What verbs share that start something in this process, or in one in the background: `up`, `server`, `node`. */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { formatTime } from '../api/time.ts';
import { messageOf, StatusError } from '../base/status-error.ts';
import type { Log } from '../base/log.ts';
import { CliError } from './cli-error.ts';
import { timerNames } from './cli-io.ts';
import { fileLog } from './file-log.ts';
import type { Flag } from './flags.ts';
import {
  dataDirOf,
  findRunning,
  makeDataDir,
  removePidFile,
  takeEndContainers,
  startTicksOf,
  writePidFile,
  type RunningCluster,
} from './livelet-home.ts';
import type { VerbCall } from './verb.ts';

/** What runs, as `main/` hands it out. */
export interface HostedHandle {
  /** `''`: there is no API server, and so no kubeconfig. */
  readonly url: string;
  readonly kubeconfigPath: string;
  readonly nodeName?: string;
  readonly runtime?: string;
  readonly notices?: readonly string[];
  readonly stopped: Promise<void>;
  stop(graceMs?: number): Promise<void>;
  leave?(): Promise<number>;
}

export interface HostedVerb {
  /** `up` */
  readonly name: string;
  /** For texts: `cluster`, `server`, `node`. */
  readonly what: string;
  /** Throws for words that make no sense, before anything is started. */
  check(call: VerbCall): void;
  start(call: VerbCall, dataDir: string, log: Log): Promise<HostedHandle>;
  /** Printed when it is ready. */
  readyLine(running: RunningCluster): string;
  /** Its flags as words, for the process in the background. */
  passedOn(call: VerbCall): string[];
}

export const detachFlag: Flag = {
  name: 'detach',
  kind: 'bool',
  help: 'Start it in the background, wait until it is Ready, and return.',
};

const logName = 'livelet.log';
const detachedStartMs = 35_000; // longer than it waits itself, so that it can say why
const detachedPollMs = 20;
const stopGraceMs = 5_000;

export function runHosted(call: VerbCall, verb: HostedVerb): Promise<number> {
  return call.flags.bool('detach') ? runDetached(call, verb) : runHere(call, verb);
}

async function runHere(call: VerbCall, verb: HostedVerb): Promise<number> {
  const { io, signal } = call;
  const dataDir = dataDirOf(call.flags, io);
  verb.check(call);
  const already = findRunning(dataDir);
  if (already !== undefined) throw alreadyRuns(dataDir, already);
  const handle = await startOrExplain(call, verb, dataDir);
  try {
    const running = runningOf(call, verb, handle);
    takeEndContainers(dataDir); // asked of an earlier one, which was killed first
    writePidFile(dataDir, running);
    for (const notice of handle.notices ?? []) io.err(`note: ${notice}\n`);
    io.out(verb.readyLine(running));
    const reason = await untilStopped(verb, handle, signal);
    if (reason === 'brokeDown') return 1;
    await end(dataDir, handle);
    return 0;
  } finally {
    removePidFile(dataDir);
    await handle.stop(stopGraceMs);
  }
}

/** Containers that can outlive this process do, unless `down --containers` asked for their end. */
async function end(dataDir: string, handle: HostedHandle): Promise<void> {
  if (takeEndContainers(dataDir) || handle.leave === undefined) await handle.stop(stopGraceMs);
  else await handle.leave();
}

function alreadyRuns(dataDir: string, running: RunningCluster): CliError {
  return new CliError(
    `a cluster already runs on ${dataDir} (process ${[running.pid, running.url].filter(Boolean).join(', ')})`,
  );
}

async function startOrExplain(call: VerbCall, verb: HostedVerb, dataDir: string): Promise<HostedHandle> {
  makeDataDir(dataDir);
  try {
    return await verb.start(call, dataDir, fileLog(path.join(dataDir, logName), call.io.clock));
  } catch (error) {
    if (call.signal.aborted) throw error;
    const running = findRunning(dataDir);
    if (running !== undefined) throw alreadyRuns(dataDir, running);
    // Its message says what to do; the reason is for programs.
    if (error instanceof StatusError) throw new CliError(oneLine(error.message), { cause: error });
    throw new CliError(`the ${verb.what} did not start: ${oneLine(messageOf(error))}`, { cause: error });
  }
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, ' ');
}

function runningOf({ io }: VerbCall, { name }: HostedVerb, handle: HostedHandle): RunningCluster {
  return {
    pid: process.pid,
    startTicks: startTicksOf(process.pid),
    startedAt: formatTime(io.clock.wallMs()),
    url: handle.url,
    nodeName: handle.nodeName ?? '',
    runtime: handle.runtime ?? '',
    ...(name === 'node' ? { isNodeOnly: true } : {}),
    kubeconfigPath: handle.kubeconfigPath,
  };
}

export function shellQuoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

async function untilStopped(
  { what }: HostedVerb,
  handle: HostedHandle,
  signal: AbortSignal,
): Promise<'asked' | 'brokeDown'> {
  const asked = new Promise<'asked'>((resolve) => {
    if (signal.aborted) resolve('asked');
    signal.addEventListener('abort', () => resolve('asked'), { once: true });
  });
  const ended = handle.stopped.then(
    () => 'asked' as const,
    (error: unknown) => {
      throw new CliError(`the ${what} broke down: ${messageOf(error)}`, { cause: error });
    },
  );
  return await Promise.race([asked, ended]);
}

/** Starts this program again in the background, with its output in `livelet.log`, and waits for its pid file. */
async function runDetached(call: VerbCall, verb: HostedVerb): Promise<number> {
  const { flags, io, signal } = call;
  const dataDir = dataDirOf(flags, io);
  verb.check(call);
  const already = findRunning(dataDir);
  if (already !== undefined) throw alreadyRuns(dataDir, already);
  const logPath = path.join(dataDir, logName);
  const log = openLog(dataDir, logPath);
  const logStart = fs.fstatSync(log).size; // what is before is of earlier ones
  const script = process.argv[1] ?? '';
  const words = [verb.name, '--data-dir', dataDir, ...verb.passedOn(call)];
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
      io.out(verb.readyLine(running));
      return 0;
    }
    if (exitCode !== undefined) throw new CliError(lastError(verb, logPath, logStart), { verbatim: true });
    if (io.clock.monoMs() > untilMs) {
      child.kill('SIGTERM');
      throw new CliError(`the ${verb.what} was not Ready within ${detachedStartMs / 1_000} s; see ${logPath}`);
    }
    await io.clock.sleep(detachedPollMs, timerNames.upWait, signal);
  }
}

function openLog(dataDir: string, logPath: string): number {
  makeDataDir(dataDir);
  return fs.openSync(logPath, 'a', 0o600);
}

/** The flags of these names that were given, as words. */
export function givenFlags({ flags }: VerbCall, names: readonly string[]): string[] {
  return names.filter((name) => flags.has(name)).map((name) => `--${name}=${flags.string(name)}`);
}

function newLines(logPath: string, start: number): string[] {
  return fs.readFileSync(logPath).subarray(start).toString().split('\n');
}

function lastError({ what }: HostedVerb, logPath: string, start: number): string {
  const lines = newLines(logPath, start).filter((line) => line !== '');
  return lines.findLast((line) => line.startsWith('error: ')) ?? lines.at(-1) ?? `error: the ${what} did not start`;
}
