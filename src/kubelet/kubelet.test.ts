import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startKubeletWorld } from '../../test/support/kubelet-world.ts';

test('a pod bound to the node gets a sandbox and its container, and is Running', async () => {
  const world = await startKubeletWorld('first');
  await world.create('web', {});
  await world.clock.advance(100);
  const pod = await world.pod('web');
  assert.deepEqual(world.runtime.calls, ['runPodSandbox web 0', 'create main 0', 'start main']);
  assert.equal(pod.status?.phase, 'Running');
  console.log(JSON.stringify(pod.status, null, 1));
  console.log(JSON.stringify(await world.node(), null, 1));
  console.log(await world.events('web'));
  await world.close();
  assert.deepEqual(world.clock.pendingNames(), []);
});
