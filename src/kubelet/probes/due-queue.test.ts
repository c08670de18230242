import fc from '../../../test/support/property.ts';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TaskScope } from '../../base/task-scope.ts';
import { VirtualClock } from '../../sim/virtual-clock.ts';
import { type Due, DueQueue } from './due-queue.ts';

function startQueue() {
  const clock = new VirtualClock({ epochMs: 0 });
  const queue = new DueQueue(clock, 'test.due');
  const scope = new TaskScope();
  scope.start((signal) => queue.run(signal));
  const calls: string[] = [];
  const due = (name: string, onDue: (nowMonoMs: number) => void = () => undefined): Due => ({
    heapIndex: -1,
    dueMonoMs: 0,
    dueSequence: 0,
    onDue: (nowMonoMs) => {
      calls.push(`${name}@${nowMonoMs}`);
      onDue(nowMonoMs);
    },
  });
  return { clock, queue, scope, calls, due };
}

test('things are called when they are due, with one timer for all of them', async () => {
  const { clock, queue, scope, calls, due } = startQueue();
  queue.schedule(due('late'), 30);
  await clock.advance(5);
  queue.schedule(due('soon'), 10);
  queue.schedule(due('also soon'), 10);
  queue.schedule(due('never'), 1_000);
  await clock.advance(0);
  assert.deepEqual(clock.pendingNames(), ['test.due']);
  await clock.advance(100);
  assert.deepEqual(calls, ['soon@10', 'also soon@10', 'late@30']);
  await scope.close();
  assert.deepEqual(clock.pendingNames(), []);
});

test('what is due at once is called after schedule returned', async () => {
  const { clock, queue, scope, calls, due } = startQueue();
  await clock.advance(50);
  queue.schedule(due('past'), 10);
  assert.deepEqual(calls, []);
  await clock.advance(0);
  assert.deepEqual(calls, ['past@50']);
  await scope.close();
});

test('something that schedules itself for now does not keep others from their turn', async () => {
  const { clock, queue, scope, calls, due } = startQueue();
  let turns = 0;
  const greedy = due('greedy', (nowMonoMs) => {
    if (++turns < 3) queue.schedule(greedy, nowMonoMs);
  });
  queue.schedule(greedy, 10);
  queue.schedule(due('other'), 10);
  await clock.advance(10);
  assert.deepEqual(calls, ['greedy@10', 'other@10', 'greedy@10', 'greedy@10']);
  await scope.close();
});

test('it is as if the list were sorted, whatever is moved and cancelled', async () => {
  const operation = fc.record({ item: fc.nat(19), at: fc.nat(100), cancels: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { maxLength: 60 }), async (operations) => {
      const { clock, queue, scope, calls, due } = startQueue();
      const items = Array.from({ length: 20 }, (_, index) => due(`i${index}`));
      const expected = new Map<number, { readonly at: number; readonly sequence: number }>();
      for (const [sequence, { item, at, cancels }] of operations.entries()) {
        const one = items[item];
        assert.ok(one !== undefined);
        if (cancels) queue.cancel(one);
        else queue.schedule(one, at);
        if (cancels) expected.delete(item);
        else expected.set(item, { at, sequence });
      }
      assert.equal(queue.size, expected.size);
      await clock.advance(200);
      const sorted = [...expected].sort(([, a], [, b]) => a.at - b.at || a.sequence - b.sequence);
      assert.deepEqual(
        calls,
        sorted.map(([item, { at }]) => `i${item}@${at}`),
      );
      await scope.close();
    }),
    { numRuns: 100 },
  );
});
