/** The part of the store suite that runs many operations at once, and checks what came of them against a model. */
import assert from 'node:assert/strict';
import { setMaxListeners } from 'node:events';
import { test } from 'node:test';
import fc from '../support/property.ts';
import type { Entropy } from '../../src/base/entropy.ts';
import { SeededEntropy } from '../../src/sim/seeded-entropy.ts';
import type { KeyValue, Store, StoreEvent, TxnOptions, TxnResult, WriteOp } from '../../src/store/store.ts';
import { checkHistory, type Operation, type Recorded } from './store-model.ts';
import { del, type OpenStore, put, putIf, type StoreTest, succeeded, write } from './store-ops.ts';
import { watchUntil } from './store-suite-watch.ts';

export function storeSuiteConcurrency(storeTest: StoreTest, open: OpenStore): void {
  storeTest(
    'of many that compare the same revision of a key, exactly one wins each round',
    async ({ store }, signal) => {
      let modRevision = 0;
      for (let round = 1; round <= 50; round++) {
        const asked = Array.from({ length: 20 }, (_, index) =>
          putIf(store, { key: '/a', modRevision }, `${round}.${index}`, signal),
        );
        const results = await Promise.all(asked);
        const winners = results.filter((result) => result.succeeded);
        assert.deepEqual(
          winners.map(({ revision }) => revision),
          [round],
        );
        const winner = (await store.get('/a', signal)).item;
        for (const result of results) if (!result.succeeded) assert.deepEqual(result.current, [winner]);
        modRevision = round;
      }
    },
  );

  storeTest('counters that are read and swapped by many at once lose no step', async ({ store }, signal) => {
    const addOne = async (key: string): Promise<void> => {
      for (;;) {
        const { item } = await store.get(key, signal);
        const value = `${Number(item?.value ?? 0) + 1}`;
        if ((await putIf(store, { key, modRevision: item?.modRevision ?? 0 }, value, signal)).succeeded) return;
      }
    };
    await Promise.all(Array.from({ length: 60 }, (_, index) => addOne(`/counter/${index % 3}`)));
    const { items, revision } = await store.range({ prefix: '/counter/' }, signal);
    assert.deepEqual(
      items.map(({ value }) => value),
      ['20', '20', '20'],
    );
    assert.equal(revision, 60);
  });

  storeTest('a transfer between two keys is never seen half done', async ({ store }, signal) => {
    await write(store, signal, put('/account/a', '50'), put('/account/b', '50'));
    let isOver = false;
    const transfer = async (): Promise<void> => {
      const { items } = await store.range({ prefix: '/account/' }, signal);
      const [a, b] = items.map(({ value }) => Number(value));
      assert.equal((a ?? 0) + (b ?? 0), 100);
      const compare = items.map(({ key, modRevision }) => ({ key, modRevision }));
      await store.txn(
        { compare, writes: [put('/account/a', `${(a ?? 0) - 1}`), put('/account/b', `${(b ?? 0) + 1}`)] },
        signal,
      );
    };
    const watching = (async () => {
      for await (const batch of store.watch({ prefix: '/account/', fromRevision: 2 }, signal)) {
        assert.equal(batch.events.length % 2, 0, 'both or none');
        if (isOver) return;
      }
    })();
    for (let round = 0; round < 30; round++) await Promise.all([transfer(), transfer(), transfer()]);
    isOver = true;
    await transfer();
    await watching;
  });

  storeTest('eight clients at random make a history that fits the model', async ({ store }, signal) => {
    const recorder = new Recorder(store, signal);
    const entropy = new SeededEntropy('store-suite');
    const watching = watchToEnd(store, signal);
    const clients = Array.from({ length: 8 }, async (_, index) => {
      const own = entropy.fork(`client-${index}`);
      for (let count = 0; count < 150; count++) await recorder.run(randomStep(own), own.unit() < 0.03);
    });
    await Promise.all(clients);
    const log = await recorder.check();
    assert.deepEqual(await watching, log);
  });

  test('whatever is asked, in rounds of concurrent operations, fits the model', { timeout: 60_000 }, async () => {
    const rounds = fc.array(fc.array(stepArbitrary, { minLength: 1, maxLength: 6 }), { maxLength: 10 });
    await fc.assert(
      fc.asyncProperty(rounds, async (steps) => {
        const { store, close } = await open();
        const end = new AbortController();
        setMaxListeners(0, end.signal);
        try {
          const recorder = new Recorder(store, end.signal);
          for (const round of steps) await Promise.all(round.map((step) => recorder.run(step, false)));
          await recorder.check();
        } finally {
          end.abort(new Error('the run is over'));
          await close();
        }
      }),
      { numRuns: 40 },
    );
  });
}

async function watchToEnd(store: Store, signal: AbortSignal): Promise<StoreEvent[]> {
  const events: StoreEvent[] = [];
  for await (const batch of store.watch({ prefix: '', fromRevision: 1 }, signal)) {
    events.push(...batch.events);
    if (events.some((event) => event.kind === 'put' && event.item.key === endKey)) break;
  }
  return events;
}

/** One thing that a client does; which revisions it compares and reads depends on what it has seen. */
type Step =
  | { readonly kind: 'write'; readonly keys: readonly number[]; readonly isDelete: readonly boolean[] }
  /** Compares with what was last seen, or (`isStale`) with what was seen before that. */
  | { readonly kind: 'swap'; readonly key: number; readonly isStale: boolean; readonly isDelete: boolean }
  | { readonly kind: 'create'; readonly key: number }
  | { readonly kind: 'get'; readonly key: number }
  | { readonly kind: 'range'; readonly limit: number | undefined; readonly from: number | undefined }
  | { readonly kind: 'rangeBefore'; readonly ago: number; readonly limit: number | undefined };

const endKey = '/end'; // the last write of a run
const keyCount = 5;
const keyOf = (index: number): string => `/k/${index}`;

const keyIndex = fc.integer({ min: 0, max: keyCount - 1 });
const optionalLimit = fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined });
const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant('write' as const),
    keys: fc.uniqueArray(keyIndex, { minLength: 1, maxLength: 3 }),
    isDelete: fc.array(fc.boolean(), { minLength: 3, maxLength: 3 }),
  }),
  fc.record({ kind: fc.constant('swap' as const), key: keyIndex, isStale: fc.boolean(), isDelete: fc.boolean() }),
  fc.record({ kind: fc.constant('create' as const), key: keyIndex }),
  fc.record({ kind: fc.constant('get' as const), key: keyIndex }),
  fc.record({
    kind: fc.constant('range' as const),
    limit: optionalLimit,
    from: fc.option(keyIndex, { nil: undefined }),
  }),
  fc.record({ kind: fc.constant('rangeBefore' as const), ago: fc.integer({ min: 0, max: 9 }), limit: optionalLimit }),
);

export function randomStep(entropy: Entropy): Step {
  const key = Math.floor(entropy.unit() * keyCount);
  const limit = entropy.unit() < 0.5 ? undefined : 1 + Math.floor(entropy.unit() * 4);
  const isDelete = entropy.unit() < 0.3;
  const steps: readonly Step[] = [
    { kind: 'write', keys: [key, (key + 2) % keyCount], isDelete: [isDelete, entropy.unit() < 0.3] },
    { kind: 'write', keys: [key], isDelete: [isDelete] },
    { kind: 'swap', key, isStale: entropy.unit() < 0.2, isDelete },
    { kind: 'swap', key, isStale: false, isDelete: false },
    { kind: 'create', key },
    { kind: 'get', key },
    { kind: 'range', limit, from: entropy.unit() < 0.5 ? undefined : key },
    { kind: 'rangeBefore', ago: Math.floor(entropy.unit() * 30), limit },
  ];
  return steps[Math.floor(entropy.unit() * steps.length)] ?? { kind: 'get', key };
}

/** Runs steps on a store, and records what was asked and answered, and when. */
export class Recorder {
  readonly #store: Store;
  readonly #signal: AbortSignal;
  readonly #operations: Recorded[] = [];
  readonly #seen = new Map<string, { readonly last: number; readonly before: number }>(); // mod revisions by key
  #tick = 0;
  #revision = 0;
  #valueCount = 0;

  constructor(store: Store, signal: AbortSignal) {
    this.#store = store;
    this.#signal = signal;
  }

  /** With `isAborted`, the caller goes away while a transaction waits, and never knows what came of it. */
  async run(step: Step, isAborted: boolean): Promise<void> {
    const askedAt = this.#tick++;
    const operation = await this.#run(step, isAborted);
    if (operation !== undefined) this.#operations.push({ ...operation, askedAt, answeredAt: this.#tick++ });
  }

  /** Writes `endKey`, checks all that was recorded against a watch of everything, and returns what that showed. */
  async check(): Promise<readonly StoreEvent[]> {
    const last = await write(this.#store, this.#signal, put(endKey, ''));
    const end: Operation = {
      kind: 'txn',
      options: { compare: [], writes: [put(endKey, '')] },
      result: { succeeded: true, revision: last },
    };
    this.#operations.push({ ...end, askedAt: this.#tick++, answeredAt: this.#tick++ });
    const log = await watchUntil(this.#store, { prefix: '', fromRevision: 1 }, last, this.#signal);
    checkHistory(log, this.#operations);
    for (const prefix of ['/k/1', '/k/', '/none']) {
      const own = log.filter((event) => (event.kind === 'put' ? event.item.key : event.key).startsWith(prefix));
      const until = own.at(-1);
      if (until === undefined) continue;
      const revision = until.kind === 'put' ? until.item.modRevision : until.revision;
      assert.deepEqual(await watchUntil(this.#store, { prefix, fromRevision: 1 }, revision, this.#signal), own);
    }
    return log;
  }

  async #run(step: Step, isAborted: boolean): Promise<Operation | undefined> {
    switch (step.kind) {
      case 'write':
        return await this.#txn(
          [],
          step.keys.map((key, index) => this.#op(key, step.isDelete[index])),
          isAborted,
        );
      case 'swap': {
        const seen = this.#seen.get(keyOf(step.key));
        const modRevision = (step.isStale ? seen?.before : seen?.last) ?? 0;
        return await this.#txn([{ key: keyOf(step.key), modRevision }], [this.#op(step.key, step.isDelete)], isAborted);
      }
      case 'create':
        return await this.#txn([{ key: keyOf(step.key), modRevision: 0 }], [this.#op(step.key, false)], isAborted);
      case 'get': {
        const { item, revision } = await this.#store.get(keyOf(step.key), this.#signal);
        this.#note(keyOf(step.key), item, revision);
        // A get is a range of one key: no key here is the prefix of another.
        const result = { items: item === undefined ? [] : [item], revision, remainingCount: 0 };
        return { kind: 'range', options: { prefix: keyOf(step.key) }, result };
      }
      case 'range':
        return await this.#range({
          ...(step.limit === undefined ? {} : { limit: step.limit }),
          ...(step.from === undefined ? {} : { from: keyOf(step.from) }),
        });
      case 'rangeBefore':
        return await this.#range({
          atRevision: Math.max(0, this.#revision - step.ago),
          ...(step.limit === undefined ? {} : { limit: step.limit }),
        });
      default:
        throw new Error(`unreachable: ${JSON.stringify(step satisfies never)}`);
    }
  }

  async #range(rest: { limit?: number; from?: string; atRevision?: number }): Promise<Operation> {
    const options = { prefix: '/k/', ...rest };
    const result = await this.#store.range(options, this.#signal);
    if (rest.atRevision === undefined) {
      for (const item of result.items) this.#note(item.key, item, result.revision);
    }
    return { kind: 'range', options, result };
  }

  async #txn(
    compare: TxnOptions['compare'],
    writes: TxnOptions['writes'],
    isAborted: boolean,
  ): Promise<Operation | undefined> {
    const options = { compare, writes };
    if (isAborted) {
      const controller = new AbortController();
      const asked = this.#store.txn(options, controller.signal).then(
        (result) => result,
        () => 'unknown' as const,
      );
      controller.abort(new Error('the caller went away'));
      const result: TxnResult | 'unknown' = await asked;
      return { kind: 'txn', options, result };
    }
    const result = await this.#store.txn(options, this.#signal);
    this.#revision = Math.max(this.#revision, result.revision);
    if (result.succeeded) {
      for (const op of writes) if (op.kind === 'put') this.#see(op.key, succeeded(result));
    } else {
      for (const [index, item] of result.current.entries()) {
        this.#note(compare[index]?.key ?? '', item, result.revision);
      }
    }
    return { kind: 'txn', options, result };
  }

  #op(key: number, isDelete: boolean | undefined): WriteOp {
    return isDelete === true ? del(keyOf(key)) : put(keyOf(key), `${this.#valueCount++}`);
  }

  #note(key: string, item: KeyValue | undefined, revision: number): void {
    this.#revision = Math.max(this.#revision, revision);
    this.#see(key, item?.modRevision ?? 0);
  }

  #see(key: string, modRevision: number): void {
    const last = this.#seen.get(key)?.last ?? 0;
    if (last !== modRevision) this.#seen.set(key, { last: modRevision, before: last });
  }
}
