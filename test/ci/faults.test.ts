/** What goes wrong with `livelet up` itself: signals, SIGKILL, taken ports and directories; and hostile requests. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import tls from 'node:tls';
import type { Pod } from '../../src/api/gen/types.ts';
import { runLivelet, sleepMs, startLivelet } from './livelet-up.ts';
import type { RunningLivelet } from './livelet-up.ts';

/** Unique, so that its processes can be told from all others. */
const marker = `livelet-faults-${process.pid}`;

function pod(name: string, command: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [{ name: 'c', image: 'busybox:1.36', command: ['sh', '-c', command, marker] }],
    },
  });
}

/** Processes whose command line has the marker. */
function containersAlive(): string[] {
  return execFileSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes(marker) && !line.includes('ps -eo'));
}

async function getPod(cluster: RunningLivelet, name: string): Promise<Pod> {
  const { stdout, stderr } = await cluster.livelet(['get', 'po', name, '-o', 'json']);
  assert.equal(stderr, '');
  return JSON.parse(stdout) as Pod;
}

async function untilPod(cluster: RunningLivelet, name: string, holds: (pod: Pod) => boolean): Promise<Pod> {
  for (let i = 0; i < 300; i++) {
    const now = await getPod(cluster, name);
    if (holds(now)) return now;
    await sleepMs(100);
  }
  return assert.fail(`not within 30 s: ${JSON.stringify((await getPod(cluster, name)).status)}`);
}

const running = ({ status }: Pod): boolean => status?.containerStatuses?.[0]?.state?.running !== undefined;
const restarts = ({ status }: Pod): number => status?.containerStatuses?.[0]?.restartCount ?? -1;

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} ends the pods, leaves nothing running, and exits with 0`, async () => {
    const cluster = await startLivelet();
    await cluster.livelet(['create', '-f', '-'], pod('a', 'sleep 1000 & sleep 1000; true'));
    await untilPod(cluster, 'a', running);
    assert.notDeepEqual(containersAlive(), []);
    const beganMs = performance.now();
    assert.equal(await cluster.stop(signal), 0);
    assert.ok(performance.now() - beganMs < 10_000);
    assert.deepEqual(containersAlive(), []);
    cluster.remove();
  });
}

test('after SIGKILL the next up finds the data whole, ends leftovers, and runs the pods on with their counts', async () => {
  const first = await startLivelet();
  await first.livelet(['create', '-f', '-'], pod('steady', 'sleep 1000 & sleep 1000; true'));
  await first.livelet(['create', '-f', '-'], pod('crasher', 'sleep 1; exit 3'));
  await untilPod(first, 'crasher', (now) => restarts(now) >= 1);
  const before = await untilPod(first, 'steady', running);
  const crashed = restarts(await getPod(first, 'crasher'));
  await first.stop('SIGKILL');
  const second = await startLivelet({ dataDir: first.dataDir });
  const steady = await untilPod(second, 'steady', (now) => running(now) && restarts(now) === restarts(before) + 1);
  assert.equal(steady.metadata?.uid, before.metadata?.uid);
  assert.equal(steady.status?.containerStatuses?.[0]?.lastState?.terminated?.exitCode, 137);
  assert.ok(restarts(await getPod(second, 'crasher')) >= crashed);
  const alive = containersAlive().filter(
    (line) => line.includes('sleep 1000 & sleep 1000; true') && !line.includes('unshare'),
  );
  assert.equal(alive.filter((line) => /\bsh -c sleep 1000/.test(line)).length <= 1, true, alive.join('\n'));
  assert.equal(await second.stop(), 0);
  assert.deepEqual(containersAlive(), []);
  second.remove();
});

test('a taken port, a directory in use, and one that cannot be written are each one clear line', async () => {
  const cluster = await startLivelet();
  const taken = net.createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  const address = taken.address();
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
  const other = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-ci-'));
  const cases = [
    { args: ['--data-dir', other, '--port', String(port)], text: String(port) },
    { args: ['--data-dir', cluster.dataDir, '--port', '0'], text: cluster.dataDir },
    { args: ['--data-dir', '/proc/livelet', '--port', '0'], text: '/proc/livelet' },
    { args: ['--data-dir', other, '--runtime', 'nosuch'], text: 'nosuch' },
  ];
  for (const { args, text } of cases) {
    const { code, stdout, stderr } = await runLivelet(['up', ...args]);
    assert.notEqual(code, 0, args.join(' '));
    assert.equal(stdout, '');
    assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
    assert.ok(stderr.includes(text), stderr);
  }
  taken.close();
  await cluster.stop();
  cluster.remove();
  fs.rmSync(other, { recursive: true });
});

test('up --detach, status and down', async () => {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-ci-'));
  const env = { LIVELET_HOME: home };
  const up = await runLivelet(['up', '--detach', '--port', '0'], env);
  assert.equal(up.code, 0, up.stderr);
  assert.equal((await runLivelet(['kubeconfig'], env)).stdout, `${path.join(home, 'kubeconfig')}\n`);
  assert.equal(fs.statSync(path.join(home, 'kubeconfig')).mode & 0o777, 0o600);
  assert.equal((await runLivelet(['status'], env)).code, 0);
  assert.notEqual((await runLivelet(['up', '--detach', '--port', '0'], env)).code, 0);
  assert.equal((await runLivelet(['down'], env)).code, 0);
  assert.notEqual((await runLivelet(['status'], env)).code, 0);
  fs.rmSync(home, { recursive: true });
});

/** Sends bytes and returns what came back until the server closed, at most `msMax`. */
function exchange(port: number, options: tls.ConnectionOptions, bytes: string, msMax: number): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = tls.connect({ host: '127.0.0.1', port, ALPNProtocols: ['http/1.1'], ...options }, () => {
      socket.write(bytes);
    });
    const timer = setTimeout(() => socket.destroy(), msMax);
    socket.on('data', (data) => {
      text += data.toString('latin1');
    });
    socket.on('error', () => {}); // reset by the server: that is an answer too
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(text);
    });
  });
}

test('hostile requests get 4xx with a Status, and the server lives on', async () => {
  const cluster = await startLivelet();
  const config = fs.readFileSync(cluster.kubeconfigPath, 'utf8');
  const field = (name: string): string =>
    Buffer.from(new RegExp(`${name}: (\\S+)`).exec(config)?.[1] ?? '', 'base64').toString();
  const port = Number(/server: "?https:\/\/127\.0\.0\.1:(\d+)/.exec(config)?.[1]);
  const anonymous = { ca: field('certificate-authority-data') };
  const admin = { ...anonymous, cert: field('client-certificate-data'), key: field('client-key-data') };
  const request = (line: string, headers: string, body: string): string =>
    `${line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`;
  const json = 'content-type: application/json\r\n';
  const pods = '/api/v1/namespaces/default/pods';
  const cases: readonly (readonly [what: string, bytes: string, status: number, options: tls.ConnectionOptions])[] = [
    ['anonymous', request(`GET ${pods}`, '', ''), 401, anonymous],
    ['unknown path', request('GET /nosuch', '', ''), 404, admin],
    ['unknown kind', request('GET /api/v1/nosuch', '', ''), 404, admin],
    ['broken JSON', request(`POST ${pods}`, json, '{broken'), 400, admin],
    ['empty body', request(`POST ${pods}`, json, ''), 400, admin],
    ['an array', request(`POST ${pods}`, json, '[]'), 400, admin],
    ['wrong type', request(`POST ${pods}`, 'content-type: text/csv\r\n', 'a,b'), 415, admin],
    ['wrong method', request(`POST ${pods}/x`, json, '{}'), 405, admin],
    ['deep JSON', request(`POST ${pods}`, json, '['.repeat(100_000)), 400, admin],
    ['over-long body', request(`POST ${pods}`, json, `{"a":"${'x'.repeat(4 * 1_024 * 1_024)}"}`), 413, admin],
    ['bad selector', request(`GET ${pods}?labelSelector=%21%21`, '', ''), 400, admin],
    ['bad limit', request(`GET ${pods}?limit=x`, '', ''), 400, admin],
    ['bad version', request(`GET ${pods}?resourceVersion=abc`, '', ''), 400, admin],
  ];
  for (const [what, bytes, status, options] of cases) {
    const answer = await exchange(port, options, bytes, 20_000);
    assert.ok(answer.startsWith(`HTTP/1.1 ${status} `), `${what}: ${answer.slice(0, 300)}`);
    assert.match(answer, /"kind":\s*"Status"/, what);
  }
  await exchange(port, admin, 'GARBAGE\r\n\r\n', 5_000);
  await exchange(port, admin, `GET /${'x'.repeat(200_000)} HTTP/1.1\r\n\r\n`, 5_000);
  const slow = exchange(port, admin, `POST ${pods} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{`, 1_000);
  assert.equal((await cluster.livelet(['get', 'nodes', '-o', 'name'])).stdout, 'node/worker002\n');
  await slow;
  assert.equal(await cluster.stop(), 0);
  cluster.remove();
});
