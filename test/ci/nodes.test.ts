/** A server and three nodes, each in a network of its own: joining, reaching their pods, losing nodes, coming back. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Node, Pod } from '../../src/api/gen/types.ts';
import { NodeNetworks, skipWithoutNetworks } from '../support/node-networks.ts';
import type { TestComputer } from '../support/node-networks.ts';
import { kubectlVersions, liveletBin, runKubectl, runLivelet, sleepMs } from './livelet-up.ts';
import type { CommandResult } from './livelet-up.ts';

const startMsMax = 60_000;
const waitMsMax = 120_000;
const manifest = path.resolve(import.meta.dirname, '../data/manifests/kubia-rc.yaml');

interface Started {
  readonly child: ChildProcess;
  readonly exited: Promise<unknown>;
}

let directory: string;
let networks: NodeNetworks;
let server: Started;
let join: string[]; // what `token create` said, as words
const computers = new Map<string, TestComputer>();
const nodes = new Map<string, Started>();

const dataDirOf = (name: string): string => path.join(directory, name);
const kubectl = (...args: string[]): Promise<CommandResult> =>
  runKubectl(path.join(dataDirOf('server'), 'kubeconfig'), args);

/** Starts livelet, and waits for its line. */
async function start(enter: readonly string[], args: readonly string[]): Promise<Started> {
  const words = [...enter, process.execPath, liveletBin, ...args];
  const child = spawn(words[0] ?? '', words.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = once(child, 'exit');
  let text = '';
  child.stderr.on('data', (data: Buffer) => (text += data.toString()));
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not ready: ${text}`)), startMsMax);
    child.once('exit', (code) => reject(new Error(`ended with ${code}: ${text}`)));
    child.stdout.on('data', (data: Buffer) => {
      text += data.toString();
      if (!/is ready/i.test(text)) return;
      clearTimeout(timer);
      resolve();
    });
  });
  return { child, exited };
}

function nodeArgs(name: string, way: readonly string[]): string[] {
  return ['node', '--node-name', name, '--data-dir', dataDirOf(name), ...way];
}

function wayOf(name: string): string[] {
  return name === 'n3' ? ['--tunnel'] : ['--node-ip', computers.get(name)?.address ?? ''];
}

async function startNode(name: string, words: readonly string[]): Promise<void> {
  const computer = computers.get(name);
  assert.ok(computer !== undefined);
  nodes.set(name, await start(computer.enter, [...nodeArgs(name, wayOf(name)), ...words]));
}

async function read<T>(...args: string[]): Promise<T[]> {
  const { stdout, stderr, code } = await kubectl('get', ...args, '-o', 'json');
  assert.equal(code, 0, stderr);
  return (JSON.parse(stdout) as { items: T[] }).items; // a list, as kubectl prints it
}

async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const endMs = Date.now() + waitMsMax;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    assert.ok(Date.now() < endMs, what);
    await sleepMs(500);
  }
}

function isReady({ status }: Node | Pod): boolean {
  const conditions: readonly { readonly type: string; readonly status: string }[] = status?.conditions ?? [];
  return conditions.some(({ type, status: state }) => type === 'Ready' && state === 'True');
}

/**
 * Node -> names of its pods, once three are Ready, on these nodes only. What is being deleted stays as long as its node
 * cannot say that it has ended.
 */
function untilReplicas(on: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>> {
  return until(`3 Ready pods on ${on.join(', ')}`, async () => {
    const pods = (await read<Pod>('pods')).filter(({ metadata }) => metadata?.deletionTimestamp === undefined);
    const isSettled = pods.length === 3 && pods.every((pod) => isReady(pod) && on.includes(pod.spec?.nodeName ?? ''));
    if (!isSettled) return undefined;
    const byNode = new Map<string, string[]>();
    for (const { spec, metadata } of pods) {
      const names = byNode.get(spec?.nodeName ?? '') ?? [];
      byNode.set(spec?.nodeName ?? '', [...names, metadata?.name ?? '']);
    }
    return byNode;
  });
}

function untilNoneEnds(): Promise<true> {
  return until('what was replaced has ended', async () => {
    const pods = await read<Pod>('pods');
    return pods.every(({ metadata }) => metadata?.deletionTimestamp === undefined) ? true : undefined;
  });
}

function untilNode(name: string, ready: boolean): Promise<true> {
  return until(`node ${name} is ${ready ? '' : 'not '}Ready`, async () => {
    const node = (await read<Node>('nodes')).find(({ metadata }) => metadata?.name === name);
    return node !== undefined && isReady(node) === ready ? true : undefined;
  });
}

const skip = skipWithoutNetworks() || (kubectlVersions().size === 0 ? 'no kubectl' : false);

describe('nodes that join', { skip }, () => {
  before(async () => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-nodes-'));
    networks = new NodeNetworks();
    for (const name of ['n1', 'n2', 'n3']) computers.set(name, networks.add());
    const place = ['--data-dir', dataDirOf('server'), '--port', '0', '--bind', networks.address];
    server = await start([], ['server', ...place, '--failover', 'fast']);
    const env = { KUBECONFIG: path.join(dataDirOf('server'), 'kubeconfig') };
    const { code, stdout, stderr } = await runLivelet(['token', 'create', '--ttl', '10m'], env);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^livelet node --server https:\S+ --token \S+ --ca-cert-hash sha256:[0-9a-f]{64}\n$/);
    join = stdout.trim().split(' ').slice(2);
    await Promise.all([...computers.keys()].map((name) => startNode(name, join)));
  });
  after(async () => {
    for (const { child } of [...nodes.values(), ...(server === undefined ? [] : [server])]) child.kill('SIGTERM');
    await Promise.all([...nodes.values()].map(({ exited }) => exited));
    await server?.exited;
    networks?.remove();
    fs.rmSync(directory, { recursive: true, force: true });
  });

  test('three nodes are Ready, with certificates of their own', async () => {
    const wide = (await kubectl('get', 'nodes', '-o', 'wide')).stdout;
    for (const name of ['n1', 'n2'])
      assert.match(wide, new RegExp(`^${name} +Ready .* ${computers.get(name)?.address} `, 'm'));
    assert.match(wide, /^n3 +Ready /m);
    const requests = (await kubectl('get', 'csr', '--no-headers')).stdout.trim().split('\n');
    assert.equal(requests.length, 5, 'a client certificate each, and one for each server that listens');
    assert.ok(requests.every((line) => line.endsWith('Approved,Issued')));
    assert.equal(fs.statSync(path.join(dataDirOf('n1'), 'kubeconfig')).mode & 0o777, 0o600);
  });

  test('who has a wrong token or meets another authority, or takes a name, is told so', async () => {
    const [, url = '', , token = '', , hash = ''] = join;
    const attempt = async (name: string, words: readonly string[]): Promise<string> => {
      const place = ['node', '--data-dir', dataDirOf(`bad-${name}`), '--node-name', name, '--tunnel', '--server', url];
      const { code, stderr } = await runLivelet([...place, ...words]);
      assert.equal(code, 1);
      return stderr;
    };
    const wrong = `${token.slice(0, -1)}${token.endsWith('a') ? 'b' : 'a'}`;
    assert.match(await attempt('x', ['--token', wrong, '--ca-cert-hash', hash]), /does not accept the token/);
    const other = `sha256:${'0'.repeat(64)}`;
    const pinned = await attempt('y', ['--token', token, '--ca-cert-hash', other]);
    assert.ok(pinned.includes(hash) && pinned.includes(other), pinned);
    const taken = await attempt('n1', ['--token', token, '--ca-cert-hash', hash]);
    assert.match(taken, /the name is taken: a node n1 is alive/);
  });

  test('replicas spread over the nodes; logs, exec and port-forward reach each of them', async () => {
    assert.equal((await kubectl('create', '-f', manifest)).code, 0);
    const byNode = await untilReplicas(['n1', 'n2', 'n3']);
    assert.deepEqual([...byNode.keys()].sort(), ['n1', 'n2', 'n3']);
    for (const [nodeName, [pod = '']] of byNode) {
      const found = await kubectl('exec', pod, '--', 'sh', '-c', 'hostname; exit 3');
      assert.equal(found.code, 3, `${nodeName}: ${found.stderr}`);
      assert.ok(found.stdout.startsWith(pod), nodeName);
      assert.equal(await forwarded(pod), `You've hit ${pod}\n`, nodeName);
      assert.match((await kubectl('logs', pod)).stdout, /Kubia server starting/, nodeName);
    }
  });

  test('a node that is killed is replaced, and comes back without a token', async () => {
    nodes.get('n1')?.child.kill('SIGKILL');
    await untilNode('n1', false);
    await untilReplicas(['n2', 'n3']);
    await startNode('n1', join.slice(0, 2));
    await untilNode('n1', true);
    await untilNoneEnds();
  });

  test('a node that is cut off is replaced, and ends what was replaced when it is back', async () => {
    const link = computers.get('n2');
    link?.setLink('down');
    await untilNode('n2', false);
    await untilReplicas(['n1', 'n3']);
    link?.setLink('up');
    await untilNode('n2', true);
    await untilReplicas(['n1', 'n3']);
    await untilNoneEnds();
    const running = await until('nothing runs on n2', async () => {
      const { stdout } = await kubectl('get', '--raw', '/api/v1/nodes/n2/proxy/runningpods');
      return stdout.includes('"items":[]') ? true : undefined;
    });
    assert.ok(running);
  });

  test('nodes outlive a restart of the server, and their tunnel too', async () => {
    const port = new URL(join[1] ?? '').port;
    server.child.kill('SIGKILL');
    await server.exited;
    const place = ['--data-dir', dataDirOf('server'), '--port', port, '--bind', networks.address];
    server = await start([], ['server', ...place, '--failover', 'fast']);
    for (const name of ['n1', 'n2', 'n3']) await untilNode(name, true);
    const byNode = await untilReplicas(['n1', 'n2', 'n3']);
    const [pod = ''] = byNode.get('n3') ?? [];
    assert.notEqual(pod, '');
    await until('the tunnel is back', async () => ((await kubectl('logs', pod)).code === 0 ? true : undefined));
  });
});

/** What the pod says through `kubectl port-forward`. */
async function forwarded(pod: string): Promise<string> {
  const kubectlPath = [...kubectlVersions().values()].at(-1) ?? '';
  const env = { ...process.env, KUBECONFIG: path.join(dataDirOf('server'), 'kubeconfig') };
  const child = spawn(kubectlPath, ['port-forward', pod, ':8080'], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const port = await new Promise<number>((resolve, reject) => {
      let text = '';
      child.once('exit', () => reject(new Error(`port-forward ended: ${text}`)));
      child.stdout.on('data', (data: Buffer) => {
        text += data.toString();
        const found = /127\.0\.0\.1:(\d+)/.exec(text)?.[1];
        if (found !== undefined) resolve(Number(found));
      });
    });
    return await new Promise<string>((resolve, reject) => {
      const request = http.get({ host: '127.0.0.1', port, agent: false }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (data: string) => (text += data));
        response.on('end', () => resolve(text));
      });
      request.on('error', reject);
    });
  } finally {
    child.kill('SIGTERM');
  }
}
