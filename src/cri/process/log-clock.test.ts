import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '../../base/clock.ts';
import { LogClock } from './log-clock.ts';

function clockAt(times: { monoMs: number; wallMs: number }): Clock {
  return { monoMs: () => times.monoMs, wallMs: () => times.wallMs, sleep: () => Promise.reject(new Error('no')) };
}

test('timestamps have nine digits, the last six from the finer clock', () => {
  const times = { monoMs: 100.25, wallMs: Date.UTC(2_026, 0, 2, 3, 4, 5, 6) };
  const clock = new LogClock(clockAt(times));
  assert.equal(clock.now(), '2026-01-02T03:04:05.006000000Z');
  times.monoMs += 0.5;
  assert.equal(clock.now(), '2026-01-02T03:04:05.006500000Z');
  times.monoMs += 1_000;
  times.wallMs += 1_000;
  assert.equal(clock.now(), '2026-01-02T03:04:06.006500000Z');
});

test('when the wall clock is set, timestamps follow it', () => {
  const times = { monoMs: 0, wallMs: Date.UTC(2_026, 0, 1) };
  const clock = new LogClock(clockAt(times));
  clock.now();
  times.wallMs = Date.UTC(2_020, 0, 1);
  assert.equal(clock.now(), '2020-01-01T00:00:00.000000000Z');
});
