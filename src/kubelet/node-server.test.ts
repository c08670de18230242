import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HttpRequest } from '../base/http.ts';
import type { ContainerScript } from '../sim/container-script.ts';
import { containerOf, startKubeletWorld } from '../../test/support/kubelet-world.ts';

const never = new AbortController().signal;

function line(atMs: number, text: string): { atMs: number; stream: 'stdout'; text: string } {
  return { atMs, stream: 'stdout', text };
}

const talker: ContainerScript = {
  output: [line(0, 'one'), line(1_000, 'two'), line(2_000, 'three'), line(6_500, 'four')],
  exit: { afterMs: 7_000, exitCode: 0 },
};

test('logs: all, the last lines, since a time, with timestamps, and cut at a number of bytes', async () => {
  const world = await startKubeletWorld('logs', { scripts: { talker } });
  await world.create('p', { restartPolicy: 'Never', containers: [containerOf('c', 'talker')] });
  await world.clock.advance(5_000);
  const ask = (query: Record<string, string>): Promise<string> => world.logs('p', 'c', query);
  assert.equal(await ask({}), '200 one\ntwo\nthree\n');
  assert.equal(await ask({ tailLines: '2' }), '200 two\nthree\n');
  assert.equal(await ask({ tail: '1' }), '200 three\n');
  assert.equal(await ask({ tailLines: '0' }), '200 ');
  assert.equal(await ask({ sinceTime: '2026-01-01T00:00:01Z' }), '200 two\nthree\n');
  assert.equal(await ask({ sinceSeconds: '4', tailLines: '5' }), '200 three\n');
  assert.equal(await ask({ timestamps: 'true', tailLines: '1' }), '200 2026-01-01T00:00:02.000000000Z three\n');
  assert.equal(await ask({ limitBytes: '6' }), '200 one\ntw');
  assert.equal(await ask({ tailLines: '-1' }), '422 {"message":"Invalid request."}');
  await world.close();
});

test('following ends with the container, and has its last line', async () => {
  const world = await startKubeletWorld('follow', { scripts: { talker } });
  await world.create('p', { restartPolicy: 'Never', containers: [containerOf('c', 'talker')] });
  await world.clock.advance(2_500);
  assert.equal(await world.logs('p', 'c', { follow: 'true', tailLines: '1' }), '200 three\nfour\n');
  assert.ok(world.clock.monoMs() <= 8_600, `${world.clock.monoMs()}`);
  await world.close();
});

test('a follower that hangs up leaves nothing behind', async () => {
  const world = await startKubeletWorld('hang-up', { scripts: { talker } });
  await world.create('p', { containers: [containerOf('c', 'run')] });
  await world.clock.advance(1_000);
  const hangUp = new AbortController();
  const answer = await world.during(
    world.kubelet.handle(request('/containerLogs/default/p/c', 'follow=true'), hangUp.signal),
  );
  const reading = (async () => {
    let text = '';
    if (typeof answer.body === 'string' || answer.body instanceof Uint8Array) return 'whole';
    for await (const piece of answer.body) text += piece;
    return text;
  })();
  await world.clock.advance(3_000);
  hangUp.abort(new Error('gone'));
  assert.equal(await world.during(reading), '');
  await world.close();
  assert.deepEqual(world.clock.pendingNames(), []);
});

test('the previous instance, and what is said when there is none', async () => {
  const crash: ContainerScript = { output: [line(0, 'about to crash')], exit: { afterMs: 5, exitCode: 3 } };
  const world = await startKubeletWorld('previous', { scripts: { crash } });
  await world.create('crasher', { containers: [containerOf('crash', 'crash')] });
  await world.create('web');
  await world.create('nope', { containers: [{ name: 'c', image: 'absent:1' }] });
  await world.clock.advance(1_000);
  assert.equal(await world.logs('crasher', 'crash'), '200 about to crash\n');
  assert.equal(await world.logs('crasher', 'crash', { previous: 'true' }), '200 about to crash\n');
  await world.clock.advance(60_000);
  assert.equal(await world.logs('crasher', 'crash'), '200 about to crash\n');
  assert.equal(await world.logs('crasher', 'crash', { previous: 'true' }), '200 about to crash\n');
  assert.equal(
    await world.logs('web', 'main', { previous: 'true' }),
    '400 previous terminated container "main" in pod "web" not found',
  );
  assert.match(
    await world.logs('nope', 'c'),
    /^400 container "c" in pod "nope" is waiting to start: (image can't be pulled|trying and failing to pull image)$/,
  );
  assert.equal(await world.logs('absent', 'c'), '404 pod "absent" does not exist\n');
  assert.equal(await world.logs('web', 'c'), '404 container "c" not found in pod "web"\n');
  await world.close();
});

function request(
  path: string,
  query = '',
  groups: readonly string[] = ['system:masters'],
  method = 'GET',
): HttpRequest {
  return { method, path, query: new URLSearchParams(query), headers: {}, body: '', user: { name: 'u', groups } };
}

test('only administrators are answered, and only what a node serves', async () => {
  const world = await startKubeletWorld('server');
  await world.create('web');
  await world.clock.advance(1_000);
  const { kubelet } = world;
  const status = async (asked: HttpRequest): Promise<number> => (await kubelet.handle(asked, never)).status;
  assert.equal(await status({ ...request('/pods'), user: undefined }), 401);
  assert.equal(await status(request('/pods', '', ['system:authenticated'])), 403);
  assert.equal(await status(request('/healthz')), 200);
  assert.equal(await status(request('/metrics')), 200);
  assert.equal(await status(request('/metrics/probes')), 200);
  assert.equal(await status(request('/configz')), 200);
  assert.equal(await status(request('/nothing')), 404);
  assert.equal(await status(request('/pods', '', ['system:masters'], 'POST')), 405);
  assert.equal(await status(request('/containerLogs/default/web')), 400);
  assert.equal(await status(request('/containerLogs/%ff/web/c')), 404);
  const answer = await kubelet.handle(request('/pods'), never);
  assert.ok(typeof answer.body === 'string');
  const list = JSON.parse(answer.body) as { items: { status: { phase: string } }[] };
  assert.deepEqual(
    list.items.map((pod) => pod.status.phase),
    ['Running'],
  );
  await world.close();
});

test('what runs is listed from the runtime, and a command can be run in it', async () => {
  const world = await startKubeletWorld('run', {
    scripts: { c: { execs: [{ command: ['echo', 'hi'], results: [{ exitCode: 0, stdout: 'hi\n' }] }] } },
  });
  await world.create('web', { containers: [containerOf('c', 'c')] });
  await world.clock.advance(1_000);
  const ask = async (path: string, query: string, method: string): Promise<string> => {
    const { status, body } = await world.during(
      world.kubelet.handle(request(path, query, ['system:masters'], method), never),
    );
    return `${status} ${typeof body === 'string' ? body : '...'}`;
  };
  assert.match(await ask('/runningpods/', '', 'GET'), /"name":"web".*"containers":\[\{"name":"c"/);
  assert.equal(await ask('/run/default/web/c', 'cmd=echo+hi', 'POST'), '200 hi\n');
  assert.equal(await ask('/run/default/web/c', 'cmd=echo+hi', 'GET'), '405 Method Not Allowed');
  assert.equal(await ask('/run/default/web/other-uid/c', 'cmd=echo+hi', 'POST'), '404 pod does not exist');
  assert.equal(await ask('/run/default/web/d', 'cmd=echo+hi', 'POST'), '500 container not found ("d")');
  assert.equal(await ask('/healthz/syncloop', '', 'GET'), '200 ok');
  assert.equal(await ask('/healthz/nosuch', '', 'GET'), '404 404 page not found\n');
  await world.close();
});

test('a log query that is not to be read is told from one that asks for the impossible', async () => {
  const world = await startKubeletWorld('log-query');
  await world.create('web');
  await world.clock.advance(1_000);
  const ask = (query: Record<string, string>): Promise<string> => world.logs('web', 'main', query);
  for (const query of [{ tailLines: 'few' }, { limitBytes: '' }, { sinceSeconds: '1.5' }, { sinceTime: 'noon' }]) {
    assert.equal(await ask(query), '400 {"message":"Unable to decode query."}');
  }
  for (const query of [{ tailLines: '-1' }, { limitBytes: '0' }, { sinceSeconds: '0' }]) {
    assert.equal(await ask(query), '422 {"message":"Invalid request."}');
  }
  await world.close();
});
