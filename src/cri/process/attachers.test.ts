import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '../../sim/virtual-clock.ts';
import type { RemoteStreams } from '../runtime.ts';
import { Attachers } from './attachers.ts';

const megabyte = new Uint8Array(1_048_576);

function client(stdout: (bytes: Uint8Array) => Promise<void>): RemoteStreams {
  return { stdin: undefined, stdout, stderr: undefined, resize: undefined };
}

test('a client that takes nothing holds up the container for ten seconds, and is then let go', async () => {
  const clock = new VirtualClock({ epochMs: 0 });
  const attachers = new Attachers(clock);
  let takenBytes = 0;
  const stuck = attachers.add(client(() => new Promise(() => {})));
  const quick = attachers.add(client(async (bytes) => void (takenBytes += bytes.length)));
  const ends = [stuck.run(), quick.run()];
  const dropped = assert.rejects(ends[0] ?? Promise.resolve(), {
    reason: 'Timeout',
    message: "attach: the client has taken nothing of the container's output for 10 s",
  });
  assert.equal(attachers.push('stdout', megabyte), undefined);
  let isHeld = true;
  const held = attachers.push('stdout', megabyte)?.then(() => (isHeld = false));
  await clock.advance(9_999);
  assert.deepEqual([isHeld, takenBytes], [true, 2 * megabyte.length]);
  await clock.advance(1);
  await held;
  await dropped;
  assert.equal(attachers.push('stdout', megabyte), undefined, 'nobody holds it up any more');
  attachers.end();
  await ends[1];
  assert.equal(takenBytes, 3 * megabyte.length);
  assert.deepEqual(clock.pendingNames(), []);
});

test('the end of the process is held up by no client, and each still gets what was said', async () => {
  const clock = new VirtualClock({ epochMs: 0 });
  const attachers = new Attachers(clock);
  let takenBytes = 0;
  const slow = attachers.add(
    client(async (bytes) => {
      await clock.sleep(60_000, 'test.slow', new AbortController().signal);
      takenBytes += bytes.length;
    }),
  );
  const end = slow.run();
  attachers.push('stdout', megabyte);
  const held = attachers.push('stdout', megabyte);
  assert.notEqual(held, undefined);
  attachers.stopHolding();
  await held;
  assert.equal(attachers.push('stdout', megabyte), undefined);
  attachers.end();
  await clock.advance(180_000);
  await end;
  assert.equal(takenBytes, 3 * megabyte.length);
});
