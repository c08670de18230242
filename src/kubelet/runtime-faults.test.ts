/** What becomes of pods and of the node when the runtime hangs, answers late, is away, or has no network to give. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RuntimeCondition } from '../cri/runtime.ts';
import { containerOf, startKubeletWorld } from '../../test/support/kubelet-world.ts';
import type { KubeletWorld } from '../../test/support/kubelet-world.ts';

const hung = (): Promise<never> => new Promise(() => {}); // no answer, not even to an abort

async function readyOf(world: KubeletWorld): Promise<string> {
  const ready = (await world.node()).status?.conditions?.find(({ type }) => type === 'Ready');
  return `${ready?.status} ${ready?.message}`;
}

test('a sandbox that never comes is given up after four minutes, tried again, and holds nobody else up', async () => {
  const world = await startKubeletWorld('hung-sandbox');
  const { runtime } = world.noted;
  const { runPodSandbox } = runtime;
  runtime.runPodSandbox = (config, signal) =>
    config.metadata.name === 'stuck' ? hung() : runPodSandbox(config, signal);
  await world.create('stuck');
  await world.create('free');
  await world.clock.advance(1_000);
  assert.equal(await world.row('free'), '1/1 Running 0');
  assert.equal(await world.row('stuck'), '0/1 ContainerCreating 0');
  await world.clock.advance(240_000);
  assert.deepEqual(await world.events('stuck'), [
    'Warning FailedCreatePodSandBox x1 Failed to create pod sandbox: ' +
      'rpc error: code = DeadlineExceeded desc = context deadline exceeded',
  ]);
  runtime.runPodSandbox = runPodSandbox;
  await world.clock.advance(16_000);
  assert.equal(await world.row('stuck'), '1/1 Running 0');
  await world.close();
});

test('a pod whose creation hangs can be deleted', async () => {
  const world = await startKubeletWorld('hung-create');
  world.noted.runtime.createContainer = hung;
  await world.create('p');
  await world.clock.advance(1_000);
  await world.delete('p');
  await world.clock.advance(1_000);
  await assert.rejects(world.pod('p'), { reason: 'NotFound' });
  await world.close();
});

test('a start that is answered too late does not lead to a second instance', async () => {
  const world = await startKubeletWorld('late-start');
  const { runtime } = world.noted;
  const { startContainer } = runtime;
  const late: Promise<void>[] = [];
  runtime.startContainer = (id) => {
    late.push(
      world.clock.sleep(121_000 + late.length, 'late', world.scope.signal).then(
        () => startContainer(id, world.scope.signal).catch(() => {}), // removed meanwhile
      ),
    );
    return hung();
  };
  await world.create('p');
  await world.clock.advance(119_000);
  runtime.startContainer = startContainer;
  for (let round = 0; round < 60; round++) {
    await world.clock.advance(500);
    assert.ok(world.sim.runningContainers().length <= 1);
  }
  assert.equal(await world.row('p'), '1/1 Running 0', 'what never ran is no restart');
  const containers = await world.during(world.sim.listContainers({}, world.scope.signal));
  assert.deepEqual(
    containers.map(({ state }) => state),
    ['running'],
  );
  await world.close();
});

test('the node is not Ready when the runtime has not told for three minutes what it has', async () => {
  const world = await startKubeletWorld('pleg');
  const { runtime } = world.noted;
  const { listContainers } = runtime;
  runtime.listContainers = hung;
  await world.clock.advance(170_000);
  assert.match(await readyOf(world), /^True /);
  await world.clock.advance(30_000);
  assert.match(
    await readyOf(world),
    /^False PLEG is not healthy: pleg was last seen active 3m\d+(\.\d+)?s ago; threshold is 3m0s$/,
  );
  runtime.listContainers = listContainers;
  await world.clock.advance(130_000); // the call that hangs is given two minutes
  assert.match(await readyOf(world), /^True /);
  await world.close();
});

test('a runtime that does not answer about itself for 30 s is down, and the lease is renewed all the same', async () => {
  const world = await startKubeletWorld('down');
  const { runtime } = world.noted;
  const { status } = runtime;
  runtime.status = hung;
  await world.clock.advance(55_000);
  assert.equal(await readyOf(world), 'False container runtime is down');
  runtime.status = status;
  await world.clock.advance(21_000);
  assert.match(await readyOf(world), /^True /);
  await world.close();
});

test('a kubelet that finds no runtime registers its node as not Ready, and begins when there is one', async () => {
  const world = await startKubeletWorld('absent');
  await world.create('p');
  await world.clock.advance(1_000);
  const back = world.sim.restart(60_000, world.scope.signal);
  await world.restartKubelet();
  await world.clock.advance(50_000);
  assert.equal(
    await readyOf(world),
    'False [container runtime status check may not have completed yet, ' +
      'PLEG is not healthy: pleg has yet to be successful]',
  );
  await world.clock.advance(30_000);
  await back;
  assert.match(await readyOf(world), /^True /);
  assert.equal(await world.row('p'), '1/1 Running 0');
  await world.close();
});

test('a death of which no event tells is found by the next look at everything', async () => {
  const world = await startKubeletWorld('unseen');
  const { runtime } = world.noted;
  const { events } = runtime;
  runtime.events = (signal) => ({
    async *[Symbol.asyncIterator]() {
      for await (const event of events(signal)) if (event.kind !== 'stopped') yield event;
    },
  });
  await world.restartKubelet();
  await world.create('p');
  await world.clock.advance(1_000);
  world.sim.endContainer(world.sim.runningContainers()[0]?.id ?? '', 4);
  await world.clock.advance(11_000);
  assert.match(await world.row('p'), /^1\/1 Running 1 /);
  await world.close();
});

test('without a network pods wait, and say what the runtime says', async () => {
  const world = await startKubeletWorld('network');
  const { runtime } = world.noted;
  const { status } = runtime;
  const broken: readonly RuntimeCondition[] = [
    { type: 'RuntimeReady', status: true, reason: '', message: '' },
    {
      type: 'NetworkReady',
      status: false,
      reason: 'NetworkPluginNotReady',
      message: 'Network plugin returns error: cni plugin not initialized',
    },
  ];
  runtime.status = async () => broken;
  await world.clock.advance(11_000);
  const text =
    'container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady ' +
    'message:Network plugin returns error: cni plugin not initialized';
  assert.equal(await readyOf(world), `False ${text}`);
  await world.create('p');
  await world.create('host', { hostNetwork: true, containers: [containerOf('c', 'run')] });
  await world.clock.advance(5_000);
  const [event] = await world.events('p');
  assert.match(event ?? '', /^Warning NetworkNotReady x[2-9] /);
  assert.ok(event?.endsWith(` network is not ready: ${text}`), event);
  assert.equal(await world.row('host'), '1/1 Running 0');
  runtime.status = status;
  await world.clock.advance(13_000);
  assert.equal(await world.row('p'), '1/1 Running 0');
  await world.close();
});
