/** The transport against real servers on loopback, nasty ones too. Real time, and little of it. */
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { test } from 'node:test';
import tls from 'node:tls';
import type { HttpProbeReply, HttpProbeRequest } from '../kubelet/probes/probe-transport.ts';
import { HostProbeTransport } from './probe-transport.ts';

const transport = new HostProbeTransport();
const signal = new AbortController().signal;
const shortMs = 120;

/** Runs `body` against a server on a port of its own, and closes that and all its connections afterwards. */
async function withServer(
  server: net.Server | http.Server | tls.Server | http2.Http2SecureServer | http2.Http2Server,
  body: (port: number) => Promise<void>,
): Promise<void> {
  const sockets = new Set<net.Socket>();
  const remember = (socket: net.Socket): void => {
    sockets.add(socket);
    socket.on('error', () => undefined); // probes may leave at any moment
  };
  server.on('connection', remember);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    await body(address.port);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

/** A server that does something with each connection as soon as the first bytes of a request came. */
function rawServer(onRequest: (socket: net.Socket, request: string) => void): net.Server {
  return net.createServer((socket) => {
    socket.once('data', (bytes: Buffer) => onRequest(socket, bytes.toString('latin1')));
  });
}

/** A server that answers with these very bytes, and closes. */
const saying = (...pieces: readonly (string | Buffer)[]): net.Server =>
  rawServer((socket) => {
    for (const piece of pieces) socket.write(piece, 'latin1');
    socket.end();
  });

function request(port: number, more: Partial<HttpProbeRequest> = {}): HttpProbeRequest {
  return {
    scheme: 'http',
    host: '127.0.0.1',
    port,
    target: '/healthz?full=1',
    headers: [
      ['Host', `127.0.0.1:${port}`],
      ['User-Agent', 'kube-probe/1.34'],
      ['Accept', '*/*'],
      ['Connection', 'close'],
    ],
    bodyBytesMax: 10_240,
    timeoutMs: 2_000,
    ...more,
  };
}

const get = (port: number, more?: Partial<HttpProbeRequest>): Promise<HttpProbeReply> =>
  transport.httpGet(request(port, more), signal);

const response = (status: number, body: string, location?: string): HttpProbeReply => ({
  kind: 'response',
  status,
  location,
  body,
});

function failureOf(reply: HttpProbeReply): { readonly kind: string; readonly detail: string } {
  assert.equal(reply.kind, 'failed');
  assert.ok(reply.kind === 'failed');
  return { kind: reply.failure.kind, detail: reply.failure.detail };
}

async function unusedPort(): Promise<number> {
  let port = 0;
  await withServer(net.createServer(), async (used) => {
    port = used;
  });
  return port;
}

test('the request goes on the wire in the order given', async () => {
  let seen = '';
  const server = rawServer((socket, text) => {
    seen = text;
    socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  });
  await withServer(server, async (port) => {
    const headers = [
      ['Host', 'a.example'],
      ['X-Ünicode'.replace('Ü', 'U'), 'grün'],
      ['Connection', 'close'],
    ] as const;
    assert.deepEqual(await get(port, { headers }), response(200, 'ok'));
    const value = Buffer.from('grün').toString('latin1');
    assert.equal(
      seen,
      `GET /healthz?full=1 HTTP/1.1\r\nHost: a.example\r\nX-Unicode: ${value}\r\nConnection: close\r\n\r\n`,
    );
  });
});

test('a server of node:http is understood, with and without a length', async () => {
  const server = http.createServer((incoming, outgoing) => {
    if (incoming.url === '/moved') outgoing.writeHead(302, { location: '/elsewhere' });
    if (incoming.url === '/chunks') outgoing.write('two ');
    outgoing.end('pieces');
  });
  await withServer(server, async (port) => {
    assert.deepEqual(await get(port), response(200, 'pieces'));
    assert.deepEqual(await get(port, { target: '/chunks' }), response(200, 'two pieces'));
    assert.deepEqual(await get(port, { target: '/moved' }), response(302, 'pieces', '/elsewhere'));
  });
});

test('informational responses come first and do not count', async () => {
  const early = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n';
  await withServer(saying(early, 'HTTP/1.1 204 No Content\r\n\r\n'), async (port) => {
    assert.deepEqual(await get(port), response(204, ''));
  });
});

test('of a huge body only the start is read', async () => {
  const piece = Buffer.alloc(64 * 1_024, 'x');
  const server = rawServer((socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n');
    const more = (): void => {
      while (socket.writable && socket.write(piece));
    };
    socket.on('drain', more);
    more();
  });
  await withServer(server, async (port) => {
    assert.deepEqual(await get(port), response(200, 'x'.repeat(10_240)));
  });
});

test('a refused connection has the words of the dialer', async () => {
  const port = await unusedPort();
  assert.deepEqual(failureOf(await get(port)), {
    kind: 'refused',
    detail: `dial tcp 127.0.0.1:${port}: connect: connection refused`,
  });
  assert.deepEqual(await transport.tcpConnect('127.0.0.1', port, 1_000, signal), {
    kind: 'refused',
    detail: `dial tcp 127.0.0.1:${port}: connect: connection refused`,
  });
});

test('an empty host means this machine', async () => {
  await withServer(saying('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'), async (port) => {
    assert.deepEqual(await get(port, { host: '' }), response(200, ''));
  });
});

test('a name that cannot be looked up says so', async () => {
  const failure = failureOf(await get(80, { host: 'nosuch.invalid', timeoutMs: 5_000 }));
  assert.equal(failure.kind, 'lookup');
  assert.match(
    failure.detail,
    /^dial tcp: lookup nosuch\.invalid: (no such host|Temporary failure in name resolution)$/,
  );
});

test('a name of this machine is connected to', async () => {
  await withServer(saying('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'), async (port) => {
    assert.deepEqual(await get(port, { host: 'localhost' }), response(200, 'ok'));
    assert.equal(await transport.tcpConnect('localhost', port, 1_000, signal), undefined);
  });
});

test('servers that never answer, stop in the middle of the headers, or drip, run out of time', async () => {
  const timeout = {
    kind: 'timeout',
    detail: 'context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
  };
  await withServer(
    rawServer(() => undefined),
    async (port) => assert.deepEqual(failureOf(await get(port, { timeoutMs: shortMs })), timeout),
  );
  await withServer(
    rawServer((socket) => void socket.write('HTTP/1.1 200 OK\r\nContent-')),
    async (port) => assert.deepEqual(failureOf(await get(port, { timeoutMs: shortMs })), timeout),
  );
  const dripping = rawServer((socket) => {
    const bytes = Array.from('HTTP/1.1 200 OK\r\nX-A: b\r\n');
    const timer = setInterval(() => void socket.write(bytes.shift() ?? 'x'), 5);
    socket.on('close', () => clearInterval(timer));
  });
  await withServer(dripping, async (port) =>
    assert.deepEqual(failureOf(await get(port, { timeoutMs: shortMs })), timeout),
  );
});

test('a body that comes too slowly or not whole is told apart from no answer', async () => {
  const slow = rawServer((socket) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab'));
  await withServer(slow, async (port) => {
    assert.deepEqual(await get(port, { timeoutMs: shortMs }), {
      kind: 'failed',
      failure: {
        kind: 'body',
        detail: 'context deadline exceeded (Client.Timeout or context cancellation while reading body)',
        head: { status: 200, location: undefined },
      },
    });
  });
  await withServer(saying('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab'), async (port) => {
    assert.deepEqual(failureOf(await get(port)), { kind: 'body', detail: 'unexpected EOF' });
  });
  await withServer(saying('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'), async (port) => {
    assert.deepEqual(failureOf(await get(port)), { kind: 'body', detail: 'invalid byte in chunk length' });
  });
});

test('a server that closes at once, resets, or speaks something else has its own words each', async () => {
  await withServer(
    rawServer((socket) => void socket.end()),
    async (port) => assert.deepEqual(failureOf(await get(port)), { kind: 'eof', detail: 'EOF' }),
  );
  await withServer(
    rawServer((socket) => void socket.resetAndDestroy()),
    async (port) => {
      const failure = failureOf(await get(port));
      assert.equal(failure.kind, 'reset');
      const ends = `127\\.0\\.0\\.1:[1-9][0-9]*->127\\.0\\.0\\.1:${port}`;
      assert.match(failure.detail, new RegExp(`^read tcp ${ends}: read: connection reset by peer$`));
    },
  );
  await withServer(saying('hello\n'), async (port) => {
    assert.deepEqual(failureOf(await get(port)), {
      kind: 'malformed',
      detail: 'net/http: HTTP/1.x transport connection broken: malformed HTTP response "hello"',
    });
  });
  await withServer(saying(Buffer.from([0x15, 3, 1, 0, 2, 2, 0x80])), async (port) => {
    assert.deepEqual(failureOf(await get(port)), {
      kind: 'malformed',
      detail:
        'net/http: HTTP/1.x transport connection broken: malformed HTTP response "\\x15\\x03\\x01\\x00\\x02\\x02\\x80"',
    });
  });
});

test('a server sees a clean end of each connection', async () => {
  const errors: string[] = [];
  const server = http.createServer((_incoming, outgoing) => outgoing.end('ok'));
  server.on('clientError', (error) => errors.push(error.message));
  let closedCount = 0;
  server.on('connection', (socket: net.Socket) => {
    socket.on('error', (error) => errors.push(error.message));
    socket.on('close', () => closedCount++);
  });
  await withServer(server, async (port) => {
    const replies = await Promise.all(Array.from({ length: 20 }, () => get(port)));
    assert.deepEqual(new Set(replies.map((reply) => reply.kind)), new Set(['response']));
    while (closedCount < 20) await new Promise((resolve) => setImmediate(resolve));
  });
  assert.deepEqual(errors, []);
});

test('an aborted signal ends every attempt with its reason', async () => {
  await withServer(
    rawServer(() => undefined),
    async (port) => {
      const controller = new AbortController();
      const reason = new Error('the kubelet ends');
      const attempts = [
        transport.httpGet(request(port), controller.signal),
        transport.httpGet(request(port), controller.signal),
        transport.grpcHealth({ host: '127.0.0.1', port, service: '', userAgent: 'x' }, 5_000, controller.signal),
      ];
      setImmediate(() => controller.abort(reason));
      for (const attempt of attempts) await assert.rejects(attempt, reason);
      await assert.rejects(transport.httpGet(request(port), controller.signal), reason);
      await assert.rejects(transport.tcpConnect('127.0.0.1', port, 100, controller.signal), reason);
    },
  );
});

test('a TCP connect succeeds as soon as somebody listens, and sends nothing', async () => {
  const events: string[] = [];
  let ended: () => void = () => undefined;
  const isOver = new Promise<void>((resolve) => {
    ended = resolve;
  });
  const server = net.createServer((socket) => {
    socket.on('data', () => events.push('data'));
    socket.on('end', () => {
      events.push('end');
      ended();
    });
  });
  await withServer(server, async (port) => {
    assert.equal(await transport.tcpConnect('127.0.0.1', port, 1_000, signal), undefined);
    await isOver;
  });
  assert.deepEqual(events, ['end']);
});

/** A key and a certificate that nobody trusts. */
async function selfSigned(): Promise<{ readonly key: string; readonly cert: string }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=nobody trusts me',
    keys,
    signingAlgorithm: algorithm,
    notAfter: new Date('2020-01-01T00:00:00Z'),
    notBefore: new Date('2019-01-01T00:00:00Z'),
  });
  const pkcs8 = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  return {
    key: `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n`,
    cert: certificate.toString('pem'),
  };
}

test('certificates are not looked at, and HTTP/2 is spoken with whoever offers it', async () => {
  const identity = await selfSigned();
  const plain = tls.createServer(identity, (socket) => {
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
  });
  await withServer(plain, async (port) => {
    assert.deepEqual(await get(port, { scheme: 'https' }), response(200, 'ok'));
  });
  const seen: http2.IncomingHttpHeaders[] = [];
  const modern = http2.createSecureServer(identity, (incoming, outgoing) => {
    seen.push(incoming.headers);
    if (incoming.url === '/silent') return;
    outgoing.writeHead(incoming.url === '/moved' ? 301 : 200, { location: '/x' });
    outgoing.end('over h2');
  });
  await withServer(modern, async (port) => {
    const headers = [
      ['Host', 'a.example'],
      ['X-A', '1'],
      ['X-A', '2'],
      ['Connection', 'close'],
    ] as const;
    assert.deepEqual(await get(port, { scheme: 'https', headers }), response(200, 'over h2', '/x'));
    assert.deepEqual(await get(port, { scheme: 'https', target: '/moved' }), response(301, 'over h2', '/x'));
    const silent = await get(port, { scheme: 'https', target: '/silent', timeoutMs: shortMs });
    assert.equal(failureOf(silent).kind, 'timeout');
  });
  const [first] = seen;
  assert.deepEqual([first?.[':authority'], first?.['x-a'], first?.connection], ['a.example', '1, 2', undefined]);
});

test('a TLS handshake that cannot work out says why', async () => {
  await withServer(saying('HTTP/1.1 400 Bad Request\r\n\r\n'), async (port) => {
    assert.deepEqual(failureOf(await get(port, { scheme: 'https' })), {
      kind: 'malformed',
      detail: 'http: server gave HTTP response to HTTPS client',
    });
  });
  await withServer(
    rawServer((socket) => void socket.end()),
    async (port) => assert.deepEqual(failureOf(await get(port, { scheme: 'https' })), { kind: 'eof', detail: 'EOF' }),
  );
  await withServer(
    rawServer(() => undefined),
    async (port) => {
      const reply = await get(port, { scheme: 'https', timeoutMs: shortMs });
      assert.equal(failureOf(reply).kind, 'timeout');
    },
  );
  const port = await unusedPort();
  assert.equal(failureOf(await get(port, { scheme: 'https' })).kind, 'refused');
});

test('an answer that is there counts, though this process was too busy to read it in time', async () => {
  await withServer(saying('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'), async (port) => {
    const replies = [get(port, { timeoutMs: 50 }), get(port, { timeoutMs: 60 })];
    const untilMs = performance.now() + 200;
    while (performance.now() < untilMs); // nothing else runs meanwhile
    assert.deepEqual(await Promise.all(replies), [response(200, 'ok'), response(200, 'ok')]);
  });
});
