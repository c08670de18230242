import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import { noLog } from '../base/log.ts';
import { StatusError } from '../base/status-error.ts';
import { TaskScope } from '../base/task-scope.ts';
import { SeededEntropy } from '../sim/seeded-entropy.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import type { Client, WatchEvent } from './client.ts';
import { ListWatchInformer } from './list-watch-informer.ts';

/** What the server does, step by step; `expect...` steps check what the informer asks for. */
type Step =
  | { readonly list: readonly Pod[]; readonly version: string; readonly next?: string }
  | { readonly listFails: StatusError }
  /** Delivers the events, then does what `ending` says. */
  | { readonly watchFrom: string; readonly events?: readonly WatchEvent<Pod>[]; readonly ending: Ending };
type Ending = { readonly hang: true } | { readonly endAfterMs: number } | { readonly fail: StatusError };

function pod(name: string, resourceVersion: string): Pod {
  return { metadata: { name, namespace: 'd', resourceVersion } };
}

const bookmark = (version: string): WatchEvent<Pod> => ({
  type: 'BOOKMARK',
  object: { metadata: { resourceVersion: version } },
});
const unavailable = new StatusError('ServiceUnavailable', 'down');
const expired = new StatusError('Expired', 'too old');

async function play(steps: readonly Step[], forMs: number) {
  const clock = new VirtualClock({ epochMs: 0 });
  const left = [...steps];
  const requests: string[] = [];
  const refuse = (): never => {
    throw new StatusError('InternalError', 'not scripted');
  };
  const said = (what: string): void => void requests.push(`${clock.monoMs()} ${what}`);
  // Only the functions that an informer uses.
  const client = {
    list: async (_type: unknown, options: { continueToken?: string }) => {
      said(`list${options.continueToken === undefined ? '' : ` ${options.continueToken}`}`);
      const step = left.shift();
      if (step !== undefined && 'listFails' in step) throw step.listFails;
      if (step === undefined || !('list' in step)) return refuse();
      return { metadata: { resourceVersion: step.version, continue: step.next ?? '' }, items: step.list };
    },
    watch: async function* (_type: unknown, options: { resourceVersion?: string }, signal: AbortSignal) {
      said(`watch ${options.resourceVersion}`);
      const step = left.shift();
      if (step === undefined || !('watchFrom' in step)) return refuse();
      assert.equal(options.resourceVersion, step.watchFrom);
      yield* step.events ?? [];
      if ('fail' in step.ending) throw step.ending.fail;
      const waitMs = 'hang' in step.ending ? 1e9 : step.ending.endAfterMs;
      await clock.sleep(waitMs, 'test.watch', signal).catch(() => {});
    },
  } as unknown as Client;
  const informer = new ListWatchInformer({
    client,
    type: resources.pods,
    clock,
    entropy: new SeededEntropy('informer'),
    log: noLog,
  });
  const changes: string[] = [];
  const text = (object: Pod | undefined): string => object?.metadata?.resourceVersion ?? '-';
  informer.onChange(({ previous, current }) => {
    const name = (current ?? previous)?.metadata?.name ?? '';
    assert.equal(informer.get('d', name), current); // the cache has it first
    changes.push(`${name} ${text(previous)}>${text(current)}`);
  });
  const scope = new TaskScope();
  scope.start((signal) => informer.run(signal));
  await clock.advance(forMs);
  assert.equal(left.length, 0, 'every step was played');
  const pendingNames = clock.pendingNames();
  await scope.close();
  await clock.advance(0);
  assert.deepEqual(clock.pendingNames(), []);
  const cached = informer.list().map((object) => `${object.metadata?.name} ${object.metadata?.resourceVersion}`);
  return { changes, requests, cached, pendingNames, hasSynced: informer.hasSynced() };
}

test('what is listed and then watched is in the cache, and each change is told once, in order', async () => {
  const run = await play(
    [
      { list: [pod('a', '1'), pod('b', '2')], version: '5' },
      {
        watchFrom: '5',
        events: [
          { type: 'MODIFIED', object: pod('a', '6') },
          { type: 'ADDED', object: pod('c', '7') },
          { type: 'DELETED', object: pod('b', '8') },
        ],
        ending: { hang: true },
      },
    ],
    10,
  );
  assert.deepEqual(run.changes, ['a ->1', 'b ->2', 'a 1>6', 'c ->7', 'b 2>-']);
  assert.deepEqual(run.cached, ['a 6', 'c 7']);
});

test('a watch that ends in good order goes on from the last version, which bookmarks move too', async () => {
  const run = await play(
    [
      { list: [], version: '5' },
      { watchFrom: '5', events: [{ type: 'ADDED', object: pod('a', '6') }], ending: { endAfterMs: 2_000 } },
      { watchFrom: '6', events: [bookmark('90')], ending: { endAfterMs: 2_000 } },
      { watchFrom: '90', ending: { hang: true } },
    ],
    10_000,
  );
  assert.deepEqual(run.requests, ['0 list', '0 watch 5', '2000 watch 6', '4000 watch 90']);
});

test('a version that has expired leads to a new list, of which only the differences are told', async () => {
  const run = await play(
    [
      { list: [pod('a', '1'), pod('b', '2'), pod('c', '3')], version: '5' },
      { watchFrom: '5', ending: { fail: expired } },
      { list: [pod('a', '1'), pod('c', '40'), pod('d', '41')], version: '50' },
      { watchFrom: '50', ending: { hang: true } },
    ],
    10,
  );
  assert.deepEqual(run.changes, ['a ->1', 'b ->2', 'c ->3', 'b 2>-', 'c 3>40', 'd ->41']);
  assert.deepEqual(run.requests, ['0 list', '0 watch 5', '0 list', '0 watch 50']);
});

test('failures are retried 0.8 s to 30 s apart, a failing list by a list and a failing watch by a watch', async () => {
  const failing: Step[] = Array.from({ length: 8 }, () => ({ listFails: unavailable }));
  const run = await play(
    [
      ...failing,
      { list: [], version: '5' },
      { watchFrom: '5', ending: { fail: unavailable } },
      { watchFrom: '5', ending: { hang: true } },
    ],
    300_000,
  );
  const atMs = run.requests.map((request) => Number(request.split(' ')[0]));
  const gapsMs = atMs.slice(1).map((ms, index) => ms - (atMs[index] ?? 0));
  const wantedMs = [800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000, 0, 30_000];
  gapsMs.forEach((gapMs, index) => {
    const wanted = wantedMs[index] ?? -1;
    assert(gapMs >= wanted * 0.8 && gapMs <= wanted * 1.2, `gap ${index}: ${gapMs} ms, wanted about ${wanted} ms`);
  });
});

test('a server that ends every watch at once, or always says Expired, is asked less and less often', async () => {
  const ends: Step[] = Array.from({ length: 5 }, () => ({ watchFrom: '5', ending: { endAfterMs: 0 } }));
  const ended = await play([{ list: [], version: '5' }, ...ends, { watchFrom: '5', ending: { hang: true } }], 60_000);
  assert(Number(ended.requests.at(-1)?.split(' ')[0]) > 18_000);
  const expiring: Step[] = Array.from({ length: 5 }, (): Step[] => [
    { list: [], version: '5' },
    { watchFrom: '5', ending: { fail: expired } },
  ]).flat();
  const last: Step[] = [
    { list: [], version: '5' },
    { watchFrom: '5', ending: { hang: true } },
  ];
  const expiredRun = await play([...expiring, ...last], 60_000);
  assert(Number(expiredRun.requests.at(-1)?.split(' ')[0]) > 9_000);
});

test('a list in pages is put into the cache when all of it is there; a page that expired begins anew', async () => {
  const run = await play(
    [
      { list: [pod('a', '1')], version: '5', next: 'p2' },
      { listFails: expired },
      { list: [pod('a', '1')], version: '9', next: 'p2' },
      { list: [pod('b', '2')], version: '9' },
      { watchFrom: '9', ending: { hang: true } },
    ],
    10,
  );
  assert.deepEqual(run.changes, ['a ->1', 'b ->2']);
  assert.deepEqual(run.requests, ['0 list', '0 list p2', '0 list', '0 list p2', '0 watch 9']);
});

test('synced resolves once the first list is in, and rejects when its own signal aborts', async () => {
  const clock = new VirtualClock({ epochMs: 0 });
  // Only the functions that an informer uses.
  const client = {
    list: async () => {
      await clock.sleep(50, 'test.list', scope.signal);
      return { metadata: { resourceVersion: '1' }, items: [pod('a', '1')] };
    },
    watch: async function* (_type: unknown, _options: unknown, signal: AbortSignal) {
      await clock.sleep(1e9, 'test.watch', signal).catch(() => {});
      yield* [];
    },
  } as unknown as Client;
  const entropy = new SeededEntropy('synced');
  const informer = new ListWatchInformer({ client, type: resources.pods, clock, entropy, log: noLog });
  const scope = new TaskScope();
  const impatient = new AbortController();
  const gaveUp = assert.rejects(informer.synced(impatient.signal), /enough/);
  const seen: number[] = [];
  scope.start((signal) => informer.run(signal));
  scope.start(async (signal) => {
    await informer.synced(signal);
    seen.push(clock.monoMs(), informer.list().length);
  });
  await clock.advance(10);
  impatient.abort(new Error('enough'));
  await gaveUp;
  assert.equal(informer.hasSynced(), false);
  await clock.advance(100);
  assert.deepEqual(seen, [50, 1]);
  await scope.close();
});
