import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DoublingBackoff } from './doubling-backoff.ts';

test('10 s, doubling to 300 s', () => {
  const backoff = new DoublingBackoff();
  const delays: number[] = [backoff.delayMs('pod', 'key')];
  let nowMs = 0;
  for (let round = 0; round < 7; round++) {
    backoff.advance('pod', 'key', nowMs, nowMs);
    delays.push(backoff.delayMs('pod', 'key'));
    nowMs += 200_000;
  }
  assert.deepEqual(delays, [0, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]);
});

test('a restart waits from the crash, not from the last restart', () => {
  const backoff = new DoublingBackoff();
  assert.equal(backoff.isWaitingSince('pod', 'key', 0, 0), false);
  backoff.advance('pod', 'key', 0, 0);
  assert.equal(backoff.isWaitingSince('pod', 'key', 100_000, 109_000), true);
  assert.equal(backoff.isWaitingSince('pod', 'key', 100_000, 110_000), false);
});

test('ten minutes without a crash forget it', () => {
  const backoff = new DoublingBackoff();
  backoff.advance('pod', 'key', 0, 0);
  backoff.advance('pod', 'key', 20_000, 20_000);
  assert.equal(backoff.isWaitingSince('pod', 'key', 620_000, 620_000), true);
  assert.equal(backoff.isWaitingSince('pod', 'key', 620_001, 620_001), false);
  backoff.advance('pod', 'key', 620_001, 620_001);
  assert.equal(backoff.delayMs('pod', 'key'), 10_000);
});

test('a pull waits from the last failure', () => {
  const backoff = new DoublingBackoff();
  backoff.advance('pod', 'image', 1_000, 1_000);
  assert.equal(backoff.isWaiting('pod', 'image', 10_000), true);
  assert.equal(backoff.isWaiting('pod', 'image', 11_000), false);
  assert.equal(backoff.isWaiting('pod', 'other', 1_000), false);
});

test('a wall clock that was set back makes nobody wait for it', () => {
  const backoff = new DoublingBackoff();
  backoff.advance('pod', 'key', 3_600_000, 3_600_000);
  assert.equal(backoff.isWaitingSince('pod', 'key', 3_600_000, 0), false);
});

test('the keys of a pod go with it', () => {
  const backoff = new DoublingBackoff();
  backoff.advance('pod', 'key', 0, 0);
  backoff.forgetPod('pod');
  assert.equal(backoff.delayMs('pod', 'key'), 0);
});
