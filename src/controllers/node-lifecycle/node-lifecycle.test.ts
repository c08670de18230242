/** A node falls silent, and what becomes of its pods: sections 8.3 to 8.5 of the behaviour sheet. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startApiWorld } from '../../../test/support/api-world.ts';
import type { Lease, Node, Pod } from '../../api/gen/types.ts';
import { resources } from '../../api/resources.ts';
import { formatMicroTime, formatTime } from '../../api/time.ts';
import { hasReason } from '../../base/status-error.ts';
import { CorrelatingEventRecorder } from '../../client/correlating-event-recorder.ts';
import { ListWatchInformer } from '../../client/list-watch-informer.ts';
import { startPodGc } from '../pod-gc/pod-gc-controller.ts';
import { startTaintEviction } from '../taint-eviction/taint-eviction-controller.ts';
import { nodeLifecycleDefaults, startNodeLifecycle } from './node-lifecycle-controller.ts';
import type { NodeLifecycleOptions } from './node-lifecycle-controller.ts';
import { withTaintsOfConditions } from './node-taints.ts';

const never = new AbortController().signal;

interface SetUpOptions extends Partial<NodeLifecycleOptions> {
  readonly isAlive?: (nodeName: string) => Promise<boolean>;
}

/** Nodes whose leases are renewed every 10 s as long as they live. */
async function setUp(nodeNames: readonly string[], { isAlive, ...options }: SetUpOptions = {}) {
  const world = await startApiWorld('node-lifecycle');
  const { client, clock, scope, log, entropy, pods, nodes } = world;
  const living = new Set<string>(nodeNames);
  const leases = new ListWatchInformer<Lease>({ client, clock, log, entropy, type: resources.leases });
  const deps = { client, clock, log, entropy, pods, nodes, leases, ...(isAlive === undefined ? {} : { isAlive }) };
  const postReady = async (name: string): Promise<void> => {
    const now = formatTime(clock.wallMs());
    const ready = { type: 'Ready', status: 'True', lastHeartbeatTime: now, lastTransitionTime: now };
    const body = { status: { conditions: [ready] } };
    await client.patch(resources.nodes, { name, subresource: 'status' }, { type: 'strategic', body }, never);
  };
  for (const name of nodeNames) {
    await client.create(resources.nodes, {}, { metadata: { name } }, never);
    await postReady(name);
    const spec = { holderIdentity: name, leaseDurationSeconds: 40, renewTime: formatMicroTime(clock.wallMs()) };
    const lease: Lease = { metadata: { name }, spec };
    await client.create(resources.leases, { namespace: 'kube-node-lease' }, lease, never);
  }
  scope.start(async (signal) => {
    for (;;) {
      await clock.sleep(10_000, 'test.heartbeat', signal);
      for (const name of living) {
        const body = { spec: { renewTime: formatMicroTime(clock.wallMs()) } };
        const ref = { namespace: 'kube-node-lease', name };
        await client.patch(resources.leases, ref, { type: 'merge', body }, signal);
      }
    }
  });
  const events = new CorrelatingEventRecorder({ ...deps, source: { component: 'node-controller' } });
  scope.start((signal) => events.run(signal));
  startNodeLifecycle(scope, { ...deps, events }, { ...nodeLifecycleDefaults, ...options });
  startTaintEviction(scope, deps);
  startPodGc(scope, deps);
  for (const informer of [pods, nodes, leases]) scope.start((signal) => informer.run(signal));
  await clock.advance(0);
  const node = (name: string): Promise<Node> => client.get(resources.nodes, { name }, never);
  return {
    ...world,
    living,
    postReady,
    node,
    taints: async (name: string) =>
      ((await node(name)).spec?.taints ?? []).map(({ key, effect }) => `${key}:${effect}`),
    readyOf: async (name: string) => {
      const ready = (await node(name)).status?.conditions?.find(({ type }) => type === 'Ready');
      return [ready?.status, ready?.reason, ready?.message].join(' ').trim();
    },
    /** A running pod on this node. */
    podOn: async (nodeName: string, name: string, spec: Partial<Pod['spec']> = {}): Promise<void> => {
      const ref = { namespace: 'default', name };
      const body = { metadata: { name }, spec: { containers: [{ name: 'c', image: 'i' }], ...spec } };
      await client.create(resources.pods, { namespace: 'default' }, body, never);
      const binding = { metadata: { name }, target: { kind: 'Node', name: nodeName } };
      await client.create(resources.pods, { ...ref, subresource: 'binding' }, binding, never);
      const status = { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] };
      await client.patch(
        resources.pods,
        { ...ref, subresource: 'status' },
        { type: 'strategic', body: { status } },
        never,
      );
    },
    pod: async (name: string): Promise<Pod | undefined> => {
      try {
        return await client.get(resources.pods, { namespace: 'default', name }, never);
      } catch (error) {
        if (hasReason(error, 'NotFound')) return undefined;
        throw error;
      }
    },
    events: async (): Promise<string[]> => {
      await clock.advance(0);
      const { items } = await client.list(resources.events, { namespace: 'default' }, never);
      return items.map(({ source, type, reason, message }) => `${source?.component} ${type} ${reason} ${message}`);
    },
  };
}

const unreachable = ['node.kubernetes.io/unreachable:NoSchedule', 'node.kubernetes.io/unreachable:NoExecute'];

test('50 s after its last sign of life a node is not Ready and tainted, 300 s later its pods go', async () => {
  const world = await setUp(['n1', 'n2']);
  const { clock, living } = world;
  await world.podOn('n1', 'web');
  await world.podOn('n1', 'patient', {
    tolerations: [{ operator: 'Exists', effect: 'NoExecute', key: 'node.kubernetes.io/unreachable' }],
  });
  await clock.advance(30_000);
  living.delete('n1'); // its last renewal was just now
  await clock.advance(50_000);
  assert.equal(await world.readyOf('n1'), 'True');
  await clock.advance(5_100);
  assert.equal(await world.readyOf('n1'), 'Unknown NodeStatusUnknown Kubelet stopped posting node status.');
  assert.deepEqual((await world.taints('n1')).sort(), [...unreachable].sort());
  assert.deepEqual(await world.taints('n2'), []);
  const podReady = async () =>
    (await world.pod('web'))?.status?.conditions?.find(({ type }) => type === 'Ready')?.status;
  assert.equal(await podReady(), 'False');
  const told = await world.events();
  assert.ok(told.includes('node-controller Normal NodeNotReady Node n1 status is now: NodeNotReady'));
  assert.ok(told.includes('node-controller Warning NodeNotReady Node is not ready'));
  await clock.advance(294_000);
  assert.equal((await world.pod('web'))?.metadata?.deletionTimestamp, undefined);
  await clock.advance(6_000);
  const web = await world.pod('web');
  assert.notEqual(web?.metadata?.deletionTimestamp, undefined, 'and stays until its kubelet says that it has ended');
  const target = web?.status?.conditions?.find(({ type }) => type === 'DisruptionTarget');
  assert.deepEqual(
    [target?.status, target?.reason, target?.message],
    ['True', 'DeletionByTaintManager', 'Taint manager: deleting due to NoExecute taint'],
  );
  assert.equal((await world.pod('patient'))?.metadata?.deletionTimestamp, undefined);
  const marked = 'taint-eviction-controller Normal TaintManagerEviction Marking for deletion Pod default/web';
  assert.ok((await world.events()).includes(marked));
  await world.close();
});

test('a node that comes back in time keeps its pods, and its taints go at once', async () => {
  const world = await setUp(['n1', 'n2']);
  const { clock, living } = world;
  await world.podOn('n1', 'web');
  await clock.advance(20_000);
  living.delete('n1');
  await clock.advance(200_000);
  assert.equal((await world.taints('n1')).length, 2);
  living.add('n1');
  await world.postReady('n1');
  await clock.advance(5_000);
  assert.deepEqual(await world.taints('n1'), []);
  await clock.advance(400_000);
  assert.equal((await world.pod('web'))?.metadata?.deletionTimestamp, undefined);
  const cancelled = 'taint-eviction-controller Normal TaintManagerEviction Cancelling deletion of Pod default/web';
  assert.ok((await world.events()).includes(cancelled));
  await world.close();
});

test('when no node at all is heard of, nothing is evicted, and afterwards each gets its whole grace again', async () => {
  const world = await setUp(['n1', 'n2']);
  const { clock, living } = world;
  await world.podOn('n1', 'web');
  await clock.advance(20_000);
  living.clear();
  await clock.advance(600_000);
  assert.equal(await world.readyOf('n1'), 'Unknown NodeStatusUnknown Kubelet stopped posting node status.');
  assert.deepEqual(await world.taints('n1'), ['node.kubernetes.io/unreachable:NoSchedule']);
  assert.equal((await world.pod('web'))?.metadata?.deletionTimestamp, undefined);
  living.add('n2');
  await world.postReady('n2');
  await clock.advance(6_000);
  assert.deepEqual((await world.taints('n1')).sort(), [...unreachable].sort());
  await world.close();
});

test('nodes are evicted one every ten seconds, and in a disrupted zone none', async () => {
  const names = ['n1', 'n2', 'n3', 'n4', 'n5', 'n6', 'n7'];
  const world = await setUp(names);
  const { clock, living } = world;
  const evicting = async () => {
    const all = await Promise.all(names.map((name) => world.taints(name)));
    return all.filter((taints) => taints.some((taint) => taint.endsWith(':NoExecute'))).length;
  };
  await clock.advance(20_000);
  for (const name of ['n1', 'n2', 'n3']) living.delete(name);
  await clock.advance(55_100);
  assert.equal(await evicting(), 1);
  await clock.advance(10_000);
  assert.equal(await evicting(), 2);
  await clock.advance(10_000);
  assert.equal(await evicting(), 3);
  living.delete('n4');
  await clock.advance(80_000);
  assert.equal(await evicting(), 3, 'four of seven are down: it may be the network');
  await world.close();
});

test('a silent node that answers when it is asked is not lost, until it was silent for much too long', async () => {
  let answers = true;
  const isAlive = (name: string): Promise<boolean> => Promise.resolve(answers || name === 'n3');
  const patience = { gracePeriodMs: 20_000, answeringGracePeriodMs: 150_000 };
  const world = await setUp(['n1', 'n2', 'n3'], { isAlive, ...patience });
  world.living.delete('n3');
  world.living.delete('n1');
  await world.clock.advance(120_000);
  assert.equal(await world.readyOf('n1'), 'True');
  answers = false;
  await world.clock.advance(10_000);
  assert.equal(await world.readyOf('n1'), 'Unknown NodeStatusUnknown Kubelet stopped posting node status.');
  assert.equal(await world.readyOf('n3'), 'True');
  await world.clock.advance(30_000);
  assert.equal(await world.readyOf('n3'), 'Unknown NodeStatusUnknown Kubelet stopped posting node status.');
  await world.close();
});

test('a node that never posted a status gets a minute', async () => {
  const world = await setUp(['n1']);
  await world.client.create(resources.nodes, {}, { metadata: { name: 'new' } }, never);
  await world.clock.advance(60_000);
  assert.equal(await world.readyOf('new'), '');
  await world.clock.advance(10_000);
  assert.equal(await world.readyOf('new'), 'Unknown NodeStatusNeverUpdated Kubelet never posted node status.');
  await world.close();
});

test('a cordoned node is tainted, and a pod of a node that is gone is ended after its quarantine', async () => {
  const world = await setUp(['n1', 'n2']);
  const { clock, client } = world;
  await client.patch(
    resources.nodes,
    { name: 'n1' },
    { type: 'merge', body: { spec: { unschedulable: true } } },
    never,
  );
  await clock.advance(0);
  assert.deepEqual(await world.taints('n1'), ['node.kubernetes.io/unschedulable:NoSchedule']);
  await client.patch(
    resources.nodes,
    { name: 'n1' },
    { type: 'merge', body: { spec: { unschedulable: null } } },
    never,
  );
  await clock.advance(0);
  assert.deepEqual(await world.taints('n1'), []);
  await world.podOn('n1', 'web');
  world.living.delete('n1');
  await client.delete(resources.nodes, { name: 'n1' }, {}, never);
  await clock.advance(59_000);
  assert.notEqual(await world.pod('web'), undefined);
  await clock.advance(21_000);
  assert.equal(await world.pod('web'), undefined);
  await world.close();
});

test('a node that is Ready again loses the taint that keeps pods away and the one that ends them in one write', () => {
  const unreachable = { key: 'node.kubernetes.io/unreachable', timeAdded: '2026-01-01T00:00:00Z' };
  const taints = ['NoSchedule', 'NoExecute'].map((effect) => ({ ...unreachable, effect }));
  const own = { key: 'own', effect: 'NoExecute' };
  const node = (status: string): Node => ({
    spec: { taints: [own, ...taints] },
    status: { conditions: [{ type: 'Ready', status }] },
  });
  assert.deepEqual(withTaintsOfConditions(node('True'), '2026-01-01T00:01:00Z'), [own]);
  assert.equal(withTaintsOfConditions(node('Unknown'), '2026-01-01T00:01:00Z'), undefined);
});
