import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '../api/gen/types.ts';
import type { HttpRequest, HttpResponse } from '../base/http.ts';
import { StatusError } from '../base/status-error.ts';
import { containerOf, startKubeletWorld } from '../../test/support/kubelet-world.ts';
import { attach, exec, portForward } from './node-streams.ts';
import type { NodeStreamsDeps } from './node-streams.ts';
import type { StreamServer } from './stream-server.ts';

const never = new AbortController().signal;
const noStreams = { stdin: undefined, stdout: undefined, stderr: undefined, resize: undefined };

/** Notes what is asked; if `runs`, at once runs what it is given, and notes how that ended. */
function recordingStreams(runsAtOnce: boolean) {
  const asked: string[] = [];
  const runs: Promise<string>[] = [];
  const noted = (run: () => Promise<unknown>): HttpResponse => {
    if (runsAtOnce) runs.push(run().then(String, (error: unknown) => String(error)));
    return { status: 101, headers: {}, body: '' };
  };
  const streams: StreamServer = {
    remoteCommand(_request, options, run) {
      asked.push(JSON.stringify(options));
      return noted(() => run(noStreams, never));
    },
    portForward: (_request, forward) =>
      noted(() =>
        forward(
          80,
          {
            incoming: (async function* () {})(),
            write: () => Promise.resolve(),
            end: () => Promise.resolve(),
            destroy() {},
          },
          never,
        ),
      ),
  };
  return { streams, asked, runs };
}

function request(query: string): HttpRequest {
  return { method: 'POST', path: '', query: new URLSearchParams(query), headers: {}, body: '', user: undefined };
}

async function worldWith(streams: StreamServer | undefined, failing: object = {}) {
  const world = await startKubeletWorld('node-streams', {});
  await world.create('p', { containers: [containerOf('c', 'run')] });
  await world.clock.advance(1_000);
  const { sim } = world;
  const [known] = await world.during(sim.listPodSandboxes({}, never));
  const uid = known?.metadata.uid ?? '';
  const pod: Pod = { metadata: { name: 'p', namespace: 'default', uid }, spec: { containers: [{ name: 'c' }] } };
  const runtime: NodeStreamsDeps['context']['runtime'] = {
    listContainers: (filter, signal) => sim.listContainers(filter, signal),
    listPodSandboxes: (filter, signal) => sim.listPodSandboxes(filter, signal),
    exec: (id, options, remote, signal) => sim.exec(id, options, remote, signal),
    attach: (id, options, remote, signal) => sim.attach(id, options, remote, signal),
    portForward: (id, port, stream, signal) => sim.portForward(id, port, stream, signal),
    ...failing,
  };
  const deps: NodeStreamsDeps = { context: { runtime }, pods: () => [pod], streams };
  const ask = async (endpoint: typeof exec, path: string, query = ''): Promise<string> => {
    const { status, body } = await world.during(endpoint(deps, request(query), path.split('/'), never));
    return `${status} ${typeof body === 'string' ? body : 'a stream'}`;
  };
  return { world, ask, uid };
}

test('what is asked for is found by namespace, name and, where given, uid; what is not is told', async () => {
  const { streams, asked } = recordingStreams(false);
  const { world, ask, uid } = await worldWith(streams);
  const flags = 'input=1&output=1&error=1&command=ls';
  assert.equal(await ask(exec, 'default/p/c', flags), '101 ');
  assert.equal(await ask(exec, `default/p/${uid}/c`, `${flags}&tty=1`), '101 ');
  assert.equal(await ask(attach, 'default/p/c', 'output=1'), '101 ');
  assert.equal(await ask(portForward, 'default/p'), '101 ');
  assert.equal(await ask(portForward, `default/p/${uid}`), '101 ');
  assert.deepEqual(asked, [
    '{"stdin":true,"stdout":true,"stderr":true,"tty":false}',
    '{"stdin":true,"stdout":true,"stderr":false,"tty":true}',
    '{"stdin":false,"stdout":true,"stderr":false,"tty":false}',
  ]);
  assert.equal(await ask(exec, 'default/p/other-uid/c', flags), '404 pod does not exist');
  assert.equal(await ask(attach, 'other/p/c', flags), '404 pod does not exist');
  assert.equal(await ask(portForward, 'default/q'), '404 pod does not exist');
  assert.equal(await ask(exec, 'default/p/x', flags), '500 container not found ("x")');
  assert.equal(await ask(attach, 'default/p/x', flags), '500 container x not found in pod p_default');
  const none = '400 you must specify at least 1 of stdin, stdout, stderr';
  assert.deepEqual([await ask(exec, 'default/p/c'), await ask(attach, 'default/p/c', 'tty=1')], [none, none]);
  assert.equal(await ask(exec, 'default/p/c', 'output=1'), '400 you must specify a command');
  assert.match(await ask(exec, 'default/p', flags), /^404 /);
  assert.match(await ask(portForward, 'default/p/u/c'), /^404 /);
  await world.close();
});

test("the runtime's failures are told as upstream's node tells them", async () => {
  const { streams, runs } = recordingStreams(true);
  const fail = (): Promise<never> => Promise.reject(new StatusError('NotFound', 'no such thing'));
  const { world, ask, uid } = await worldWith(streams, { exec: fail, attach: fail, portForward: fail });
  await ask(exec, 'default/p/c', 'output=1&command=ls');
  await ask(attach, 'default/p/c', 'output=1');
  await ask(portForward, 'default/p');
  assert.deepEqual(await Promise.all(runs), [
    'StatusError: error executing command in container: no such thing',
    'StatusError: error attaching to container: no such thing',
    `StatusError: error forwarding port 80 to pod p, uid ${uid}: no such thing`,
  ]);
  await world.close();
});

test('a node without streams says so', async () => {
  const { world, ask } = await worldWith(undefined);
  for (const endpoint of [exec, attach, portForward]) assert.match(await ask(endpoint, 'default/p/c'), /^501 /);
  await world.close();
});
