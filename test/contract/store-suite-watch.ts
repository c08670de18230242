/** The part of the store suite that is about watches. */
import assert from 'node:assert/strict';
import {
  type Store,
  type StoreEvent,
  txnOpsMax,
  watchBufferEventsMax,
  type WatchBatch,
  type WatchOptions,
  watchProgressRevisionsMax,
} from '../../src/store/store.ts';
import { del, describeEvent, put, type StoreTest, write } from './store-ops.ts';

/** Watches until `untilRevision` has been delivered. */
export async function watchUntil(
  store: Store,
  options: WatchOptions,
  untilRevision: number,
  signal: AbortSignal,
): Promise<StoreEvent[]> {
  const events: StoreEvent[] = [];
  for await (const batch of store.watch(options, signal)) {
    events.push(...batch.events);
    if (batch.revision >= untilRevision) return events;
  }
  throw new Error(`the watch ended before ${untilRevision}`);
}

/** Takes `count` revisions, a few of them at a time. */
async function noise(store: Store, signal: AbortSignal, count: number): Promise<void> {
  for (let done = 0; done < count; done += 32) {
    const some = Array.from({ length: Math.min(32, count - done) }, () => write(store, signal, put('/noise', '')));
    await Promise.all(some);
  }
}

export function storeSuiteWatch(storeTest: StoreTest): void {
  startTests(storeTest);
  endTests(storeTest);
}

function startTests(storeTest: StoreTest): void {
  storeTest('a watch shows each event with what was there before, in order', async ({ store }, signal) => {
    const watching = watchUntil(store, { prefix: '/p/', fromRevision: 1 }, 5, signal);
    await write(store, signal, put('/p/a', '1'));
    await write(store, signal, put('/p/b', '2'), put('/o', '2'), put('/p/a', '2'));
    await write(store, signal, del('/p/a'), del('/p/none'));
    await write(store, signal, put('/q', '4'));
    await write(store, signal, put('/p/a', '5'));
    assert.deepEqual((await watching).map(describeEvent), [
      '1 put /p/a 1',
      '2 put /p/b 2',
      '2 put /p/a 2 (was 1@1)',
      '3 del /p/a (was 2@2)',
      '5 put /p/a 5',
    ]);
  });

  storeTest('a watch from a past revision catches up, then goes on', async ({ store }, signal) => {
    for (const value of ['1', '2', '3']) await write(store, signal, put('/p/a', value));
    const iterator = store.watch({ prefix: '/p/', fromRevision: 2 }, signal)[Symbol.asyncIterator]();
    const seen: string[] = [];
    const next = async (): Promise<void> => {
      const { value } = await iterator.next();
      seen.push(...(value?.events.map(describeEvent) ?? ['ended']));
    };
    while (seen.length < 2) await next();
    await write(store, signal, put('/p/b', '4'));
    await next();
    assert.deepEqual(seen, ['2 put /p/a 2 (was 1@1)', '3 put /p/a 3 (was 2@2)', '4 put /p/b 4']);
    await iterator.return?.();
  });

  storeTest('a watch from a revision that is still to come waits for it', async ({ store }, signal) => {
    const watching = watchUntil(store, { prefix: '/', fromRevision: 3 }, 3, signal);
    for (const value of ['1', '2', '3']) await write(store, signal, put('/a', value));
    assert.deepEqual((await watching).map(describeEvent), ['3 put /a 3 (was 2@2)']);
  });

  storeTest('a watch from 0 is one from the beginning, and from below it is none', async ({ store }, signal) => {
    const watching = watchUntil(store, { prefix: '/', fromRevision: 0 }, 1, signal);
    await write(store, signal, put('/a', '1'));
    assert.deepEqual((await watching).map(describeEvent), ['1 put /a 1']);
    for (const fromRevision of [-1, 0.5, NaN]) {
      await assert.rejects(watchUntil(store, { prefix: '/', fromRevision }, 1, signal), { reason: 'Invalid' });
    }
  });

  storeTest('what is acknowledged between a list and its watch is not lost', async ({ store }, signal) => {
    await write(store, signal, put('/a', '1'));
    const { revision } = await store.range({ prefix: '/' }, signal);
    await write(store, signal, put('/b', '2'));
    const events = await watchUntil(store, { prefix: '/', fromRevision: revision + 1 }, 2, signal);
    assert.deepEqual(events.map(describeEvent), ['2 put /b 2']);
  });

  storeTest('a batch holds whole revisions, and names the last', async ({ store }, signal) => {
    for (let revision = 1; revision <= 5; revision++) {
      await write(store, signal, ...Array.from({ length: txnOpsMax }, (_, index) => put(`/${index}`, `${revision}`)));
    }
    const batches: WatchBatch[] = [];
    for await (const batch of store.watch({ prefix: '/', fromRevision: 1 }, signal)) {
      batches.push(batch);
      if (batch.revision >= 5) break;
    }
    let next = 1;
    for (const { events, revision } of batches) {
      assert.equal(events.length, (revision - next + 1) * txnOpsMax);
      next = revision + 1;
    }
    assert.equal(next, 6);
  });

  storeTest('a quiet watch is told how far the store has come', async ({ store }, signal) => {
    const iterator = store.watch({ prefix: '/quiet/', fromRevision: 1 }, signal)[Symbol.asyncIterator]();
    const first = iterator.next();
    await write(store, signal, put('/quiet/a', '1'));
    assert.equal((await first).value?.revision, 1);
    const second = iterator.next();
    const count = 2 * watchProgressRevisionsMax;
    await noise(store, signal, count);
    const progress = (await second).value;
    assert.deepEqual(progress?.events, []);
    assert.ok(progress !== undefined && progress.revision >= watchProgressRevisionsMax);
    const third = iterator.next();
    await write(store, signal, put('/quiet/a', '2'));
    const events: StoreEvent[] = [...((await third).value?.events ?? [])];
    while (events.length === 0) events.push(...((await iterator.next()).value?.events ?? []));
    assert.deepEqual(events.map(describeEvent), [`${count + 2} put /quiet/a 2 (was 1@1)`]);
    await iterator.return?.();
  });

  storeTest('many watchers of different prefixes each get exactly their own', async ({ store }, signal) => {
    const prefixes = Array.from({ length: 20 }, (_, index) => `/p/${index % 7}/`);
    const watches = prefixes.map((prefix) => watchUntil(store, { prefix, fromRevision: 1 }, 700, signal));
    const keys = Array.from({ length: 693 }, (_, index) => `/p/${index % 7}/${index}`);
    await Promise.all(keys.map((key) => write(store, signal, put(key, ''))));
    await write(store, signal, ...Array.from({ length: 7 }, (_, index) => put(`/p/${index}/last`, '')));
    await noise(store, signal, 2 * watchProgressRevisionsMax);
    const all = await watchUntil(store, { prefix: '', fromRevision: 1 }, 700, signal);
    for (const [index, watch] of watches.entries()) {
      const prefix = prefixes[index] ?? '';
      const own = all.filter((event) => event.kind === 'put' && event.item.key.startsWith(prefix));
      assert.equal(own.length, 100);
      assert.deepEqual(await watch, own);
    }
  });
}

function endTests(storeTest: StoreTest): void {
  storeTest('a watch ends without an error when its signal aborts', async ({ store }) => {
    const controller = new AbortController();
    const batches: WatchBatch[] = [];
    const watching = (async () => {
      for await (const batch of store.watch({ prefix: '/', fromRevision: 1 }, controller.signal)) batches.push(batch);
    })();
    await write(store, controller.signal, put('/a', '1'));
    await store.get('/a', controller.signal);
    controller.abort(new Error('stop'));
    await watching;
    assert.equal(batches.length, 1);
    for await (const batch of store.watch({ prefix: '/', fromRevision: 1 }, controller.signal)) batches.push(batch);
    assert.equal(batches.length, 1, 'aborted before it began');
  });

  storeTest('a watch from before a compaction gets Expired, one from it gets all', async ({ store }, signal) => {
    for (const value of ['1', '2', '3', '4']) await write(store, signal, put('/a', value));
    await write(store, signal, del('/a'));
    await store.compact(3, signal);
    await assert.rejects(watchUntil(store, { prefix: '/', fromRevision: 2 }, 5, signal), { reason: 'Expired' });
    const events = await watchUntil(store, { prefix: '/', fromRevision: 3 }, 5, signal);
    assert.deepEqual(events.map(describeEvent), ['3 put /a 3 (was 2@2)', '4 put /a 4 (was 3@3)', '5 del /a (was 4@4)']);
    await store.compact(5, signal);
    const last = await watchUntil(store, { prefix: '/', fromRevision: 5 }, 5, signal);
    assert.deepEqual(last.map(describeEvent), ['5 del /a (was 4@4)'], 'a deletion is not forgotten too early');
  });

  storeTest('a watch that is up to date survives a compaction', async ({ store }, signal) => {
    const iterator = store.watch({ prefix: '/p/', fromRevision: 1 }, signal)[Symbol.asyncIterator]();
    const first = iterator.next();
    await write(store, signal, put('/p/a', '1'));
    assert.equal((await first).value?.revision, 1);
    const second = iterator.next();
    for (let index = 0; index < 10; index++) await write(store, signal, put('/noise', ''));
    await store.get('/noise', signal);
    await store.compact(11, signal);
    await write(store, signal, put('/p/a', '2'));
    assert.deepEqual((await second).value?.events.map(describeEvent), ['12 put /p/a 2 (was 1@1)']);
    await iterator.return?.();
  });

  storeTest('a watcher that falls too far behind gets Expired; others do not', async ({ store }, signal) => {
    const slow = store.watch({ prefix: '/', fromRevision: 1 }, signal)[Symbol.asyncIterator]();
    const first = slow.next();
    await write(store, signal, put('/a', ''));
    assert.equal((await first).value?.events.length, 1);
    const txnCount = Math.ceil(watchBufferEventsMax / txnOpsMax) + 1;
    const fast = watchUntil(store, { prefix: '/', fromRevision: 1 }, txnCount + 1, signal);
    for (let index = 0; index < txnCount; index++) {
      await write(store, signal, ...Array.from({ length: txnOpsMax }, (_, op) => put(`/${op}`, '')));
    }
    await assert.rejects(
      async () => {
        while (!(await slow.next()).done) continue;
      },
      { reason: 'Expired' },
    );
    assert.equal((await fast).length, 1 + txnCount * txnOpsMax);
  });

  storeTest('closing the store ends its watches with ServiceUnavailable', async ({ store }, signal) => {
    const watching = watchUntil(store, { prefix: '/', fromRevision: 1 }, 2, signal);
    const rejected = assert.rejects(watching, { reason: 'ServiceUnavailable' });
    await write(store, signal, put('/a', '1'));
    await store.close();
    await rejected;
  });

  storeTest('after a restart a watch from before it gets Expired, one from now on works', async (opened, signal) => {
    if (opened.restart === undefined) return;
    await write(opened.store, signal, put('/a', '1'));
    await write(opened.store, signal, put('/a', '2'));
    const store = await opened.restart();
    await assert.rejects(watchUntil(store, { prefix: '/', fromRevision: 2 }, 2, signal), { reason: 'Expired' });
    const watching = watchUntil(store, { prefix: '/', fromRevision: 3 }, 3, signal);
    await write(store, signal, put('/a', '3'));
    assert.deepEqual((await watching).map(describeEvent), ['3 put /a 3 (was 2@2)']);
  });
}
