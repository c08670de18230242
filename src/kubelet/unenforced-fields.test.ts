import assert from 'node:assert/strict';
import { test } from 'node:test';
import { containerOf, startKubeletWorld } from '../../test/support/kubelet-world.ts';

test('what the kubelet does not see to is told once, by the names of the fields', async () => {
  const world = await startKubeletWorld('unenforced');
  const limits = { 'ephemeral-storage': '1Gi' };
  await world.create('p', {
    volumes: [
      { name: 'plain', emptyDir: {} },
      { name: 'fast', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
    ],
    initContainers: [{ ...containerOf('side', 'run'), restartPolicy: 'Always', resources: { limits } }],
    containers: [{ name: 'main', image: 'busybox:1.29', resources: { limits } }],
  });
  await world.clock.advance(1_000);
  await world.restartKubelet();
  await world.clock.advance(1_000);
  assert.match(await world.row('p'), /^2\/2 Running/);
  const told = (await world.events('p')).filter((line) => line.includes('NotEnforced'));
  assert.deepEqual(told, [
    'Warning NotEnforced x1 spec.volumes[1].emptyDir.medium: Memory is not enforced: the volume is on disk',
    'Warning NotEnforced x1 spec.volumes[1].emptyDir.sizeLimit is not enforced',
    'Warning NotEnforced x1 spec.initContainers[0].resources.limits.ephemeral-storage is not enforced',
    'Warning NotEnforced x1 spec.containers[0].resources.limits.ephemeral-storage is not enforced',
  ]);
  await world.close();
});

test('huge pages are refused, since there is nothing that they could be instead', async () => {
  const world = await startKubeletWorld('hugepages');
  await world.create('p', { volumes: [{ name: 'v', emptyDir: { medium: 'HugePages' } }] });
  await world.clock.advance(1_000);
  assert.equal(await world.row('p'), '0/1 ContainerCreating 0');
  const [failed] = (await world.events('p')).filter((line) => line.includes('FailedMount'));
  assert.match(failed ?? '', /spec\.volumes\[0\]\.emptyDir\.medium: HugePages is not supported by this node$/);
  await world.close();
});
