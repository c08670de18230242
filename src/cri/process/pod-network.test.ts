import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatIpv4Range } from '../../base/ipv4-range.ts';
import { parseRoutes } from './machine-routes.ts';
import { freeClusterCidr, PodNetwork } from './pod-network.ts';

const skip = process.platform !== 'linux';

test('addresses go round, and two livelets on a machine have interfaces of different names', { skip }, async () => {
  const podCidr = '10.251.7.0/24'; // where nothing of this machine is
  const [one, two] = [await PodNetwork.claim({ podCidr }), await PodNetwork.claim({ podCidr })];
  assert.ok(one !== undefined && two !== undefined);
  assert.deepEqual([one.range, two.range, one.problem()], [podCidr, podCidr, undefined]);
  const first = one.take();
  assert.deepEqual([first.ip, first.gateway], ['10.251.7.2', '10.251.7.1']);
  assert.notEqual(two.take().hostInterface, first.hostInterface);
  one.giveBack(first);
  assert.equal(one.take().ip, '10.251.7.3', 'not the one that was just given back');
  const rest = Array.from({ length: 252 }, () => one.take());
  assert.deepEqual(
    [new Set(rest.map(({ ip }) => ip)).size, rest.at(-1)?.ip, rest.some(({ ip }) => ip === '10.251.7.255')],
    [252, '10.251.7.2', false],
  );
  assert.ok(rest.every(({ hostInterface }) => hostInterface.length <= 15));
  assert.throws(() => one.take(), { message: `no IP addresses available in range set: ${podCidr}` });
  await one.close();
  await two.close();
});

test('who awaits a range has none before it is told; a later one is for new pods', { skip }, async () => {
  const network = await PodNetwork.claim({ awaitsCidr: true });
  assert.ok(network !== undefined);
  assert.match(network.problem() ?? '', /no range of addresses for pods was assigned/);
  assert.equal(network.use('10.251.8.0/28'), true);
  assert.equal(network.problem(), undefined);
  const before = network.take();
  assert.equal(network.use('10.251.8.0/28'), false);
  assert.equal(network.use('fd00::/64,10.251.9.0/24'), true);
  assert.deepEqual([before.ip, network.take().ip], ['10.251.8.2', '10.251.9.2']);
  for (const bad of ['', 'fd00::/64', '10.251.9.0/30', 'x'])
    assert.throws(() => network.use(bad), { reason: 'Invalid' });
  assert.equal(network.range, '10.251.9.0/24');
  await network.close();
});

test('a cluster has the first range that nothing else on its machine is in', { skip }, () => {
  assert.match(freeClusterCidr(), /^10\.2(?:4[4-9]|5[0-5])\.0\.0\/16$/);
});

test('the kernel’s table of routes is read as it stands', () => {
  const table = [
    'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT',
    'eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0',
    'lv0n1\t0500F40A\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0',
    'eth0\t0001F40A\t0C0200C0\t0003\t0\t0\t76\t00FFFFFF\t0\t0\t0',
    'cni0\t0000F40A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0',
    '*\t0000F40A\t00000000\t0201\t0\t0\t76\t00FFFFFF\t0\t0\t0',
    '',
  ].join('\n');
  assert.deepEqual(
    parseRoutes(table).map(({ range, device, isDirect }) => [formatIpv4Range(range), device, isDirect]),
    [
      ['0.0.0.0/0', 'eth0', false],
      ['10.244.0.5/32', 'lv0n1', true],
      ['10.244.1.0/24', 'eth0', false],
      ['10.244.0.0/16', 'cni0', true],
      ['10.244.0.0/24', '*', false],
    ],
  );
});
