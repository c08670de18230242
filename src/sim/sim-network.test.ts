import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StatusError } from '../base/status-error.ts';
import type { HttpProbeReply, HttpProbeRequest, TransportFailure } from '../kubelet/probes/probe-transport.ts';
import { transportFailures } from '../kubelet/probes/transport-failures.ts';
import { kubiaUnhealthyServer, type SimHttpAnswer, SimNetwork } from './sim-network.ts';
import { VirtualClock } from './virtual-clock.ts';

const address = '10.244.0.5';
const request: HttpProbeRequest = {
  scheme: 'http',
  host: address,
  port: 8080,
  target: '/',
  headers: [],
  bodyBytesMax: 4,
  timeoutMs: 1_000,
};

function startNetwork() {
  const clock = new VirtualClock({ epochMs: 0 });
  const network = new SimNetwork(clock, { roundTripMs: 2, names: { web: address } });
  /** What comes of it, and after how many virtual milliseconds. */
  const timed = async <T>(start: () => Promise<T>): Promise<readonly [result: T, afterMs: number]> => {
    const startedMs = clock.monoMs();
    let done: readonly [T, number] | undefined;
    const promise = start().then((result) => {
      done = [result, clock.monoMs() - startedMs];
    });
    await clock.advance(5_000);
    await promise;
    assert.ok(done !== undefined);
    return done;
  };
  return { clock, network, timed, signal: new AbortController().signal };
}

test('each kind of answer is what the real transport would make of it, at its time', async () => {
  const failed = (failure: TransportFailure): HttpProbeReply => ({ kind: 'failed', failure });
  const rows: readonly (readonly [SimHttpAnswer, HttpProbeReply, number])[] = [
    [
      { kind: 'response', status: 302, location: '/x', body: 'moved', afterMs: 10 },
      { kind: 'response', status: 302, location: '/x', body: 'move' },
      12,
    ],
    [{ kind: 'response', status: 200, afterMs: 1_000 }, failed(transportFailures.headersTimeout), 1_000],
    [{ kind: 'silence' }, failed(transportFailures.headersTimeout), 1_000],
    [{ kind: 'close' }, failed(transportFailures.eof), 2],
    [{ kind: 'reset' }, failed(transportFailures.reset(`${address}:40000`, `${address}:8080`)), 2],
    [
      { kind: 'slowBody', status: 200 },
      failed({ ...transportFailures.bodyTimeout, head: { status: 200, location: undefined } }),
      1_000,
    ],
    [
      { kind: 'shortBody', status: 200 },
      failed({ ...transportFailures.bodyTooShort, head: { status: 200, location: undefined } }),
      2,
    ],
  ];
  for (const [answer, reply, afterMs] of rows) {
    const { network, timed, signal } = startNetwork();
    network.listen(address, 8080, { http: () => answer });
    assert.deepEqual(await timed(() => network.httpGet(request, signal)), [reply, afterMs]);
  }
});

test('where nothing listens connections are refused, and hosts can vanish', async () => {
  const { network, timed, signal } = startNetwork();
  const connect = () => timed(() => network.tcpConnect(address, 80, 1_000, signal));
  const get = () => timed(() => network.httpGet({ ...request, port: 80 }, signal));
  assert.deepEqual(await connect(), [transportFailures.refused(address, 80), 2]);
  assert.deepEqual(await get(), [{ kind: 'failed', failure: transportFailures.refused(address, 80) }, 2]);
  network.setHost(address, 'noRoute');
  assert.deepEqual(await connect(), [transportFailures.noRoute(address, 80), 2]);
  network.setHost(address, 'drops');
  assert.deepEqual(await connect(), [transportFailures.dialTimeout(address, 80), 1_000]);
  assert.deepEqual(await get(), [{ kind: 'failed', failure: transportFailures.headersTimeout }, 1_000]);
  network.setHost(address, undefined);
  const stop = network.listen(address, 80, {});
  assert.throws(() => network.listen(address, 80, {}), StatusError);
  assert.deepEqual(await connect(), [undefined, 2]);
  assert.deepEqual(await get(), [{ kind: 'failed', failure: transportFailures.eof }, 2], 'it is no HTTP server');
  stop();
  assert.deepEqual(await connect(), [transportFailures.refused(address, 80), 2]);
});

test('names are looked up', async () => {
  const { network, timed, signal } = startNetwork();
  network.listen(address, 80, {});
  assert.deepEqual(await timed(() => network.tcpConnect('web', 80, 1_000, signal)), [undefined, 2]);
  assert.deepEqual(await timed(() => network.tcpConnect('nosuch', 80, 1_000, signal)), [
    transportFailures.lookup('nosuch'),
    0,
  ]);
});

test('health checks end in a status, an error, or not in time', async () => {
  const { network, timed, signal } = startNetwork();
  const check = (port: number) =>
    timed(() => network.grpcHealth({ host: address, port, service: 's', userAgent: 'x' }, 1_000, signal));
  network.listen(address, 1, { grpc: (service) => ({ kind: 'status', status: service === 's' ? 'SERVING' : '' }) });
  network.listen(address, 2, { grpc: () => ({ kind: 'error', code: 'NotFound', message: 'unknown service' }) });
  network.listen(address, 3, { grpc: () => ({ kind: 'silence' }) });
  network.listen(address, 4, {});
  assert.deepEqual(await check(1), [{ kind: 'response', status: 'SERVING' }, 2]);
  assert.deepEqual(await check(2), [{ kind: 'rpcError', code: 'NotFound', message: 'unknown service' }, 2]);
  assert.deepEqual(await check(3), [{ kind: 'rpcTimeout' }, 1_000]);
  assert.deepEqual((await check(4))[0], {
    kind: 'rpcError',
    code: 'Unimplemented',
    message: 'unknown service grpc.health.v1.Health',
  });
  assert.deepEqual(await check(5), [{ kind: 'dialTimeout' }, 1_000], 'a dial keeps trying');
});

test('the unhealthy app is well five times, and again when it is started anew', async () => {
  const { network, timed, signal } = startNetwork();
  const statuses: number[] = [];
  for (let instance = 0; instance < 2; instance++) {
    const stop = network.listen(address, 8080, kubiaUnhealthyServer());
    for (let index = 0; index < 7; index++) {
      const [reply] = await timed(() => network.httpGet(request, signal));
      statuses.push(reply.kind === 'response' ? reply.status : 0);
    }
    stop();
  }
  assert.deepEqual(statuses, [200, 200, 200, 200, 200, 500, 500, 200, 200, 200, 200, 200, 500, 500]);
});

test('an aborted signal ends attempts with its reason', async () => {
  const { clock, network } = startNetwork();
  const controller = new AbortController();
  const reason = new Error('over');
  network.listen(address, 8080, { http: () => ({ kind: 'silence' }) });
  const attempts = [
    network.httpGet(request, controller.signal),
    network.tcpConnect('10.0.0.9', 1, 9, controller.signal),
  ];
  controller.abort(reason);
  for (const attempt of attempts) await assert.rejects(attempt, reason);
  assert.deepEqual(clock.pendingNames(), []);
});
