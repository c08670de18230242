/**
 * The embedded store beside bare LMDB: durable writes by 32 clients, what a watcher sees of them meanwhile, reads, and
 * the start with what was written. Standalone: `npx tsx bench/store.ts`.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { open } from 'lmdb';
import { openLmdbStore } from '../src/store/lmdb/lmdb-store.ts';
import type { Store } from '../src/store/store.ts';
import type { BenchRow } from './row.ts';

const writerCount = 32;
const writeCount = 20_000;
const listedCount = 2_000;
const value = JSON.stringify({ kind: 'Pod', filler: 'x'.repeat(2_380) }); // as a pod has 2.4 kB
const keyOf = (index: number): string => `/registry/pods/default/pod-${String(index).padStart(6, '0')}`;

interface Measured {
  readonly perSecond: number;
  readonly msP99: number;
}

/** Runs `work` for each index, `writerCount` at a time. */
async function measure(work: (index: number) => Promise<unknown>): Promise<Measured> {
  const latenciesMs: number[] = [];
  let next = 0;
  const startedMs = performance.now();
  const writer = async (): Promise<void> => {
    for (let index = next++; index < writeCount; index = next++) {
      const askedMs = performance.now();
      await work(index);
      latenciesMs.push(performance.now() - askedMs);
    }
  };
  await Promise.all(Array.from({ length: writerCount }, writer));
  return { perSecond: (writeCount / (performance.now() - startedMs)) * 1_000, msP99: p99(latenciesMs) };
}

function p99(values: number[]): number {
  values.sort((a, b) => a - b);
  return values[Math.floor(values.length * 0.99)] ?? NaN;
}

/** Milliseconds that `work` takes; the best of three, as the others only measure who else was busy. */
async function best(work: () => unknown): Promise<number> {
  let bestMs = Infinity;
  for (let run = 0; run < 3; run++) {
    const startedMs = performance.now();
    await work();
    bestMs = Math.min(bestMs, performance.now() - startedMs);
  }
  return bestMs;
}

/** What a caller of LMDB would do by hand: one commit at a time, and what comes meanwhile shares the next. */
function groupCommits(commit: (keys: readonly string[]) => Promise<unknown>): (index: number) => Promise<void> {
  let waiting: { readonly key: string; readonly done: () => void }[] = [];
  let isCommitting = false;
  const commitAll = async (): Promise<void> => {
    for (isCommitting = true; waiting.length > 0;) {
      await new Promise((resolve) => setImmediate(resolve));
      const taken = waiting;
      waiting = [];
      await commit(taken.map(({ key }) => key));
      for (const { done } of taken) done();
    }
    isCommitting = false;
  };
  return (index) =>
    new Promise((done) => {
      waiting.push({ key: keyOf(index), done });
      if (!isCommitting) void commitAll();
    });
}

interface Figures extends Measured {
  readonly watchMsP99: number;
  readonly getsPerSecond: number;
  readonly listMs: number;
  readonly openMs: number;
}

async function measureBare(directory: string): Promise<Figures> {
  const options = { overlappingSync: false, eventTurnBatching: false, mapSize: 2 ** 30, encoding: 'binary' } as const;
  const openBare = () => open<Buffer, string>({ path: directory, ...options });
  const bytes = Buffer.from(value);
  const database = openBare();
  const writes = await measure(
    groupCommits((keys) => database.batch(() => void keys.map((key) => database.put(key, bytes)))),
  );
  const getMs = await best(() => {
    for (let index = 0; index < writeCount; index++) String(database.get(keyOf(index)));
  });
  const listMs = await best(() => [...database.getRange({ limit: listedCount })].map((entry) => String(entry.value)));
  await database.close();
  const openMs = await best(async () => {
    const reopened = openBare();
    for (const entry of reopened.getRange({})) String(entry.value);
    await reopened.close();
  });
  return { ...writes, watchMsP99: 0, getsPerSecond: (writeCount / getMs) * 1_000, listMs, openMs };
}

async function measureOurs(directory: string): Promise<Figures> {
  const store = await openLmdbStore({ directory });
  const acknowledgedMs = new Map<number, number>(); // by revision
  const watchDelaysMs: number[] = [];
  const watching = watchAll(store, (revision) => {
    const atMs = acknowledgedMs.get(revision);
    watchDelaysMs.push(atMs === undefined ? 0 : performance.now() - atMs); // not acknowledged yet: no delay
  });
  const writes = await measure(async (index) => {
    const signal = new AbortController().signal;
    const key = keyOf(index);
    const compare = [{ key, modRevision: 0 }];
    const { revision } = await store.txn({ compare, writes: [{ kind: 'put', key, value }] }, signal);
    acknowledgedMs.set(revision, performance.now());
  });
  await watching;
  const { signal } = new AbortController();
  const getMs = await best(async () => {
    for (let index = 0; index < writeCount; index++) await store.get(keyOf(index), signal);
  });
  const listMs = await best(() => store.range({ prefix: '/registry/pods/', limit: listedCount }, signal));
  await store.close();
  const openMs = await best(async () => {
    const reopened = await openLmdbStore({ directory });
    await reopened.close();
  });
  return { ...writes, watchMsP99: p99(watchDelaysMs), getsPerSecond: (writeCount / getMs) * 1_000, listMs, openMs };
}

async function watchAll(store: Store, onRevision: (revision: number) => void): Promise<void> {
  const { signal } = new AbortController();
  for await (const batch of store.watch({ prefix: '/registry/pods/', fromRevision: 1 }, signal)) {
    for (const event of batch.events) if (event.kind === 'put') onRevision(event.item.modRevision);
    if (batch.revision >= writeCount) return;
  }
}

export async function benchStore(): Promise<BenchRow[]> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-bench-store-'));
  try {
    const bare = await measureBare(path.join(directory, 'bare'));
    const ours = await measureOurs(path.join(directory, 'ours'));
    const row = (name: string, unit: string, field: keyof Figures, target: number): BenchRow => ({
      name: `store: ${name}`,
      unit,
      ours: ours[field],
      floor: bare[field],
      floorName: 'bare LMDB',
      target,
      better: unit.endsWith('/s') ? 'higher' : 'lower',
    });
    const { floor: _none, floorName: _noName, ...watchRow } = row('watch delay p99 meanwhile', 'ms', 'watchMsP99', 25);
    return [
      row(`durable creates, ${writerCount} clients`, '1/s', 'perSecond', 3_000),
      row(`durable create p99, ${writerCount} clients`, 'ms', 'msP99', 30),
      watchRow,
      row('gets', '1/s', 'getsPerSecond', 100_000),
      row(`list ${listedCount} of ${writeCount} pods`, 'ms', 'listMs', 5),
      row(`open with ${writeCount} pods`, 'ms', 'openMs', 500),
    ];
  } finally {
    fs.rmSync(directory, { recursive: true });
  }
}

if (import.meta.filename === process.argv[1]) console.table(await benchStore());
