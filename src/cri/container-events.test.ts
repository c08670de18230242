import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasReason } from '../base/status-error.ts';
import { ContainerEvents } from './container-events.ts';
import type { ContainerEvent } from './runtime.ts';

function event(containerId: string): ContainerEvent {
  return { kind: 'started', containerId, podUid: 'u' };
}

test('a listener gets what happens after it listened, even before it first asks', async () => {
  const events = new ContainerEvents();
  const stop = new AbortController();
  events.emit(event('before'));
  const listening = events.listen(stop.signal);
  events.emit(event('a'));
  events.emit(event('b'));
  const seen: string[] = [];
  for await (const { containerId } of listening) {
    seen.push(containerId);
    if (containerId === 'b') events.emit(event('c'));
    if (containerId === 'c') stop.abort();
  }
  assert.deepEqual(seen, ['a', 'b', 'c']);
});

test('a listener that does not keep up is told so after what it still has', async () => {
  const events = new ContainerEvents();
  const listening = events.listen(new AbortController().signal);
  for (let i = 0; i < 5_000; i++) events.emit(event(String(i)));
  let count = 0;
  await assert.rejects(
    async () => {
      for await (const _ of listening) count += 1;
    },
    (error) => hasReason(error, 'Expired'),
  );
  assert.equal(count, 4_096);
});

test('a break-off ends all listeners with an error', async () => {
  const events = new ContainerEvents();
  const waiting = events.listen(new AbortController().signal)[Symbol.asyncIterator]().next();
  events.breakOff('gone');
  await assert.rejects(waiting, { message: 'gone' });
});
