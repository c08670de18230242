import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startKubeletWorld } from '../../test/support/kubelet-world.ts';

const gibibyte = 1_024 ** 3;
const image = (name: string, sizeBytes: number) => ({
  name: `docker.io/library/${name}:1`,
  sizeBytes,
  mustBePulled: true,
  entrypoint: ['run'],
});

test('a full disk is freed of images that this kubelet pulled and nobody uses, longest unused first', async () => {
  const images = [image('old', gibibyte), image('new', gibibyte), image('used', gibibyte)];
  const theirs = { ...image('theirs', 50 * gibibyte), mustBePulled: false };
  const world = await startKubeletWorld('image-gc', { images: [...images, theirs] });
  const present = async (): Promise<string[]> => {
    const list = await world.during(world.sim.listImages(world.scope.signal));
    return list.map(({ repoTags }) => repoTags[0]?.slice('docker.io/library/'.length) ?? '');
  };
  const run = async (name: string): Promise<void> => {
    await world.create(name, { containers: [{ name: 'c', image: `${name}:1` }] });
    await world.clock.advance(1_000);
  };
  await run('used');
  await run('old');
  await world.delete('old');
  await world.clock.advance(310_000);
  await run('new');
  await world.delete('new');
  await world.clock.advance(310_000);
  assert.deepEqual(await present(), ['old:1', 'new:1', 'used:1', 'theirs:1'], 'there is room');
  world.files.diskSpace = { capacityBytes: 10 * gibibyte, availableBytes: 1.5 * gibibyte };
  await world.clock.advance(300_000);
  assert.deepEqual(await present(), ['new:1', 'used:1', 'theirs:1'], 'half a gibibyte was wanted');
  world.files.diskSpace = { capacityBytes: 10 * gibibyte, availableBytes: 0 };
  await world.restartKubelet();
  await world.clock.advance(310_000);
  assert.deepEqual(await present(), ['used:1', 'theirs:1']);
  await world.clock.advance(600_000);
  assert.deepEqual(await present(), ['used:1', 'theirs:1']);
  const events = await world.events('node-1');
  const text =
    'Failed to garbage collect required amount of images. ' +
    'Attempted to free 2147483648 bytes, but only found 0 bytes eligible to free.';
  assert.ok(
    events.some((line) => line.startsWith('Warning FreeDiskSpaceFailed') && line.endsWith(text)),
    `${events}`,
  );
  assert.ok(
    events.some((line) => line.startsWith('Warning ImageGCFailed') && line.endsWith(text)),
    `${events}`,
  );
  await world.close();
});
