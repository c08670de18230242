import fs from 'node:fs';
import path from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { readJsonFile, writeJsonFile } from './json-file.ts';
import type { ContainerRecord, ProcessIdentity } from './records.ts';

const endMsMax = 5_000; // for a killed process to be gone
const lookMs = 10;

/** `undefined`: there is no such process, or (elsewhere than on Linux) no sure way to know it again. */
export function processIdentity(pid: number): ProcessIdentity | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // the name before may hold anything
    if (fields[0] === 'Z') return undefined; // ended, only not yet waited for
    return { pid, startTicks: fields[19] ?? '' };
  } catch {
    return undefined; // gone
  }
}

/** Ends `leftover` with its process group if it still is the same process, and waits until it is gone. */
export async function endLeftover(leftover: ProcessIdentity, clock: Clock, signal: AbortSignal): Promise<boolean> {
  const isSame = (): boolean => processIdentity(leftover.pid)?.startTicks === leftover.startTicks;
  if (!isSame()) return false;
  kill(-leftover.pid);
  kill(leftover.pid);
  for (let waitedMs = 0; isSame() && waitedMs < endMsMax; waitedMs += lookMs) {
    await clock.sleep(lookMs, 'cri.process.leftover', signal);
  }
  return true;
}

/** The launcher of the last start, if it still runs: all namespaces' processes end with it. */
export async function endLeftoverLauncher(stateDir: string, clock: Clock, signal: AbortSignal): Promise<void> {
  const value = readJsonFile(launcherFile(stateDir));
  if (typeof value !== 'object' || value === null || !('pid' in value) || !('startTicks' in value)) return;
  const { pid, startTicks } = value;
  if (typeof pid !== 'number' || typeof startTicks !== 'string') return;
  await endLeftover({ pid, startTicks }, clock, signal);
}

export async function rememberLauncher(stateDir: string, pid: number): Promise<void> {
  const identity = processIdentity(pid);
  if (identity !== undefined) await writeJsonFile(launcherFile(stateDir), identity);
}

/** When it really ended nobody saw: not before it last said something. */
export function endedState(record: ContainerRecord): Extract<ContainerRecord['state'], { kind: 'exited' }> {
  if (record.state.kind === 'exited') return record.state;
  const startedWallMs = record.state.kind === 'running' ? record.state.startedWallMs : record.createdWallMs;
  const logWallMs = fs.statSync(record.logFile, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return {
    kind: 'exited',
    startedWallMs,
    finishedWallMs: Math.max(startedWallMs, Math.floor(logWallMs)),
    exitCode: 137,
    reason: 'Error',
    message: '',
  };
}

function launcherFile(stateDir: string): string {
  return path.join(stateDir, 'launcher.json');
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    return; // gone already
  }
}
