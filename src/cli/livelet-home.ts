import fs from 'node:fs';
import path from 'node:path';
import { messageOf } from '../base/status-error.ts';
import { CliError } from './cli-error.ts';
import type { CliIo } from './cli-io.ts';
import type { Flag, FlagValues } from './flags.ts';

/** Where `livelet up` keeps its data: `$LIVELET_HOME`, else `~/.livelet`. */
export function liveletHome(env: Readonly<Record<string, string | undefined>>, homeDir: string): string {
  const configured = env['LIVELET_HOME'];
  return configured === undefined || configured === '' ? path.join(homeDir, '.livelet') : path.resolve(configured);
}

/** The cluster that runs on a data directory, as `livelet up` wrote it down in `livelet.pid`. */
export interface RunningCluster {
  readonly pid: number;
  /**
   * When the process started, in clock ticks since boot where the system tells (Linux), to know it from a later one.
   */
  readonly startTicks: string;
  readonly startedAt: string;
  readonly url: string;
  readonly nodeName: string;
  readonly runtime: string;
  /** Its server is elsewhere: the kubeconfig is that of a node, which sees its own pods only. */
  readonly isNodeOnly?: boolean;
  readonly kubeconfigPath: string;
}

/**
 * Makes a directory and those above it that are missing, and checks that it can be written. One level at a time:
 * Node's own recursive way never returns where the kernel says ENOENT for a new directory (`/proc`).
 */
export function makeDataDir(dataDir: string): void {
  try {
    const missing: string[] = [];
    for (let at = dataDir; !fs.existsSync(at); at = path.dirname(at)) missing.unshift(at);
    for (const directory of missing) fs.mkdirSync(directory, { mode: 0o700 });
    fs.accessSync(dataDir, fs.constants.W_OK | fs.constants.X_OK);
    if (!fs.statSync(dataDir).isDirectory()) throw new Error('it is no directory');
  } catch (error) {
    throw new CliError(`the data directory ${dataDir} cannot be written: ${messageOf(error)}`, { cause: error });
  }
}

/** Which pods the kubeconfig of the running cluster may list. */
export function visiblePods({ isNodeOnly = false, nodeName }: RunningCluster): { readonly fieldSelector?: string } {
  return isNodeOnly ? { fieldSelector: `spec.nodeName=${nodeName}` } : {};
}

export function pidFilePath(dataDir: string): string {
  return path.join(dataDir, 'livelet.pid');
}

/** `undefined` if none runs there: no file, or its process is gone. */
export function findRunning(dataDir: string): RunningCluster | undefined {
  const written = readPidFile(dataDir);
  return written !== undefined && isSameProcess(written) ? written : undefined;
}

function readPidFile(dataDir: string): RunningCluster | undefined {
  try {
    const parsed: unknown = JSON.parse(fs.readFileSync(pidFilePath(dataDir), 'utf8'));
    if (typeof parsed !== 'object' || parsed === null || !('pid' in parsed) || typeof parsed.pid !== 'number')
      return undefined;
    // Written by `writePidFile`; a file of another version lacks fields at worst, which are only shown.
    return parsed as RunningCluster;
  } catch {
    return undefined; // absent or half written: nothing runs that could be named
  }
}

export function writePidFile(dataDir: string, running: RunningCluster): void {
  fs.writeFileSync(pidFilePath(dataDir), `${JSON.stringify(running, undefined, 2)}\n`, { mode: 0o600 });
}

export function removePidFile(dataDir: string): void {
  fs.rmSync(pidFilePath(dataDir), { force: true });
}

function endContainersPath(dataDir: string): string {
  return path.join(dataDir, 'end-containers');
}

/** Asks the cluster that runs there to end its containers when it stops, also those that could outlive it. */
export function askToEndContainers(dataDir: string): void {
  fs.writeFileSync(endContainersPath(dataDir), '', { mode: 0o600 });
}

/** Whether that was asked, once. */
export function takeEndContainers(dataDir: string): boolean {
  const wasAsked = fs.existsSync(endContainersPath(dataDir));
  fs.rmSync(endContainersPath(dataDir), { force: true });
  return wasAsked;
}

/**
 * When process `pid` started, in clock ticks since boot; `''` where the system does not tell or there is no such
 * process.
 */
export function startTicksOf(pid: number): string {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return ''; // not Linux, or gone
  }
}

export function isSameProcess(process_: { readonly pid: number; readonly startTicks: string }): boolean {
  try {
    process.kill(process_.pid, 0);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) return false;
  }
  if (isZombie(process_.pid)) return false;
  return process_.startTicks === '' || startTicksOf(process_.pid) === process_.startTicks;
}

function isZombie(pid: number): boolean {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z');
  } catch {
    return false; // not Linux
  }
}

export const dataDirFlag: Flag = {
  name: 'data-dir',
  kind: 'string',
  help: 'Where state, certificates and logs are kept. Default: $LIVELET_HOME, else ~/.livelet.',
};

/** The data directory that the flag or the environment names, as an absolute path. */
export function dataDirOf(flags: FlagValues, io: Pick<CliIo, 'env' | 'homeDir'>): string {
  const given = flags.optional('data-dir');
  // As from --data-dir "$UNSET": the usual directory is hardly what was meant.
  if (given === undefined && flags.has('data-dir')) throw new CliError('--data-dir names no directory');
  return given === undefined ? liveletHome(io.env, io.homeDir) : path.resolve(given);
}
