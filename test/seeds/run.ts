/**
 * `npm run sim -- --seed N`: one run, with what was armed. If it fails, one fault site after the other is disarmed, and
 * the smallest set that still fails is printed. `npm run sim -- --count N [--from M] [--jobs J]`: many, `J` of them at
 * once (default: as many as there are processors), until one fails; with `--all`, all of them; with `--minutes`, those
 * that begin within this time: how many is said. With `--clusters`, runs
 * of several nodes, of up to `--nodes` (10). With `--twice` each one again in another process, which has to be the same
 * run. With `--times` each one's duration.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { simVerbs } from '../../src/sim/sim-runtime.ts';
import { features } from './clusters/cluster-run.ts';
import type { SeedRun, SeedVerdict } from './seed-worker.ts';

const seedSecondsMax = 180; // of real time; most take one or two
const seedsOfOneProcess = 100; // then a new one, so that memory is bounded

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    count: { type: 'string', default: '100' },
    from: { type: 'string', default: '0' },
    jobs: { type: 'string', default: String(os.availableParallelism()) },
    all: { type: 'boolean', default: false },
    minutes: { type: 'string', default: 'Infinity' },
    times: { type: 'boolean', default: false },
    twice: { type: 'boolean', default: false },
    clusters: { type: 'boolean', default: false },
    nodes: { type: 'string', default: '10' },
  },
});

const sites = [
  ...simVerbs.flatMap((verb) => [`cri.${verb}.lostRequest`, `cri.${verb}.lostReply`]),
  'cri.startContainer.late',
  'cri.stopContainer.hung',
  'cri.pullImage.slow',
  'store.slow',
  ...['kubelet', 'informer', 'control'].flatMap((client) =>
    ['lostRequest', 'duplicated', 'lostReply', 'expired', 'slow', 'watchBreaks'].map((what) => `api.${client}.${what}`),
  ),
  ...features.map((name) => `feature.${name}`), // of clusters
];

/** Runs seeds in a process of its own, so that one that spins without an end can be ended. */
class SeedProcess {
  #child: ReturnType<typeof fork> | undefined;
  #runs = 0;

  async run(seed: string, disarmed: readonly string[] = []): Promise<SeedVerdict> {
    if (this.#runs >= seedsOfOneProcess) this.close();
    this.#child ??= fork(path.join(import.meta.dirname, 'seed-worker.ts'));
    this.#runs += 1;
    const child = this.#child;
    const order: SeedRun = { seed, disarmed, ...(values.clusters ? { nodesMax: Number(values.nodes) } : {}) };
    const over = new AbortController();
    const timer = setTimeout(() => over.abort(), seedSecondsMax * 1_000);
    try {
      child.send(order);
      const ended = once(child, 'exit', { signal: over.signal }).then(([code]): SeedVerdict => {
        this.close();
        return { failure: `the process ended with ${String(code)}` };
      });
      // The worker sends nothing else.
      const answered = once(child, 'message', { signal: over.signal }).then(([verdict]) => verdict as SeedVerdict);
      return await Promise.race([answered, ended]);
    } catch {
      this.close();
      return { failure: `did not end within ${seedSecondsMax} s` };
    } finally {
      clearTimeout(timer);
      over.abort();
    }
  }

  close(): void {
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
    this.#runs = 0;
  }
}

async function runOne(seed: string): Promise<boolean> {
  const seeds = new SeedProcess();
  try {
    const { failure, result } = await seeds.run(seed);
    console.log(failure === undefined ? result : `seed ${seed}: ${failure}`);
    if (failure === undefined) return true;
    const disarmed: string[] = [];
    for (const site of sites) {
      if ((await seeds.run(seed, [...disarmed, site])).failure !== undefined) disarmed.push(site);
    }
    const needed = sites.filter((site) => !disarmed.includes(site));
    console.log(`fault sites that it needs: ${needed.join(', ') || 'none'}`);
    return false;
  } finally {
    seeds.close();
  }
}

async function runMany(from: number, count: number): Promise<boolean> {
  let next = from;
  const failed: number[] = [];
  const untilMs = performance.now() + Number(values.minutes) * 60_000;
  const work = async (): Promise<void> => {
    const seeds = new SeedProcess();
    const others = new SeedProcess();
    try {
      while (next < from + count && performance.now() < untilMs && (values.all || failed.length === 0)) {
        const seed = next++;
        const beganMs = performance.now();
        const first = await seeds.run(String(seed));
        const second = values.twice ? await others.run(String(seed)) : first;
        const isSame = first.result?.trace === second.result?.trace;
        const failure = first.failure ?? second.failure ?? (isSame ? undefined : 'the same seed gave another run');
        if (values.times) console.log(`seed ${seed}: ${Math.round(performance.now() - beganMs)} ms`);
        if (failure === undefined) continue;
        failed.push(seed);
        console.log(`seed ${seed}: ${failure}`);
      }
    } finally {
      seeds.close();
      others.close();
    }
  };
  await Promise.all(Array.from({ length: Number(values.jobs) }, work));
  if (failed.length === 0) console.log(`${next - from} seeds from ${from}: all came to rest`);
  else console.log(`failed: ${failed.sort((a, b) => a - b).join(' ')}`);
  return failed.length === 0;
}

const isGood = await (values.seed === undefined
  ? runMany(Number(values.from), Number(values.count))
  : runOne(values.seed));
process.exitCode = isGood ? 0 : 1;
