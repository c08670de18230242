import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { runClusterSeed } from './clusters/run-cluster-seed.ts';
import { runSeed } from './run-seed.ts';

const seedsCount = Number(process.env['LIVELET_SEEDS'] ?? 40);

const clustersCount = Number(process.env['LIVELET_CLUSTER_SEEDS'] ?? 3);

/** Seeds that once failed; a bug found by one has its line in docs/track-record.md. */
const known = fs
  .readFileSync(path.join(import.meta.dirname, 'seeds.txt'), 'utf8')
  .split('\n')
  .map((line) => line.replace(/#.*/, '').trim())
  .filter(Boolean);

test('the same seed gives the same run, and another seed another one', async () => {
  const [first, again, other] = [await runSeed('1'), await runSeed('1'), await runSeed('2')];
  assert.equal(first.trace, again.trace);
  assert.notEqual(first.trace, other.trace);
});

test(`nothing that must not happen does, and every run comes to rest (${seedsCount} seeds)`, async () => {
  const failures: string[] = [];
  for (const seed of [...known, ...Array.from({ length: seedsCount }, (_, index) => String(index))]) {
    try {
      await runSeed(seed);
    } catch (error) {
      failures.push(`npm run sim -- --seed ${seed}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  assert.deepEqual(failures, []);
});

test(`clusters of several nodes keep the rules too, and come to rest (${clustersCount} seeds)`, async () => {
  const failures: string[] = [];
  for (let seed = 0; seed < clustersCount; seed++) {
    try {
      const { trace } = await runClusterSeed(String(seed), { nodesMax: 5 });
      if (seed === 0) assert.equal((await runClusterSeed('0', { nodesMax: 5 })).trace, trace, 'the same run again');
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      failures.push(`npm run sim -- --clusters --nodes 5 --seed ${seed}: ${text}`);
    }
  }
  assert.deepEqual(failures, []);
});
