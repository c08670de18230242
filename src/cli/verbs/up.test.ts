/** A real cluster in this process, in a directory of its own, for a second or two. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { quietIo, type CliResult } from '../../../test/support/cli-run.ts';
import type { CliIo } from '../cli-io.ts';
import { firstFreePort } from '../free-port.ts';
import { run } from '../main.ts';
import { HostClock } from '../../host/host-clock.ts';

const readyMsMax = 20_000;
const dataName = "it's data"; // so that a shell sees more than one word in it

interface Running {
  readonly result: Promise<CliResult>;
  readonly printed: () => Omit<CliResult, 'code'>;
}

function start(home: string, words: readonly string[], signal: AbortSignal): Running {
  const { io, printed } = quietIo(new HostClock());
  const surroundings: CliIo = { ...io, homeDir: home, env: { LIVELET_HOME: path.join(home, dataName) } };
  const result = run(words, { io: surroundings }, signal).then((code) => ({ code, ...printed() }));
  return { result, printed };
}

const cli = (home: string, ...words: readonly string[]): Promise<CliResult> =>
  start(home, words, new AbortController().signal).result;

test('up prints one line when it is Ready, is found by the other verbs, and ends when it is told to', async () => {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-up-'));
  const data = path.join(home, dataName);
  const controller = new AbortController();
  const up = start(home, ['up', '--port', '0', '--node-name', 'n'], controller.signal);
  const beganMs = performance.now();
  while (up.printed().stdout === '' && performance.now() - beganMs < readyMsMax) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const ready = /^node n is Ready, API server at https:\/\/127\.0\.0\.1:\d+; (export KUBECONFIG=.*)\n$/.exec(
    up.printed().stdout,
  );
  const exported = execFileSync('sh', ['-c', `${ready?.[1]}; printf %s "$KUBECONFIG"`], { encoding: 'utf8' });
  assert.equal(exported, `${data}/kubeconfig`);
  assert.deepEqual(await cli(home, 'kubeconfig'), { code: 0, stdout: `${data}/kubeconfig\n`, stderr: '' });
  assert.equal(fs.statSync(path.join(data, 'kubeconfig')).mode & 0o777, 0o600);
  const status = await cli(home, 'status');
  assert.deepEqual([status.code, status.stderr], [0, '']);
  assert.match(status.stdout, new RegExp(`^Process: +${process.pid}$`, 'm'));
  assert.match(status.stdout, /^Node: +n \(Ready\)$/m);
  assert.match(status.stdout, /^Pods: +0$/m);
  assert.equal((await cli(home, 'get', 'nodes', '-o', 'name')).stdout, 'node/n\n');
  const second = await cli(home, 'up', '--port', '0');
  assert.deepEqual([second.code, second.stdout], [1, '']);
  assert.match(
    second.stderr,
    new RegExp(`^error: a cluster already runs on ${data} \\(process ${process.pid}, https.*\\)\n$`),
  );
  controller.abort(new Error('SIGTERM'));
  assert.equal((await up.result).code, 0);
  assert.equal(fs.existsSync(path.join(data, 'livelet.pid')), false);
  assert.equal((await cli(home, 'status')).code, 3);
  fs.rmSync(home, { recursive: true });
});

test('a port that is asked for and taken is one clear line, and nothing is left behind', async () => {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-up-'));
  const taken = net.createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  const address = taken.address();
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
  const { code, stdout, stderr } = await cli(home, 'up', '--port', String(port));
  assert.deepEqual([code, stdout, stderr.split('\n').length], [1, '', 2], stderr);
  assert.match(stderr, new RegExp(`^error: .*${port}`));
  assert.notEqual(await firstFreePort(port, '127.0.0.1'), port);
  taken.close();
  fs.rmSync(home, { recursive: true });
});

test('node --manifests runs pods without an API server, prints what happens to them, and is found by status', async () => {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-node-'));
  const manifests = path.join(home, 'manifests');
  fs.mkdirSync(manifests);
  const container = { name: 'main', image: 'busybox:1.36', command: ['sleep', '600'] };
  const pod = { metadata: { name: 'web' }, spec: { terminationGracePeriodSeconds: 1, containers: [container] } };
  fs.writeFileSync(path.join(manifests, 'web.json'), JSON.stringify(pod));
  fs.writeFileSync(path.join(manifests, 'bad.yaml'), 'metadata: {name: bad}\nspec: {serviceAccountName: robot}\n');
  const controller = new AbortController();
  const node = start(home, ['node', '--manifests', manifests, '--node-name', 'n'], controller.signal);
  const beganMs = performance.now();
  const isOver = (): boolean => performance.now() - beganMs > readyMsMax;
  while (!/ Started /.test(node.printed().stdout) && !isOver()) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const { stdout, stderr } = node.printed();
  assert.match(stdout, /^node n runs the pods of its manifests, without an API server$/m);
  assert.match(
    stdout,
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ {2}default\/web-n\/main {2}Started {2}Started container main$/m,
  );
  assert.match(
    stdout,
    /^.{20} {2}node n {2}InvalidManifest {2}Manifest .*\/bad\.yaml: invalid pod: spec\.containers: /m,
  );
  assert.match(stderr, /^note: containers log to .*\/pods$/m);
  const status = await cli(home, 'status');
  assert.deepEqual([status.code, status.stderr], [0, '']);
  assert.match(status.stdout, /^Node: +n \(without an API server\)$/m);
  controller.abort(new Error('SIGTERM'));
  assert.equal((await node.result).code, 0);
  assert.deepEqual(await cli(home, 'node'), {
    code: 1,
    stdout: '',
    stderr: 'error: --server is missing: the URL of the API server; or --manifests DIR, to run without one\n',
  });
  fs.rmSync(home, { recursive: true });
});
