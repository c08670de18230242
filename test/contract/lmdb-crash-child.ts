/**
 * The victim of `lmdb-crash.test.ts`: writes to the store in `directory`, from many clients at once, until it is
 * killed. Appends to `journal` what it is about to write, and what was acknowledged, a line each. That is a plain
 * file, written synchronously: what was written to it is there whenever the process is killed.
 */
import { setMaxListeners } from 'node:events';
import fs from 'node:fs';
import { SeededEntropy } from '../../src/sim/seeded-entropy.ts';
import { openLmdbStore } from '../../src/store/lmdb/lmdb-store.ts';
import type { WriteOp } from '../../src/store/store.ts';

/** The value is `text` and then so many `x`; no text: the key is deleted. */
export interface JournalOp {
  readonly key: string;
  readonly text?: string;
  readonly fillCount: number;
}

export type JournalLine =
  | { readonly kind: 'begun'; readonly ops: readonly JournalOp[] }
  | { readonly kind: 'acknowledged'; readonly revision: number; readonly ops: readonly JournalOp[] };

export function writeOpOf({ key, text, fillCount }: JournalOp): WriteOp {
  return text === undefined ? { kind: 'delete', key } : { kind: 'put', key, value: text + 'x'.repeat(fillCount) };
}

async function client(name: string, write: (ops: readonly JournalOp[]) => Promise<void>): Promise<never> {
  const entropy = new SeededEntropy(name);
  for (let count = 0; ; count++) {
    const content = { text: `${name}/${count} `, fillCount: Math.floor(entropy.unit() ** 4 * 20_000) };
    const key = `/key/${Math.floor(entropy.unit() * 200)}`;
    const kind = entropy.unit();
    if (kind < 0.6) await write([{ key, ...content }]);
    else if (kind < 0.8) await write([{ key, fillCount: 0 }]);
    else await write(['/pair/a', '/pair/b'].map((pair) => ({ key: pair, ...content })));
  }
}

async function main(directory: string, journal: string, seed: string): Promise<void> {
  const store = await openLmdbStore({ directory });
  const { signal } = new AbortController();
  setMaxListeners(0, signal);
  const file = fs.openSync(journal, 'a', 0o600);
  const note = (line: JournalLine): void => {
    fs.writeSync(file, `${JSON.stringify(line)}\n`);
  };
  const write = async (ops: readonly JournalOp[]): Promise<void> => {
    note({ kind: 'begun', ops });
    const { revision } = await store.txn({ compare: [], writes: ops.map(writeOpOf) }, signal);
    note({ kind: 'acknowledged', revision, ops });
  };
  await write([{ key: '/key/0', text: `${seed}/first `, fillCount: 0 }]);
  process.stdout.write('writing\n');
  await Promise.all(Array.from({ length: 16 }, (_, index) => client(`${seed}/${index}`, write)));
}

const [script, directory, journal, seed] = process.argv.slice(1);
if (import.meta.filename === script && directory !== undefined && journal !== undefined && seed !== undefined) {
  await main(directory, journal, seed);
}
