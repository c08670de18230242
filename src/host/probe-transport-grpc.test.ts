/** Health checks against the real gRPC library, and against servers that are no gRPC. Real time, and little of it. */
import { create, createFileRegistry } from '@bufbuild/protobuf';
import type { GenService } from '@bufbuild/protobuf/codegenv2';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, type ConnectRouter, type HandlerContext } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { test } from 'node:test';
import type { GrpcHealthReply } from '../kubelet/probes/probe-transport.ts';
import { HostProbeTransport } from './probe-transport.ts';

const transport = new HostProbeTransport();
const signal = new AbortController().signal;
const userAgent = 'kube-probe/1.34';

const check = (port: number, service = '', timeoutMs = 2_000): Promise<GrpcHealthReply> =>
  transport.grpcHealth({ host: '127.0.0.1', port, service, userAgent }, timeoutMs, signal);

type HealthHandler = (service: string, userAgent: string | null) => number | Promise<number>;

/** The health service as the library knows it: one string in, one enum out. */
const health = createFileRegistry(
  create(FileDescriptorProtoSchema, {
    name: 'health.proto',
    package: 'grpc.health.v1',
    syntax: 'proto3',
    messageType: [
      { name: 'Request', field: [{ name: 'service', number: 1, type: 9, label: 1, jsonName: 'service' }] },
      { name: 'Response', field: [{ name: 'status', number: 1, type: 5, label: 1, jsonName: 'status' }] },
    ],
    service: [
      {
        name: 'Health',
        method: [{ name: 'Check', inputType: '.grpc.health.v1.Request', outputType: '.grpc.health.v1.Response' }],
      },
    ],
  }),
  () => undefined,
).getService('grpc.health.v1.Health');

/** `undefined`: the service is there, but not its method. */
async function withGrpc(handler: HealthHandler | undefined, body: (port: number) => Promise<void>): Promise<void> {
  assert.ok(health !== undefined);
  const check = async (request: unknown, { requestHeader }: HandlerContext): Promise<object> => {
    const { service } = request as { readonly service: string };
    return { status: await handler?.(service, requestHeader.get('user-agent')) };
  };
  const routes = (router: ConnectRouter): void =>
    void router.service(
      health as GenService<Record<string, never>>,
      (handler === undefined ? {} : { check }) as object,
    );
  await withNet(http2.createServer(connectNodeAdapter({ routes })), body);
}

async function withNet(server: net.Server, body: (port: number) => Promise<void>): Promise<void> {
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket: net.Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined); // probes may leave at any moment
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  try {
    await body(address.port);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

test('every serving status comes back by its name', async () => {
  const asked: string[] = [];
  const agents: unknown[] = [];
  const statuses: Readonly<Record<string, number>> = { '': 1, sick: 2, ['long'.repeat(50)]: 0, strange: 3, odd: 9 };
  const handler: HealthHandler = (service, agent) => {
    asked.push(service);
    agents.push(agent);
    return statuses[service] ?? 0;
  };
  await withGrpc(handler, async (port) => {
    assert.deepEqual(await check(port), { kind: 'response', status: 'SERVING' });
    assert.deepEqual(await check(port, 'sick'), { kind: 'response', status: 'NOT_SERVING' });
    assert.deepEqual(await check(port, 'long'.repeat(50)), { kind: 'response', status: 'UNKNOWN' });
    assert.deepEqual(await check(port, 'strange'), { kind: 'response', status: 'SERVICE_UNKNOWN' });
    assert.deepEqual(await check(port, 'odd'), { kind: 'response', status: '9' });
  });
  assert.deepEqual(asked, ['', 'sick', 'long'.repeat(50), 'strange', 'odd']);
  assert.deepEqual(new Set(agents), new Set([userAgent]));
});

test('errors of the call have code and message', async () => {
  const handler: HealthHandler = () => {
    throw new ConnectError('unknown service: "grün" 100%', Code.NotFound);
  };
  await withGrpc(handler, async (port) => {
    assert.deepEqual(await check(port, 'x'), {
      kind: 'rpcError',
      code: 'NotFound',
      message: 'unknown service: "grün" 100%',
    });
  });
  await withGrpc(undefined, async (port) => {
    const reply = await check(port);
    assert.ok(reply.kind === 'rpcError');
    assert.equal(reply.code, 'Unimplemented');
    assert.match(reply.message, /grpc\.health\.v1\.Health/);
  });
});

test('a call that does not end in time is told apart from a dial that does not', async () => {
  await withGrpc(
    () => new Promise<never>(() => {}),
    async (port) => assert.deepEqual(await check(port, '', 150), { kind: 'rpcTimeout' }),
  );
  await withGrpc(
    () => {
      throw new ConnectError('Deadline exceeded', Code.DeadlineExceeded);
    },
    async (port) => assert.deepEqual(await check(port), { kind: 'rpcTimeout' }, 'the server was quicker to notice'),
  );
  await withNet(
    net.createServer(() => undefined),
    async (port) => assert.deepEqual(await check(port, '', 150), { kind: 'dialTimeout' }),
  );
  await withNet(
    net.createServer((socket) => void socket.end()),
    async (port) => assert.deepEqual(await check(port, '', 150), { kind: 'dialTimeout' }),
  );
  let port = 0;
  await withNet(net.createServer(), async (used) => {
    port = used;
  });
  assert.deepEqual(await check(port, '', 150), { kind: 'dialTimeout' }, 'refused: a dial keeps trying');
});

test('a dial that was refused is tried again after a second', async () => {
  let port = 0;
  await withNet(net.createServer(), async (used) => {
    port = used;
  });
  const pending = check(port, '', 3_000);
  const server = http2.createServer();
  server.on('stream', (stream) => stream.respond({ ':status': 503 }, { endStream: true }));
  setTimeout(() => server.listen(port, '127.0.0.1'), 100);
  const reply = await pending;
  server.close();
  assert.deepEqual(reply.kind, 'rpcError');
});

test('an HTTP/2 server that is no gRPC server is refused with what it said', async () => {
  const server = http2.createServer((incoming, outgoing) => {
    if (incoming.url !== '/grpc.health.v1.Health/Check') throw new Error(incoming.url);
    outgoing.writeHead(404, { 'content-type': 'text/plain' });
    outgoing.end('no such page');
  });
  await withNet(server, async (port) => {
    assert.deepEqual(await check(port), {
      kind: 'rpcError',
      code: 'Unimplemented',
      message:
        'unexpected HTTP status code received from server: 404 (Not Found); ' +
        'transport: received unexpected content-type "text/plain"',
    });
  });
});

test('streams that are reset, or end without trailers, are failures of the call', async () => {
  const resetting = http2.createServer();
  resetting.on('stream', (stream) => {
    stream.on('error', () => undefined); // it is this side that resets
    stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
  });
  await withNet(resetting, async (port) => {
    assert.deepEqual(await check(port), {
      kind: 'rpcError',
      code: 'Unavailable',
      message: 'stream terminated by RST_STREAM with error code: REFUSED_STREAM',
    });
  });
  const ending = http2.createServer();
  ending.on('stream', (stream) => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
    stream.end();
  });
  await withNet(ending, async (port) => {
    assert.deepEqual(await check(port), {
      kind: 'rpcError',
      code: 'Internal',
      message: 'server closed the stream without sending trailers',
    });
  });
  const closing = http2.createServer();
  closing.on('stream', (stream) => stream.session?.destroy());
  await withNet(closing, async (port) => {
    const reply = await check(port);
    assert.deepEqual(reply.kind === 'rpcError' && reply.code, 'Unavailable');
  });
});
