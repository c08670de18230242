import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '../../src/api/gen/types.ts';
import { hasReason, invariant } from '../../src/base/status-error.ts';
import { resources } from '../../src/api/resources.ts';
import { isTracked } from '../../src/controllers/job/job-progress.ts';
import { SeededEntropy } from '../../src/sim/seeded-entropy.ts';
import { startJobWorld } from '../support/job-world.ts';
import { lossyClient } from '../support/lossy-client.ts';

const seedCount = 6;
const safetySeconds = 120;
const livenessSeconds = 700; // 300 s for a pod that came and went while a watch was broken, and delays after failures
const completions = 6;

/** Even indexes succeed, odd ones fail until they may no more. */
async function runJob(seed: string): Promise<void> {
  const entropy = new SeededEntropy(seed);
  const chaos = entropy.fork('chaos');
  const faults = { on: false, breaksWatches: chaos.unit() < 0.5 };
  const backoffLimitPerIndex = Math.floor(chaos.unit() * 3);
  const spec = { completionMode: 'Indexed', completions, parallelism: 3, backoffLimitPerIndex };
  const world = await startJobWorld(seed, 'succeeds/fails', spec, {
    through: (client) => lossyClient(client, entropy.fork('faults'), faults),
  });
  faults.on = true;
  const { client, clock, never } = world;
  const letGoAlive = new Set<string>(); // what the controller ends itself, the job going on, is not counted
  const failedUids = new Set<string>();
  world.scope.start(async (signal) => {
    for await (const { type, object } of client.watch<Pod>(resources.pods, { namespace: 'default' }, signal)) {
      if (type === 'BOOKMARK') continue;
      const { uid = '', deletionTimestamp } = object.metadata ?? {};
      const phase = object.status?.phase;
      if (phase === 'Succeeded') continue;
      const hasFailed = phase === 'Failed' || deletionTimestamp !== undefined;
      if (!hasFailed && !isTracked(object)) letGoAlive.add(uid);
      if (hasFailed && !letGoAlive.has(uid)) failedUids.add(uid);
    }
  });
  let before = { failed: 0, succeeded: 0 };
  const check = async (): Promise<void> => {
    const { failed = 0, succeeded = 0, completedIndexes = '' } = (await world.get()).status ?? {};
    invariant(failed >= before.failed && succeeded >= before.succeeded, `counts fell: ${failed}, ${succeeded}`);
    invariant(failed <= failedUids.size, `${failed} failures are counted, of ${failedUids.size}`);
    invariant(/^(0?(,?2)?(,?4)?)$/.test(completedIndexes), `completed: ${completedIndexes}`);
    before = { failed, succeeded };
  };
  const disturb = async (pods: readonly Pod[]): Promise<void> => {
    const victim = pods[Math.floor(chaos.unit() * pods.length)];
    const draw = chaos.unit();
    if (draw < 0.05) await world.restartControllers();
    else if (draw < 0.1 && victim?.status?.phase === 'Failed') {
      const ref = { namespace: 'default', name: victim.metadata?.name ?? '' };
      await client.delete(resources.pods, ref, {}, never);
    }
  };
  for (let step = 0; step < safetySeconds * 5; step++) {
    await clock.advance(200);
    await check();
    if (chaos.unit() < 0.3) await world.runPods();
    if (chaos.unit() < 0.3) await unlessGone(disturb(await world.pods()));
  }
  faults.on = false;
  for (let second = 0; second < livenessSeconds; second += 5) {
    await world.runPods();
    await clock.advance(5_000);
    await check();
  }
  const {
    completedIndexes,
    failedIndexes,
    failed,
    succeeded,
    active,
    conditions = [],
  } = (await world.get()).status ?? {};
  assert.deepEqual([completedIndexes, failedIndexes, succeeded, active], ['0,2,4', '1,3,5', 3, undefined]);
  assert.deepEqual(
    conditions.map(({ type, reason }) => `${type} ${reason ?? ''}`),
    ['FailureTarget FailedIndexes', 'Failed FailedIndexes'],
  );
  assert.equal(failed, failedUids.size, 'failures are counted once each');
  assert.equal((await world.pods()).filter(isTracked).length, 0);
  await world.close();
}

/** The pod that it is about may have gone meanwhile. */
async function unlessGone(doing: Promise<void>): Promise<void> {
  try {
    await doing;
  } catch (error) {
    if (!hasReason(error, 'NotFound')) throw error;
  }
}

test(`whatever gets lost, each index of a job ends once, and each failure is counted once (${seedCount} seeds)`, async () => {
  for (let seed = 0; seed < seedCount; seed++) {
    try {
      await runJob(`jobs-${seed}`);
    } catch (error) {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }
});
