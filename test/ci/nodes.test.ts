/** A server and three nodes, each in a network of its own: joining, reaching their pods, losing nodes, coming back. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { skipWithoutNetworks } from '../support/node-networks.ts';
import { kubectlVersions, runLivelet } from './livelet-up.ts';
import { NodesBed, nameOf, launch, until } from './nodes-bed.ts';

const manifest = path.resolve(import.meta.dirname, '../data/manifests/kubia-rc.yaml');
const skip = skipWithoutNetworks() || (kubectlVersions().size === 0 ? 'no kubectl' : false);

let bed: NodesBed;

describe('nodes that join', { skip }, () => {
  before(async () => {
    bed = await NodesBed.open({ names: ['n1', 'n2', 'n3'], tunnelled: ['n3'] });
  });
  after(() => bed?.close());

  test('three nodes are Ready, with certificates of their own', async () => {
    const wide = (await bed.kubectl('get', 'nodes', '-o', 'wide')).stdout;
    for (const name of ['n1', 'n2'])
      assert.match(wide, new RegExp(`^${name} +Ready .* ${bed.computer(name).address} `, 'm'));
    assert.match(wide, /^n3 +Ready /m);
    const requests = (await bed.kubectl('get', 'csr', '--no-headers')).stdout.trim().split('\n');
    assert.equal(requests.length, 5, 'a client certificate each, and one for each server that listens');
    assert.ok(requests.every((line) => line.endsWith('Approved,Issued')));
    assert.equal(fs.statSync(path.join(bed.dataDirOf('n1'), 'kubeconfig')).mode & 0o777, 0o600);
  });

  test('who has a wrong token or meets another authority, or takes a name, is told so', async () => {
    const [, url = '', , token = '', , hash = ''] = bed.join;
    const attempt = async (name: string, words: readonly string[]): Promise<string> => {
      const place = [
        'node',
        '--data-dir',
        bed.dataDirOf(`bad-${name}`),
        '--node-name',
        name,
        '--tunnel',
        '--server',
        url,
      ];
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

  test('of two agents that join under one name at the same moment, one gets it and the other is told', async () => {
    const place = (directory: string): string[] => ['--data-dir', bed.dataDirOf(directory), '--node-name', 'twin'];
    const begun = ['twin-a', 'twin-b'].map(async (directory) => {
      const started = launch([], ['node', ...place(directory), '--tunnel', ...bed.join]);
      return await started.ready.then(() => started, String);
    });
    const ended = await Promise.all(begun);
    const [refusal] = ended.filter((one) => typeof one === 'string');
    const [winner] = ended.filter((one) => typeof one === 'object');
    assert.match(refusal ?? '', /ended with 1: .*the name is taken: another agent has just joined as node twin/s);
    assert.ok(winner !== undefined, refusal);
    winner.child.kill('SIGTERM');
    await winner.exited;
    assert.equal((await bed.kubectl('delete', 'node', 'twin')).code, 0);
  });

  test('replicas spread over the nodes; logs, exec and port-forward reach each of them', async () => {
    assert.equal((await bed.kubectl('create', '-f', manifest)).code, 0);
    const byNode = await bed.untilReplicas(3, ['n1', 'n2', 'n3']);
    for (const [nodeName, pods] of byNode) {
      assert.equal(pods.length, 1, nodeName);
      const pod = pods.map(nameOf).join();
      const found = await bed.kubectl('exec', pod, '--', 'sh', '-c', 'hostname; exit 3');
      assert.equal(found.code, 3, `${nodeName}: ${found.stderr}`);
      assert.ok(found.stdout.startsWith(pod), nodeName);
      assert.equal(await forwarded(pod), `You've hit ${pod}\n`, nodeName);
      assert.match((await bed.kubectl('logs', pod)).stdout, /Kubia server starting/, nodeName);
    }
  });

  test('a node that is killed is replaced, and comes back without a token', async () => {
    bed.signal('n1', 'SIGKILL');
    await bed.untilNode('n1', false);
    await bed.untilReplicas(3, ['n2', 'n3']);
    await bed.launch('n1').ready;
    await bed.untilNode('n1', true);
    await bed.untilNoneEnds();
  });

  test('a node that is cut off is replaced, and ends what was replaced when it is back', async () => {
    const link = bed.computer('n2');
    link.setLink('down');
    await bed.untilNode('n2', false);
    await bed.untilReplicas(3, ['n1', 'n3']);
    link.setLink('up');
    await bed.untilNode('n2', true);
    await bed.untilReplicas(3, ['n1', 'n3']);
    await bed.untilNoneEnds();
    const running = await until('nothing runs on n2', async () => {
      const { stdout } = await bed.kubectl('get', '--raw', '/api/v1/nodes/n2/proxy/runningpods');
      return stdout.includes('"items":[]') ? true : undefined;
    });
    assert.ok(running);
  });

  test('nodes outlive a restart of the server, and their tunnel too', async () => {
    bed.signal('server', 'SIGKILL');
    await bed.processOf('server').exited;
    await bed.launch('server').ready;
    for (const name of ['n1', 'n2', 'n3']) await bed.untilNode(name, true);
    const byNode = await bed.untilReplicas(3, ['n1', 'n2', 'n3']);
    const [pod = ''] = (byNode.get('n3') ?? []).map(nameOf);
    assert.notEqual(pod, '');
    await until('the tunnel is back', async () => ((await bed.kubectl('logs', pod)).code === 0 ? true : undefined));
  });
});

/** What the pod says through `kubectl port-forward`. */
async function forwarded(pod: string): Promise<string> {
  const kubectlPath = [...kubectlVersions().values()].at(-1) ?? '';
  const env = { ...process.env, KUBECONFIG: bed.kubeconfigPath };
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
