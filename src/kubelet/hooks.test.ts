import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Lifecycle } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import { ExecTimeoutError } from '../cri/runtime.ts';
import { StatusError } from '../base/status-error.ts';
import { SeededEntropy } from '../sim/seeded-entropy.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import type { ContainerScript } from '../sim/container-script.ts';
import { containerOf, startKubeletWorld } from '../../test/support/kubelet-world.ts';
import { runHook } from './hooks.ts';
import type { HttpProbeReply, HttpProbeRequest } from './probes/probe-transport.ts';

const never = new AbortController().signal;
const target = {
  pod: { metadata: { name: 'p', namespace: 'n', uid: 'u' } },
  container: { name: 'c', ports: [{ name: 'web', containerPort: 8080 }] },
  containerId: 'id',
  podIp: '10.0.0.1',
};

/** Runs a hook against scripted replies; tells what was asked, what came of it, and the events. */
async function hook(handler: NonNullable<Lifecycle['preStop']>, replies: readonly (HttpProbeReply | Error)[]) {
  const asked: HttpProbeRequest[] = [];
  const events: string[] = [];
  const clock = new VirtualClock({ epochMs: 0 });
  const execSync = async () => {
    const [reply] = replies;
    if (reply instanceof Error) throw reply;
    throw new StatusError('InternalError', 'not scripted');
  };
  const context = {
    clock,
    entropy: new SeededEntropy('hook'),
    // Only this verb is used.
    runtime: { execSync } as unknown as Parameters<typeof runHook>[0]['runtime'],
    transport: {
      httpGet: (request: HttpProbeRequest) => {
        const reply = replies[asked.length];
        asked.push(request);
        return reply === undefined || reply instanceof Error ? Promise.reject(reply) : Promise.resolve(reply);
      },
    },
    recorder: { event: (_: unknown, ...words: readonly string[]) => events.push(words.join(' ')) },
  };
  const failure = await runHook(context, target, handler, never);
  return { asked, events, failure };
}

const answered: HttpProbeReply = { kind: 'response', status: 500, location: undefined, body: '' };
const failedWith = (detail: string): HttpProbeReply => ({ kind: 'failed', failure: { kind: 'other', detail } });

test('any HTTP answer is a success; named ports, headers and paths go on the wire', async () => {
  const httpHeaders = [{ name: 'x-why', value: 'stop' }];
  const { asked, failure } = await hook({ httpGet: { port: 'web', path: '/bye?now=1', httpHeaders } }, [answered]);
  assert.equal(failure, undefined);
  const [{ scheme, host, port, target: path, headers } = { headers: [] }] = asked;
  assert.deepEqual([scheme, host, port, path], ['http', '10.0.0.1', 8080, '/bye?now=1']);
  assert.deepEqual(headers, [
    ['Host', '10.0.0.1:8080'],
    ['User-Agent', 'kube-lifecycle/1.34'],
    ['Accept', '*/*'],
    ['X-Why', 'stop'],
    ['Connection', 'close'],
  ]);
});

test('HTTPS against a server that speaks HTTP is tried again without TLS, and said', async () => {
  const plain = failedWith('http: server gave HTTP response to HTTPS client');
  const { asked, events, failure } = await hook({ httpGet: { port: 1, scheme: 'HTTPS' } }, [plain, answered]);
  assert.equal(failure, undefined);
  assert.deepEqual(
    asked.map(({ scheme }) => scheme),
    ['https', 'http'],
  );
  assert.deepEqual(events, [
    'Warning LifecycleHTTPFallback request to HTTPS lifecycle hook got HTTP response, retry with HTTP succeeded',
  ]);
});

test('what a failed hook says', async () => {
  const where = 'for Container "c" in Pod "p_n(u)" failed - error:';
  const refused = failedWith('dial tcp 10.0.0.1:1: connect: connection refused');
  assert.equal(
    (await hook({ httpGet: { port: 1, path: '/x' } }, [refused])).failure,
    `HTTP lifecycle hook (/x) ${where} Get "http://10.0.0.1:1/x": dial tcp 10.0.0.1:1: connect: connection refused`,
  );
  assert.equal(
    (await hook({ httpGet: { port: 'none', path: '/x' } }, [])).failure,
    `HTTP lifecycle hook (/x) ${where} strconv.Atoi: parsing "none": invalid syntax`,
  );
  const exec = { exec: { command: ['a', 'b'] } };
  for (const error of [new StatusError('InternalError', 'no such file'), new ExecTimeoutError('too late')]) {
    assert.equal(
      (await hook(exec, [error])).failure,
      `Exec lifecycle hook ([a b]) ${where} ${error.message}, message: ""`,
    );
  }
  assert.match((await hook({ tcpSocket: { port: 1 } }, [])).failure ?? '', /^Cannot run handler/);
});

test('a sleep hook delays the stop; an HTTP hook reaches the container', async () => {
  const server: ContainerScript = {
    onStop: { afterMs: 10, exitCode: 0 },
    servers: [
      {
        port: 8080,
        serve: (instance) => ({
          http(request) {
            instance.writeLog('stdout', request.target);
            return { kind: 'response', status: 404 };
          },
        }),
      },
    ],
  };
  const world = await startKubeletWorld('http-hook', { scripts: { server } });
  const lifecycle = { postStart: { httpGet: { port: 8080, path: '/hello' } }, preStop: { sleep: { seconds: 5 } } };
  await world.create('p', { containers: [{ ...containerOf('c', 'server'), lifecycle }] });
  await world.clock.advance(1_000);
  assert.equal(await world.row('p'), '1/1 Running 0');
  assert.equal(await world.logs('p', 'c'), '200 /hello\n');
  world.noted.take();
  await world.delete('p');
  await world.clock.advance(4_900);
  assert.deepEqual(world.noted.take(), []);
  await world.clock.advance(200);
  assert.equal(world.noted.take()[0], 'stopContainer c 25000');
  await assert.rejects(world.client.get(resources.pods, { namespace: 'default', name: 'p' }, never), {
    reason: 'NotFound',
  });
  await world.close();
});
