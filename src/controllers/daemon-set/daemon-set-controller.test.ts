import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startControlWorld } from '../../../test/support/control-world.ts';
import type { ControlWorldOptions } from '../../../test/support/control-world.ts';
import type { DaemonSet, DaemonSetSpec, Node } from '../../api/gen/types.ts';
import { resources } from '../../api/resources.ts';

const ref = { namespace: 'default', name: 'agent' };

async function setUp(
  seed: string,
  nodes: readonly Node[],
  image: string,
  spec: Partial<DaemonSetSpec> = {},
  through: ControlWorldOptions['through'] = (client) => client,
) {
  const world = await startControlWorld(seed, { through });
  const { client, clock, never } = world;
  for (const node of nodes) await client.create(resources.nodes, {}, node, never);
  const template = { metadata: { labels: { app: 'agent' } }, spec: { containers: [{ name: 'c', image }] } };
  const daemonSet = {
    metadata: { name: 'agent' },
    spec: { selector: { matchLabels: { app: 'agent' } }, template, ...spec },
  };
  await client.create(resources.daemonsets, { namespace: 'default' }, daemonSet, never);
  await clock.advance(0);
  const patch = async (body: object): Promise<void> => {
    await client.patch(resources.daemonsets, ref, { type: 'strategic', body }, never);
    await clock.advance(0);
  };
  return {
    ...world,
    get: (): Promise<DaemonSet> => client.get(resources.daemonsets, ref, never),
    patch,
    setImage: (next: string) => patch({ spec: { template: { spec: { containers: [{ name: 'c', image: next }] } } } }),
    /** `node image` of its live pods. */
    async placed(): Promise<readonly string[]> {
      const pods = await world.livePods();
      return pods.map((pod) => `${pod.spec?.nodeName ?? ''} ${pod.spec?.containers[0]?.image ?? ''}`).sort();
    },
    async revisions(): Promise<readonly number[]> {
      const { items } = await client.list(resources.controllerrevisions, { namespace: 'default' }, never);
      return items.map(({ revision }) => revision).sort((a, b) => a - b);
    },
  };
}

const node = (name: string, rest: Partial<Node> = {}): Node => ({ metadata: { name }, ...rest });
const threeNodes = [node('n1'), node('n2'), node('n3')];

test('each node gets one pod, pinned to it, that stays where others would not', async () => {
  const tainted = node('n4', { spec: { taints: [{ key: 'gpu', effect: 'NoSchedule' }] } });
  const cordoned = node('n5', {
    spec: { unschedulable: true, taints: [{ key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }] },
  });
  const world = await setUp('ds-place', [...threeNodes, tainted, cordoned], 'good');
  await world.live(2);
  assert.deepEqual(await world.placed(), ['n1 good', 'n2 good', 'n3 good', 'n5 good']);
  const [pod] = await world.pods();
  const { requiredDuringSchedulingIgnoredDuringExecution: required } = pod?.spec?.affinity?.nodeAffinity ?? {};
  assert.deepEqual(
    required?.nodeSelectorTerms[0]?.matchFields?.map(({ key, operator }) => `${key} ${operator}`),
    ['metadata.name In'],
  );
  const { status, metadata } = await world.get();
  assert.deepEqual(status, {
    currentNumberScheduled: 4,
    desiredNumberScheduled: 4,
    numberAvailable: 4,
    numberMisscheduled: 0,
    numberReady: 4,
    observedGeneration: 1,
    updatedNumberScheduled: 4,
  });
  assert.equal(metadata?.annotations?.['deprecated.daemonset.template.generation'], '1');
  assert.equal(pod?.metadata?.labels?.['pod-template-generation'], '1');
  await world.close();
});

test('nodes come and go, and change their labels', async () => {
  const ssd = node('n2', { metadata: { name: 'n2', labels: { disk: 'ssd' } } });
  const world = await setUp('ds-nodes', [node('n1'), ssd], 'good');
  await world.patch({ spec: { template: { spec: { nodeSelector: { disk: 'ssd' } } } } });
  await world.live(5);
  assert.deepEqual(await world.placed(), ['n2 good']);
  const label = { type: 'merge', body: { metadata: { labels: { disk: 'ssd' } } } } as const;
  await world.client.patch(resources.nodes, { name: 'n1' }, label, world.never);
  await world.live(2);
  assert.deepEqual(await world.placed(), ['n1 good', 'n2 good']);
  const unlabel = { type: 'merge', body: { metadata: { labels: { disk: null } } } } as const;
  await world.client.patch(resources.nodes, { name: 'n2' }, unlabel, world.never);
  await world.live(2);
  assert.deepEqual(await world.placed(), ['n1 good']);
  await world.close();
});

test('an update takes one node after the other, and stops at one that does not get ready', async () => {
  const world = await setUp('ds-roll', threeNodes, 'good');
  await world.live(2);
  await world.setImage('better');
  let least = 3;
  for (let second = 0; second < 12; second++) {
    await world.live(1);
    least = Math.min(least, (await world.get()).status?.numberAvailable ?? 0);
  }
  assert.equal(least, 2);
  assert.deepEqual(await world.placed(), ['n1 better', 'n2 better', 'n3 better']);
  await world.setImage('never-ready');
  await world.live(10);
  const placed = await world.placed();
  assert.equal(placed.filter((text) => text.endsWith('never-ready')).length, 1);
  assert.deepEqual(await world.revisions(), [1, 2, 3]);
  await world.setImage('good');
  await world.live(15);
  assert.deepEqual(await world.placed(), ['n1 good', 'n2 good', 'n3 good']);
  assert.deepEqual(await world.revisions(), [2, 3, 4]);
  await world.close();
});

test('an old pod that is not available goes first, and counts as the one that may be missing', async () => {
  const world = await setUp('ds-roll-unready', threeNodes, 'good');
  await world.live(2);
  const onFirst = (await world.livePods()).find(({ spec }) => spec?.nodeName === 'n1');
  await world.setStatus(onFirst?.metadata?.name ?? '', { conditions: [{ type: 'Ready', status: 'False' }] });
  await world.setImage('better');
  assert.deepEqual(await world.placed(), ['n2 good', 'n3 good']);
  await world.live(10);
  assert.deepEqual(await world.placed(), ['n1 better', 'n2 better', 'n3 better']);
  await world.close();
});

test('with maxSurge a new pod is there before the old one goes', async () => {
  const updateStrategy = { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } };
  const world = await setUp('ds-surge', threeNodes, 'good', { updateStrategy });
  await world.live(2);
  await world.setImage('better');
  let [least, most] = [3, 3];
  for (let second = 0; second < 12; second++) {
    const live = await world.livePods();
    most = Math.max(most, live.length);
    least = Math.min(least, (await world.get()).status?.numberAvailable ?? 0);
    await world.live(1);
  }
  assert.deepEqual([least, most], [3, 4]);
  assert.deepEqual(await world.placed(), ['n1 better', 'n2 better', 'n3 better']);
  await world.close();
});

test('OnDelete: the new template comes when somebody deletes a pod', async () => {
  const world = await setUp('ds-on-delete', threeNodes, 'good', { updateStrategy: { type: 'OnDelete' } });
  await world.live(2);
  await world.setImage('better');
  await world.live(3);
  assert.deepEqual(await world.placed(), ['n1 good', 'n2 good', 'n3 good']);
  assert.equal((await world.get()).status?.updatedNumberScheduled, undefined);
  const first = (await world.livePods()).find(({ spec }) => spec?.nodeName === 'n1');
  const name = first?.metadata?.name ?? '';
  await world.client.delete(resources.pods, { namespace: 'default', name }, {}, world.never);
  await world.live(3);
  assert.deepEqual(await world.placed(), ['n1 better', 'n2 good', 'n3 good']);
  await world.close();
});

test('a pod that fails is replaced, later and later', async () => {
  const world = await setUp('ds-fails', [node('n1')], 'fails');
  const seen = new Set<string>();
  for (let second = 0; second < 20; second++) {
    for (const pod of await world.pods()) seen.add(pod.metadata?.uid ?? '');
    await world.live(1);
  }
  assert.ok(seen.size >= 4 && seen.size <= 7, `${seen.size} pods in 20 s`);
  const events = await world.eventsOf('agent');
  assert.ok(
    events.some((text) =>
      /^FailedDaemonPod Found failed daemon pod default\/agent-\w{5} on node n1, will try to kill it$/.test(text),
    ),
  );
  await world.close();
});

test('a pod that has ended and only waits for a finalizer is replaced at once', async () => {
  const world = await setUp('ds-finalizer', [node('n1')], 'good');
  await world.live(2);
  const [pod] = await world.pods();
  const name = pod?.metadata?.name ?? '';
  const held = { type: 'merge', body: { metadata: { finalizers: ['example.com/held'] } } } as const;
  await world.client.patch(resources.pods, { namespace: 'default', name }, held, world.never);
  await world.setStatus(name, { phase: 'Failed' });
  await world.live(2);
  assert.deepEqual((await world.pods()).length, 2);
  assert.deepEqual(await world.placed(), ['n1 good']);
  const status = (await world.get()).status;
  assert.deepEqual([status?.desiredNumberScheduled, status?.currentNumberScheduled], [1, 1]);
  await world.close();
});

test('of two revisions of one template the newer stays; its pods are relabelled, and none is restarted', async () => {
  const world = await setUp('ds-doubles', threeNodes, 'good');
  await world.live(2);
  const { client, never } = world;
  const inDefault = { namespace: 'default' };
  const [first] = (await client.list(resources.controllerrevisions, inDefault, never)).items;
  const hashLabel = 'controller-revision-hash';
  const { labels, ownerReferences } = first?.metadata ?? {};
  const metadata = {
    name: 'by-hand',
    labels: { ...labels, [hashLabel]: 'mine' },
    ownerReferences: [...(ownerReferences ?? [])],
  };
  const double = { metadata, data: first?.data, revision: 2 };
  await client.create(resources.controllerrevisions, inDefault, double, never);
  const uidsOf = async (): Promise<readonly unknown[]> => (await world.pods()).map((pod) => pod.metadata?.uid);
  const before = await uidsOf();
  assert.deepEqual(await world.revisions(), [1, 2]);
  await client.create(resources.nodes, {}, node('n4', { spec: { unschedulable: true } }), never);
  await world.live(5);
  const pods = await world.pods();
  assert.deepEqual(
    (await uidsOf()).filter((uid) => before.includes(uid)),
    before,
  );
  assert.deepEqual([...new Set(pods.map((pod) => pod.metadata?.labels?.[hashLabel]))], ['mine']);
  assert.deepEqual(await world.revisions(), [2]);
  await world.close();
});

test('its status can be written by others as the e2e tests of upstream do', async () => {
  const world = await setUp('ds-status', [node('n1')], 'good');
  await world.live(2);
  const { client, never } = world;
  // What Go's client sends for a DaemonSet with nothing but a condition.
  const body = {
    metadata: { creationTimestamp: null },
    spec: {
      selector: null,
      template: { metadata: { creationTimestamp: null }, spec: { containers: null } },
      updateStrategy: {},
    },
    status: {
      currentNumberScheduled: 0,
      numberMisscheduled: 0,
      desiredNumberScheduled: 0,
      numberReady: 0,
      conditions: [{ type: 'StatusPatched', status: 'True', lastTransitionTime: null }],
    },
  };
  await client.patch(resources.daemonsets, { ...ref, subresource: 'status' }, { type: 'merge', body }, never);
  await world.live(2);
  const { status, spec } = await world.get();
  assert.deepEqual(
    [status?.conditions?.[0]?.type, status?.numberReady, spec?.template.spec?.containers[0]?.image],
    ['StatusPatched', 1, 'good'],
  );
  await world.close();
});

test('a daemon set that has been deleted, and is not seen to be, adopts no pod', async () => {
  let isHeld = false;
  const world = await setUp('ds-adopts', [node('n1')], 'good', {}, (client) => ({
    ...client,
    async *watch(type, options, signal) {
      for await (const event of client.watch(type, options, signal)) {
        // The same events, but for those that are held back.
        if (!isHeld || type.resource !== 'daemonsets') yield event as never;
      }
    },
  }));
  await world.live(2);
  isHeld = true;
  const { client, never } = world;
  await client.delete(resources.daemonsets, ref, { propagationPolicy: 'Background' }, never);
  const [pod] = await world.pods();
  const orphan = { type: 'merge', body: { metadata: { ownerReferences: null } } } as const;
  await client.patch(resources.pods, { namespace: 'default', name: pod?.metadata?.name ?? '' }, orphan, never);
  await world.live(3);
  assert.deepEqual(
    (await world.pods()).map(({ metadata }) => [metadata?.uid, metadata?.ownerReferences]),
    [[pod?.metadata?.uid, undefined]],
  );
  await world.close();
});
