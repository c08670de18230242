/** No space left: nothing is half written, nothing that was acknowledged is lost, and deleting helps. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { openLmdbStore } from '../../src/store/lmdb/lmdb-store.ts';

const child = fileURLToPath(new URL('lmdb-full-child.ts', import.meta.url));

test('a store that has no space left refuses writes, and goes on', { timeout: 60_000 }, async () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-full-'));
  try {
    // A shell can limit the size of files (in blocks of 512 bytes, or 1,024): a full disk without a disk.
    const command = `ulimit -f 2000; exec "$0" --import tsx "$1" "$2"`;
    const run = await promisify(execFile)('sh', ['-c', command, process.execPath, child, directory]);
    const said = JSON.parse(run.stdout);
    assert.equal(said.refusals.length, 3);
    // To LMDB, a write that is cut short is an input/output error; a full disk is told from that by its free space.
    for (const text of said.refusals) {
      assert.match(text, /^(no space left on device|cannot write to the store: Input\/output error)$/);
    }
    assert.ok(said.writtenCount > 40, `${said.writtenCount} were written`);
    assert.deepEqual([said.fullCount, said.fullRevision], [said.writtenCount, said.writtenCount]);
    assert.equal(said.afterRevision, said.writtenCount + 21);
    const store = await openLmdbStore({ directory });
    const { items, revision } = await store.range({ prefix: '' }, new AbortController().signal);
    await store.close();
    assert.deepEqual([items.length, revision], [said.writtenCount - 20 + 1, said.afterRevision]);
  } finally {
    fs.rmSync(directory, { recursive: true });
  }
});
