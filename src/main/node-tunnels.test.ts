import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { HttpsListener } from '../apiserver/http/https-listener.ts';
import type { ByteStream } from '../base/byte-stream.ts';
import type { HttpHandler, HttpRequest, HttpResponse } from '../base/http.ts';
import { noLog } from '../base/log.ts';
import { TaskScope } from '../base/task-scope.ts';
import { bodyText } from '../client/answer.ts';
import { authorityHash, pinnedAuthority } from '../client/http/authority-pin.ts';
import type { ClusterAccess } from '../client/http/kubeconfig.ts';
import { HostClock } from '../host/host-clock.ts';
import { HostEntropy } from '../host/host-entropy.ts';
import { ensurePki } from '../host/pki.ts';
import type { Pki } from '../host/pki.ts';
import { writeSigningRequest } from '../host/x509.ts';
import { requestOver } from './node-request.ts';
import { kubeletClient } from './node-servers.ts';
import { NodeTunnels } from './node-tunnels.ts';
import { runTunnel } from './tunnel-client.ts';

const clock = new HostClock();
const waitMsMax = 10_000;
const hourMs = 3_600_000;
let directory: string;
let pki: Pki;
let asNode: Pick<ClusterAccess, 'clientCertificate' | 'clientKey'>;

before(async () => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-tunnel-'));
  pki = await ensurePki(directory, { nodeName: 'server', ipAddresses: [] }, { clock, log: noLog });
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const subject = { commonName: 'system:node:n1', organizations: ['system:nodes'], dnsNames: [], ipAddresses: [] };
  const request = await writeSigningRequest({ ...subject, privateKey, publicKey });
  const life = { notBeforeWallMs: Date.now() - hourMs, notAfterWallMs: Date.now() + hourMs };
  asNode = {
    clientCertificate: await pki.authority.sign(request, { usages: ['digital signature', 'client auth'], ...life }),
    clientKey: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
  };
});
after(() => fs.rmSync(directory, { recursive: true }));

function get(target: string, headers: Record<string, string> = {}): HttpRequest {
  return { method: 'GET', path: target, query: new URLSearchParams(), headers, body: '', user: undefined };
}

/** A node's server: says who asked for what, counts slowly, takes connections over as an echo. */
const nodeHandler: HttpHandler = async (request) => {
  const plain = { status: 200, headers: { 'content-type': 'text/plain' } };
  if (request.path === '/echo') return { ...plain, body: '', takeOver: echo };
  if (request.path === '/body') return { ...plain, body: request.body };
  return { ...plain, body: `${request.user?.name} ${request.path}` };
};

async function echo(connection: ByteStream): Promise<void> {
  await connection.write(Buffer.from('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'));
  for await (const chunk of connection.incoming) await connection.write(chunk);
  await connection.end();
}

async function startServer(tunnels: NodeTunnels, port = 0) {
  const notFound: HttpResponse = { status: 404, headers: {}, body: '' };
  const listener = new HttpsListener(
    { handle: async (request) => (await tunnels.handle(request)) ?? notFound, log: noLog },
    {
      host: '127.0.0.1',
      certificate: pki.serverCertPem + pki.caPem,
      key: pki.serverKeyPem,
      clientCa: pki.caPem,
      limits: { closeGraceMs: 100 },
    },
  );
  const { port: found } = await listener.listen(port);
  return { listener, port: found, url: `https://127.0.0.1:${found}` };
}

/** A node of the name `n1`, with a tunnel to this server; `opened` resolves at the next time that it stands. */
function startNode(url: string, scope: TaskScope) {
  const identity = { certificate: pki.serverCertPem, key: pki.serverKeyPem, clientCa: pki.caPem };
  const listener = new HttpsListener({ handle: nodeHandler, log: noLog }, { host: '127.0.0.1', ...identity });
  let onOpen: () => void = () => {};
  const opened = (): Promise<void> => new Promise((resolve) => (onOpen = resolve));
  const deps = {
    clock,
    entropy: new HostEntropy(),
    log: noLog,
    access: () => ({ server: url, certificateAuthority: pki.caPem, ...asNode }),
    onConnection: (connection: Parameters<HttpsListener['accept']>[0]) => listener.accept(connection, kubeletClient),
    onOpen: () => onOpen(),
  };
  const first = opened();
  scope.start((signal) => runTunnel('n1', deps, signal));
  return { listener, first, opened };
}

async function connected(tunnels: NodeTunnels) {
  const connection = tunnels.connect('n1', AbortSignal.timeout(waitMsMax));
  assert.ok(connection !== undefined);
  return await connection;
}

test('through its tunnel a node answers many requests at a time, large bodies, and upgrades', async () => {
  const signal = AbortSignal.timeout(waitMsMax);
  const scope = new TaskScope();
  const tunnels = new NodeTunnels({ log: noLog });
  const server = await startServer(tunnels);
  assert.equal(tunnels.connect('n1', AbortSignal.timeout(waitMsMax)), undefined);
  const node = startNode(server.url, scope);
  try {
    await node.first;
    const ask = async (target: string): Promise<string> =>
      bodyText((await requestOver(await connected(tunnels), 'n1', get(target), signal)).body);
    const targets = Array.from({ length: 40 }, (_, index) => `/x${index}`);
    assert.deepEqual(
      await Promise.all(targets.map(ask)),
      targets.map((target) => `kube-apiserver-kubelet-client ${target}`),
    );
    const large = 'é'.repeat(1_000_000);
    const post = { ...get('/body'), method: 'POST', body: large };
    assert.equal(await bodyText((await requestOver(await connected(tunnels), 'n1', post, signal)).body), large);

    const upgrade = get('/echo', { connection: 'Upgrade', upgrade: 'x' });
    const answer = await requestOver(await connected(tunnels), 'n1', upgrade, signal);
    assert.ok(answer.takeOver !== undefined);
    const seen: string[] = [];
    const client: ByteStream = {
      incoming: (async function* () {
        yield Buffer.from('hello');
      })(),
      write: async (bytes) => void seen.push(Buffer.from(bytes).toString()),
      end: async () => {},
      destroy() {},
    };
    await answer.takeOver(client, signal);
    assert.match(seen.join(''), /^HTTP\/1\.1 101 Switching Protocols\r\n[^]*\r\n\r\nhello$/);
  } finally {
    await scope.close();
    await node.listener.close();
    await server.listener.close();
  }
});

test('a tunnel comes back with its server; nobody opens that of another node', async () => {
  const signal = AbortSignal.timeout(waitMsMax);
  const scope = new TaskScope();
  const tunnels = new NodeTunnels({ log: noLog });
  const first = await startServer(tunnels);
  const node = startNode(first.url, scope);
  await node.first;
  const again = node.opened();
  await first.listener.close();
  const second = await startServer(tunnels, first.port);
  try {
    await again;
    const { status } = await requestOver(await connected(tunnels), 'n1', get('/'), signal);
    assert.equal(status, 200);
    const user = { name: 'system:node:n2', groups: ['system:nodes'] };
    const request = { ...get('/livelet/v1/nodes/n1/tunnel', { upgrade: 'livelet-tunnel' }) };
    assert.deepEqual(
      [
        (await tunnels.handle(request))?.status,
        (await tunnels.handle({ ...request, user }))?.status,
        (await tunnels.handle({ ...request, user: { ...user, name: 'system:node:n1' }, headers: {} }))?.status,
        tunnels.handle(get('/livelet/v1/nodes')),
      ],
      [401, 403, 400, undefined],
    );
  } finally {
    await scope.close();
    await node.listener.close();
    await second.listener.close();
  }
});

test("the first connection trusts the authority whose key has the hash, at this computer's time", async () => {
  const signal = AbortSignal.timeout(waitMsMax);
  const server = await startServer(new NodeTunnels({ log: noLog }));
  const hash = authorityHash(pki.caPem);
  const now = Date.now();
  try {
    const found = await pinnedAuthority(server.url, hash.toUpperCase().replace('SHA256', 'sha256'), now, signal);
    assert.equal(authorityHash(found), hash);
    const other = `sha256:${'0'.repeat(64)}`;
    await assert.rejects(pinnedAuthority(server.url, other, now, signal), ({ reason, message }: Error & Reason) => {
      assert.deepEqual([reason, message.includes(hash), message.includes(other)], ['Forbidden', true, true]);
      return true;
    });
    const slow = now - 30 * 24 * hourMs;
    await assert.rejects(pinnedAuthority(server.url, hash, slow, signal), /the clock of this computer says/);
  } finally {
    await server.listener.close();
  }
  await assert.rejects(pinnedAuthority(server.url, hash, now, signal), {
    reason: 'ServiceUnavailable',
    message: `Get "${server.url}": dial tcp 127.0.0.1:${server.port}: connect: connection refused`,
  });
});

interface Reason {
  readonly reason: string;
}
