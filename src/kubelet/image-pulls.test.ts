import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startKubeletWorld } from '../../test/support/kubelet-world.ts';

const absent = {
  name: 'docker.io/library/app:1',
  sizeBytes: 12_345,
  mustBePulled: true,
  pullMs: 1_234,
  entrypoint: ['run'],
};
const other = { ...absent, name: 'docker.io/library/other:1', sizeBytes: 7, pullMs: 500 };

test('pulls go one at a time, and the events say how long each took and waited', async () => {
  const world = await startKubeletWorld('pulls', { images: [absent, other] });
  await world.create('a', { containers: [{ name: 'c', image: 'app:1' }] });
  await world.create('b', { containers: [{ name: 'c', image: 'other:1' }] });
  await world.clock.advance(3_000);
  assert.deepEqual((await world.events('a')).slice(0, 2), [
    'Normal Pulling x1 Pulling image "app:1"',
    'Normal Pulled x1 Successfully pulled image "app:1" in 1.234s (1.234s including waiting). Image size: 12345 bytes.',
  ]);
  assert.deepEqual((await world.events('b')).slice(0, 2), [
    'Normal Pulling x1 Pulling image "other:1"',
    'Normal Pulled x1 Successfully pulled image "other:1" in 500ms (1.734s including waiting). Image size: 7 bytes.',
  ]);
  await world.close();
});

test('policy Always pulls for every start, IfNotPresent once', async () => {
  const world = await startKubeletWorld('always', { images: [absent] });
  await world.create('always', { containers: [{ name: 'c', image: 'app:1', imagePullPolicy: 'Always' }] });
  await world.create('once', { containers: [{ name: 'c', image: 'app:1', imagePullPolicy: 'IfNotPresent' }] });
  await world.clock.advance(5_000);
  for (const { id } of world.sim.runningContainers()) world.sim.endContainer(id, 1);
  await world.clock.advance(5_000);
  assert.equal((await world.events('always')).filter((line) => line.startsWith('Normal Pulling x2')).length, 1);
  assert.ok((await world.events('once')).some((line) => line.includes('already present on machine')));
  assert.deepEqual(
    await Promise.all(['always', 'once'].map((name) => world.row(name).then((row) => row.slice(0, 13)))),
    ['1/1 Running 1', '1/1 Running 1'],
  );
  await world.close();
});

test('a delete does not wait for a pull', async () => {
  const world = await startKubeletWorld('slow-pull', { images: [{ ...absent, pullMs: 600_000 }] });
  await world.create('p', { containers: [{ name: 'c', image: 'app:1' }] });
  await world.clock.advance(5_000);
  await world.delete('p');
  await world.clock.advance(100);
  await assert.rejects(world.pod('p'), { reason: 'NotFound' });
  await world.close();
  assert.deepEqual(world.clock.pendingNames(), []);
});

test('a failed sandbox is told, and tried again', async () => {
  const world = await startKubeletWorld('sandbox');
  world.noted.failures.set('runPodSandbox', 'no more addresses');
  await world.create('p');
  await world.clock.advance(1_000);
  assert.deepEqual(await world.events('p'), [
    'Warning FailedCreatePodSandBox x1 Failed to create pod sandbox: no more addresses',
  ]);
  assert.equal(await world.row('p'), '0/1 ContainerCreating 0');
  world.noted.failures.clear();
  await world.clock.advance(16_000);
  assert.equal(await world.row('p'), '1/1 Running 0');
  await world.close();
});

test('a container that cannot be created says why', async () => {
  const world = await startKubeletWorld('create');
  world.noted.failures.set('createContainer', 'no space');
  await world.create('p');
  await world.clock.advance(1_000);
  assert.equal(await world.row('p'), '0/1 CreateContainerError 0');
  assert.ok((await world.events('p')).includes('Warning Failed x2 Error: no space'));
  await world.close();
});

test('a sandbox that never gets an address is made again about once a second, not as fast as possible', async () => {
  const world = await startKubeletWorld('no-address');
  const { runtime } = world.noted;
  const list = runtime.listPodSandboxes;
  runtime.listPodSandboxes = async (filter, signal) =>
    (await list(filter, signal)).map((sandbox) => ({ ...sandbox, ips: [] }));
  await world.create('p');
  await world.clock.advance(20_000);
  const made = world.noted.take().filter((call) => call.startsWith('runPodSandbox')).length;
  assert.ok(made > 10 && made < 40, String(made));
  await world.close();
});
