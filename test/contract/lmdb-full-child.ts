/**
 * Run by `lmdb-full.test.ts` under a limit on the size of files: fills the store in `directory` until it is refused,
 * then deletes and writes again. Prints what happened, a line of JSON.
 */
import { hasReason } from '../../src/base/status-error.ts';
import { openLmdbStore } from '../../src/store/lmdb/lmdb-store.ts';

const [directory = ''] = process.argv.slice(2);
const store = await openLmdbStore({ directory });
const { signal } = new AbortController();
const put = (key: string, value: string) => store.txn({ compare: [], writes: [{ kind: 'put', key, value }] }, signal);

const refusals: unknown[] = [];
let writtenCount = 0;
while (refusals.length < 3) {
  try {
    await put(`/fill/${writtenCount}`, 'x'.repeat(10_000));
    writtenCount += 1;
  } catch (error) {
    refusals.push(hasReason(error, 'InternalError') ? error.message : String(error));
  }
}
const full = await store.range({ prefix: '' }, signal);
for (let index = 0; index < 20; index++) {
  await store.txn({ compare: [], writes: [{ kind: 'delete', key: `/fill/${index}` }] }, signal);
}
const after = await put('/after', 'x'.repeat(10_000));
await store.close();
console.log(
  JSON.stringify({
    refusals,
    writtenCount,
    fullCount: full.items.length,
    fullRevision: full.revision,
    afterRevision: after.revision,
  }),
);
