/** Pods of nodes on one network, each node with a range of its own, reach each other; and nothing of that is left. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Node, Pod } from '../../src/api/gen/types.ts';
import { skipWithoutNetworks } from '../support/node-networks.ts';
import { kubectlVersions } from './livelet-up.ts';
import { NodesBed, nameOf, until } from './nodes-bed.ts';
import { remains, strangeInterfaces } from './nodes-processes.ts';

const manifest = path.resolve(import.meta.dirname, '../data/manifests/kubia-rc.yaml');
const names = ['n1', 'n2', 'n3'];
/** On no network of ours: what somebody else has made stays as it is. */
const foreign = ['10.99.0.0/24', '10.244.77.0/24'];

let bed: NodesBed;

/** What a command prints on a node's computer. */
function on(name: string, ...command: string[]): string {
  const [enter = '', ...words] = bed.computer(name).enter;
  return execFileSync(enter, [...words, ...command], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function routesOf(name: string): string[] {
  const lines = on(name, 'ip', '-4', 'route', 'show', 'proto', '76').split('\n');
  return lines.map((line) => line.replace(/ +metric 76 *$/, '')).filter((line) => line !== '');
}

const forwardingOf = (name: string): string => on(name, 'cat', '/proc/sys/net/ipv4/conf/eth0/forwarding').trim();

/** Node -> the range of its pods. */
async function rangesOf(): Promise<ReadonlyMap<string, string>> {
  const nodes = await bed.read<Node>('nodes');
  return new Map(nodes.map((node) => [nameOf(node), node.spec?.podCIDR ?? '']));
}

/** What a node must have when these others take part. */
async function untilRoutes(name: string, others: readonly string[]): Promise<void> {
  const ranges = await rangesOf();
  const via = others.map((other) => `${ranges.get(other) ?? ''} via ${bed.computer(other).address} dev eth0`);
  const wanted = [...via, ...(via.length === 0 ? [] : [`unreachable ${ranges.get(name) ?? ''}`])].sort();
  let found: string[] = [];
  await until(`the routes of ${name} are ${wanted.join(', ')}`, async () => {
    found = routesOf(name).sort();
    return found.join() === wanted.join() ? true : undefined;
  }).catch((error: unknown) => assert.deepEqual(found, wanted, String(error)));
}

/** A program that prints what a pod answers, or the error, and to standard error which address it came from. */
function visit(podIP: string): string {
  return (
    `require('http').get({ host: '${podIP}', port: 8080, timeout: 5000 }, (r) => r.pipe(process.stdout))` +
    `.on('socket', (s) => s.on('connect', () => console.error(s.localAddress))).on('error', (e) => console.log(e.code))`
  );
}

/** Three pods, on each node one: each of them reaches the other two at their addresses, and sees itself as they do. */
async function checkPods(): Promise<void> {
  const ranges = await rangesOf();
  const pods = [...(await bed.untilReplicas(3, names))].map(([nodeName, [pod, ...more]]) => {
    assert.ok(pod !== undefined && more.length === 0, `one on ${nodeName}`);
    const { podIP = '' } = pod.status ?? {};
    assert.equal(`${podIP.replace(/\d+$/, '0')}/24`, ranges.get(nodeName));
    return { name: nameOf(pod), podIP };
  });
  assert.equal(new Set(pods.map(({ podIP }) => podIP)).size, 3);
  for (const from of pods) {
    for (const to of pods) {
      const { stdout, stderr } = await bed.kubectl('exec', from.name, '--', 'node', '-e', visit(to.podIP));
      assert.deepEqual([stdout, stderr.trim()], [`You've hit ${to.name}\n`, from.podIP], `${from.name} to ${to.name}`);
    }
  }
  const [first] = pods;
  const nobody = `${first?.podIP.replace(/\d+$/, '251') ?? ''}`;
  const { stdout } = await bed.kubectl('exec', pods[1]?.name ?? '', '--', 'node', '-e', visit(nobody));
  assert.match(stdout, /EHOSTUNREACH|ENETUNREACH/, 'an address that no pod has is refused at once');
}

const skip = skipWithoutNetworks() || (kubectlVersions().size === 0 ? 'no kubectl' : false);

describe('pods of several nodes', { skip }, () => {
  before(async () => {
    bed = await NodesBed.open({ names: [...names, 'n4'], tunnelled: ['n4'] });
    for (const range of foreign) on('n1', 'ip', 'route', 'add', range, 'via', bed.computer('n2').address);
    assert.equal((await bed.kubectl('cordon', 'n4')).code, 0);
  });
  after(async () => await bed?.close());

  test('each node has a range of its own, and pods reach each other across nodes', async () => {
    const ranges = [...(await rangesOf()).values()];
    assert.deepEqual(ranges.sort(), ['10.244.0.0/24', '10.244.1.0/24', '10.244.2.0/24', '10.244.3.0/24']);
    for (const name of names) {
      await untilRoutes(
        name,
        names.filter((other) => other !== name),
      );
    }
    await untilRoutes('n4', []);
    assert.equal((await bed.kubectl('create', '-f', manifest)).code, 0);
    await checkPods();
  });

  test('an agent that was killed comes back to its range, and to the routes that are right by then', async () => {
    const before = await rangesOf();
    bed.signal('n1', 'SIGKILL');
    await bed.processOf('n1').exited;
    assert.equal(routesOf('n1').length, 3, 'nobody could remove them');
    // What has changed meanwhile: a route of its own is gone, and one leads to nobody any more.
    on('n1', 'ip', 'route', 'del', before.get('n2') ?? '', 'proto', '76', 'metric', '76');
    on('n1', 'ip', 'route', 'add', '10.244.200.0/24', 'via', bed.computer('n3').address, 'proto', '76', 'metric', '76');
    await bed.launch('n1').ready;
    await bed.untilNode('n1', true);
    assert.deepEqual(await rangesOf(), before);
    await untilRoutes('n1', ['n2', 'n3']);
    assert.equal((await bed.kubectl('delete', 'pods', '--all', '--wait=false', '--grace-period=1')).code, 0); // they are spread anew
    await bed.untilNoneEnds();
    await checkPods();
  });

  test('what a node goes by ends with its agent, and with the node; routes of others stay', async () => {
    assert.equal(forwardingOf('n3'), '1');
    const before = await rangesOf();
    bed.signal('n3', 'SIGTERM');
    await bed.processOf('n3').exited;
    assert.deepEqual([routesOf('n3'), forwardingOf('n3')], [[], '0']);
    assert.equal((await bed.kubectl('delete', 'node', 'n3')).code, 0);
    await untilRoutes('n1', ['n2']);
    await untilRoutes('n2', ['n1']);
    assert.equal((await bed.kubectl('delete', 'node', 'n2', '--wait=false')).code, 0);
    await until('n2 is registered anew, with the range that was free longest', async () => {
      const ranges = await rangesOf();
      return ranges.get('n2') === '10.244.4.0/24' ? true : undefined;
    });
    await untilRoutes('n1', ['n2']);
    // Who runs there keeps its address of the old range, and is reached from its own computer.
    const [kept] = (await bed.read<Pod>('pods')).filter(({ spec }) => spec?.nodeName === 'n2');
    const keptIp = kept?.status?.podIP ?? '';
    assert.ok(kept !== undefined && keptIp.startsWith(`${before.get('n2')?.replace(/0\/24$/, '') ?? ''}`), keptIp);
    assert.match(on('n2', process.execPath, '-e', visit(keptIp)), new RegExp(`^You've hit ${nameOf(kept)}`));
    assert.equal((await bed.kubectl('delete', 'pods', '--all', '--wait=false', '--grace-period=1')).code, 0);
    await until('a pod on n2 has an address of its new range', async () => {
      const pods = (await bed.read<Pod>('pods')).filter(({ spec }) => spec?.nodeName === 'n2');
      return pods.some(({ status }) => status?.podIP?.startsWith('10.244.4.') === true) ? true : undefined;
    });
    await bed.stop();
    for (const name of [...names, 'n4']) {
      assert.deepEqual(
        [routesOf(name), forwardingOf(name), strangeInterfaces(bed.computer(name).enter)],
        [[], '0', []],
      );
    }
    const left = on('n1', 'ip', 'route');
    for (const range of foreign) assert.ok(left.includes(`${range} via `), left);
    assert.deepEqual(remains(bed.directory), []);
  });
});
