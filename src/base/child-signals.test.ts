import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { ChildSignals } from './child-signals.ts';

const untilAborted = (signal: AbortSignal): Promise<unknown> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    else signal.addEventListener('abort', () => resolve(signal.reason), { once: true });
  });

test('all tasks end with the parent, by one listener on it', async () => {
  const parent = new AbortController();
  const children = new ChildSignals(parent.signal);
  const reasons = Array.from({ length: 50 }, () => children.run(untilAborted));
  assert.equal(getEventListeners(parent.signal, 'abort').length, 1);
  const reason = new Error('enough');
  parent.abort(reason);
  assert.deepEqual(new Set(await Promise.all(reasons)), new Set([reason]));
});

test('a task that has ended is not aborted later, one that begins too late is aborted at once', async () => {
  const parent = new AbortController();
  const children = new ChildSignals(parent.signal);
  const signal = await children.run((own) => Promise.resolve(own));
  await assert.rejects(
    children.run(() => Promise.reject(new Error('failed'))),
    /failed/,
  );
  parent.abort('over');
  assert.equal(signal.aborted, false);
  assert.equal(await children.run(untilAborted), 'over');
});
