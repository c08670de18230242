import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { HttpClient } from '../src/client/http/http-client.ts';
import { loadKubeconfig } from '../src/client/http/kubeconfig.ts';
import type { ClusterAccess } from '../src/client/http/kubeconfig.ts';

const startMsMax = 30_000;
const bin = path.resolve(import.meta.dirname, '../bin/livelet.js');

/** A `livelet up` of its own, in a process of its own, as a user starts it. */
export interface LiveletProcess {
  readonly pid: number;
  readonly dataDir: string;
  readonly kubeconfigPath: string;
  readonly client: HttpClient;
  readonly access: ClusterAccess;
  /** From the command to the line that says Ready. */
  readonly readyMs: number;
  stop(): Promise<void>;
}

/**
 * Starts `livelet up` on a free port. `dataDir`: default a new temporary one, removed at the end. `runtime`: as its flag.
 */
export async function startLivelet(
  options: { readonly dataDir?: string; readonly runtime?: string } = {},
): Promise<LiveletProcess> {
  const dataDir = options.dataDir ?? fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-bench-'));
  const beganMs = performance.now();
  const runtime = options.runtime === undefined ? [] : ['--runtime', options.runtime];
  const child = spawn(process.execPath, [bin, 'up', '--data-dir', dataDir, '--port', '0', ...runtime], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await firstLine(child);
  const readyMs = performance.now() - beganMs;
  const kubeconfigPath = path.join(dataDir, 'kubeconfig');
  const access = loadKubeconfig({ file: kubeconfigPath });
  if (access === undefined) throw new Error(`no ${kubeconfigPath}`);
  const client = new HttpClient(access);
  return {
    pid: child.pid ?? 0,
    dataDir,
    kubeconfigPath,
    client,
    access,
    readyMs,
    async stop() {
      client.close();
      const exited = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await exited;
      if (options.dataDir === undefined) fs.rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const timer = setTimeout(() => reject(new Error(`livelet up said nothing within ${startMsMax} ms`)), startMsMax);
    child.once('exit', (code) => reject(new Error(`livelet up ended with ${code}: ${text}`)));
    child.stdout?.on('data', (data: Buffer) => {
      text += data.toString();
      if (!text.includes('\n')) return;
      clearTimeout(timer);
      resolve(text);
    });
  });
}

/** Resident memory of a process, in MiB. */
export function residentMib(pid: number): number {
  const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? Number.NaN) / 1_024;
}

/** CPU time used by a process so far, in seconds. */
export function cpuSeconds(pid: number): number {
  const fields = fs
    .readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100; // utime and stime, in ticks of 10 ms
}

/** The value below which `share` (0..1) of `values` lie. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function sleepMs(delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, delayMs);
  });
}
