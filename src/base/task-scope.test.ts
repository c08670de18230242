import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvariantError, StatusError } from './status-error.ts';
import { TaskScope } from './task-scope.ts';

/** A task that runs until it is asked to stop, and then ends with `error`. */
function endingWith(error: unknown): (signal: AbortSignal) => Promise<void> {
  return (signal) =>
    new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(error === undefined ? signal.reason : error), { once: true });
    });
}

test('a task that is asked to stop may end with what it was doing not working out', async () => {
  const scope = new TaskScope();
  scope.start(endingWith(undefined));
  scope.start(endingWith(new StatusError('Timeout', 'no answer')));
  await scope.close();
  assert.equal(scope.failure, undefined);
});

test('a bug is reported even then', async () => {
  const scope = new TaskScope();
  const bug = new InvariantError('2 after 3');
  scope.start(endingWith(bug));
  await assert.rejects(scope.close(), bug);
});

test('a task that fails takes its siblings down, and its failure is the one that is told', async () => {
  const scope = new TaskScope();
  const first = new StatusError('InternalError', 'disk full');
  scope.start(endingWith(new StatusError('Timeout', 'no answer')));
  const aborted = new Promise((resolve) => scope.signal.addEventListener('abort', resolve, { once: true }));
  scope.start(() => Promise.reject(first));
  await aborted;
  await assert.rejects(scope.close(), first);
  assert.equal(scope.signal.reason, first);
});
