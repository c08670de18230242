/**
 * `npm run bench [PART...]`: measures, prints the table of figures beside floors and peers of the same run, and with
 * `--save` keeps it in bench/results/ with the machine that it ran on. Parts: startup, pods, containerd, api,
 * probes, store, scheduler, scale, cli. Peers are measured where they are on the PATH: pm2, kubectl.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { benchApi } from './api.ts';
import { benchCli } from './cli.ts';
import { benchContainerd } from './containerd.ts';
import { benchPods } from './pods.ts';
import { benchProbes } from './probes.ts';
import type { BenchRow } from './row.ts';
import { benchScale } from './scale.ts';
import { benchScheduler } from './scheduler.ts';
import { benchStartup } from './startup.ts';
import { benchStore } from './store.ts';

const parts: Readonly<Record<string, () => Promise<BenchRow[]>>> = {
  startup: benchStartup,
  pods: benchPods,
  containerd: benchContainerd,
  api: benchApi,
  probes: benchProbes,
  store: benchStore,
  scheduler: benchScheduler,
  scale: benchScale,
  cli: benchCli,
};

function format(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return '-';
  return value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3);
}

function verdict({ ours, target, better }: BenchRow): string {
  return (better === 'lower' ? ours <= target : ours >= target) ? 'reached' : 'short';
}

function print(rows: readonly BenchRow[]): void {
  const cells = rows.map((row) => [
    `${row.name} [${row.unit}]`,
    format(row.ours),
    row.floor === undefined ? '-' : `${format(row.floor)} (${row.floorName})`,
    format(row.recorded),
    row.peer === undefined ? '-' : `${format(row.peer)} (${row.peerName})`,
    `${row.better === 'lower' ? '<=' : '>='} ${format(row.target)}`,
    verdict(row),
  ]);
  const table = [['what', 'ours', 'floor', 'Kubernetes', 'peer', 'to reach', ''], ...cells];
  const widths = table[0]?.map((_, column) => Math.max(...table.map((line) => line[column]?.length ?? 0))) ?? [];
  for (const line of table) console.log(line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '));
}

const wanted = process.argv.slice(2).filter((argument) => argument !== '--save');
const unknown = wanted.filter((part) => parts[part] === undefined);
if (unknown.length > 0) {
  console.error(`no such part: ${unknown.join(', ')}; there are ${Object.keys(parts).join(', ')}`);
  process.exit(2);
}
const rows: BenchRow[] = [];
for (const [name, run] of Object.entries(parts)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  console.error(`measuring: ${name}`);
  rows.push(...(await run()));
}
print(rows);
if (process.argv.includes('--save')) {
  const directory = path.join(import.meta.dirname, 'results');
  fs.mkdirSync(directory, { recursive: true });
  const machine = {
    cpu: os.cpus()[0]?.model,
    cores: os.cpus().length,
    memoryGib: Math.round(os.totalmem() / 2 ** 30),
    kernel: os.release(),
    node: process.version,
    // Of the last 1, 5 and 15 min: above the number of cores, others worked on it as well.
    load: os.loadavg().map((load) => Number(load.toFixed(1))),
  };
  const day = new Date().toISOString().slice(0, 10);
  const name = wanted.length > 0 ? `${day}-${wanted.join('-')}` : day;
  fs.writeFileSync(path.join(directory, `${name}.json`), `${JSON.stringify({ day, machine, rows }, null, 2)}\n`);
}
