import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resources } from '../api/resources.ts';
import type { ContainerScript } from '../sim/container-script.ts';
import { TaskScope } from '../base/task-scope.ts';
import { containerOf, startKubeletWorld } from '../../test/support/kubelet-world.ts';
import type { KubeletWorld } from '../../test/support/kubelet-world.ts';

const never = new AbortController().signal;
const stubborn: ContainerScript = { onStop: 'ignore' };

test('a restarted kubelet takes over what runs, with its restart counts', async () => {
  const world = await startKubeletWorld('adopt');
  await world.create('p');
  await world.clock.advance(1_000);
  world.sim.endContainer(world.sim.runningContainers()[0]?.id ?? '', 1);
  await world.clock.advance(1_000);
  const before = await world.pod('p');
  world.noted.take();
  await world.restartKubelet();
  await world.clock.advance(60_000);
  assert.deepEqual(world.noted.take(), []);
  assert.deepEqual(await world.pod('p'), before, 'nothing is written that was there');
  assert.match(await world.row('p'), /^1\/1 Running 1 /);
  await world.close();
});

const probed: ContainerScript = {
  onStop: 'die',
  execs: ['started', 'ready', 'alive'].map((word) => ({
    command: [word],
    results: [{ exitCode: 1 }, { fromMs: 5_000, exitCode: 0 }],
  })),
};
const exec = (word: string) => ({ exec: { command: [word] } });

/** What a watch shows of a pod's readiness, one entry per change. */
async function readinessWhile(world: KubeletWorld, name: string, body: () => Promise<void>): Promise<string[]> {
  const seen: string[] = [];
  const watching = new TaskScope();
  watching.start(async (signal) => {
    for await (const event of world.client.watch(resources.pods, { namespace: 'default' }, signal)) {
      if (event.type === 'BOOKMARK' || event.object.metadata?.name !== name) continue;
      const { conditions, containerStatuses } = event.object.status ?? {};
      const ready = conditions?.find(({ type }) => type === 'Ready')?.status;
      const flags = (containerStatuses ?? []).map((container) => `${container.started} ${container.ready}`);
      const line = [ready, ...flags].join(' ');
      if (line !== seen.at(-1)) seen.push(line);
    }
  });
  await world.clock.advance(0);
  await body();
  await world.during(watching.close());
  return seen;
}

test('probe state holds over a restart of the kubelet: what was ready stays ready, what was not does not become it', async () => {
  const world = await startKubeletWorld('held', { scripts: { probed } });
  const container = (name: string, ready: string) => ({
    ...containerOf(name, 'probed'),
    startupProbe: { ...exec('started'), periodSeconds: 1, failureThreshold: 30 },
    readinessProbe: { ...exec(ready), periodSeconds: 5, initialDelaySeconds: 1 },
    livenessProbe: { ...exec('alive'), periodSeconds: 5 },
  });
  await world.create('ready', { containers: [container('c', 'ready')] });
  await world.create('unready', { containers: [container('c', 'no-such-command')] });
  await world.clock.advance(30_000);
  assert.equal(await world.row('ready'), '1/1 Running 0');
  world.noted.take();
  const restart = async (): Promise<void> => {
    await world.restartKubelet();
    await world.clock.advance(30_000);
  };
  assert.deepEqual(await readinessWhile(world, 'ready', restart), ['True true true']);
  assert.deepEqual(await readinessWhile(world, 'unready', restart), ['False true false']);
  const calls = world.noted.take();
  assert.deepEqual(
    calls.filter((call) => !call.startsWith('execSync')),
    [],
  );
  assert.ok(!calls.some((call) => call.endsWith('started')), 'a startup probe that passed is not asked again');
  assert.ok(calls.some((call) => call.endsWith('ready')) && calls.some((call) => call.endsWith('alive')));
  await world.close();
});

test('a container that fails its readiness probe after the restart of the kubelet stops being ready', async () => {
  const failing = { execs: [{ command: ['ready'], results: [{ exitCode: 0 }, { fromMs: 20_000, exitCode: 1 }] }] };
  const world = await startKubeletWorld('fails', { scripts: { failing } });
  const readinessProbe = { ...exec('ready'), periodSeconds: 2, failureThreshold: 2 };
  await world.create('p', { containers: [{ ...containerOf('c', 'failing'), readinessProbe }] });
  await world.clock.advance(19_000);
  const seen = await readinessWhile(world, 'p', async () => {
    await world.restartKubelet();
    await world.clock.advance(10_000);
  });
  assert.deepEqual(seen, ['True true true', 'False true false']);
  await world.close();
});

test('an instance that took the place of a ready one while no kubelet ran has to pass its probes itself', async () => {
  const world = await startKubeletWorld('successor', { scripts: { probed } });
  const readinessProbe = { ...exec('ready'), periodSeconds: 2 };
  await world.create('p', { containers: [{ ...containerOf('c', 'probed'), readinessProbe }] });
  await world.clock.advance(10_000);
  const seen = await readinessWhile(world, 'p', async () => {
    const restart = world.restartKubelet();
    world.sim.endContainer(world.sim.runningContainers()[0]?.id ?? '', 9);
    await restart;
    await world.clock.advance(10_000);
  });
  assert.deepEqual(seen, ['True true true', 'False false false', 'False true false', 'True true true']);
  await world.close();
});

test('what died while no kubelet ran is restarted', async () => {
  const world = await startKubeletWorld('died');
  await world.create('p');
  await world.clock.advance(1_000);
  const [running] = world.sim.runningContainers();
  const restart = world.restartKubelet();
  world.sim.endContainer(running?.id ?? '', 9);
  await restart;
  await world.clock.advance(1_000);
  const [container] = (await world.pod('p')).status?.containerStatuses ?? [];
  assert.deepEqual([container?.restartCount, container?.lastState?.terminated?.exitCode], [1, 9]);
  await world.close();
});

test('after the machine was off the pod runs in a new sandbox, with its restart count one up', async () => {
  const world = await startKubeletWorld('power', { scripts: { init: { exit: { afterMs: 10, exitCode: 0 } } } });
  await world.create('p', { initContainers: [containerOf('init', 'init')] });
  await world.clock.advance(1_000);
  world.noted.take();
  world.sim.powerOff();
  await world.restartKubelet();
  await world.clock.advance(1_000);
  assert.deepEqual(
    world.noted.take().filter((call) => !call.startsWith('remove')),
    [
      'runPodSandbox p 1',
      'createContainer init 1',
      'startContainer init',
      'createContainer main 1',
      'startContainer main',
    ],
  );
  assert.ok(
    (await world.events('p')).includes(
      'Normal SandboxChanged x1 Pod sandbox changed, it will be killed and re-created.',
    ),
  );
  const { status } = await world.pod('p');
  assert.deepEqual(
    [status?.phase, status?.podIP, status?.containerStatuses?.[0]?.restartCount],
    ['Running', '10.244.0.3', 1],
  );
  await world.close();
});

test('of a pod that is not restarted, a container that never ran before the machine was off is lost', async () => {
  const world = await startKubeletWorld('lost-power');
  const late = { ...containerOf('late', 'run'), image: 'example.com/missing' };
  await world.create('p', { restartPolicy: 'Never', containers: [containerOf('main', 'run'), late] });
  await world.clock.advance(1_000);
  world.sim.powerOff();
  await world.restartKubelet();
  await world.clock.advance(5_000);
  const { status } = await world.pod('p');
  assert.deepEqual(
    [status?.phase, ...(status?.containerStatuses ?? []).map(({ name, state }) => [name, state?.terminated?.exitCode])],
    ['Failed', ['late', 137], ['main', 137]],
  );
  await world.close();
});

test('a runtime that forgot everything costs the pod its last state, not its restart count', async () => {
  const world = await startKubeletWorld('forgot');
  await world.create('p');
  await world.clock.advance(1_000);
  for (const { id } of await world.during(world.sim.listPodSandboxes({}, never))) {
    await world.during(world.sim.removePodSandbox(id, never));
  }
  await world.restartKubelet();
  await world.clock.advance(1_000);
  const [container] = (await world.pod('p')).status?.containerStatuses ?? [];
  assert.deepEqual([container?.restartCount, container?.ready], [1, true]);
  await world.close();
});

test('shutdown ends the containers within its bound, and the next kubelet runs the pods again', async () => {
  const world = await startKubeletWorld('shutdown', { scripts: { stubborn } });
  await world.create('stubborn', { containers: [containerOf('c', 'stubborn')] });
  await world.create('polite');
  await world.clock.advance(1_000);
  const before = (await world.pod('stubborn')).status;
  world.noted.take();
  const began = world.clock.monoMs();
  await world.during(world.kubelet.shutdown(5_000, never));
  assert.ok(world.clock.monoMs() - began <= 5_100, `${world.clock.monoMs() - began}`);
  assert.deepEqual(world.sim.runningContainers(), []);
  assert.ok(world.noted.take().includes('stopContainer c 5000'));
  await world.clock.advance(30_000);
  assert.deepEqual((await world.pod('stubborn')).status, before);
  await world.restartKubelet();
  await world.clock.advance(1_000);
  assert.match(await world.row('stubborn'), /^1\/1 Running 1 /);
  assert.match(await world.row('polite'), /^1\/1 Running 1 /);
  await world.close();
});

test('containers of a pod that was deleted while no kubelet ran are ended and removed', async () => {
  const world = await startKubeletWorld('orphan', { scripts: { stubborn } });
  await world.create('p', { containers: [containerOf('c', 'stubborn')] });
  await world.clock.advance(1_000);
  const restart = world.restartKubelet();
  await world.delete('p', 0);
  await restart;
  await world.clock.advance(3_000);
  assert.deepEqual(world.sim.runningContainers(), []);
  assert.deepEqual(world.files.paths(), []);
  assert.ok(world.noted.take().includes('stopContainer c 2000'));
  await world.close();
});

test('an orphan that cannot be ended yet keeps its directories, and is tried again', async () => {
  const world = await startKubeletWorld('stubborn-orphan');
  const pod = await world.create('p', { volumes: [{ name: 'v', emptyDir: {} }] });
  await world.clock.advance(1_000);
  const volumes = `/var/lib/kubelet/pods/${pod.metadata?.uid}/volumes`;
  await world.files.write(`${volumes}/kubernetes.io~empty-dir/v/data`, 'x', 0o644);
  const restart = world.restartKubelet();
  world.noted.failures.set('stopContainer', 'the shim does not answer');
  await world.delete('p', 0);
  await restart;
  await world.clock.advance(15_000);
  assert.equal(world.sim.runningContainers().length, 1);
  assert.deepEqual(await world.files.list(volumes), ['kubernetes.io~empty-dir']);
  world.noted.failures.clear();
  await world.clock.advance(15_000);
  assert.deepEqual([world.sim.runningContainers(), world.files.paths()], [[], []]);
  await world.close();
});

test('a pod that ran to its end stays as it was', async () => {
  const world = await startKubeletWorld('terminal', { scripts: { once: { exit: { afterMs: 10, exitCode: 0 } } } });
  await world.create('p', { restartPolicy: 'Never', containers: [containerOf('c', 'once')] });
  await world.clock.advance(1_000);
  const before = await world.pod('p');
  assert.equal(before.status?.phase, 'Succeeded');
  world.noted.take();
  await world.restartKubelet();
  await world.clock.advance(120_000);
  assert.deepEqual(await world.pod('p'), before);
  assert.deepEqual(
    world.noted.take().filter((call) => !call.startsWith('stop')),
    [],
  );
  await world.delete('p');
  await world.clock.advance(1_000);
  await assert.rejects(world.pod('p'), { reason: 'NotFound' });
  await world.close();
});

test('the runtime may restart below the kubelet', async () => {
  const world = await startKubeletWorld('runtime-restart', { scripts: { stubborn } });
  await world.create('p', { containers: [containerOf('c', 'stubborn')] });
  await world.clock.advance(1_000);
  const restart = world.sim.restart(20_000, never);
  await world.clock.advance(2_000);
  world.sim.endContainer(world.sim.runningContainers()[0]?.id ?? '', 5);
  await world.clock.advance(20_000);
  await restart;
  assert.match(await world.row('p'), /^1\/1 Running 1 /);
  assert.ok(!(await world.events('node-1')).some((line) => line.startsWith('Normal NodeNotReady')), 'so short a time');
  await world.close();
});

test('a status that somebody changed is put right within 10 s, and foreign conditions are kept', async () => {
  const world = await startKubeletWorld('drift');
  await world.create('p');
  await world.clock.advance(1_000);
  const before = (await world.pod('p')).status;
  const ref = { namespace: 'default', name: 'p', subresource: 'status' };
  const foreign = { type: 'example.com/checked', status: 'True' };
  const body = {
    status: { phase: 'Pending', podIP: '1.2.3.4', conditions: [foreign, { type: 'Ready', status: 'False' }] },
  };
  await world.client.patch(resources.pods, ref, { type: 'strategic', body }, never);
  await world.clock.advance(10_000);
  const after = (await world.pod('p')).status;
  assert.deepEqual([after?.phase, after?.podIP], [before?.phase, before?.podIP]);
  assert.deepEqual(
    after?.conditions
      ?.filter(({ type }) => type === 'Ready' || type === foreign.type)
      .map(({ type, status }) => [type, status]),
    [
      ['example.com/checked', 'True'],
      ['Ready', 'True'],
    ],
  );
  await world.close();
});
