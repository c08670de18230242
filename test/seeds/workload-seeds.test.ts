import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '../../src/api/gen/types.ts';
import { resources } from '../../src/api/resources.ts';
import { hasReason, invariant } from '../../src/base/status-error.ts';
import { SeededEntropy } from '../../src/sim/seeded-entropy.ts';
import { startControlWorld } from '../support/control-world.ts';
import { lossyClient } from '../support/lossy-client.ts';

const seedCount = 8;
const safetySeconds = 90;
const livenessSeconds = 400; // a pod that came and went while a watch was broken is waited for for 300 s
const replicas = 4;
const surge = 1;
const namespace = 'default';
const images = ['good', 'better', 'best', 'never-ready'];

function template(app: string, image: string): object {
  return { metadata: { labels: { app } }, spec: { containers: [{ name: 'c', image }] } };
}

async function runWorkloads(seed: string): Promise<void> {
  const entropy = new SeededEntropy(seed);
  const chaos = entropy.fork('chaos');
  const faults = { on: true, breaksWatches: chaos.unit() < 0.5 };
  const world = await startControlWorld(seed, {
    through: (client) => lossyClient(client, entropy.fork('faults'), faults),
  });
  const { client, clock, never } = world;
  const controller = { metadata: { name: 'rc' }, spec: { replicas, template: template('rc', 'good') } };
  await client.create(resources.replicationcontrollers, { namespace }, controller, never);
  const selector = { matchLabels: { app: 'web' } };
  const deployment = { metadata: { name: 'web' }, spec: { replicas, selector, template: template('web', 'good') } };
  await client.create(resources.deployments, { namespace }, deployment, never);

  const isLive = ({ status, metadata }: Pod): boolean =>
    metadata?.deletionTimestamp === undefined && status?.phase !== 'Failed' && status?.phase !== 'Succeeded';
  const check = async (): Promise<readonly Pod[]> => {
    const live = (await world.pods()).filter(isLive);
    const countOf = (app: string): number => live.filter(({ metadata }) => metadata?.labels?.['app'] === app).length;
    invariant(countOf('rc') <= replicas, `${countOf('rc')} pods of rc, never more than ${replicas}`);
    const { items } = await client.list(resources.replicasets, { namespace }, never);
    const wanted = items.reduce((sum, { spec }) => sum + (spec?.replicas ?? 0), 0);
    invariant(wanted <= replicas + surge, `${wanted} pods of web wanted, never more than ${replicas + surge}`);
    // Who counts pods by a broken watch counts those of some time ago.
    const isExact = !faults.breaksWatches;
    invariant(!isExact || countOf('web') <= replicas + surge, `${countOf('web')} pods of web, of ${wanted} wanted`);
    return live;
  };
  const setImage = async (image: string): Promise<void> => {
    const body = { spec: { template: { spec: { containers: [{ name: 'c', image }] } } } };
    await client.patch(resources.deployments, { namespace, name: 'web' }, { type: 'strategic', body }, never);
  };
  const disturb = async (live: readonly Pod[]): Promise<void> => {
    const victim = live[Math.floor(chaos.unit() * live.length)];
    const name = victim?.metadata?.name ?? '';
    const draw = chaos.unit();
    if (draw < 0.1 && victim?.spec?.nodeName !== undefined) await world.setStatus(name, { phase: 'Failed' });
    else if (draw < 0.2 && victim !== undefined) await client.delete(resources.pods, { namespace, name }, {}, never);
    else if (draw < 0.25) await setImage(images[Math.floor(chaos.unit() * images.length)] ?? 'good');
    else if (draw < 0.27) await world.restartControllers();
  };

  for (let step = 0; step < safetySeconds * 5; step++) {
    await clock.advance(200);
    const live = await check();
    if (chaos.unit() < 0.3) await world.runPods();
    if (chaos.unit() < 0.3) await unlessGone(disturb(live));
  }
  faults.on = false;
  await setImage('good');
  for (let second = 0; second < livenessSeconds; second += 5) {
    await world.runPods();
    await clock.advance(5_000);
    await check();
  }
  const live = await check();
  const shown = live.map(({ metadata, spec, status }) => {
    const ready = status?.conditions?.find(({ type }) => type === 'Ready')?.status ?? 'False';
    return `${metadata?.labels?.['app'] ?? ''} ${spec?.containers[0]?.image ?? ''} ${ready}`;
  });
  const wanted = ['rc good True', 'web good True'].flatMap((text) => Array.from({ length: replicas }, () => text));
  assert.deepEqual(shown.sort(), wanted);
  const { status } = await client.get(resources.deployments, { namespace, name: 'web' }, never);
  const { updatedReplicas, availableReplicas } = status ?? {};
  assert.deepEqual([updatedReplicas, availableReplicas, status?.replicas], [replicas, replicas, replicas]);
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

test(`whatever gets lost, there are never too many pods, and in the end as many as wanted (${seedCount} seeds)`, async () => {
  for (let seed = 0; seed < seedCount; seed++) {
    try {
      await runWorkloads(`workloads-${seed}`);
    } catch (error) {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }
});
