/**
 * `npm run sim -- --seed N`: one run, with what was armed. If it fails, one fault site after the other is disarmed, and
 * the smallest set that still fails is printed. `npm run sim -- --count N [--from M]`: many, stops at the first failure.
 * With `--clusters` runs of several nodes, of up to `--nodes` (10).
 */
import { parseArgs } from 'node:util';
import { simVerbs } from '../../src/sim/sim-runtime.ts';
import { runClusterSeed } from './clusters/run-cluster-seed.ts';
import { runSeed } from './run-seed.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    count: { type: 'string' },
    from: { type: 'string', default: '0' },
    times: { type: 'boolean' },
    clusters: { type: 'boolean' },
    nodes: { type: 'string', default: '10' },
  },
});

const nodesMax = Number(values.nodes);

function run(seed: string, disarmed: ReadonlySet<string>): Promise<object> {
  return values.clusters === true ? runClusterSeed(seed, { disarmed, nodesMax }) : runSeed(seed, disarmed);
}

async function failureOf(seed: string, disarmed: ReadonlySet<string>): Promise<string | undefined> {
  try {
    await run(seed, disarmed);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const sites = [
  ...simVerbs.flatMap((verb) => [`cri.${verb}.lostRequest`, `cri.${verb}.lostReply`]),
  'cri.startContainer.late',
  'cri.stopContainer.hung',
  'cri.pullImage.slow',
  'store.slow',
  ...['kubelet', 'informer', 'control'].flatMap((client) =>
    ['lostRequest', 'duplicated', 'lostReply', 'expired', 'slow', 'watchBreaks'].map((what) => `api.${client}.${what}`),
  ),
];

async function shrink(seed: string): Promise<void> {
  const disarmed = new Set<string>();
  for (const site of sites) {
    disarmed.add(site);
    if ((await failureOf(seed, disarmed)) === undefined) disarmed.delete(site);
  }
  const needed = sites.filter((site) => !disarmed.has(site));
  console.log(`fault sites that it needs: ${needed.join(', ') || 'none'}`);
}

if (values.seed !== undefined) {
  const failure = await failureOf(values.seed, new Set());
  if (failure === undefined) {
    console.log(await run(values.seed, new Set()));
  } else {
    console.log(`seed ${values.seed}: ${failure}`);
    await shrink(values.seed);
    process.exitCode = 1;
  }
} else {
  const from = Number(values.from);
  const count = Number(values.count ?? 100);
  for (let seed = from; seed < from + count; seed++) {
    const beganMs = performance.now();
    const failure = await failureOf(String(seed), new Set());
    if (values.times === true) console.log(`seed ${seed}: ${Math.round(performance.now() - beganMs)} ms`);
    if (failure === undefined) continue;
    console.log(`seed ${seed}: ${failure}`);
    process.exitCode = 1;
    break;
  }
  if (process.exitCode !== 1) console.log(`${count} seeds from ${from}: all came to rest`);
}
