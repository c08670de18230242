import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resources } from '../api/resources.ts';
import type { Node } from '../api/gen/types.ts';
import { startKubeletWorld } from '../../test/support/kubelet-world.ts';

const never = new AbortController().signal;

function heartbeatOf(node: Node): string | undefined {
  return node.status?.conditions?.find(({ type }) => type === 'Ready')?.lastHeartbeatTime;
}

test('the node is there and Ready at once, with its lease and its events', async () => {
  const world = await startKubeletWorld('register');
  const node = await world.node();
  assert.deepEqual(node.metadata?.labels, {
    'beta.kubernetes.io/arch': 'amd64',
    'beta.kubernetes.io/os': 'linux',
    'kubernetes.io/arch': 'amd64',
    'kubernetes.io/hostname': 'node-1',
    'kubernetes.io/os': 'linux',
  });
  assert.deepEqual(
    node.status?.conditions?.map(({ type, status, reason, message }) => [type, status, reason, message].join(' | ')),
    [
      'MemoryPressure | False | KubeletHasSufficientMemory | kubelet has sufficient memory available',
      'DiskPressure | False | KubeletHasNoDiskPressure | kubelet has no disk pressure',
      'PIDPressure | False | KubeletHasSufficientPID | kubelet has sufficient PID available',
      'Ready | True | KubeletReady | kubelet is posting ready status',
    ],
  );
  assert.equal(node.status?.nodeInfo?.containerRuntimeVersion, 'sim://1');
  assert.deepEqual(node.status?.addresses, [
    { type: 'InternalIP', address: '192.0.2.2' },
    { type: 'Hostname', address: 'node-1' },
  ]);
  const reasons = (await world.events('node-1')).map((line) => line.split(' ').slice(0, 3).join(' ')).sort();
  assert.deepEqual(reasons, [
    'Normal NodeAllocatableEnforced x1',
    'Normal NodeHasNoDiskPressure x1',
    'Normal NodeHasSufficientMemory x1',
    'Normal NodeHasSufficientPID x1',
    'Normal NodeReady x1',
    'Normal Starting x1',
  ]);
  await world.clock.advance(15_000);
  const lease = await world.client.get(resources.leases, { namespace: 'kube-node-lease', name: 'node-1' }, never);
  assert.equal(lease.spec?.holderIdentity, 'node-1');
  assert.equal(lease.metadata?.ownerReferences?.[0]?.uid, node.metadata?.uid);
  await world.close();
});

test('the status is written when it changes, and every 5 min', async () => {
  const world = await startKubeletWorld('heartbeat');
  const first = heartbeatOf(await world.node());
  await world.clock.advance(60_000);
  assert.equal(heartbeatOf(await world.node()), first);
  const restart = world.sim.restart(45_000, never);
  await world.clock.advance(42_000);
  const down = (await world.node()).status?.conditions?.at(-1);
  assert.deepEqual(
    [down?.status, down?.reason, down?.message],
    ['False', 'KubeletNotReady', 'container runtime is down'],
  );
  await world.clock.advance(15_000);
  await restart;
  const up = await world.node();
  assert.equal(up.status?.conditions?.at(-1)?.status, 'True');
  await world.clock.advance(455_000);
  assert.notEqual(heartbeatOf(await world.node()), heartbeatOf(up));
  await world.close();
});

test('what somebody advertises for the node in its capacity becomes allocatable, and is no change of its own', async () => {
  const world = await startKubeletWorld('advertised');
  const patch = async (capacity: object): Promise<void> => {
    const ref = { name: 'node-1', subresource: 'status' };
    await world.client.patch(resources.nodes, ref, { type: 'merge', body: { status: { capacity } } }, never);
  };
  await patch({ 'example.com/gpu': '4' });
  await world.clock.advance(11_000);
  const node = await world.node();
  assert.equal(node.status?.allocatable?.['example.com/gpu'], '4');
  const before = node.metadata?.resourceVersion;
  await world.clock.advance(60_000);
  assert.equal((await world.node()).metadata?.resourceVersion, before);
  await patch({ 'example.com/gpu': null });
  await world.clock.advance(11_000);
  assert.equal((await world.node()).status?.allocatable?.['example.com/gpu'], undefined);
  await world.close();
});

test('a node that somebody deleted is registered again, one that is there is taken over', async () => {
  const world = await startKubeletWorld('deleted');
  await world.client.delete(resources.nodes, { name: 'node-1' }, {}, never);
  await world.clock.advance(11_000);
  assert.equal((await world.node()).status?.conditions?.at(-1)?.status, 'True');
  const labels = { mine: 'yes', 'kubernetes.io/os': 'plan9' };
  await world.client.patch(
    resources.nodes,
    { name: 'node-1' },
    { type: 'merge', body: { metadata: { labels } } },
    never,
  );
  const info = { status: { nodeInfo: { bootID: 'earlier' } } };
  await world.client.patch(
    resources.nodes,
    { name: 'node-1', subresource: 'status' },
    { type: 'merge', body: info },
    never,
  );
  await world.restartKubelet();
  await world.clock.advance(1_000);
  const adopted = await world.node();
  assert.deepEqual(
    [adopted.metadata?.labels?.['mine'], adopted.metadata?.labels?.['kubernetes.io/os']],
    ['yes', 'linux'],
  );
  assert.ok(
    (await world.events('node-1')).includes('Warning Rebooted x1 Node node-1 has been rebooted, boot id: boot'),
  );
  await world.close();
});

test('cordoning is announced', async () => {
  const world = await startKubeletWorld('cordon');
  const body = { spec: { unschedulable: true } };
  await world.client.patch(resources.nodes, { name: 'node-1' }, { type: 'merge', body }, never);
  await world.clock.advance(11_000);
  assert.ok(
    (await world.events('node-1')).includes(
      'Normal NodeNotSchedulable x1 Node node-1 status is now: NodeNotSchedulable',
    ),
  );
  await world.close();
});

test('the runtime is told the range of the node’s pods as soon as it is known, again after a failure, and once', async () => {
  const world = await startKubeletWorld('pod cidr');
  const told = (): readonly string[] => world.noted.calls.filter((call) => call.startsWith('updateRuntimeConfig'));
  await world.clock.advance(20_000);
  assert.deepEqual(told(), []);
  world.noted.failures.set('updateRuntimeConfig', 'not now');
  const body = { spec: { podCIDR: '10.244.7.0/24', podCIDRs: ['10.244.7.0/24'] } };
  await world.client.patch(resources.nodes, { name: 'node-1' }, { type: 'merge', body }, never);
  await world.clock.advance(5_000);
  assert.deepEqual(told(), []);
  world.noted.failures.clear();
  await world.clock.advance(60_000);
  assert.deepEqual(told(), ['updateRuntimeConfig 10.244.7.0/24']);
  await world.close();
});
