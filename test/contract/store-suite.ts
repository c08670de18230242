/**
 * What every implementation of `Store` must pass. A runner calls it at the top of a test file:
 *
 *     storeSuite('MemoryStore', async () => {
 *       const store = new MemoryStore();
 *       return { store, close: () => store.close() };
 *     });
 */
import assert from 'node:assert/strict';
import { setMaxListeners } from 'node:events';
import { describe, test } from 'node:test';
import { keyBytesMax, pendingTxnsMax, type Store, txnOpsMax, valueBytesMax } from '../../src/store/store.ts';
import { del, type OpenStore, put, putIf, type StoreTest, succeeded, write } from './store-ops.ts';
import { storeSuiteConcurrency } from './store-suite-concurrency.ts';
import { storeSuiteWatch } from './store-suite-watch.ts';

export function storeSuite(name: string, open: OpenStore): void {
  /** Each test has a store of its own, and a signal that is aborted when it ends. */
  const storeTest: StoreTest = (sentence, body) => {
    test(sentence, { timeout: 60_000 }, async () => {
      const opened = await open();
      const end = new AbortController();
      setMaxListeners(0, end.signal); // everything in a test waits on this one
      try {
        await body(opened, end.signal);
      } finally {
        end.abort(new Error('the test is over'));
        await opened.close();
      }
    });
  };
  describe(name, () => {
    describe('transactions', () => transactionTests(storeTest));
    describe('ranges', () => rangeTests(storeTest));
    describe('bounds and ends', () => boundTests(storeTest));
    describe('watches', () => storeSuiteWatch(storeTest));
    describe('concurrency', () => storeSuiteConcurrency(storeTest, open));
  });
}

function transactionTests(storeTest: StoreTest): void {
  storeTest('each transaction that writes takes the next revision, others take none', async ({ store }, signal) => {
    assert.deepEqual(await store.get('/a', signal), { item: undefined, revision: 0 });
    assert.equal(await write(store, signal, put('/a', '1')), 1);
    assert.equal(await write(store, signal, put('/a', '1')), 2, 'the same value again is a write');
    assert.equal(await write(store, signal, del('/none')), 2, 'nothing to delete');
    assert.equal(await write(store, signal), 2, 'nothing to do');
    assert.equal((await putIf(store, { key: '/a', modRevision: 1 }, '2', signal)).revision, 2, 'compare failed');
    assert.equal(await write(store, signal, del('/a')), 3);
    assert.equal((await store.range({ prefix: '/' }, signal)).revision, 3);
  });

  storeTest('a key remembers the revision that created it, until it is deleted', async ({ store }, signal) => {
    await write(store, signal, put('/a', '1'));
    await write(store, signal, put('/a', '2'));
    const updated = { key: '/a', value: '2', createRevision: 1, modRevision: 2 };
    assert.deepEqual(await store.get('/a', signal), { item: updated, revision: 2 });
    await write(store, signal, del('/a'));
    assert.deepEqual(await store.get('/a', signal), { item: undefined, revision: 3 });
    await write(store, signal, put('/a', '3'));
    const again = { key: '/a', value: '3', createRevision: 4, modRevision: 4 };
    assert.deepEqual(await store.get('/a', signal), { item: again, revision: 4 });
  });

  storeTest(
    'a compare holds for exactly the mod revision; 0 means that there is no such key',
    async ({ store }, signal) => {
      assert.deepEqual(await putIf(store, { key: '/a', modRevision: 0 }, '1', signal), {
        succeeded: true,
        revision: 1,
      });
      const first = { key: '/a', value: '1', createRevision: 1, modRevision: 1 };
      const exists = { succeeded: false, revision: 1, current: [first] };
      assert.deepEqual(await putIf(store, { key: '/a', modRevision: 0 }, 'x', signal), exists);
      assert.deepEqual(await putIf(store, { key: '/a', modRevision: 1 }, '2', signal), {
        succeeded: true,
        revision: 2,
      });
      const second = { key: '/a', value: '2', createRevision: 1, modRevision: 2 };
      const stale = { succeeded: false, revision: 2, current: [second] };
      assert.deepEqual(await putIf(store, { key: '/a', modRevision: 1 }, 'x', signal), stale);
      await write(store, signal, del('/a'));
      const gone = { succeeded: false, revision: 3, current: [undefined] };
      assert.deepEqual(await putIf(store, { key: '/a', modRevision: 2 }, 'x', signal), gone);
      assert.deepEqual(await putIf(store, { key: '/a', modRevision: 0 }, '3', signal), {
        succeeded: true,
        revision: 4,
      });
    },
  );

  storeTest('many operations are done under one revision, or none of them', async ({ store }, signal) => {
    await write(store, signal, put('/a', '1'), put('/b', '1'));
    const compare = [
      { key: '/a', modRevision: 1 },
      { key: '/b', modRevision: 7 },
    ];
    const refused = await store.txn({ compare, writes: [put('/a', '2'), del('/b'), put('/c', '2')] }, signal);
    const a = { key: '/a', value: '1', createRevision: 1, modRevision: 1 };
    const b = { key: '/b', value: '1', createRevision: 1, modRevision: 1 };
    assert.deepEqual(refused, { succeeded: false, revision: 1, current: [a, b] });
    assert.deepEqual((await store.range({ prefix: '/' }, signal)).items, [a, b]);
    const holding = compare.map(({ key }) => ({ key, modRevision: 1 }));
    const writes = [put('/c', '2'), del('/b'), put('/a', '2'), del('/none')];
    assert.equal(succeeded(await store.txn({ compare: holding, writes }, signal)), 2);
    assert.deepEqual((await store.range({ prefix: '/' }, signal)).items, [
      { key: '/a', value: '2', createRevision: 1, modRevision: 2 },
      { key: '/c', value: '2', createRevision: 2, modRevision: 2 },
    ]);
  });

  storeTest('a compare may be on keys that are not written', async ({ store }, signal) => {
    await write(store, signal, put('/lock', '1'));
    const held = { compare: [{ key: '/lock', modRevision: 1 }], writes: [put('/a', '1')] };
    assert.equal(succeeded(await store.txn(held, signal)), 2);
    await write(store, signal, put('/lock', '2'));
    assert.equal((await store.txn(held, signal)).succeeded, false);
  });

  storeTest('values come back as they were, whatever text they are', async ({ store, restart }, signal) => {
    const values = ['', ' ', '{"a":"\\u0000"}', '\0\n\r\t\u{7f}', 'ä€\u{1f600}\ufeff\u2028', 'x'.repeat(100_000)];
    for (const [index, value] of values.entries()) await write(store, signal, put(`/v/${index}`, value));
    const read = async (from: Store): Promise<string[]> =>
      (await from.range({ prefix: '/v/' }, signal)).items.map(({ value }) => value);
    assert.deepEqual(await read(store), values);
    if (restart !== undefined) assert.deepEqual(await read(await restart()), values);
  });
}

function rangeTests(storeTest: StoreTest): void {
  const keys = async (store: Store, signal: AbortSignal, options: Parameters<Store['range']>[0]): Promise<unknown> => {
    const { items, remainingCount } = await store.range(options, signal);
    return [items.map(({ key }) => key).join(' '), remainingCount];
  };

  storeTest('a range holds the keys with the prefix, in byte order', async ({ store }, signal) => {
    const all = ['/p/b', '/p/a-', '/p/a/x', '/p/a', '/p/B', '/p', '/p0', '/o/a', '/q', '/p/~', '/p/a.b'];
    await write(store, signal, ...all.map((key) => put(key, key)));
    assert.deepEqual(await keys(store, signal, { prefix: '/p/' }), ['/p/B /p/a /p/a- /p/a.b /p/a/x /p/b /p/~', 0]);
    assert.deepEqual(await keys(store, signal, { prefix: '/p/a/' }), ['/p/a/x', 0]);
    assert.deepEqual(await keys(store, signal, { prefix: '/none' }), ['', 0]);
    assert.deepEqual(await keys(store, signal, { prefix: '' }), [all.toSorted().join(' '), 0]);
  });

  storeTest('limit and from go through a range page by page', async ({ store }, signal) => {
    await write(store, signal, ...['/p/a', '/p/b', '/p/c', '/p/d', '/p/e', '/q'].map((key) => put(key, '')));
    assert.deepEqual(await keys(store, signal, { prefix: '/p/', limit: 2 }), ['/p/a /p/b', 3]);
    assert.deepEqual(await keys(store, signal, { prefix: '/p/', limit: 2, from: '/p/b\0' }), ['/p/c /p/d', 1]);
    assert.deepEqual(await keys(store, signal, { prefix: '/p/', limit: 2, from: '/p/d\0' }), ['/p/e', 0]);
    assert.deepEqual(await keys(store, signal, { prefix: '/p/', limit: 5 }), ['/p/a /p/b /p/c /p/d /p/e', 0]);
    assert.deepEqual(await keys(store, signal, { prefix: '/p/', from: '/p/c' }), ['/p/c /p/d /p/e', 0]);
    assert.deepEqual(await keys(store, signal, { prefix: '/p/', from: '/a' }), ['/p/a /p/b /p/c /p/d /p/e', 0]);
    assert.deepEqual(await keys(store, signal, { prefix: '/p/', from: '/q' }), ['', 0]);
  });

  storeTest('a range at a past revision shows what was there then', async ({ store }, signal) => {
    await write(store, signal, put('/p/a', '1'), put('/p/c', '1')); // 1
    await write(store, signal, put('/p/b', '2')); // 2
    await write(store, signal, put('/p/a', '3'), del('/p/c')); // 3
    await write(store, signal, del('/p/a'), put('/o', '4')); // 4
    await write(store, signal, put('/p/c', '5')); // 5
    const at = async (atRevision: number, limit: number): Promise<unknown> => {
      const result = await store.range({ prefix: '/p/', atRevision, limit }, signal);
      const items = result.items.map((item) => `${item.key}=${item.value}@${item.createRevision}-${item.modRevision}`);
      return [items.join(' '), result.revision, result.remainingCount];
    };
    assert.deepEqual(await at(5, 9), ['/p/b=2@2-2 /p/c=5@5-5', 5, 0]);
    assert.deepEqual(await at(4, 9), ['/p/b=2@2-2', 4, 0]);
    assert.deepEqual(await at(3, 9), ['/p/a=3@1-3 /p/b=2@2-2', 3, 0]);
    assert.deepEqual(await at(2, 9), ['/p/a=1@1-1 /p/b=2@2-2 /p/c=1@1-1', 2, 0]);
    assert.deepEqual(await at(1, 1), ['/p/a=1@1-1', 1, 1]);
    const { items } = await store.range({ prefix: '/p/', atRevision: 2, from: '/p/a\0', limit: 1 }, signal);
    assert.deepEqual(
      items.map(({ key }) => key),
      ['/p/b'],
    );
  });

  storeTest('a range at a revision that is still to come is refused', async ({ store }, signal) => {
    await write(store, signal, put('/a', '1'));
    await assert.rejects(store.range({ prefix: '/', atRevision: 2 }, signal), { reason: 'Timeout' });
  });

  storeTest('a range over thousands of keys is complete', async ({ store }, signal) => {
    const all = Array.from({ length: 5_000 }, (_, index) => `/p/${(index * 7_919) % 5_000}`);
    for (let start = 0; start < all.length; start += 1_000) {
      await write(store, signal, ...all.slice(start, start + 1_000).map((key) => put(key, key)));
    }
    const odd = all.filter((key) => /[13579]$/.test(key));
    for (let start = 0; start < odd.length; start += 1_000) {
      await write(store, signal, ...odd.slice(start, start + 1_000).map((key) => del(key)));
    }
    const expected = all.filter((key) => !odd.includes(key)).sort();
    const page = await store.range({ prefix: '/p/', from: '/p/2', limit: 700 }, signal);
    const after = expected.filter((key) => key >= '/p/2');
    assert.deepEqual(
      page.items.map(({ key }) => key),
      after.slice(0, 700),
    );
    assert.equal(page.remainingCount, after.length - 700);
    const whole = await store.range({ prefix: '/p/' }, signal);
    assert.deepEqual(
      whole.items.map(({ key }) => key),
      expected,
    );
  });

  storeTest('compaction forgets history, and nothing else', async ({ store }, signal) => {
    for (const value of ['1', '2', '3', '4']) await write(store, signal, put('/a', value));
    await store.compact(3, signal);
    await store.compact(2, signal); // already forgotten
    await assert.rejects(store.range({ prefix: '/', atRevision: 2 }, signal), { reason: 'Expired' });
    assert.equal((await store.range({ prefix: '/', atRevision: 3 }, signal)).items[0]?.value, '3');
    assert.deepEqual(await store.get('/a', signal), {
      item: { key: '/a', value: '4', createRevision: 1, modRevision: 4 },
      revision: 4,
    });
    await assert.rejects(store.compact(5, signal), { reason: 'Invalid' });
    assert.equal(await write(store, signal, put('/a', '5')), 5);
  });
}

function boundTests(storeTest: StoreTest): void {
  storeTest('keys and values at their limits are kept, longer ones are refused', async ({ store }, signal) => {
    const key = `/${'k'.repeat(keyBytesMax - 1)}`;
    const value = 'v'.repeat(valueBytesMax);
    await write(store, signal, put(key, value));
    assert.equal((await store.get(key, signal)).item?.value.length, valueBytesMax);
    const refusals = [
      [put(`${key}k`, ''), 'Invalid'],
      [del(`${key}k`), 'Invalid'],
      [put('', ''), 'Invalid'],
      [put('/ä', ''), 'Invalid'],
      [put('/a\0', ''), 'Invalid'],
      [put('/a', '\ud800'), 'Invalid'],
      [put('/a', `${value}v`), 'RequestEntityTooLarge'],
      [put('/a', 'ä'.repeat(valueBytesMax / 2 + 1)), 'RequestEntityTooLarge'],
    ] as const;
    for (const [op, reason] of refusals) await assert.rejects(write(store, signal, op), { reason });
    assert.equal((await store.get('/a', signal)).revision, 1, 'nothing of them was written');
  });

  storeTest('a malformed transaction or range is refused whole', async ({ store }, signal) => {
    await assert.rejects(write(store, signal, put('/a', '1'), put('/a', '2')), { reason: 'Invalid' });
    await assert.rejects(write(store, signal, put('/a', '1'), del('/a')), { reason: 'Invalid' });
    const many = Array.from({ length: txnOpsMax + 1 }, (_, index) => put(`/${index}`, ''));
    await assert.rejects(write(store, signal, ...many), { reason: 'Invalid' });
    for (const modRevision of [-1, 0.5, NaN]) {
      await assert.rejects(putIf(store, { key: '/a', modRevision }, '1', signal), { reason: 'Invalid' });
    }
    for (const limit of [0, -1, NaN]) {
      await assert.rejects(store.range({ prefix: '/', limit }, signal), { reason: 'Invalid' });
    }
    await assert.rejects(store.range({ prefix: '/', atRevision: -1 }, signal), { reason: 'Invalid' });
    await assert.rejects(store.compact(0.5, signal), { reason: 'Invalid' });
    assert.deepEqual(await store.range({ prefix: '' }, signal), { items: [], revision: 0, remainingCount: 0 });
    assert.equal(await write(store, signal, ...many.slice(1)), 1);
  });

  storeTest('too many transactions at once are refused, not kept', async ({ store }, signal) => {
    const count = pendingTxnsMax + 500;
    const results = await Promise.allSettled(
      // Each with a signal of its own: Node.js walks all listeners of a signal to add one more.
      Array.from({ length: count }, (_, index) =>
        write(store, new AbortController().signal, put(`/${index % 10}`, '')),
      ),
    );
    const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    for (const error of refused) assert.equal(error.reason, 'TooManyRequests');
    assert.equal((await store.get('/0', signal)).revision, count - refused.length);
  });

  storeTest('an aborted signal rejects with its reason, and nothing is written', async ({ store }, signal) => {
    const reason = new Error('stop');
    const aborted = AbortSignal.abort(reason);
    const isReason = (error: unknown): boolean => error === reason;
    await assert.rejects(write(store, aborted, put('/a', '1')), isReason);
    await assert.rejects(store.get('/a', aborted), isReason);
    await assert.rejects(store.range({ prefix: '/' }, aborted), isReason);
    await assert.rejects(store.compact(0, aborted), isReason);
    assert.equal((await store.get('/a', signal)).revision, 0);
  });

  storeTest('a transaction that is aborted while it waits rejects with the reason', async ({ store }, signal) => {
    const controller = new AbortController();
    const reason = new Error('stop');
    const waiting = write(store, controller.signal, put('/a', '1'));
    controller.abort(reason);
    await assert.rejects(waiting, (error) => error === reason);
    assert.ok((await write(store, signal, put('/b', '1'))) <= 2, 'the store goes on, whether that was written or not');
  });

  storeTest('close waits for what was begun; calls after it fail', async ({ store, restart }, signal) => {
    const begun = Array.from({ length: 100 }, (_, index) => write(store, signal, put(`/${index}`, '')));
    const closed = store.close();
    await Promise.all([...begun, closed, store.close()]);
    const unavailable = { reason: 'ServiceUnavailable' };
    await assert.rejects(store.get('/0', signal), unavailable);
    await assert.rejects(store.range({ prefix: '/' }, signal), unavailable);
    await assert.rejects(write(store, signal, put('/a', '1')), unavailable);
    await assert.rejects(store.compact(0, signal), unavailable);
    await assert.rejects(async () => {
      for await (const batch of store.watch({ prefix: '/', fromRevision: 1 }, signal)) assert.ok(batch);
    }, unavailable);
    if (restart !== undefined) assert.equal((await (await restart()).range({ prefix: '' }, signal)).items.length, 100);
  });

  storeTest('a restart keeps keys, revisions and the count, but no history', async ({ store, restart }, signal) => {
    if (restart === undefined) return;
    await write(store, signal, put('/a', '1'), put('/b', '1'));
    await write(store, signal, put('/a', '2'));
    await write(store, signal, del('/b'));
    const before = await store.range({ prefix: '' }, signal);
    const restarted = await restart();
    assert.deepEqual(await restarted.range({ prefix: '' }, signal), before);
    assert.deepEqual(await restarted.range({ prefix: '', atRevision: 3 }, signal), before);
    await assert.rejects(restarted.range({ prefix: '', atRevision: 2 }, signal), { reason: 'Expired' });
    assert.equal(await write(restarted, signal, put('/a', '3')), 4);
    const [item] = (await restarted.range({ prefix: '/a' }, signal)).items;
    assert.deepEqual(item, { key: '/a', value: '3', createRevision: 1, modRevision: 4 });
  });
}
