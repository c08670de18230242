import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startControlWorld } from '../../../test/support/control-world.ts';
import type { Deployment, DeploymentSpec, ReplicaSet } from '../../api/gen/types.ts';
import { resources } from '../../api/resources.ts';
import { templateHash } from './revisions.ts';

const ref = { namespace: 'default', name: 'web' };

function deployment(replicas: number, image: string, rest: Partial<DeploymentSpec> = {}): Deployment {
  return {
    metadata: { name: 'web', namespace: 'default' },
    spec: {
      replicas,
      selector: { matchLabels: { app: 'web' } },
      template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image }] } },
      ...rest,
    },
  };
}

async function setUp(seed: string, object: Deployment) {
  const world = await startControlWorld(seed);
  const { client, never } = world;
  await client.create(resources.deployments, { namespace: 'default' }, object, never);
  await world.clock.advance(0);
  return {
    ...world,
    async patch(spec: object, metadata: object = {}): Promise<void> {
      const body = { spec, metadata };
      await client.patch(resources.deployments, ref, { type: 'strategic', body }, never);
      await world.clock.advance(0);
    },
    setImage(image: string): Promise<void> {
      return this.patch({ template: { spec: { containers: [{ name: 'c', image }] } } });
    },
    get: (): Promise<Deployment> => client.get(resources.deployments, ref, never),
    async sets(): Promise<readonly ReplicaSet[]> {
      const { items } = await client.list(resources.replicasets, { namespace: 'default' }, never);
      const revision = (one: ReplicaSet): number =>
        Number(one.metadata?.annotations?.['deployment.kubernetes.io/revision']);
      return [...items].sort((a, b) => revision(a) - revision(b));
    },
    /** Wanted sizes of its replica sets, by revision. */
    async sizes(): Promise<readonly (number | undefined)[]> {
      return (await this.sets()).map(({ spec }) => spec?.replicas);
    },
    async conditions(): Promise<readonly string[]> {
      const { conditions = [] } = (await this.get()).status ?? {};
      return conditions.map(({ type, status, reason }) => `${type}=${status} ${reason ?? ''}`).sort();
    },
  };
}

test('a deployment makes a replica set of its template, and is done when its pods are available', async () => {
  const world = await setUp('deploy-create', deployment(3, 'good'));
  const [only] = await world.sets();
  const name = only?.metadata?.name ?? '';
  assert.match(name, /^web-[bcdfghjklmnpqrstvwxz2456789]{5,10}$/);
  const hash = name.slice('web-'.length);
  assert.deepEqual(
    [only?.spec?.selector.matchLabels, only?.metadata?.labels, only?.spec?.template?.metadata?.labels],
    Array.from({ length: 3 }, () => ({ app: 'web', 'pod-template-hash': hash })),
  );
  assert.deepEqual(only?.metadata?.annotations, {
    'deployment.kubernetes.io/desired-replicas': '3',
    'deployment.kubernetes.io/max-replicas': '4',
    'deployment.kubernetes.io/revision': '1',
  });
  assert.deepEqual(await world.conditions(), [
    'Available=False MinimumReplicasUnavailable',
    'Progressing=True ReplicaSetUpdated',
  ]);
  await world.live(3);
  const { metadata, status } = await world.get();
  const { conditions, ...counts } = status ?? {};
  const all = { replicas: 3, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 3 };
  assert.deepEqual(counts, { ...all, observedGeneration: 1 });
  assert.deepEqual(metadata?.annotations, { 'deployment.kubernetes.io/revision': '1' });
  assert.equal(metadata.generation, 1);
  assert.deepEqual(
    conditions?.map(({ reason, message }) => `${reason}: ${message}`),
    [
      'MinimumReplicasAvailable: Deployment has minimum availability.',
      `NewReplicaSetAvailable: ReplicaSet "${name}" has successfully progressed.`,
    ],
  );
  assert.deepEqual(await world.eventsOf('web'), [`ScalingReplicaSet Scaled up replica set ${name} from 0 to 3`]);
  await world.close();
});

test('a rolling update keeps within its bounds: 25 % more, 25 % less', async () => {
  const world = await setUp('deploy-roll', deployment(10, 'good'));
  await world.live(3);
  await world.setImage('better');
  let [most, least] = [0, 10];
  for (let second = 0; second < 15; second++) {
    const live = await world.livePods();
    most = Math.max(most, live.length);
    const ready = live.filter(({ status }) =>
      status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True'),
    );
    least = Math.min(least, ready.length);
    await world.live(1);
  }
  assert.deepEqual([most, least], [13, 8]);
  assert.deepEqual(await world.sizes(), [0, 10]);
  assert.ok((await world.livePods()).every(({ spec }) => spec?.containers[0]?.image === 'better'));
  assert.deepEqual(await world.conditions(), [
    'Available=True MinimumReplicasAvailable',
    'Progressing=True NewReplicaSetAvailable',
  ]);
  const [before, now] = (await world.sets()).map(({ metadata }) => metadata?.name ?? '');
  assert.deepEqual((await world.eventsOf('web')).slice(0, 4), [
    `ScalingReplicaSet Scaled up replica set ${before} from 0 to 10`,
    `ScalingReplicaSet Scaled up replica set ${now} from 0 to 3`,
    `ScalingReplicaSet Scaled down replica set ${before} from 10 to 8`,
    `ScalingReplicaSet Scaled up replica set ${now} from 3 to 5`,
  ]);
  await world.close();
});

test('an image that never gets ready leaves enough old pods, times out, and can be rolled back', async () => {
  const world = await setUp('deploy-bad', deployment(4, 'good', { progressDeadlineSeconds: 60 }));
  await world.live(3);
  await world.setImage('never-ready');
  await world.live(50);
  assert.deepEqual(await world.sizes(), [3, 2]);
  assert.ok((await world.conditions()).includes('Progressing=True ReplicaSetUpdated'));
  await world.live(20);
  assert.deepEqual(await world.conditions(), [
    'Available=True MinimumReplicasAvailable',
    'Progressing=False ProgressDeadlineExceeded',
  ]);
  await world.setImage('good');
  await world.live(5);
  const sets = await world.sets();
  assert.deepEqual(
    sets.map(({ metadata, spec }) => [
      metadata?.annotations?.['deployment.kubernetes.io/revision'],
      metadata?.annotations?.['deployment.kubernetes.io/revision-history'],
      spec?.replicas,
    ]),
    [
      ['2', undefined, 0],
      ['3', '1', 4],
    ],
  );
  assert.equal((await world.get()).metadata?.annotations?.['deployment.kubernetes.io/revision'], '3');
  assert.ok((await world.conditions()).includes('Progressing=True NewReplicaSetAvailable'));
  await world.close();
});

test('scaled in the middle of a rollout, old and new grow in proportion', async () => {
  const strategy = { rollingUpdate: { maxSurge: 3, maxUnavailable: 2 } };
  const world = await setUp('deploy-proportional', deployment(10, 'good', { strategy }));
  await world.live(3);
  await world.setImage('never-ready');
  await world.live(5);
  assert.deepEqual(await world.sizes(), [8, 5]);
  await world.patch({ replicas: 15 });
  assert.deepEqual(await world.sizes(), [11, 7]);
  await world.patch({ replicas: 0 });
  await world.live(3);
  assert.deepEqual(await world.sizes(), [0, 0]);
  await world.close();
});

test('paused, it follows its size but not its template; resumed, it follows both', async () => {
  const world = await setUp('deploy-pause', deployment(2, 'good'));
  await world.live(3);
  await world.patch({ paused: true });
  assert.ok((await world.conditions()).includes('Progressing=Unknown DeploymentPaused'));
  await world.setImage('better');
  await world.patch({ replicas: 3 });
  await world.live(3);
  assert.deepEqual(await world.sizes(), [3]);
  await world.patch({ paused: false });
  await world.live(10);
  assert.deepEqual(await world.sizes(), [0, 3]);
  assert.ok((await world.conditions()).includes('Progressing=True NewReplicaSetAvailable'));
  await world.close();
});

test('Recreate: no new pod comes before the last old one is gone', async () => {
  const world = await setUp('deploy-recreate', deployment(3, 'good', { strategy: { type: 'Recreate' } }));
  await world.live(3);
  await world.setImage('better');
  assert.deepEqual([(await world.livePods()).length, (await world.pods()).length], [0, 3]);
  await world.clock.advance(20_000);
  assert.equal((await world.livePods()).length, 0);
  await world.live(3);
  const images = (await world.pods()).map(({ spec }) => spec?.containers[0]?.image);
  assert.deepEqual(images, ['better', 'better', 'better']);
  await world.close();
});

test('old replica sets beyond the limit are deleted, the oldest first', async () => {
  const world = await setUp('deploy-history', deployment(1, 'v1', { revisionHistoryLimit: 2 }));
  await world.live(4);
  for (const image of ['v2', 'v3', 'v4', 'v5']) {
    await world.setImage(image);
    await world.live(6);
  }
  const sets = await world.sets();
  assert.deepEqual(
    sets.map(({ spec }) => spec?.template?.spec?.containers[0]?.image),
    ['v3', 'v4', 'v5'],
  );
  await world.close();
});

test('a replica set made by hand is taken over, and its revision counts, with all its digits', async () => {
  const world = await startControlWorld('deploy-adopts');
  const { client, never } = world;
  const labels = { app: 'web', pod: 'httpd' };
  const made: ReplicaSet = {
    metadata: { name: 'by-hand', labels, annotations: { 'deployment.kubernetes.io/revision': '3546343826724305832' } },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'good' }] } },
    },
  };
  await client.create(resources.replicasets, { namespace: 'default' }, made, never);
  await world.live(3);
  await client.create(resources.deployments, { namespace: 'default' }, deployment(1, 'good'), never);
  await world.live(3);
  const { metadata } = await client.get<Deployment>(resources.deployments, ref, never);
  assert.equal(metadata?.annotations?.['deployment.kubernetes.io/revision'], '3546343826724305833');
  const adopted = await client.get<ReplicaSet>(resources.replicasets, { namespace: 'default', name: 'by-hand' }, never);
  assert.deepEqual([adopted.metadata?.ownerReferences?.[0]?.name, adopted.spec?.replicas], ['web', 0]);
  await world.close();
});

test('a rollout is overtaken by the next one, and what was never ready goes before what serves', async () => {
  const strategy = { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } };
  const world = await setUp('deploy-rollover', deployment(2, 'good', { minReadySeconds: 3, strategy }));
  await world.live(6);
  await world.setImage('never-ready');
  await world.live(10);
  assert.deepEqual(await world.sizes(), [2, 1]);
  await world.setImage('better');
  let least = 2;
  for (let second = 0; second < 20; second++) {
    await world.live(1);
    const serving = (await world.livePods()).filter(({ spec }) => spec?.containers[0]?.image !== 'never-ready');
    least = Math.min(least, serving.length);
  }
  assert.deepEqual([least, await world.sizes()], [2, [0, 0, 2]]);
  await world.close();
});

test('another replica set that has the name of the next one makes it take another name', async () => {
  const world = await setUp('deploy-collision', deployment(1, 'good'));
  await world.live(2);
  const { metadata, spec } = (await world.sets())[0] ?? {};
  // As the server completes it: what is hashed has its defaults.
  const { spec: podSpec } = spec?.template ?? {};
  const containers = (podSpec?.containers ?? []).map((one) => ({ ...one, image: 'better' }));
  const next = { metadata: { labels: { app: 'web' } }, spec: { ...podSpec, containers } };
  const name = `web-${templateHash(next, undefined)}`;
  const labels = { app: 'other' };
  const other: ReplicaSet = {
    metadata: { name },
    spec: { replicas: 0, selector: { matchLabels: labels }, template: { ...next, metadata: { labels } } },
  };
  await world.client.create(resources.replicasets, { namespace: 'default' }, other, world.never);
  await world.setImage('better');
  await world.live(4);
  assert.equal((await world.get()).status?.collisionCount, 1);
  const own = (await world.sets()).filter((one) => one.metadata?.ownerReferences !== undefined);
  assert.deepEqual(
    own.map((one) => [one.metadata?.name === metadata?.name, one.metadata?.name === name, one.spec?.replicas]),
    [
      [true, false, 0],
      [false, false, 1],
    ],
  );
  await world.close();
});

test('conditions that somebody else has put into the status stay', async () => {
  const world = await setUp('deploy-foreign-condition', deployment(1, 'good'));
  await world.live(2);
  const condition = { type: 'StatusUpdate', status: 'True', reason: 'E2E', message: 'Set from e2e test' };
  const status = { ref: { ...ref, subresource: 'status' }, body: { status: { conditions: [condition] } } };
  await world.client.patch(resources.deployments, status.ref, { type: 'merge', body: status.body }, world.never);
  await world.clock.advance(0);
  const all = (await world.get()).status?.conditions ?? [];
  assert.deepEqual(all[0], condition);
  assert.deepEqual(await world.conditions(), [
    'Available=True MinimumReplicasAvailable',
    'Progressing=True NewReplicaSetAvailable',
    'StatusUpdate=True E2E',
  ]);
  await world.close();
});

test('scaled to what its replica set was just scaled to by hand, it goes on rolling', async () => {
  const world = await setUp('deploy-hand-scaled', deployment(2, 'good'));
  await world.live(2);
  const [only] = await world.sets();
  const body = { spec: { replicas: 4 } };
  const byHand = { namespace: 'default', name: only?.metadata?.name ?? '' };
  await Promise.all([
    world.client.patch(resources.replicasets, byHand, { type: 'merge', body }, world.never),
    world.client.patch(resources.deployments, ref, { type: 'merge', body }, world.never),
  ]);
  await world.live(3);
  await world.setImage('better');
  await world.live(15);
  assert.deepEqual(await world.sizes(), [0, 4]);
  await world.close();
});

test('an annotation is a new generation, and goes to the replica set; without a deadline nothing is said of progress', async () => {
  const world = await setUp('deploy-annotations', deployment(1, 'good', { progressDeadlineSeconds: 2 ** 31 - 1 }));
  await world.live(2);
  assert.deepEqual(await world.conditions(), ['Available=True MinimumReplicasAvailable']);
  await world.patch({}, { annotations: { 'kubernetes.io/change-cause': 'why not' } });
  assert.equal((await world.get()).metadata?.generation, 2);
  const [only] = await world.sets();
  assert.equal(only?.metadata?.annotations?.['kubernetes.io/change-cause'], 'why not');
  await world.close();
});

test('deleted, it takes its replica sets and pods along; orphaned, they stay and are adopted again', async () => {
  const world = await setUp('deploy-delete', deployment(2, 'good'));
  await world.live(2);
  const [before] = await world.sets();
  await world.client.delete(resources.deployments, ref, { propagationPolicy: 'Orphan' }, world.never);
  await world.clock.advance(100);
  assert.deepEqual((await world.sets())[0]?.metadata?.ownerReferences, undefined);
  assert.equal((await world.livePods()).length, 2);
  await world.client.create(resources.deployments, { namespace: 'default' }, deployment(2, 'good'), world.never);
  await world.live(2);
  const sets = await world.sets();
  assert.deepEqual(
    sets.map(({ metadata }) => [metadata?.uid, metadata?.ownerReferences?.[0]?.kind]),
    [[before?.metadata?.uid, 'Deployment']],
  );
  await world.client.delete(resources.deployments, ref, {}, world.never);
  await world.live(2);
  assert.deepEqual([(await world.sets()).length, (await world.pods()).length], [0, 0]);
  await world.close();
});
