import assert from 'node:assert/strict';
import { test } from 'node:test';
import { containerOf, startKubeletWorld } from '../../test/support/kubelet-world.ts';

test('what the kubelet does not see to is told once, by the names of the fields', async () => {
  const world = await startKubeletWorld('unenforced', { canMountTmpfs: false });
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
    'Warning NotEnforced x1 spec.initContainers[0].resources.limits.ephemeral-storage is not enforced',
    'Warning NotEnforced x1 spec.containers[0].resources.limits.ephemeral-storage is not enforced',
  ]);
  await world.close();
});

test('a volume in memory is as large as its limit, its containers or its node permit, and goes with its pod', async () => {
  const world = await startKubeletWorld('memory');
  const limits = { memory: '64Mi' };
  const pod = await world.create('p', {
    volumes: [
      { name: 'limited', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
      { name: 'free', emptyDir: { medium: 'Memory' } },
    ],
    containers: [{ ...containerOf('c', 'run'), resources: { limits } }],
  });
  const other = await world.create('other', { volumes: [{ name: 'v', emptyDir: { medium: 'Memory' } }] });
  await world.clock.advance(1_000);
  const path = (uid: string | undefined): string => `/var/lib/kubelet/pods/${uid}/volumes/kubernetes.io~empty-dir`;
  const expected = [
    `${path(pod.metadata?.uid)}/free ${64 * 1_024 ** 2}`,
    `${path(pod.metadata?.uid)}/limited ${1_024 ** 2}`,
    `${path(other.metadata?.uid)}/v ${4 * 1_024 ** 3}`,
  ];
  assert.deepEqual(world.files.mounts(), expected.sort());
  assert.ok(!(await world.events('p')).some((line) => line.includes('NotEnforced')));
  await world.restartKubelet();
  await world.clock.advance(60_000);
  assert.deepEqual(world.files.mounts(), expected.sort());
  await world.delete('p');
  await world.clock.advance(1_000);
  assert.equal(world.files.mounts().length, 1);
  const restart = world.restartKubelet();
  await world.delete('other', 0);
  await restart;
  await world.clock.advance(5_000);
  assert.deepEqual(world.files.mounts(), [], 'also when it went while no kubelet ran');
  await world.close();
});

test('a pod whose emptyDir outgrows its limit is evicted', async () => {
  const world = await startKubeletWorld('evicted', { scripts: { deaf: { onStop: 'ignore' } } });
  const pod = await world.create('p', {
    volumes: [
      { name: 'small', emptyDir: { sizeLimit: '1Ki' } },
      { name: 'large', emptyDir: {} },
    ],
    containers: [containerOf('c', 'deaf')],
  });
  await world.clock.advance(1_000);
  const volumes = `/var/lib/kubelet/pods/${pod.metadata?.uid}/volumes/kubernetes.io~empty-dir`;
  await world.files.write(`${volumes}/small/f`, 'x'.repeat(1_024), 0o644);
  await world.files.write(`${volumes}/large/f`, 'x'.repeat(9_999), 0o644);
  await world.clock.advance(20_000);
  assert.equal(await world.row('p'), '1/1 Running 0');
  await world.files.write(`${volumes}/small/g`, 'x', 0o644);
  await world.clock.advance(14_000);
  const message = 'Usage of EmptyDir volume "small" exceeds the limit "1Ki". ';
  const { status } = await world.pod('p');
  assert.deepEqual([status?.phase, status?.reason, status?.message], ['Failed', 'Evicted', message]);
  const disruptions = (status?.conditions ?? []).filter(({ type }) => type === 'DisruptionTarget');
  assert.deepEqual(
    disruptions.map((condition) => [condition.status, condition.reason, condition.message]),
    [['True', 'TerminationByKubelet', message]],
  );
  assert.ok(disruptions[0]?.lastTransitionTime !== undefined);
  assert.ok((await world.events('p')).includes(`Warning Evicted x1 ${message}`));
  assert.ok(world.noted.take().includes('stopContainer c 2000'));
  assert.deepEqual(world.sim.runningContainers(), []);
  assert.deepEqual(world.files.paths(), [], 'nothing of it is kept but the object');
  await world.restartKubelet();
  await world.clock.advance(30_000);
  assert.deepEqual((await world.pod('p')).status, status);
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
