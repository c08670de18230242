/** The tester is tested: stores with one planted bug each, which the model must catch. */
import assert from 'node:assert/strict';
import { setMaxListeners } from 'node:events';
import { test } from 'node:test';
import { SeededEntropy } from '../../src/sim/seeded-entropy.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import type { RangeResult, Store, StoreEvent, WatchBatch } from '../../src/store/store.ts';
import { randomStep, Recorder } from './store-suite-concurrency.ts';

const seedsMax = 10;

/** Runs six clients on `store`; throws what the model finds. */
async function run(store: Store, seed: string): Promise<void> {
  const end = new AbortController();
  setMaxListeners(0, end.signal);
  const recorder = new Recorder(store, end.signal);
  const entropy = new SeededEntropy(seed);
  const clients = Array.from({ length: 6 }, async (_, index) => {
    const own = entropy.fork(`client-${index}`);
    for (let count = 0; count < 60; count++) await recorder.run(randomStep(own), false);
  });
  await Promise.all(clients);
  await recorder.check();
  end.abort();
}

type Mutation = (store: MemoryStore, isArmed: () => boolean) => Partial<Store>;

const mutations: Readonly<Record<string, Mutation>> = {
  'a compare is not looked at': (store, isArmed) => ({
    txn: (options, signal) => store.txn(isArmed() ? { ...options, compare: [] } : options, signal),
  }),
  'a write is acknowledged, but lost': (store, isArmed) => ({
    async txn(options, signal) {
      if (!isArmed()) return await store.txn(options, signal);
      return { succeeded: true, revision: (await store.get('/', signal)).revision };
    },
  }),
  'only the first of many operations is done': (store, isArmed) => ({
    txn: (options, signal) =>
      store.txn(isArmed() ? { compare: options.compare, writes: options.writes.slice(0, 1) } : options, signal),
  }),
  'a write is done twice': (store, isArmed) => ({
    async txn(options, signal) {
      const result = await store.txn(options, signal);
      if (result.succeeded && isArmed()) await store.txn({ ...options, compare: [] }, signal);
      return result;
    },
  }),
  'a read is answered from a cache': (store, isArmed) => {
    const cache = new Map<string, RangeResult>();
    return {
      async range(options, signal) {
        const cached = cache.get(JSON.stringify(options));
        if (cached !== undefined && isArmed()) return cached;
        const result = await store.range(options, signal);
        cache.set(JSON.stringify(options), result);
        return result;
      },
    };
  },
  'a read at a past revision shows the present': (store, isArmed) => ({
    async range(options, signal) {
      if (options.atRevision === undefined || !isArmed()) return await store.range(options, signal);
      const { atRevision, ...rest } = options;
      return { ...(await store.range(rest, signal)), revision: atRevision };
    },
  }),
  'the count of what remains is wrong': (store, isArmed) => ({
    async range(options, signal) {
      const result = await store.range(options, signal);
      return { ...result, remainingCount: result.remainingCount + (isArmed() ? 1 : 0) };
    },
  }),
  'a watch loses an event': (store) => ({
    watch: (options, signal) =>
      mapEvents(store, options, signal, (events) => events.filter((_, index) => index !== 20)),
  }),
  'a watch swaps two events': (store) => ({
    watch: (options, signal) =>
      mapEvents(store, options, signal, (events) => [...events.slice(0, 3).reverse(), ...events.slice(3)]),
  }),
  'a watch shows no previous value': (store) => ({
    watch: (options, signal) =>
      mapEvents(store, options, signal, (events) =>
        events.map((event) => (event.kind === 'put' ? { ...event, previous: undefined } : event)),
      ),
  }),
};

async function* mapEvents(
  store: Store,
  options: Parameters<Store['watch']>[0],
  signal: AbortSignal,
  change: (events: readonly StoreEvent[]) => readonly StoreEvent[],
): AsyncGenerator<WatchBatch> {
  for await (const batch of store.watch(options, signal)) yield { ...batch, events: change(batch.events) };
}

function mutated(mutation: Mutation, seed: string): Store {
  const store = new MemoryStore();
  const entropy = new SeededEntropy(seed).fork('mutation');
  const changed = mutation(store, () => entropy.unit() < 0.3);
  return {
    get: (key, signal) => store.get(key, signal),
    range: changed.range ?? ((options, signal) => store.range(options, signal)),
    txn: changed.txn ?? ((options, signal) => store.txn(options, signal)),
    watch: changed.watch ?? ((options, signal) => store.watch(options, signal)),
    compact: (revision, signal) => store.compact(revision, signal),
    close: () => store.close(),
  };
}

test('a store without a planted bug passes with every seed', async () => {
  for (let seed = 0; seed < seedsMax; seed++)
    await run(
      mutated(() => ({}), `${seed}`),
      `${seed}`,
    );
});

for (const [name, mutation] of Object.entries(mutations)) {
  test(`the model notices that ${name}`, async () => {
    let caughtCount = 0;
    for (let seed = 0; seed < seedsMax; seed++) {
      try {
        await run(mutated(mutation, `${seed}`), `${seed}`);
      } catch (error) {
        assert.ok(error instanceof assert.AssertionError, `${error}`);
        caughtCount += 1;
      }
    }
    assert.equal(caughtCount, seedsMax);
  });
}
