import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { StatusError } from './status-error.ts';
import { TaskScope } from './task-scope.ts';
import { WorkQueue } from './work-queue.ts';

test('a key added while it is worked on is handed out once more', async () => {
  const scope = new TaskScope();
  const queue = new WorkQueue<string>({ clock: new VirtualClock({ epochMs: 0 }), signal: scope.signal });
  queue.add('pod-a');
  assert.equal(await queue.take(), 'pod-a');
  queue.add('pod-a');
  queue.add('pod-a');
  assert.equal(queue.length, 0);
  queue.done('pod-a');
  assert.equal(await queue.take(), 'pod-a');
  queue.done('pod-a');
  assert.equal(queue.length, 0);
  await scope.close();
});

test('the earliest of several delays wins', async () => {
  const scope = new TaskScope();
  const clock = new VirtualClock({ epochMs: 0 });
  const queue = new WorkQueue<string>({ clock, signal: scope.signal });
  queue.addAfter('a', 70);
  queue.addAfter('a', 50);
  queue.addAfter('a', 90);
  await clock.advance(49);
  assert.equal(queue.length, 0);
  await clock.advance(1);
  assert.equal(queue.length, 1);
  assert.deepEqual(clock.pendingNames(), []);
  await scope.close();
});

test('closing a scope aborts its sleeps and reports only real failures', async () => {
  const clock = new VirtualClock({ epochMs: 0 });
  const scope = new TaskScope();
  scope.start((signal) => clock.sleep(1_000, 'x', signal));
  await scope.close();
  const failing = new TaskScope();
  failing.start(() => Promise.reject(new StatusError('Conflict', 'stale')));
  failing.start((signal) => clock.sleep(1_000, 'y', signal));
  await clock.advance(0); // it fails before it is asked to stop
  await assert.rejects(failing.close(), { reason: 'Conflict' });
  assert.deepEqual(clock.pendingNames(), []);
});
