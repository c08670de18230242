import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { MemoryStore } from './memory-store.ts';
import type { TxnResult } from './store.ts';

const { signal } = new AbortController();

function put(store: MemoryStore, key: string, value: string): Promise<TxnResult> {
  return store.txn({ compare: [], writes: [{ kind: 'put', key, value }] }, signal);
}

/** One write durable, one in the commit under way, one behind it. */
async function setUp() {
  const clock = new VirtualClock({ epochMs: 0 });
  const store = new MemoryStore({ commit: { clock, delayMs: 5 } });
  const durable = put(store, '/a', '1');
  await clock.advance(5);
  await durable;
  const inFlight = put(store, '/b', '2');
  await clock.advance(1);
  assert.deepEqual(clock.pendingNames(), ['store.commit']);
  const queued = put(store, '/c', '3');
  return { clock, store, inFlight, queued };
}

async function contentOf(store: MemoryStore): Promise<unknown> {
  const { items, revision } = await store.range({ prefix: '' }, signal);
  return [items.map(({ key, value }) => `${key}=${value}`).join(' '), revision];
}

test('a commit takes its time, and what comes meanwhile shares the next', async () => {
  const { clock, store, inFlight, queued } = await setUp();
  assert.deepEqual(await contentOf(store), ['/a=1', 1]);
  await clock.advance(4);
  assert.deepEqual(await inFlight, { succeeded: true, revision: 2 });
  assert.deepEqual(await contentOf(store), ['/a=1 /b=2', 2]);
  await clock.advance(5);
  assert.deepEqual(await queued, { succeeded: true, revision: 3 });
  await store.close();
});

for (const [keepInFlight, content] of [
  [false, ['/a=1', 1]],
  [true, ['/a=1 /b=2', 2]],
] as const) {
  test(`a crash keeps what was durable${keepInFlight ? ', and the commit that just made it' : ''}`, async () => {
    const { clock, store, inFlight, queued } = await setUp();
    const lost = [inFlight, queued].map((promise) => assert.rejects(promise, { reason: 'ServiceUnavailable' }));
    const watching = assert.rejects(store.watch({ prefix: '/', fromRevision: 2 }, signal).next(), {
      reason: 'ServiceUnavailable',
    });
    const restarted = store.crash({ keepInFlight });
    await Promise.all([...lost, watching]);
    assert.deepEqual(clock.pendingNames(), [], 'the dead store waits for nothing');
    await assert.rejects(store.get('/a', signal), { reason: 'ServiceUnavailable' });
    assert.deepEqual(await contentOf(restarted), content);
    const next = put(restarted, '/d', '4');
    await clock.advance(5);
    assert.equal((await next).revision, content[1] + 1, 'a revision that nobody has seen is used again');
    await restarted.close();
    await store.close();
  });
}
