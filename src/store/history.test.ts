import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StatusError } from '../base/status-error.ts';
import { settle } from '../sim/virtual-clock.ts';
import { History } from './history.ts';
import type { StoreEvent, WatchBatch } from './store.ts';

function event(revision: number, key: string, value = ''): StoreEvent {
  return { kind: 'put', item: { key, value, createRevision: revision, modRevision: revision }, previous: undefined };
}

/** Collects what a watch gets, until it ends. */
function follow(history: History, prefix: string, fromRevision: number, signal: AbortSignal) {
  const batches: WatchBatch[] = [];
  const ended = (async () => {
    for await (const batch of history.watch({ prefix, fromRevision }, signal)) batches.push(batch);
  })();
  ended.catch(() => {}); // whoever cares awaits it
  return { batches, ended };
}

const { signal } = new AbortController();

test('the oldest revisions are dropped whole when there are too many events', async () => {
  const history = new History({ revision: 0, eventsMax: 4 });
  history.append([event(1, '/a'), event(1, '/b')], 1);
  history.append([event(2, '/a'), event(2, '/b')], 2);
  assert.equal(history.changedSince(0, '/').size, 2);
  history.append([event(3, '/a')], 3);
  assert.throws(() => history.changedSince(0, '/'), { reason: 'Expired' });
  assert.equal(history.changedSince(1, '/').size, 2);
  await assert.rejects(follow(history, '/', 1, signal).ended, { reason: 'Expired' });
  const { batches } = follow(history, '/', 2, signal);
  await settle();
  assert.deepEqual(
    batches.flatMap(({ events }) => events.map((each) => each.kind === 'put' && each.item.modRevision)),
    [2, 2, 3],
  );
});

test('the oldest revisions are dropped when their bytes are too many, even all of them', async () => {
  const history = new History({ revision: 0, bytesMax: 100 });
  history.append([event(1, '/a', 'x'.repeat(40))], 1);
  history.append([event(2, '/a', 'x'.repeat(40))], 2);
  assert.equal(history.changedSince(0, '/').size, 1);
  history.append([event(3, '/a', 'x'.repeat(40))], 3);
  assert.throws(() => history.changedSince(0, '/'), { reason: 'Expired' });
  assert.equal(history.changedSince(1, '/').size, 1);
  const { ended } = follow(history, '/', 4, signal);
  history.append([event(4, '/a', 'x'.repeat(400))], 4);
  await assert.rejects(ended, { reason: 'Expired' }, 'it was gone before anyone could see it');
  assert.equal(history.changedSince(4, '/').size, 0);
});

test('the events that a watch gets at once are bounded, but a revision is never split', async () => {
  const history = new History({ revision: 0 });
  for (let revision = 1; revision <= 3; revision++) {
    history.append(
      Array.from({ length: 700 }, (_, index) => event(revision, `/${index}`)),
      revision,
    );
  }
  const { batches } = follow(history, '/', 1, signal);
  await settle();
  assert.deepEqual(
    batches.map(({ events, revision }) => [events.length, revision]),
    [
      [1_400, 2],
      [700, 3],
    ],
  );
});

test('a watch is let go when it is aborted, broken off, or fails', async () => {
  const history = new History({ revision: 0, eventsMax: 2 });
  const controller = new AbortController();
  const waiting = follow(history, '/', 1, controller.signal);
  const unread = history.watch({ prefix: '/', fromRevision: 1 }, controller.signal);
  const first = unread.next();
  history.append([event(1, '/a')], 1);
  await first;
  assert.equal(history.watcherCount, 2);
  controller.abort(new Error('stop'));
  await waiting.ended;
  assert.equal(history.watcherCount, 0, 'the one that nobody asks any more is gone too');
  for await (const batch of history.watch({ prefix: '/', fromRevision: 1 }, signal)) {
    assert.equal(batch.revision, 1);
    break;
  }
  assert.equal(history.watcherCount, 0);
  const failing = follow(history, '/', 2, signal);
  await settle();
  assert.equal(history.watcherCount, 1);
  history.close(new StatusError('ServiceUnavailable', 'the store is closed'));
  await assert.rejects(failing.ended, { reason: 'ServiceUnavailable' });
  assert.equal(history.watcherCount, 0);
});

test('a watch that waits is woken only by what concerns it', async () => {
  const history = new History({ revision: 0 });
  const { batches } = follow(history, '/p/', 1, signal);
  await settle();
  for (let revision = 1; revision < 256; revision++) history.append([event(revision, '/q')], revision);
  await settle();
  assert.deepEqual(batches, []);
  history.append([event(256, '/q')], 256);
  await settle();
  assert.deepEqual(batches, [{ events: [], revision: 256 }]);
});
