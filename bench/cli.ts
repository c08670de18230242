import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { percentile, startLivelet } from './livelet-process.ts';
import type { BenchRow } from './row.ts';

const callsCount = 15;
const bin = path.resolve(import.meta.dirname, '../bin/livelet.js');

function medianMs(command: string, args: readonly string[], env: NodeJS.ProcessEnv): number | undefined {
  const times: number[] = [];
  for (let i = 0; i < callsCount; i++) {
    const beganMs = performance.now();
    const { status } = spawnSync(command, [...args], { env });
    if (status !== 0) return undefined; // not installed
    times.push(performance.now() - beganMs);
  }
  return percentile(times, 0.5);
}

/** What it takes to ask: our CLI beside kubectl, against the same server. */
export async function benchCli(): Promise<BenchRow[]> {
  const livelet = await startLivelet();
  const env = { ...process.env, KUBECONFIG: livelet.kubeconfigPath };
  const floorMs = medianMs(process.execPath, ['-e', '0'], env) ?? Number.NaN;
  const rows = [['get', 'nodes'], ['version']].map((args): BenchRow => {
    const peer = medianMs('kubectl', args, env);
    return {
      name: `livelet ${args.join(' ')}`,
      unit: 'ms',
      ours: medianMs(process.execPath, [bin, ...args], env) ?? Number.NaN,
      floor: floorMs,
      floorName: 'node -e 0',
      ...(peer === undefined ? {} : { peer, peerName: 'kubectl' }),
      target: 3 * floorMs,
      better: 'lower',
    };
  });
  await livelet.stop();
  return rows;
}
