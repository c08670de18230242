import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { cpuSeconds, percentile, residentMib, sleepMs, startLivelet } from './livelet-process.ts';
import type { BenchRow } from './row.ts';

const startsCount = 7;
const idleMs = 15_000;

/** From the command to Ready; memory and CPU of the whole, idle. */
export async function benchStartup(): Promise<BenchRow[]> {
  const floorMs = percentile(
    Array.from({ length: startsCount }, () => {
      const beganMs = performance.now();
      spawnSync(process.execPath, ['-e', '0']);
      return performance.now() - beganMs;
    }),
    0.5,
  );
  const bareMib = Number(
    spawnSync(process.execPath, ['-e', 'process.stdout.write(String(process.memoryUsage.rss() / 2 ** 20))']).stdout,
  );
  const firstMs: number[] = [];
  const laterMs: number[] = [];
  for (let i = 0; i < startsCount; i++) {
    const dataDir = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-bench-'));
    for (const list of [firstMs, laterMs]) {
      const livelet = await startLivelet({ dataDir });
      list.push(livelet.readyMs);
      await livelet.stop();
    }
    fs.rmSync(dataDir, { recursive: true, force: true });
  }
  const livelet = await startLivelet();
  await sleepMs(5_000); // past the start
  const usedBefore = cpuSeconds(livelet.pid);
  await sleepMs(idleMs);
  const idlePercent = ((cpuSeconds(livelet.pid) - usedBefore) / (idleMs / 1_000)) * 100;
  const mib = residentMib(livelet.pid);
  await livelet.stop();
  const floor = { floor: floorMs, floorName: 'node -e 0' };
  return [
    row('first start: command to node Ready', 'ms', percentile(firstMs, 0.5), 500, { ...floor, recorded: 5_200 }),
    row('later start: command to node Ready', 'ms', percentile(laterMs, 0.5), 500, { ...floor, recorded: 5_200 }),
    row('memory, idle, everything', 'MiB', mib, 110, { recorded: 830, floor: bareMib, floorName: 'bare Node.js' }),
    row('CPU, idle', '% of a core', idlePercent, 0.5, { recorded: 3.3 }),
  ];
}

function row(name: string, unit: string, ours: number, target: number, rest: Partial<BenchRow>): BenchRow {
  return { name, unit, ours, target, better: 'lower', ...rest };
}
