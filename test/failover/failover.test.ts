/** What becomes of pods when their node is lost: the whole cluster on three simulated machines, in virtual time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resources } from '../../src/api/resources.ts';
import type { KubernetesObject, ResourceType } from '../../src/api/resources.ts';
import type { HttpHandler } from '../../src/base/http.ts';
import { StatusError } from '../../src/base/status-error.ts';
import type { VirtualClock } from '../../src/sim/virtual-clock.ts';
import { startFailoverWorld } from './failover-world.ts';

const template = {
  metadata: { labels: { app: 'kubia' } },
  spec: {
    containers: [
      {
        name: 'kubia',
        image: 'luksa/kubia',
        imagePullPolicy: 'IfNotPresent',
        readinessProbe: { httpGet: { path: '/', port: 8080 }, periodSeconds: 1 },
      },
    ],
  },
};
const replicationController = {
  type: resources.replicationcontrollers as ResourceType<KubernetesObject>,
  object: { metadata: { name: 'kubia' }, spec: { replicas: 3, selector: { app: 'kubia' }, template } },
};
const deployment = {
  type: resources.deployments as ResourceType<KubernetesObject>,
  object: { metadata: { name: 'kubia' }, spec: { replicas: 3, selector: { matchLabels: { app: 'kubia' } }, template } },
};

for (const owner of [replicationController, deployment]) {
  test(`a node dies: by upstream's numbers the pods of a ${owner.type.kind} are Ready elsewhere`, async () => {
    const world = await startFailoverWorld('dies', owner);
    assert.deepEqual(await world.readyByNode(), { n1: 1, n2: 1, n3: 1 });
    const before = await world.uids();
    world.cluster.node('n2').powerOff();
    // Silence is counted from when the last heartbeat was seen; the controller looks every 5 s.
    const noticed = await world.until('noticed', async () => (await world.readyStatusOf('n2')) === 'Unknown', 70);
    assert.ok(noticed >= 39 && noticed <= 61, `NodeNotReady after ${noticed} s`);
    assert.deepEqual(await world.readyByNode(), { n1: 1, n3: 1 });
    assert.deepEqual(await world.nodeTaints('n2'), [
      'node.kubernetes.io/unreachable:NoExecute',
      'node.kubernetes.io/unreachable:NoSchedule',
    ]);
    const evicted = await world.until('evicted', async () => (await world.terminating()).length > 0, 400);
    assert.ok(evicted >= 299 && evicted <= 302, `evicted ${evicted} s later`);
    await world.seconds(10);
    assert.equal(world.sum(await world.readyByNode()), 3);
    assert.equal((await world.readyByNode())['n2'], undefined);
    const left = await world.terminating();
    assert.equal(left.length, 1, 'its object stays until its node says that it has ended');

    // It comes back: what was replaced is not started again.
    const node = world.cluster.node('n2');
    let started = 0;
    node.powerOn();
    for (let second = 0; second < 60; second++) {
      await world.seconds(1);
      started += node.runtime
        .runningContainers()
        .filter(({ labels }) => before.has(labels['io.kubernetes.pod.uid'] ?? '')).length;
    }
    assert.equal(started, 0);
    assert.deepEqual(await world.terminating(), []);
    assert.equal(world.sum(await world.readyByNode()), 3);
    assert.deepEqual(await world.nodeTaints('n2'), []);
    await world.close();
  });
}

test('a partitioned node keeps its pods and restarts their containers; after healing it ends what was evicted', async () => {
  const world = await startFailoverWorld('partition', replicationController);
  const node = world.cluster.node('n2');
  node.partition();
  await world.seconds(100);
  const [first] = node.runtime.runningContainers();
  node.runtime.endContainer(first?.id ?? '', 1);
  await world.seconds(20);
  const [second] = node.runtime.runningContainers();
  assert.notEqual(second?.id, first?.id);
  assert.equal(second?.metadata.attempt, 1, 'restarted without the server');
  await world.seconds(280);
  assert.equal(world.sum(await world.readyByNode()), 3, 'replaced elsewhere');
  assert.equal(node.runtime.runningContainers().length, 1, 'and it runs on, for nobody can tell it');
  assert.equal((await world.terminating()).length, 1);
  node.heal();
  await world.seconds(80);
  assert.deepEqual(
    node.runtime.runningContainers().map(({ labels }) => labels['io.kubernetes.pod.name']),
    [],
  );
  assert.deepEqual(await world.terminating(), []);
  assert.equal(world.sum(await world.readyByNode()), 3);
  assert.equal(await world.readyStatusOf('n2'), 'True');
  await world.close();
});

test('a pod that was removed by force while its node was away is ended when the node is back', async () => {
  const world = await startFailoverWorld('forced', replicationController);
  const node = world.cluster.node('n2');
  const [victim] = (await world.pods()).filter(({ spec }) => spec?.nodeName === 'n2');
  node.partition();
  await world.seconds(5);
  await world.remove(victim?.metadata?.name ?? '');
  await world.seconds(10);
  assert.equal(node.runtime.runningContainers().length, 1);
  node.heal();
  await world.seconds(60);
  const uids = node.runtime.runningContainers().map(({ labels }) => labels['io.kubernetes.pod.uid']);
  assert.ok(!uids.includes(victim?.metadata?.uid ?? ''));
  assert.equal(world.sum(await world.readyByNode()), 3);
  await world.close();
});

test('a kubelet that stands still for less than the grace period, and a network that is gone as briefly, cost nothing', async () => {
  const world = await startFailoverWorld('pause', replicationController);
  const before = await world.uids();
  const node = world.cluster.node('n2');
  node.pause();
  await world.seconds(35);
  node.resume();
  await world.seconds(30);
  node.partition();
  await world.seconds(35);
  node.heal();
  await world.seconds(400);
  assert.deepEqual(await world.uids(), before);
  assert.deepEqual(await world.readyByNode(), { n1: 1, n2: 1, n3: 1 });
  assert.deepEqual(
    (await world.pods()).map(({ status }) => status?.containerStatuses?.[0]?.restartCount),
    [0, 0, 0],
  );
  await world.close();
});

test('a node whose clock is an hour ahead and runs fast is a node like any other', async () => {
  const skewed = { offsetMs: 3_600_000, rate: 1.02 };
  const world = await startFailoverWorld('drift', replicationController, { skews: { n2: skewed } });
  await world.seconds(300);
  assert.deepEqual(await world.readyByNode(), { n1: 1, n2: 1, n3: 1 });
  world.cluster.node('n2').powerOff();
  await world.seconds(370);
  assert.equal(world.sum(await world.readyByNode()), 3);
  await world.close();
});

const secondsMax = 10;

test('with --failover fast the replacements are Ready within 10 s of the last heartbeat, whenever the node dies', async () => {
  for (let phase = 0; phase < 8; phase++) {
    const world = await startFailoverWorld(`fast ${phase}`, replicationController, { failover: 'fast' });
    const { clock } = world.cluster;
    await clock.advance(10_000 + phase * 137); // the heartbeat is renewed every 1.0 to 1.04 s
    const lastMs = await world.lastHeartbeatMs('n2');
    if (phase % 2 === 0) world.cluster.node('n2').powerOff();
    else world.cluster.node('n2').partition();
    await world.until('replaced', async () => world.sum(await world.readyByNode()) === 2, secondsMax);
    await world.until('Ready', async () => world.sum(await world.readyByNode()) === 3, secondsMax);
    const outageSeconds = (clock.wallMs() - lastMs) / 1_000;
    assert.ok(outageSeconds > 5 && outageSeconds <= secondsMax, `Ready ${outageSeconds} s after the last heartbeat`);
    assert.equal((await world.readyByNode())['n2'], undefined);
    await world.close();
  }
});

test('two nodes of five that are lost within a second are both replaced as quickly', async () => {
  const nodes = ['n1', 'n2', 'n3', 'n4', 'n5'].map((name) => ({ name }));
  const world = await startFailoverWorld('two', replicationController, { failover: 'fast', nodes });
  const [first = '', second = ''] = Object.keys(await world.readyByNode());
  world.cluster.node(first).powerOff();
  await world.cluster.clock.advance(1_000);
  world.cluster.node(second).powerOff();
  await world.until('gone', async () => world.sum(await world.readyByNode()) === 1, secondsMax);
  await world.until('Ready', async () => world.sum(await world.readyByNode()) === 3, 4);
  await world.close();
});

test('with --failover fast a node that starves, and whose heartbeats come 8 s late, keeps its pods', async () => {
  let isMute = false; // n3 gets no request through, but hears
  const starved = (name: string, server: HttpHandler, clock: VirtualClock): HttpHandler => {
    return async (request, signal) => {
      if (name === 'n2') await clock.sleep(request.path.includes('/leases/') ? 8_000 : 3_000, 'starved', signal);
      if (name === 'n3' && isMute) throw new StatusError('ServiceUnavailable', 'no route to host');
      return server(request, signal);
    };
  };
  const world = await startFailoverWorld('starved', replicationController, { failover: 'fast', through: starved });
  await world.seconds(60);
  const before = await world.uids();
  await world.seconds(600);
  assert.equal(await world.readyStatusOf('n2'), 'True');
  assert.deepEqual(await world.uids(), before);
  assert.equal(world.sum(await world.readyByNode()), 3);

  // One that answers, and says nothing for as long as upstream waits, is lost all the same.
  isMute = true;
  const lostAfter = await world.until('lost', async () => (await world.readyStatusOf('n3')) === 'Unknown', 60);
  assert.ok(lostAfter > 48 && lostAfter < 52, `lost after ${lostAfter} s`);
  await world.close();
});

test('a profile that the control plane takes up reaches nodes that run', async () => {
  const world = await startFailoverWorld('settings', replicationController, { failover: 'default' });
  const beforeMs = await world.lastHeartbeatMs('n1');
  await world.seconds(5);
  assert.ok((await world.lastHeartbeatMs('n1')) - beforeMs < 10_500);
  const data = { nodeLeaseRenewMs: '1000', nodeLeaseDurationSeconds: '4' };
  await world.patchSettings(data);
  await world.seconds(2);
  for (let second = 0; second < 5; second++) {
    const lastMs = await world.lastHeartbeatMs('n1');
    await world.seconds(1.1);
    assert.ok((await world.lastHeartbeatMs('n1')) > lastMs);
  }
  await world.patchSettings({ nodeLeaseRenewMs: 'often' });
  await world.seconds(2);
  const lastMs = await world.lastHeartbeatMs('n1');
  await world.seconds(5);
  assert.equal(await world.lastHeartbeatMs('n1'), lastMs, "upstream's numbers again");
  await world.close();
});
