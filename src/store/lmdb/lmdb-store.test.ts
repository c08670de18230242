import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { SeededEntropy } from '../../sim/seeded-entropy.ts';
import type { Store, WriteOp } from '../store.ts';
import { checkLmdbFile } from './file-check.ts';
import { openLmdbStore } from './lmdb-store.ts';

const { signal } = new AbortController();
const advice = 'restore it from a copy, or move it away to start empty';

function withDirectory(body: (directory: string, dataFile: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-lmdb-'));
    try {
      await body(directory, path.join(directory, 'store', 'data.mdb'));
    } finally {
      fs.rmSync(directory, { recursive: true });
    }
  };
}

async function write(store: Store, ops: readonly WriteOp[]): Promise<number> {
  return (await store.txn({ compare: [], writes: ops }, signal)).revision;
}

function put(key: string, value: string): WriteOp {
  return { kind: 'put', key, value };
}

/** Fills a store with keys of many sizes, and closes it. */
async function fill(directory: string): Promise<void> {
  const store = await openLmdbStore({ directory });
  for (let batch = 0; batch < 10; batch++) {
    await write(
      store,
      Array.from({ length: 50 }, (_, index) => put(`/key/${batch}/${index}`, 'x'.repeat(index * batch * 10))),
    );
  }
  await store.close();
}

test(
  'a second store on the same directory is refused, and the first goes on',
  withDirectory(async (directory) => {
    const store = await openLmdbStore({ directory });
    await assert.rejects(openLmdbStore({ directory }), {
      reason: 'Conflict',
      message: `data directory ${directory} is in use by livelet pid ${process.pid}`,
    });
    assert.equal(await write(store, [put('/a', '1')]), 1);
    await store.close();
  }),
);

test(
  'where the lock fails, the one who opened last is the owner, and the other can do no harm',
  withDirectory(async (directory) => {
    const first = await openLmdbStore({ directory });
    await write(first, [put('/a', 'first')]);
    fs.rmSync(path.join(directory, 'livelet.lock'));
    const second = await openLmdbStore({ directory });
    const lost = { reason: 'ServiceUnavailable', message: /another process has taken over the data directory/ };
    await assert.rejects(write(first, [put('/a', 'too late')]), lost);
    await assert.rejects(first.get('/a', signal), lost);
    assert.equal(await write(second, [put('/b', 'second')]), 2);
    await first.close();
    await second.close();
    const store = await openLmdbStore({ directory });
    const { items } = await store.range({ prefix: '' }, signal);
    assert.deepEqual(
      items.map(({ key, value }) => `${key}=${value}`),
      ['/a=first', '/b=second'],
    );
    await store.close();
  }),
);

test(
  'the files are for their owner only',
  withDirectory(async (directory) => {
    const inner = path.join(directory, 'data');
    const store = await openLmdbStore({ directory: inner });
    const mode = (name: string): number => fs.statSync(path.join(inner, name)).mode & 0o777;
    assert.deepEqual(['.', 'store', 'store/data.mdb', 'store/lock.mdb'].map(mode), [0o700, 0o700, 0o600, 0o600]);
    await store.close();
  }),
);

test(
  'writing the same keys again and again does not make the file grow',
  withDirectory(async (directory, dataFile) => {
    const store = await openLmdbStore({ directory });
    const round = async (value: string): Promise<void> => {
      for (let index = 0; index < 5; index++) await write(store, [put(`/${index}`, value.repeat(3_000))]);
    };
    for (let count = 0; count < 3; count++) await round(`${count}`);
    const { size } = fs.statSync(dataFile);
    for (let count = 0; count < 10; count++) await round(`${count}`);
    assert.ok(fs.statSync(dataFile).size <= 2 * size, `${size} became ${fs.statSync(dataFile).size}`);
    await store.close();
  }),
);

test(
  'a file that is no store, or was cut short, is refused before LMDB falls over it',
  withDirectory(async (directory, dataFile) => {
    await fill(directory);
    const whole = fs.readFileSync(dataFile);
    const noise = Buffer.from(new SeededEntropy('noise').bytes(100_000));
    const cuts = [1, 1_000, 4_096, 8_192, 12_288, whole.length >> 1, whole.length - 4_096, whole.length - 1];
    for (const bytes of [noise, Buffer.from('a text file\n'), ...cuts.map((length) => whole.subarray(0, length))]) {
      fs.writeFileSync(dataFile, bytes);
      const damaged = { reason: 'InternalError', message: new RegExp(`^${dataFile} is damaged \\(`) };
      await assert.rejects(openLmdbStore({ directory }), damaged);
    }
    assert.deepEqual(fs.readdirSync(directory), ['store'], 'the lock was given back');
    fs.writeFileSync(dataFile, whole);
    const store = await openLmdbStore({ directory });
    assert.equal((await store.range({ prefix: '' }, signal)).items.length, 500);
    await store.close();
  }),
);

test(
  'a damaged byte anywhere in use is found, or does no harm',
  withDirectory(async (directory, dataFile) => {
    await fill(directory);
    const whole = fs.readFileSync(dataFile);
    const entropy = new SeededEntropy('damage');
    let foundCount = 0;
    for (let run = 0; run < 80; run++) {
      const bytes = Buffer.from(whole);
      const at = Math.floor(entropy.unit() * bytes.length);
      const length = entropy.unit() < 0.5 ? 1 : Math.floor(entropy.unit() * 4_096);
      bytes.set(entropy.bytes(Math.min(length, bytes.length - at)), at);
      fs.writeFileSync(dataFile, bytes);
      try {
        const store = await openLmdbStore({ directory });
        const { items, revision } = await store.range({ prefix: '' }, signal);
        await store.close();
        assert.deepEqual([items.length, revision], [500, 10], `damage at ${at}`);
      } catch (error) {
        assert.match(String(error), /damaged/, `damage at ${at}`);
        foundCount += 1;
      }
    }
    assert.ok(foundCount > 25, `only ${foundCount} were found`);
  }),
);

test(
  'a value that is not what was written is found out by its checksum',
  withDirectory(async (directory, dataFile) => {
    const store = await openLmdbStore({ directory });
    await write(store, [put('/a', 'aaaaaaaaaaaaaaaa'), put('/b', 'bbbbbbbbbbbbbbbb')]);
    await store.close();
    const bytes = fs.readFileSync(dataFile);
    const at = bytes.lastIndexOf('bbbbbbbbbbbbbbbb');
    bytes.write('c', at);
    fs.writeFileSync(dataFile, bytes);
    await assert.rejects(openLmdbStore({ directory }), {
      reason: 'InternalError',
      message: `${dataFile} is damaged (the record of /b does not fit its checksum): ${advice}`,
    });
  }),
);

test(
  'a store that is whole is never taken for damaged, whatever was written to it',
  withDirectory(async (directory, dataFile) => {
    const store = await openLmdbStore({ directory });
    const entropy = new SeededEntropy('whole');
    for (let commit = 0; commit < 80; commit++) {
      const ops = new Map<string, WriteOp>();
      for (let count = Math.floor(1 + entropy.unit() ** 3 * 60); count > 0; count--) {
        const key = `/${Math.floor(entropy.unit() * 300)}/${'k'.repeat(entropy.unit() ** 4 * 900)}`;
        const value = 'v'.repeat(Math.floor(entropy.unit() ** 6 * 30_000));
        ops.set(key, entropy.unit() < 0.45 ? { kind: 'delete', key } : put(key, value));
      }
      await write(store, [...ops.values()]);
      checkLmdbFile(dataFile);
    }
    const before = await store.range({ prefix: '' }, signal);
    await store.close();
    const reopened = await openLmdbStore({ directory });
    assert.deepEqual(await reopened.range({ prefix: '' }, signal), before);
    await reopened.close();
  }),
);
