import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { openLmdbStore } from '../../src/store/lmdb/lmdb-store.ts';
import type { Store } from '../../src/store/store.ts';
import { storeSuite } from './store-suite.ts';

storeSuite('LMDB store', async () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-store-'));
  let store = await openLmdbStore({ directory });
  return {
    store,
    async restart(): Promise<Store> {
      await store.close();
      store = await openLmdbStore({ directory });
      return store;
    },
    async close() {
      await store.close();
      assert.deepEqual(fs.readdirSync(directory), ['store'], 'the lock is given back');
      fs.rmSync(directory, { recursive: true });
    },
  };
});
