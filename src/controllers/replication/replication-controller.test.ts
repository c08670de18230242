import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startControlWorld } from '../../../test/support/control-world.ts';
import type { Pod, ReplicaSet } from '../../api/gen/types.ts';
import { resources } from '../../api/resources.ts';
import { StatusError } from '../../base/status-error.ts';
import type { ApiClient } from '../../client/api-client.ts';

type World = Awaited<ReturnType<typeof startControlWorld>>;

function replicaSet(replicas: number, rest: Partial<ReplicaSet['spec']> = {}): ReplicaSet {
  return {
    metadata: { name: 'web', namespace: 'default' },
    spec: {
      replicas,
      selector: { matchLabels: { app: 'web' } },
      template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: 'good' }] } },
      ...rest,
    },
  };
}

const ref = { namespace: 'default', name: 'web' };

async function create(world: World, object: ReplicaSet): Promise<void> {
  await world.client.create(resources.replicasets, { namespace: 'default' }, object, world.never);
  await world.clock.advance(0);
}

async function scale(world: World, replicas: number): Promise<void> {
  const scaleRef = { ...ref, subresource: 'scale' };
  await world.client.patch(
    resources.replicasets,
    scaleRef,
    { type: 'merge', body: { spec: { replicas } } },
    world.never,
  );
  await world.clock.advance(0);
}

async function statusOf(world: World): Promise<ReplicaSet['status']> {
  return (await world.client.get(resources.replicasets, ref, world.never)).status;
}

const namesOf = (pods: readonly Pod[]): string[] => pods.map(({ metadata }) => metadata?.name ?? '').sort();

test('it makes as many pods as are wanted, says so, and counts them', async () => {
  const world = await startControlWorld('rs-create');
  await create(world, replicaSet(3));
  const pods = await world.livePods();
  assert.equal(pods.length, 3);
  const [pod] = pods;
  const { uid } = (await world.client.get(resources.replicasets, ref, world.never)).metadata ?? {};
  assert.deepEqual(pod?.metadata?.ownerReferences, [
    { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid, controller: true, blockOwnerDeletion: true },
  ]);
  assert.match(pod.metadata.name ?? '', /^web-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
  assert.deepEqual(await statusOf(world), { replicas: 3, fullyLabeledReplicas: 3, observedGeneration: 1 });
  await world.runPods();
  const counts = { replicas: 3, fullyLabeledReplicas: 3, readyReplicas: 3, availableReplicas: 3 };
  assert.deepEqual(await statusOf(world), { ...counts, observedGeneration: 1 });
  assert.deepEqual(
    [...(await world.eventsOf('web'))].sort(),
    namesOf(pods).map((name) => `SuccessfulCreate Created pod: ${name}`),
  );
  await world.close();
});

test('a ready pod counts as available only after minReadySeconds', async () => {
  const world = await startControlWorld('rs-min-ready');
  await create(world, replicaSet(2, { minReadySeconds: 10 }));
  await world.runPods();
  assert.deepEqual(
    [(await statusOf(world))?.readyReplicas, (await statusOf(world))?.availableReplicas],
    [2, undefined],
  );
  await world.clock.advance(9_999);
  assert.equal((await statusOf(world))?.availableReplicas, undefined);
  await world.clock.advance(1);
  assert.equal((await statusOf(world))?.availableReplicas, 2);
  await world.close();
});

test('what fails, is deleted, or is relabelled is replaced; what matches and has no owner is adopted', async () => {
  const world = await startControlWorld('rs-replace');
  await create(world, replicaSet(3));
  await world.runPods();
  const [first, second, third] = namesOf(await world.livePods());
  await world.setStatus(first ?? '', { phase: 'Failed' });
  await world.client.delete(resources.pods, { namespace: 'default', name: second ?? '' }, {}, world.never);
  const relabel = { type: 'merge', body: { metadata: { labels: { app: 'other' } } } } as const;
  await world.client.patch(resources.pods, { namespace: 'default', name: third ?? '' }, relabel, world.never);
  await world.clock.advance(0);
  await world.runPods();
  const live = await world.livePods();
  assert.equal(live.length, 5); // the failed one stays as it is, the relabelled one is let go
  const released = live.find(({ metadata }) => metadata?.name === third);
  assert.equal(released?.metadata?.ownerReferences, undefined);
  const orphan = {
    metadata: { name: 'orphan', labels: { app: 'web' } },
    spec: { containers: [{ name: 'c', image: 'i' }] },
  };
  await world.client.create(resources.pods, { namespace: 'default' }, orphan, world.never);
  await world.clock.advance(0);
  const left = await world.livePods();
  assert.ok(!namesOf(left).includes('orphan'), 'adopted, it was one too many, and the first to go: it had no node');
  assert.equal((await statusOf(world))?.replicas, 3);
  await world.close();
});

test('it does not count before it sees what it has asked for, but for 5 minutes at most', async () => {
  let isBlind = false;
  const blind = (client: ApiClient): ApiClient => ({
    ...client,
    async *watch(type, options, signal) {
      for await (const event of client.watch(type, options, signal)) {
        if (isBlind && event.type === 'ADDED' && type.resource === 'pods') continue;
        // Filtering events keeps their type.
        yield event as never;
      }
    },
  });
  const world = await startControlWorld('rs-expectations', { through: blind });
  isBlind = true;
  await create(world, replicaSet(2));
  await scale(world, 4);
  assert.equal((await world.livePods()).length, 2);
  await world.clock.advance(299_000);
  assert.equal((await world.livePods()).length, 2);
  await world.clock.advance(2_000);
  assert.equal((await world.livePods()).length, 6);
  await world.close();
});

test('creation starts slowly, and stops at the first failure; the status says why', async () => {
  const sizes: number[] = [];
  let allowed = 3;
  let pending = 0;
  const failing = (client: ApiClient): ApiClient => ({
    ...client,
    async create(type, where, object, signal, options) {
      if (type.resource !== 'pods') return client.create(type, where, object, signal, options);
      pending += 1;
      await Promise.resolve();
      if (pending > 0) sizes.push(pending);
      pending = 0;
      if (allowed === 0) throw new StatusError('Forbidden', 'pods "web-" is forbidden: exceeded quota');
      allowed -= 1;
      return client.create(type, where, object, signal, options);
    },
  });
  const world = await startControlWorld('rs-slow-start', { through: failing });
  await create(world, replicaSet(50));
  assert.deepEqual(sizes.slice(0, 3), [1, 2, 4]);
  assert.equal((await world.livePods()).length, 3);
  const condition = (await statusOf(world))?.conditions?.[0];
  assert.deepEqual(
    [condition?.type, condition?.status, condition?.reason, condition?.message],
    ['ReplicaFailure', 'True', 'FailedCreate', 'pods "web-" is forbidden: exceeded quota'],
  );
  const events = await world.eventsOf('web');
  assert.ok(events.includes('FailedCreate Error creating: pods "web-" is forbidden: exceeded quota'));
  allowed = 1_000;
  await world.clock.advance(60_000);
  assert.equal((await world.livePods()).length, 50);
  assert.equal((await statusOf(world))?.conditions, undefined);
  await world.close();
});

test('a create whose answer is lost is not done twice', async () => {
  let losing = 2;
  const lossy = (client: ApiClient): ApiClient => ({
    ...client,
    async create(type, where, object, signal, options) {
      const created = await client.create(type, where, object, signal, options);
      if (type.resource !== 'pods' || losing === 0) return created as never;
      losing -= 1;
      throw new StatusError('ServiceUnavailable', 'the connection broke');
    },
  });
  const world = await startControlWorld('rs-lost', { through: lossy });
  let most = 0;
  await create(world, replicaSet(3));
  for (let step = 0; step < 50; step++) {
    most = Math.max(most, (await world.livePods()).length);
    await world.clock.advance(10);
  }
  assert.deepEqual([most, (await world.livePods()).length], [3, 3]);
  await world.close();
});

test('a replication controller leaves its pods alone when it is deleted, a replica set does not', async () => {
  const world = await startControlWorld('rc-orphans');
  await create(world, replicaSet(2));
  const { template } = replicaSet(2).spec ?? {};
  const labelled = { ...template, metadata: { labels: { app: 'rc' } } };
  const controller = { metadata: { name: 'web' }, spec: { replicas: 2, template: labelled } };
  await world.client.create(resources.replicationcontrollers, { namespace: 'default' }, controller, world.never);
  await world.clock.advance(0);
  assert.equal((await world.livePods()).length, 4);
  await world.client.delete(resources.replicationcontrollers, ref, {}, world.never);
  await world.client.delete(resources.replicasets, ref, {}, world.never);
  await world.clock.advance(100);
  const left = await world.livePods();
  assert.deepEqual(
    left.map(({ metadata }) => [metadata?.labels?.['app'], metadata?.ownerReferences]),
    [
      ['rc', undefined],
      ['rc', undefined],
    ],
  );
  await world.close();
});
