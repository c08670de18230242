/** Acknowledged means durable: a process that writes is killed at random moments; what it was told must be there. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { SeededEntropy } from '../../src/sim/seeded-entropy.ts';
import { openLmdbStore } from '../../src/store/lmdb/lmdb-store.ts';
import type { KeyValue, WriteOp } from '../../src/store/store.ts';
import { type JournalLine, writeOpOf } from './lmdb-crash-child.ts';

const child = fileURLToPath(new URL('lmdb-crash-child.ts', import.meta.url));
const killsCount = 6;

/** What the children said, over all kills. */
class Witness {
  readonly #lastByKey = new Map<string, { readonly revision: number; readonly op: WriteOp }>(); // acknowledged
  readonly #begunValues = new Set<string>();
  #begunCount = 0;
  acknowledgedCount = 0;
  revision = 0; // the highest that was acknowledged

  hear(line: JournalLine): void {
    const ops = line.ops.map(writeOpOf);
    if (line.kind === 'begun') {
      this.#begunCount += 1;
      for (const op of ops) if (op.kind === 'put') this.#begunValues.add(op.value);
      return;
    }
    this.acknowledgedCount += 1;
    this.revision = Math.max(this.revision, line.revision);
    for (const op of ops) {
      const last = this.#lastByKey.get(op.key);
      if (last === undefined || last.revision < line.revision)
        this.#lastByKey.set(op.key, { revision: line.revision, op });
    }
  }

  check(items: readonly KeyValue[], revision: number): void {
    assert.ok(revision >= this.revision, `revision ${revision} after ${this.revision} was acknowledged`);
    assert.ok(revision <= this.#begunCount, `revision ${revision} of ${this.#begunCount} transactions`);
    const itemByKey = new Map(items.map((item) => [item.key, item]));
    for (const [key, { revision: acknowledged, op }] of this.#lastByKey) {
      const item = itemByKey.get(key);
      if (item !== undefined && item.modRevision > acknowledged) continue; // by a transaction that was not acknowledged
      if (op.kind === 'delete') assert.equal(item, undefined, `${key} was deleted at ${acknowledged}`);
      // A deletion that was not acknowledged may have been the last.
      else if (item !== undefined) assert.deepEqual([item.modRevision, item.value], [acknowledged, op.value]);
      else assert.ok(revision > acknowledged, `${key} was written at ${acknowledged}, and is not there`);
    }
    for (const item of items) {
      assert.ok(this.#begunValues.has(item.value), `${item.key} holds what nobody wrote`);
      assert.ok(item.createRevision <= item.modRevision && item.modRevision <= revision);
    }
    assert.equal(itemByKey.get('/pair/a')?.value, itemByKey.get('/pair/b')?.value, 'both of a transaction, or none');
  }
}

/** Runs a child until it writes, and `afterMs` more, then kills it. */
async function runAndKill(args: readonly string[], afterMs: number): Promise<void> {
  const writer = spawn(process.execPath, ['--import', 'tsx', child, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  writer.stdout.once('data', () => setTimeout(() => writer.kill('SIGKILL'), afterMs));
  const [code, signal] = await once(writer, 'close');
  assert.deepEqual([code, signal], [null, 'SIGKILL']);
}

/** The whole lines of the journal; the kill may have cut off the last. */
function readJournal(file: string): JournalLine[] {
  return fs
    .readFileSync(file, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}

test('what was acknowledged is found after the process was killed, again and again', { timeout: 120_000 }, async () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-crash-'));
  const entropy = new SeededEntropy('lmdb-crash');
  const signal = new AbortController().signal;
  const journals = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-crash-journals-'));
  let revision = 0;
  let acknowledgedCount = 0;
  try {
    for (let round = 0; round < killsCount; round++) {
      await runAndKill([directory, path.join(journals, `${round}`), `${round}`], entropy.unit() * 150);
      const witness = new Witness();
      for (let past = 0; past <= round; past++) {
        for (const line of readJournal(path.join(journals, `${past}`))) witness.hear(line);
      }
      const store = await openLmdbStore({ directory });
      const found = await store.range({ prefix: '' }, signal);
      await store.close();
      witness.check(found.items, found.revision);
      assert.ok(found.revision > revision, 'the revision never goes back');
      revision = found.revision;
      acknowledgedCount = witness.acknowledgedCount;
    }
    assert.ok(acknowledgedCount > 10 * killsCount, `only ${acknowledgedCount} writes`);
  } finally {
    fs.rmSync(directory, { recursive: true });
    fs.rmSync(journals, { recursive: true });
  }
});
