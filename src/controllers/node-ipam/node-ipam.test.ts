import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseClusterCidr } from '../../api/cluster-cidr.ts';
import type { Node, Pod } from '../../api/gen/types.ts';
import { resources } from '../../api/resources.ts';
import { TaskScope } from '../../base/task-scope.ts';
import { StatusError } from '../../base/status-error.ts';
import type { Clock } from '../../base/clock.ts';
import type { Entropy } from '../../base/entropy.ts';
import type { HttpHandler } from '../../base/http.ts';
import { inProcessClient } from '../../client/in-process-client.ts';
import { lossyHandler } from '../../../test/support/lossy-handler.ts';
import { startApiWorld } from '../../../test/support/api-world.ts';
import { settled, startSimCluster } from '../../../test/support/sim-cluster.ts';
import { SharedInformers } from '../shared-informers.ts';
import { startNodeIpam } from './node-ipam-controller.ts';

const never = new AbortController().signal;

/** What lies between the controller and the server. */
type Through = (server: HttpHandler, clock: Clock, entropy: Entropy) => HttpHandler;

async function setUp(seed: string, clusterCidr: string, options: { readonly through?: Through } = {}) {
  const world = await startApiWorld(seed);
  const { clock, server, log, client } = world;
  const handle = options.through?.(server.handle, clock, world.entropy.fork('faults')) ?? server.handle;
  const user = { name: 'system:kube-controller-manager', groups: ['system:masters'] };
  const start = async (cidr: string): Promise<TaskScope> => {
    const scope = new TaskScope(world.scope.signal);
    const deps = { client: inProcessClient({ handle, user }), clock, entropy: world.entropy.fork('control'), log };
    const shared = new SharedInformers(deps);
    startNodeIpam(scope, { ...deps, nodes: shared.of(resources.nodes) }, parseClusterCidr(cidr));
    shared.run(scope);
    await clock.advance(0);
    return scope;
  };
  let controller = await start(clusterCidr);
  return {
    ...world,
    addNode: async (name: string, spec: Node['spec'] = {}): Promise<void> => {
      await client.create(
        resources.nodes,
        {},
        { apiVersion: 'v1', kind: 'Node', metadata: { name }, spec } as Node,
        never,
      );
    },
    removeNode: async (name: string): Promise<void> => {
      await client.delete(resources.nodes, { name }, {}, never);
    },
    /** Node -> its ranges. */
    ranges: async (): Promise<Readonly<Record<string, string>>> => {
      const { items } = await client.list<Node>(resources.nodes, {}, never);
      for (const { spec } of items) assert.equal(spec?.podCIDR, spec?.podCIDRs?.[0]);
      return Object.fromEntries(
        items.map(({ metadata, spec }) => [metadata?.name ?? '', spec?.podCIDRs?.join() ?? '']),
      );
    },
    restart: async (cidr = clusterCidr): Promise<void> => {
      const closing = controller.close();
      await clock.advance(0);
      await closing;
      controller = await start(cidr);
    },
    events: async (): Promise<readonly string[]> =>
      (await client.list(resources.events, { namespace: 'default' }, never)).items.map(
        ({ source, type, reason, message }) =>
          `${source?.component ?? ''} ${type ?? ''} ${reason ?? ''} ${message ?? ''}`,
      ),
  };
}

test('each node gets a range of its own, and one that was freed is given again as late as possible', async () => {
  const { clock, addNode, removeNode, ranges, close } = await setUp('one each', '10.244.0.0/22');
  for (const name of ['a', 'b', 'c']) await addNode(name);
  await clock.advance(0);
  assert.deepEqual(await ranges(), { a: '10.244.0.0/24', b: '10.244.1.0/24', c: '10.244.2.0/24' });
  await removeNode('a');
  for (const name of ['d', 'e']) await addNode(name);
  await clock.advance(0);
  assert.deepEqual(await ranges(), {
    b: '10.244.1.0/24',
    c: '10.244.2.0/24',
    d: '10.244.3.0/24',
    e: '10.244.0.0/24',
  });
  await close();
});

test('a node for which none is left says so in upstream’s words, and gets the first that is freed', async () => {
  const { clock, addNode, removeNode, ranges, events, close } = await setUp('full', '10.244.0.0/23');
  for (const name of ['a', 'b', 'c']) await addNode(name);
  await clock.advance(2_000);
  assert.equal((await ranges())['c'], '');
  assert.deepEqual(await events(), ['cidrAllocator Normal CIDRNotAvailable Node c status is now: CIDRNotAvailable']);
  await removeNode('b');
  await clock.advance(0);
  assert.deepEqual(await ranges(), { a: '10.244.0.0/24', c: '10.244.1.0/24' });
  await close();
});

test('what nodes have they keep, over a restart and under another range of the cluster', async () => {
  const { clock, addNode, ranges, restart, close } = await setUp('keep', '10.244.0.0/22');
  await addNode('a');
  await addNode('own', { podCIDR: '10.244.2.0/23', podCIDRs: ['10.244.2.0/23'] });
  await addNode('b');
  await clock.advance(0);
  await restart();
  const kept = { a: '10.244.0.0/24', b: '10.244.1.0/24', own: '10.244.2.0/23' };
  assert.deepEqual(await ranges(), kept);
  await addNode('c');
  await clock.advance(0);
  assert.deepEqual(await ranges(), { ...kept, c: '' }, 'the node with a larger range has both of the others');
  await restart('10.9.0.0/16');
  await clock.advance(0);
  assert.deepEqual(await ranges(), { ...kept, c: '10.9.0.0/24' });
  await close();
});

test('two nodes never have the same, though requests and answers get lost and nodes come and go', async () => {
  const through: Through = (server, clock, entropy) =>
    lossyHandler('control', server, { hit: () => entropy.unit() < 0.2 }, clock);
  for (const seed of ['lost 1', 'lost 2', 'lost 3']) {
    const { clock, addNode, removeNode, ranges, restart, close } = await setUp(seed, '10.244.0.0/20', {
      through,
    });
    const checkUnique = async (): Promise<Readonly<Record<string, string>>> => {
      const all = await ranges();
      const given = Object.values(all).filter((range) => range !== '');
      assert.equal(new Set(given).size, given.length, JSON.stringify(all));
      return all;
    };
    for (let round = 0; round < 24; round++) {
      await addNode(`n${round % 16}`);
      await clock.advance(round % 3 === 0 ? 700 : 0);
      if (round % 7 === 6) await restart();
      if (round >= 8) await removeNode(`n${(round - 8) % 16}`);
      await checkUnique();
    }
    await clock.advance(120_000);
    const all = await checkUnique();
    assert.equal(Object.keys(all).length, 8);
    assert.ok(!Object.values(all).includes(''), JSON.stringify(all));
    await close();
  }
});

test('a range whose answer was lost is given to no other node: the request may still arrive', async () => {
  const through: Through = (server, clock) => async (request, signal) => {
    if (request.method !== 'PATCH' || request.path !== '/api/v1/nodes/a' || clock.monoMs() > 1_000) {
      return await server(request, signal);
    }
    void clock.sleep(2_000, 'test.late', never).then(() => server(request, never));
    throw new StatusError('ServiceUnavailable', 'the connection was lost');
  };
  const { clock, addNode, ranges, close } = await setUp('late', '10.244.0.0/24', { through });
  await addNode('a');
  await clock.advance(0);
  await addNode('b');
  await clock.advance(60_000);
  assert.deepEqual(await ranges(), { a: '10.244.0.0/24', b: '' });
  await close();
});

test('pods of a whole cluster have addresses of their node’s range, and new ones of a new range', async () => {
  const { client, clock, nodes, close } = await startSimCluster('ranges', {
    nodes: ['n1', 'n2', 'n3'].map((name) => ({ name })),
    clusterCidr: '10.9.0.0/16',
  });
  const soon = <T>(promise: Promise<T>): Promise<T> => settled(clock, promise);
  /** Makes a pod on each node, whose address must be of the node's range; resolves to the ranges. */
  const check = async (generation: string): Promise<readonly string[]> => {
    const refOf = (nodeName: string) => ({ namespace: 'default', name: `${generation}-${nodeName}` });
    for (const { name } of nodes) {
      const containers = [{ name: 'c', image: 'busybox:1.29', command: ['sleep', '9d'] }];
      const pod: Pod = { metadata: { name: refOf(name).name }, spec: { nodeName: name, containers } };
      await soon(client.create(resources.pods, { namespace: 'default' }, pod, never));
    }
    await clock.advance(5_000);
    const ranges: string[] = [];
    for (const { name } of nodes) {
      const { status } = await soon(client.get(resources.pods, refOf(name), never));
      const { spec } = await soon(client.get(resources.nodes, { name }, never));
      assert.equal(status?.podIP?.replace(/\.\d+$/, '.0/24'), spec?.podCIDR, name);
      ranges.push(spec?.podCIDR ?? '');
    }
    return ranges;
  };
  const before = await check('a');
  assert.deepEqual([...before].sort(), ['10.9.0.0/24', '10.9.1.0/24', '10.9.2.0/24']);
  for (const node of nodes) node.kubelet?.crash();
  for (const node of nodes) node.startKubelet(); // which knows nothing yet
  await soon(client.delete(resources.nodes, { name: 'n2' }, {}, never));
  await clock.advance(20_000);
  assert.deepEqual(await check('b'), [before[0], '10.9.3.0/24', before[2]]);
  await close();
});
