import assert from 'node:assert/strict';
import { setMaxListeners } from 'node:events';
import { test } from 'node:test';
import { StatusError } from '../base/status-error.ts';
import { settle } from '../sim/virtual-clock.ts';
import { type Commit, type CommitLog, type CommitOutcome, MvccStore } from './mvcc-store.ts';
import type { Compare, TxnResult } from './store.ts';

/** A log whose commits end when the test says so, and how. */
class ManualLog implements CommitLog {
  readonly commits: Commit[] = [];
  readonly #pending: { resolve(outcome: CommitOutcome): void; reject(error: unknown): void }[] = [];
  isClosed = false;

  gather(): Promise<void> {
    return Promise.resolve();
  }

  append(commit: Commit): Promise<CommitOutcome> {
    this.commits.push(commit);
    return new Promise((resolve, reject) => this.#pending.push({ resolve, reject }));
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }

  async finish(outcome: CommitOutcome | Error = { kind: 'durable' }): Promise<void> {
    await settle();
    const commit = this.#pending.shift();
    assert.ok(commit !== undefined, 'no commit is under way');
    if (outcome instanceof Error) commit.reject(outcome);
    else commit.resolve(outcome);
    await settle();
  }
}

const { signal } = new AbortController();
setMaxListeners(0, signal); // thousands of transactions wait on it at once

function setUp(options: { dataBytesMax?: number } = {}) {
  const log = new ManualLog();
  const store = new MvccStore({ items: [], revision: 0, log, ...options });
  const put = (key: string, value: string, ...compare: Compare[]): Promise<TxnResult> =>
    store.txn({ compare, writes: [{ kind: 'put', key, value }] }, signal);
  return { log, store, put };
}

/** The rejection, or the result, as it is now. */
async function stateOf(promise: Promise<unknown>): Promise<string> {
  const pending = settle().then(() => 'pending');
  return await Promise.race([
    promise.then(
      () => 'fulfilled',
      (error: unknown) => (error instanceof StatusError ? error.reason : 'rejected'),
    ),
    pending,
  ]);
}

test('what is begun during a commit shares the next one', async () => {
  const { log, store, put } = setUp();
  const first = put('/a', '1');
  await settle();
  const others = [
    put('/a', '2'),
    put('/b', '3'),
    put('/a', '4'),
    store.txn({ compare: [], writes: [{ kind: 'delete', key: '/b' }] }, signal),
  ];
  await log.finish();
  assert.deepEqual(await first, { succeeded: true, revision: 1 });
  await log.finish();
  assert.deepEqual(
    (await Promise.all(others)).map(({ revision }) => revision),
    [2, 3, 4, 5],
  );
  assert.deepEqual(
    log.commits.map(({ revision, writes }) => [revision, [...writes].map(([key, item]) => `${key}=${item?.value}`)]),
    [
      [1, ['/a=1']],
      [5, ['/a=4', '/b=undefined']],
    ],
  );
});

test('reads and watches show nothing that could still be lost', async () => {
  const { log, store, put } = setUp();
  const seen: number[] = [];
  const watching = (async () => {
    for await (const { revision } of store.watch({ prefix: '/', fromRevision: 1 }, signal)) seen.push(revision);
  })();
  watching.catch(() => {}); // ends with the store
  const written = put('/a', '1');
  await settle();
  assert.equal(await stateOf(written), 'pending');
  assert.deepEqual(await store.get('/a', signal), { item: undefined, revision: 0 });
  assert.deepEqual(await store.range({ prefix: '/' }, signal), { items: [], revision: 0, remainingCount: 0 });
  assert.deepEqual(seen, []);
  await log.finish();
  assert.equal(await stateOf(written), 'fulfilled');
  assert.equal((await store.get('/a', signal)).item?.value, '1');
  assert.deepEqual(seen, [1]);
});

test('an answer that rests on a write waits until that write is durable', async () => {
  const { log, store, put } = setUp();
  const written = put('/a', '1');
  const exists = put('/a', '2', { key: '/a', modRevision: 0 });
  const holds = store.txn({ compare: [{ key: '/a', modRevision: 1 }], writes: [] }, signal);
  const other = store.txn({ compare: [{ key: '/b', modRevision: 7 }], writes: [] }, signal);
  assert.equal(await stateOf(exists), 'pending');
  assert.equal(await stateOf(holds), 'pending');
  assert.deepEqual(await other, { succeeded: false, revision: 0, current: [undefined] });
  await log.finish();
  await written;
  const item = { key: '/a', value: '1', createRevision: 1, modRevision: 1 };
  assert.deepEqual(await exists, { succeeded: false, revision: 1, current: [item] });
  assert.deepEqual(await holds, { succeeded: true, revision: 1 });
});

test('a commit that is refused leaves no trace, and takes with it what was decided on top of it', async () => {
  const { log, store, put } = setUp();
  const kept = put('/a', '1');
  await log.finish();
  await kept;
  const full = new StatusError('InternalError', 'no space left on device');
  const lost = [put('/a', '2'), put('/b', '2')];
  await settle();
  const later = put('/a', '3', { key: '/a', modRevision: 2 });
  const mismatch = put('/b', '4', { key: '/b', modRevision: 0 });
  const all = [...lost, later, mismatch].map((promise) => assert.rejects(promise, (error) => error === full));
  await log.finish({ kind: 'refused', error: full });
  await Promise.all(all);
  assert.equal((await store.get('/a', signal)).item?.value, '1');
  const again = put('/b', '5', { key: '/b', modRevision: 0 });
  await log.finish();
  assert.deepEqual(await again, { succeeded: true, revision: 2 });
});

test('a commit of unknown outcome ends the store: nothing that it says can be trusted', async () => {
  const { log, store, put } = setUp();
  const watching = store.watch({ prefix: '/', fromRevision: 1 }, signal).next();
  const written = put('/a', '1');
  await settle();
  const queued = put('/b', '1');
  const unavailable = { reason: 'ServiceUnavailable', message: 'the store failed: disk on fire' };
  const all = Promise.all([written, queued, watching].map((promise) => assert.rejects(promise, unavailable)));
  await log.finish(new Error('disk on fire'));
  await all;
  await assert.rejects(put('/c', '1'), unavailable);
  await assert.rejects(store.get('/a', signal), unavailable);
  await store.close();
  assert.ok(log.isClosed);
});

test('close waits for the commits of all that was begun, and refuses what comes meanwhile', async () => {
  const { log, store, put } = setUp();
  const first = put('/a', '1');
  await settle();
  const second = put('/b', '1');
  const closed = store.close();
  assert.equal(await stateOf(put('/c', '1')), 'ServiceUnavailable');
  await log.finish();
  assert.equal(await stateOf(closed), 'pending');
  await log.finish();
  await closed;
  assert.deepEqual([await stateOf(first), await stateOf(second), log.isClosed], ['fulfilled', 'fulfilled', true]);
});

test('puts that would make the store too large are refused; deletions and smaller values are not', async () => {
  const { log, store, put } = setUp({ dataBytesMax: 100 });
  const full = { reason: 'InternalError', message: 'no space left: the store may hold 100 bytes' };
  const first = put('/a', 'x'.repeat(60));
  await assert.rejects(put('/b', 'x'.repeat(60)), full, 'what is begun counts');
  await log.finish();
  await first;
  await assert.rejects(put('/a', 'x'.repeat(99)), full);
  const smaller = put('/a', 'x'.repeat(50));
  const fits = put('/b', 'x'.repeat(46));
  await assert.rejects(put('/c', ''), full);
  const deleted = store.txn({ compare: [], writes: [{ kind: 'delete', key: '/a' }] }, signal);
  const now = put('/c', 'x'.repeat(40));
  await log.finish();
  await log.finish();
  for (const promise of [smaller, fits, deleted, now]) assert.equal((await promise).succeeded, true);
});

test('one commit takes at most so many transactions, and so many bytes', async () => {
  const { log, put } = setUp();
  const small = Array.from({ length: 2_000 }, (_, index) => put(`/${index}`, ''));
  await log.finish();
  await log.finish();
  await Promise.all(small);
  const large = Array.from({ length: 9 }, (_, index) => put(`/${index}`, 'x'.repeat(3_000_000)));
  await log.finish();
  await log.finish();
  await Promise.all(large);
  assert.deepEqual(
    log.commits.map(({ revision }) => revision),
    [1_024, 2_000, 2_005, 2_009],
  );
});
