import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startKubeletWorld } from '../../test/support/kubelet-world.ts';

const line = `2026-01-01T00:00:00.000000000Z stdout F ${'x'.repeat(1_023)}\n`;
const tenMebibytes = line.repeat(10_240);

test('a log of more than 10 MiB is put aside, old ones are packed, and five files are kept', async () => {
  const world = await startKubeletWorld('rotation');
  const pod = await world.create('p');
  await world.clock.advance(1_000);
  const directory = `/var/log/pods/default_p_${pod.metadata?.uid}/main`;
  world.files.append(`${directory}/0.log`, 'small\n');
  await world.clock.advance(10_000);
  assert.deepEqual(await world.files.list(directory), ['0.log']);
  const seen: (readonly string[])[] = [];
  for (let round = 0; round < 6; round++) {
    world.files.append(`${directory}/0.log`, tenMebibytes);
    await world.clock.advance(10_000);
    seen.push(await world.files.list(directory));
  }
  assert.deepEqual(
    seen.map((files) => files.length),
    [1, 2, 3, 4, 4, 4],
  );
  assert.ok(seen.at(-1)?.filter((file) => file.endsWith('.gz')).length === 3, `${seen.at(-1)}`);
  assert.ok(world.noted.take().includes('reopenContainerLog main'));
  await world.close();
});

test('when the runtime cannot open a new file the old one stays in place', async () => {
  const world = await startKubeletWorld('rotation-fails');
  const pod = await world.create('p');
  await world.clock.advance(1_000);
  const directory = `/var/log/pods/default_p_${pod.metadata?.uid}/main`;
  world.noted.failures.set('reopenContainerLog', 'no');
  world.files.append(`${directory}/0.log`, tenMebibytes + line);
  await world.clock.advance(10_000);
  assert.deepEqual(await world.files.list(directory), ['0.log']);
  await world.close();
});

test('following goes on in the new file', async () => {
  const world = await startKubeletWorld('rotation-follow');
  const pod = await world.create('p');
  await world.clock.advance(1_000);
  const path = `/var/log/pods/default_p_${pod.metadata?.uid}/main/0.log`;
  const stored = (text: string): string => `2026-01-01T00:00:00Z stdout F ${text}\n`;
  world.files.append(path, stored('one'));
  const query = new URLSearchParams({ follow: 'true' });
  const user = { name: 'apiserver', groups: ['system:masters'] };
  const log = { method: 'GET', path: '/containerLogs/default/p/main', query, headers: {}, body: '', user };
  const answer = await world.during(world.kubelet.handle(log, new AbortController().signal));
  assert.ok(typeof answer.body !== 'string' && !(answer.body instanceof Uint8Array));
  const pieces = answer.body;
  const following = (async () => {
    let text = '';
    for await (const piece of pieces) text += typeof piece === 'string' ? piece : new TextDecoder().decode(piece);
    return text;
  })();
  await world.clock.advance(100);
  world.files.append(path, stored('two'));
  await world.files.rename(path, `${path}.20260101-000000`);
  world.files.append(path, stored('three'));
  await world.clock.advance(2_000);
  await world.delete('p');
  assert.equal(await world.during(following), 'one\ntwo\nthree\n');
  await world.close();
});
