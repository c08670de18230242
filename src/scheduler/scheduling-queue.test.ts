import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SchedulingQueue } from './scheduling-queue.ts';

function takeAll(queue: SchedulingQueue, nowMs: number): string[] {
  const taken: string[] = [];
  for (let uid = queue.take(nowMs); uid !== undefined; uid = queue.take(nowMs)) taken.push(uid);
  return taken;
}

test('the highest priority first, then first come, first served', () => {
  const queue = new SchedulingQueue();
  queue.add('a', 0);
  queue.add('b', 10);
  queue.add('c', 0);
  queue.add('d', 10);
  queue.add('e', -5);
  assert.deepEqual(takeAll(queue, 0), ['b', 'd', 'a', 'c', 'e']);
  assert.equal(queue.length, 5); // in flight
});

test('a pod that found no node waits until something changes, but never longer than 5 min', () => {
  const queue = new SchedulingQueue();
  queue.add('a', 0);
  assert.equal(queue.take(0), 'a');
  queue.failed('a', 'unschedulable', 0);
  assert.equal(queue.nextDueMs(), 300_000);
  assert.equal(queue.take(299_999), undefined);
  assert.equal(queue.take(300_000), 'a');
});

test('after a change it is tried at once when its back-off is over or nothing else is to do', () => {
  const queue = new SchedulingQueue();
  queue.add('a', 0);
  queue.take(0);
  queue.failed('a', 'unschedulable', 0);
  queue.clusterChanged(100);
  queue.add('b', 0);
  assert.equal(queue.take(100), 'b');
  assert.equal(queue.take(100), 'a'); // early: nothing else is active
  queue.failed('a', 'unschedulable', 100);
  queue.clusterChanged(60_000);
  assert.equal(queue.take(60_000), 'a');
});

test('after an error it backs off 1 s, 2 s, 4 s, 8 s, then 10 s each time, whatever happens', () => {
  const queue = new SchedulingQueue();
  queue.add('a', 0);
  let nowMs = 0;
  const waitsMs: number[] = [];
  for (let round = 0; round < 6; round++) {
    assert.equal(queue.take(nowMs), 'a');
    queue.failed('a', 'error', nowMs);
    queue.clusterChanged(nowMs);
    const dueMs = queue.nextDueMs();
    assert.equal(queue.take(dueMs - 1), undefined);
    waitsMs.push(dueMs - nowMs);
    nowMs = dueMs;
  }
  assert.deepEqual(waitsMs, [1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
});

test('a change while it was being tried is not lost', () => {
  const queue = new SchedulingQueue();
  queue.add('a', 0);
  queue.take(0);
  queue.clusterChanged(0);
  queue.failed('a', 'unschedulable', 0);
  assert.equal(queue.take(0), 'a');
  queue.failed('a', 'unschedulable', 0);
  assert.equal(queue.take(0), undefined);
});

test('a pod that has changed is tried at once, but never twice at a time', () => {
  const queue = new SchedulingQueue();
  queue.add('a', 0);
  queue.take(0);
  queue.add('a', 0);
  assert.equal(queue.take(0), undefined);
  queue.failed('a', 'unschedulable', 0);
  assert.equal(queue.take(0), 'a');
  queue.failed('a', 'error', 0);
  queue.add('a', 3);
  assert.equal(queue.take(0), 'a');
});

test('a removed pod is never handed out, and its failure is of no account', () => {
  const queue = new SchedulingQueue();
  queue.add('a', 0);
  queue.add('b', 0);
  queue.take(0);
  queue.remove('a');
  queue.remove('b');
  queue.failed('a', 'unschedulable', 0);
  assert.equal(queue.take(1e9), undefined);
  assert.equal(queue.length, 0);
  queue.add('a', 0);
  queue.failed('a', 'error', 0); // of the one before
  assert.equal(queue.take(0), 'a');
});
