import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { once } from 'node:events';
import http2 from 'node:http2';
import https from 'node:https';
import tls from 'node:tls';
import { after, test } from 'node:test';
import type { HttpHandler, HttpRequest, HttpResponse } from '../../base/http.ts';
import { noLog } from '../../base/log.ts';
import { InvariantError, hasReason } from '../../base/status-error.ts';
import { writeCertificate } from '../../host/x509.ts';
import { HttpsListener } from './https-listener.ts';
import type { HttpsLimits } from './https-listener.ts';

const host = '127.0.0.1';

function keyPair() {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

interface Authority {
  readonly name: string;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
  readonly pem: string;
}

const life = { notBeforeWallMs: Date.now() - 60_000, notAfterWallMs: Date.now() + 3_600_000 };

async function authority(name: string): Promise<Authority> {
  const { publicKey, privateKey } = keyPair();
  const issuer = { issuerName: name, issuerPublicKey: publicKey, issuerKey: privateKey };
  const subject = { commonName: name, organizations: [], subjectKey: publicKey, dnsNames: [], ipAddresses: [] };
  return { name, publicKey, privateKey, pem: await writeCertificate({ ...life, ...subject, ...issuer, usages: 'ca' }) };
}

async function leaf(
  ca: Authority,
  commonName: string,
  organizations: readonly string[],
  usage: 'server auth' | 'client auth',
) {
  const { publicKey, privateKey } = keyPair();
  const issuer = { issuerName: ca.name, issuerPublicKey: ca.publicKey, issuerKey: ca.privateKey };
  const subject = { commonName, organizations, subjectKey: publicKey, dnsNames: ['localhost'], ipAddresses: [host] };
  return {
    cert: await writeCertificate({ ...life, ...subject, ...issuer, usages: ['digital signature', usage] }),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

const ca = await authority('test-ca');
const server = await leaf(ca, 'kube-apiserver', [], 'server auth');
const client = await leaf(ca, 'jane', ['dev', 'ops'], 'client auth');
const listeners = new Set<HttpsListener>();
after(() => Promise.all([...listeners].map((listener) => listener.close())));

async function listen(handle: HttpHandler, limits: Partial<HttpsLimits> = {}) {
  const options = { host, certificate: server.cert, key: server.key, clientCa: ca.pem, limits };
  const listener = new HttpsListener({ handle, log: noLog }, options);
  const { port } = await listener.listen(0);
  listeners.add(listener);
  return { listener, port };
}

interface Reply {
  readonly status: number;
  readonly text: string;
}

interface Call {
  readonly method?: string;
  readonly path?: string;
  readonly body?: string | Buffer;
  readonly identity?: { readonly cert: string; readonly key: string } | undefined;
}

function call1(port: number, call: Call = {}): Promise<Reply> {
  const { method = 'GET', path = '/', body, identity } = { identity: client, ...call };
  return new Promise((resolve, reject) => {
    const request = https.request({ host, port, method, path, ca: ca.pem, agent: false, ...identity }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

async function call2(port: number, call: Call = {}): Promise<Reply> {
  const { method = 'GET', path = '/', body, identity } = { identity: client, ...call };
  const session = http2.connect(`https://${host}:${port}`, { ca: ca.pem, ...identity });
  try {
    const stream = session.request({ ':method': method, ':path': path }, { endStream: body === undefined });
    if (body !== undefined) stream.end(body);
    const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders & { ':status'?: number }];
    let text = '';
    for await (const chunk of stream.setEncoding('utf8')) text += chunk;
    return { status: headers[':status'] ?? 0, text };
  } finally {
    session.close();
  }
}

const calls = { 'HTTP/1.1': call1, 'HTTP/2': call2 } as const;

function echo(request: HttpRequest): Promise<HttpResponse> {
  const { method, path, user, body } = request;
  const seen = { method, path, query: request.query.toString(), user, length: body.length };
  return Promise.resolve({ status: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify(seen) });
}

for (const [version, call] of Object.entries(calls)) {
  test(`${version}: the user comes from the client certificate, and only from one that our authority signed`, async () => {
    const { port } = await listen(echo);
    const body = 'é'.repeat(100_000);
    const { status, text } = await call(port, { method: 'POST', path: '/a%2Fb/c?d=e', body });
    assert.equal(status, 200);
    assert.deepEqual(JSON.parse(text), {
      method: 'POST',
      path: '/a%2Fb/c',
      query: 'd=e',
      user: { name: 'jane', groups: ['dev', 'ops'] },
      length: 200_000,
    });
    const stranger = await leaf(await authority('test-ca'), 'root', ['system:masters'], 'client auth');
    for (const identity of [undefined, stranger]) {
      assert.equal(JSON.parse((await call(port, { identity })).text).user, undefined);
    }
  });

  test(`${version}: a body over the limit is 413, and nobody reads it`, async () => {
    let callCount = 0;
    const handle: HttpHandler = (request) => {
      callCount += 1;
      return echo(request);
    };
    const { port } = await listen(handle, { bodyBytesMax: 1_000 });
    const { status, text } = await call(port, { method: 'POST', body: 'x'.repeat(1_001) });
    assert.deepEqual([status, JSON.parse(text).reason, callCount], [413, 'RequestEntityTooLarge', 0]);
    assert.equal((await call(port, { method: 'POST', body: 'x'.repeat(1_000) })).status, 200);
  });

  test(`${version}: a stream goes out piece by piece`, async () => {
    const { port } = await listen(() => Promise.resolve({ status: 200, headers: {}, body: pieces() }));
    async function* pieces() {
      yield 'a\n';
      await new Promise((resolve) => setTimeout(resolve, 1));
      yield Buffer.from('b\n');
    }
    assert.deepEqual(await call(port), { status: 200, text: 'a\nb\n' });
  });
}

/** A stream without end; `ended` resolves when whoever reads it lets go. */
function endless(piece: string) {
  let markEnded: () => void = () => {};
  const ended = new Promise<void>((resolve) => (markEnded = resolve));
  const seen = { pieceCount: 0 };
  const handle: HttpHandler = (_request, signal) => {
    async function* pieces() {
      const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
      try {
        for (;;) {
          if (signal.aborted) return;
          seen.pieceCount += 1;
          yield piece;
          if (piece.length < 100) await aborted;
        }
      } finally {
        markEnded();
      }
    }
    return Promise.resolve({ status: 200, headers: {}, body: pieces() });
  };
  return { handle, ended, seen };
}

test('a watch ends when its client goes away, over both versions', async () => {
  for (const version of ['1', '2']) {
    const { handle, ended } = endless('line\n');
    const { port } = await listen(handle);
    if (version === '1') {
      const request = https.get({ host, port, ca: ca.pem, agent: false, ...client });
      const [response] = (await once(request, 'response')) as [NodeJS.ReadableStream];
      await once(response, 'data');
      request.on('error', () => {});
      request.destroy();
    } else {
      const session = http2.connect(`https://${host}:${port}`, { ca: ca.pem, ...client });
      const stream = session.request({ ':path': '/' });
      await once(stream, 'data');
      stream.close(http2.constants.NGHTTP2_CANCEL);
      session.close();
    }
    await ended;
  }
});

test('a client that does not read holds up its own watch only, and is given up in the end', async () => {
  const { handle, ended, seen } = endless('x'.repeat(65_536));
  const { port } = await listen(handle, { writeTimeoutMs: 300 });
  const socket = tls.connect({ host, port, ca: ca.pem, ...client });
  await once(socket, 'secureConnect');
  socket.on('error', () => {});
  socket.pause();
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  await ended;
  assert.ok(seen.pieceCount < 1_000, `${seen.pieceCount} pieces of 64 KiB were made`);
  socket.destroy();
});

test('a taken port is told in words', async () => {
  const { port } = await listen(echo);
  const options = { host, certificate: server.cert, key: server.key, clientCa: ca.pem };
  const second = new HttpsListener({ handle: echo, log: noLog }, options);
  await assert.rejects(second.listen(port), (error) => {
    assert.ok(hasReason(error, 'Conflict'));
    assert.equal(error.message, `cannot listen on 127.0.0.1:${port}: the port is in use`);
    return true;
  });
});

async function raw(port: number, text: string): Promise<string> {
  const socket = tls.connect({ host, port, ca: ca.pem, ...client });
  await once(socket, 'secureConnect');
  socket.write(text);
  let answer = '';
  for await (const chunk of socket.setEncoding('utf8')) answer += chunk;
  return answer;
}

test('a client that writes its whole body before it reads still gets the 413', async () => {
  const { port } = await listen(echo, { bodyBytesMax: 1_000 });
  const socket = tls.connect({ host, port, ca: ca.pem, ...client });
  await once(socket, 'secureConnect');
  const body = Buffer.alloc(8 * 1_024 * 1_024); // more than the buffers of two sockets hold
  socket.write(`POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${body.length}\r\n\r\n`);
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.write(body, (error) => (error ? reject(error) : resolve()));
  });
  const [answer] = (await once(socket, 'data')) as [Buffer];
  assert.match(answer.toString('utf8'), /^HTTP\/1.1 413 /);
  socket.destroy();
});

test('what is no HTTP, too large or too slow gets a last answer, and the next client is served', async () => {
  const { port } = await listen(echo, { headerBytesMax: 2_000, headersTimeoutMs: 200, requestTimeoutMs: 200 });
  assert.match(await raw(port, 'BREW coffee\r\n\r\n'), /^HTTP\/1\.1 400 .*"reason":"BadRequest"/s);
  assert.match(await raw(port, `GET / HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(3_000)}\r\n\r\n`), /^HTTP\/1\.1 431 /);
  assert.match(await raw(port, 'GET / HTTP/1.1\r\nHos'), /^HTTP\/1\.1 408 .*"reason":"Timeout"/s);
  assert.match(await raw(port, 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc'), /^HTTP\/1\.1 408 /);
  assert.equal((await call1(port)).status, 200);
});

test('a resumed TLS session keeps its user', async () => {
  const { port } = await listen(echo);
  const connect = async (session?: Buffer) => {
    const socket = tls.connect({ host, port, ca: ca.pem, ...client, ...(session === undefined ? {} : { session }) });
    const ticket = once(socket, 'session') as Promise<[Buffer]>;
    await once(socket, 'secureConnect');
    assert.equal(socket.isSessionReused(), session !== undefined);
    socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    let answer = '';
    for await (const chunk of socket.setEncoding('utf8')) answer += chunk;
    const body = JSON.parse(answer.slice(answer.indexOf('{'), answer.lastIndexOf('}') + 1));
    return { user: body.user, session: session ?? (await ticket)[0] };
  };
  const first = await connect();
  const second = await connect(first.session);
  assert.deepEqual([first.user, second.user], [{ name: 'jane', groups: ['dev', 'ops'] }, first.user]);
});

test('close() ends watches at once, lets other requests finish, and waits no longer than its grace', async () => {
  const watching = endless('line\n');
  let isSlow = false;
  let finish: () => void = () => {};
  const handle: HttpHandler = async (request, signal) => {
    if (request.path === '/watch') return watching.handle(request, signal);
    isSlow = true;
    await new Promise<void>((resolve) => (finish = resolve));
    return echo(request);
  };
  const { listener, port } = await listen(handle, { closeGraceMs: 500 });
  const watch = call2(port, { path: '/watch' });
  const slow = call1(port, { path: '/slow' });
  while (watching.seen.pieceCount === 0 || !isSlow) await new Promise((resolve) => setTimeout(resolve, 5));
  const closing = listener.close();
  await watching.ended;
  finish();
  assert.equal((await slow).status, 200);
  assert.deepEqual(await watch, { status: 200, text: 'line\n' });
  await closing;
  await assert.rejects(call1(port), { code: 'ECONNREFUSED' });
});

test('close() gives up a request that never ends', async () => {
  let begun: () => void = () => {};
  const started = new Promise<void>((resolve) => (begun = resolve));
  let end: () => void = () => {};
  const handle: HttpHandler = async (request) => {
    begun();
    await new Promise<void>((resolve) => (end = resolve));
    return echo(request);
  };
  const { listener, port } = await listen(handle, { closeGraceMs: 50 });
  const answer = call1(port).catch((error: unknown) => error);
  await started;
  await listener.close();
  assert.ok((await answer) instanceof Error);
  end();
});

test('a broken invariant is told to who runs the listener; any other bug costs only its own request', async () => {
  const errors: string[] = [];
  const log = { ...noLog, error: (event: string) => errors.push(event) };
  const options = { host, certificate: server.cert, key: server.key, clientCa: ca.pem };
  const handle: HttpHandler = (request) => {
    throw request.path === '/bug' ? new TypeError('a bug') : new InvariantError('spoilt');
  };
  const listener = new HttpsListener({ handle, log }, options);
  const { port } = await listener.listen(0);
  const done = assert.rejects(listener.done(), { name: 'InvariantError', message: 'spoilt' });
  await assert.rejects(call1(port, { path: '/bug' }), { code: 'ECONNRESET' });
  assert.deepEqual(errors, ['exchangeFailed']);
  await assert.rejects(call1(port, { path: '/invariant' }), { code: 'ECONNRESET' });
  await done;
  await assert.rejects(listener.close(), { name: 'InvariantError' });
});

/** Answers with its user, then echoes in capitals until the other side ends. */
const takenOver: HttpHandler = (request) =>
  Promise.resolve({
    status: 101,
    headers: {},
    body: '',
    async takeOver(connection) {
      await connection.write(Buffer.from(`101 ${request.method} ${request.user?.name}\n`));
      for await (const bytes of connection.incoming) {
        await connection.write(Buffer.from(Buffer.from(bytes).toString('utf8').toUpperCase()));
      }
      await connection.end();
    },
  });

async function rawSocket(port: number): Promise<tls.TLSSocket> {
  const socket = tls.connect({ host, port, ca: ca.pem, ...client });
  await once(socket, 'secureConnect');
  return socket;
}

const upgradeHead = (token: string): string => `Host: x\r\nConnection: Upgrade\r\nUpgrade: ${token}\r\n\r\n`;

test('a handler that takes a connection over gets it from its first byte on, for longer than any request may take', async () => {
  const { port } = await listen(takenOver, { requestTimeoutMs: 100, headersTimeoutMs: 100, idleTimeoutMs: 100 });
  const socket = await rawSocket(port);
  let text = '';
  socket.setEncoding('utf8').on('data', (data: string) => (text += data));
  socket.write(`POST /exec HTTP/1.1\r\nContent-Length: 0\r\n${upgradeHead('SPDY/3.1')}first `);
  await new Promise((resolve) => setTimeout(resolve, 500));
  socket.end('second');
  await once(socket, 'close');
  assert.equal(text, '101 POST jane\nFIRST SECOND');
});

test('an upgrade that nobody takes is answered as any request, and the connection ends', async () => {
  const { port } = await listen(echo);
  for (const token of ['h2c', 'websocket', 'TLS/1.0', 'x'.repeat(1_000)]) {
    const answer = await raw(port, `GET /a?b=c HTTP/1.1\r\n${upgradeHead(token)}`);
    assert.match(answer, /^HTTP\/1\.1 200 OK\r\n.*connection: close.*"path":"\/a","query":"b=c"/s);
  }
  assert.match(await raw(port, `HEAD / HTTP/1.1\r\n${upgradeHead('h2c')}`), /^HTTP\/1\.1 200 OK\r\n[^{]*$/);
  const withBody = `POST / HTTP/1.1\r\nContent-Length: 3\r\n${upgradeHead('h2c')}abc`;
  assert.match(await raw(port, withBody), /^HTTP\/1\.1 400 .*a request with a body cannot be upgraded/s);
  assert.equal((await call1(port)).status, 200);
});

test('an upgrade that is answered with a stream gets it whole', async () => {
  const { port } = await listen(() => Promise.resolve({ status: 200, headers: {}, body: pieces() }));
  async function* pieces() {
    yield await Promise.resolve('one\n');
    yield 'two\n';
  }
  assert.match(await raw(port, `GET / HTTP/1.1\r\n${upgradeHead('h2c')}`), /one\n.*two\n/s);
});

test('a client that goes, and a listener that closes, abort what has taken a connection over', async () => {
  for (const who of ['client', 'listener']) {
    let aborted: () => void = () => {};
    const ended = new Promise<void>((resolve) => (aborted = resolve));
    const { port, listener } = await listen(() =>
      Promise.resolve({
        status: 101,
        headers: {},
        body: '',
        async takeOver(connection, signal) {
          signal.addEventListener('abort', () => aborted(), { once: true });
          await connection.write(Buffer.from('hi'));
          await ended;
        },
      }),
    );
    const socket = await rawSocket(port);
    socket.on('error', () => {});
    socket.write(`GET / HTTP/1.1\r\n${upgradeHead('websocket')}`);
    await once(socket, 'data');
    if (who === 'client') {
      socket.destroy();
    } else {
      await listener.close();
    }
    await ended;
    socket.destroy();
  }
});
