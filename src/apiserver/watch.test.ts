import assert from 'node:assert/strict';
import { test } from 'node:test';
import { podOf, podsPath, startApi } from '../../test/support/api-calls.ts';
import type { Api } from '../../test/support/api-calls.ts';
import { MemoryStore } from '../store/memory-store.ts';
import { watchBufferLinesMax } from './watch-stream.ts';

const merge = { headers: { 'content-type': 'application/merge-patch+json' } };

function label(api: Api, name: string, labels: Record<string, string | null>) {
  return api.ok('PATCH', `${podsPath}/${name}`, { metadata: { labels } }, merge);
}

test('a watch goes on after its resourceVersion: nothing is missed, nothing comes twice', async () => {
  const api = await startApi();
  const first = await api.ok('POST', podsPath, podOf('a'));
  const watch = await api.watch(`${podsPath}?watch=true&resourceVersion=${first.metadata.resourceVersion}`);
  await api.ok('POST', podsPath, podOf('b'));
  await label(api, 'a', { x: 'y' });
  await api.ok('DELETE', `${podsPath}/b`);
  const later = await api.watch(`/api/v1/pods?watch=true&resourceVersion=${first.metadata.resourceVersion}`);
  const expected = ['ADDED b', 'MODIFIED a', 'MODIFIED b', 'DELETED b'];
  assert.deepEqual(await watch.summaries(4), expected);
  assert.deepEqual(await later.summaries(4), expected);
  await watch.close();
  await later.close();
  await api.close();
});

test('without a resourceVersion, and with 0, it begins with what exists', async () => {
  const api = await startApi();
  await api.ok('POST', podsPath, podOf('b'));
  await api.ok('POST', podsPath, podOf('a'));
  for (const query of ['', '&resourceVersion=0']) {
    const watch = await api.watch(`${podsPath}?watch=1${query}`);
    assert.deepEqual(await watch.summaries(2), ['ADDED a', 'ADDED b']);
    await watch.close();
  }
  await api.close();
});

test('sendInitialEvents ends the initial events with a bookmark that says so', async () => {
  const api = await startApi();
  const pod = await api.ok('POST', podsPath, podOf('a'));
  const query = 'watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
  const watch = await api.watch(`${podsPath}?${query}`);
  assert.deepEqual(await watch.summaries(1), ['ADDED a']);
  assert.deepEqual(await watch.next(), {
    type: 'BOOKMARK',
    object: {
      kind: 'Pod',
      apiVersion: 'v1',
      metadata: {
        resourceVersion: pod.metadata.resourceVersion,
        annotations: { 'k8s.io/initial-events-end': 'true' },
      },
    },
  });
  assert.match(
    await api.fails('GET', `${podsPath}?watch=1&sendInitialEvents=true`),
    /^422 Invalid: ListOptions\.meta\.k8s\.io "" is invalid: resourceVersionMatch: Forbidden/,
  );
  await watch.close();
  await api.close();
});

test('bookmarks come about every minute, and tell the newest revision of the store, whatever was written', async () => {
  const api = await startApi();
  const watch = await api.watch(`${podsPath}?watch=1&resourceVersion=6&allowWatchBookmarks=true`);
  const next = watch.next();
  await api.clock.advance(30_000);
  await api.ok('POST', '/api/v1/namespaces/default/configmaps', { metadata: { name: 'c' } });
  await api.clock.advance(36_000);
  const bookmark = await next;
  assert.deepEqual([bookmark.type, bookmark.object.metadata.resourceVersion], ['BOOKMARK', '7']);
  await watch.close();
  await api.close();
});

test('timeoutSeconds ends it', async () => {
  const api = await startApi();
  const watch = await api.watch(`${podsPath}?watch=1&resourceVersion=6&timeoutSeconds=10`);
  const next = watch.next();
  await api.clock.advance(10_000);
  assert.equal(await next, undefined);
  await api.close();
});

test('an object that stops matching is DELETED for the watcher, one that begins to match is ADDED', async () => {
  const api = await startApi();
  const watch = await api.watch(`${podsPath}?watch=1&resourceVersion=6&labelSelector=app%3Dweb`);
  await api.ok('POST', podsPath, podOf('a'));
  await label(api, 'a', { app: 'web' });
  await label(api, 'a', { app: 'web', more: 'x' });
  const gone = await label(api, 'a', { app: 'other' });
  await label(api, 'a', { app: 'other', more: 'y' });
  await label(api, 'a', { app: 'web' });
  await api.ok('DELETE', `${podsPath}/a`);
  assert.deepEqual(await watch.summaries(2), ['ADDED a', 'MODIFIED a']);
  const deleted = await watch.next();
  assert.deepEqual(
    [deleted.type, deleted.object.metadata.labels, deleted.object.metadata.resourceVersion],
    ['DELETED', { app: 'web', more: 'x' }, gone.metadata.resourceVersion],
  );
  assert.deepEqual(await watch.summaries(3), ['ADDED a', 'MODIFIED a', 'DELETED a']);
  await watch.close();
  await api.close();
});

test('one object is watched by a field selector on its name, or by the old path', async () => {
  const api = await startApi();
  const urls = [
    `${podsPath}?watch=1&resourceVersion=6&fieldSelector=metadata.name%3Dweb`,
    '/api/v1/watch/namespaces/default/pods/web?resourceVersion=6',
  ];
  const watches = await Promise.all(urls.map((url) => api.watch(url)));
  for (const name of ['web-2', 'we', 'web']) await api.ok('POST', podsPath, podOf(name));
  for (const watch of watches) {
    assert.deepEqual(await watch.summaries(1), ['ADDED web']);
    await watch.close();
  }
  await api.close();
});

test('too old a revision is an ERROR event with the Status of 410', async () => {
  const store = new MemoryStore();
  const before = await startApi({ store });
  await before.ok('POST', podsPath, podOf('a'));
  await before.close();
  const api = await startApi({ store }); // its history begins at revision 7
  const watch = await api.watch(`${podsPath}?watch=1&resourceVersion=2`);
  assert.deepEqual(await watch.next(), {
    type: 'ERROR',
    object: {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: 'too old resource version: 2 (7)',
      reason: 'Expired',
      code: 410,
    },
  });
  assert.equal(await watch.next(), undefined);
  await api.close();
});

test('a watch by node or by name sees what comes, changes and goes, and nothing of others', async () => {
  const api = await startApi();
  const watch = (field: string, value: string) =>
    api.watch(`/api/v1/pods?watch=1&resourceVersion=6&fieldSelector=${field}%3D${value}`);
  const watches = [
    await watch('spec.nodeName', 'n1'),
    await watch('spec.nodeName', 'n2'),
    await watch('spec.nodeName', ''),
    await watch('metadata.name', 'b'),
  ];
  const counts = [4, 3, 4, 5];
  // They are read, and so subscribed, from now on.
  const seen = Promise.all(watches.map((each, index) => each.summaries(counts[index] ?? 0)));
  const bind = async (pod: string, name: string) => {
    await api.ok('POST', podsPath, podOf(pod));
    await api.ok('POST', `${podsPath}/${pod}/binding`, { target: { kind: 'Node', name } });
  };
  await bind('a', 'n2');
  await bind('b', 'n1');
  await label(api, 'b', { x: 'y' });
  await api.ok('DELETE', `${podsPath}/b?gracePeriodSeconds=0`);
  await api.ok('DELETE', `${podsPath}/a?gracePeriodSeconds=0`);
  assert.deepEqual(await seen, [
    ['ADDED b', 'MODIFIED b', 'MODIFIED b', 'DELETED b'], // it is marked before it goes
    ['ADDED a', 'MODIFIED a', 'DELETED a'],
    ['ADDED a', 'DELETED a', 'ADDED b', 'DELETED b'],
    ['ADDED b', 'MODIFIED b', 'MODIFIED b', 'MODIFIED b', 'DELETED b'],
  ]);
  await Promise.all(watches.map((each) => each.close()));
  await api.close();
});

test('watchers share the text of an event', async () => {
  const api = await startApi();
  const [a, b] = await Promise.all([1, 2].map(() => api.respond('GET', `${podsPath}?watch=1&resourceVersion=6`)));
  assert.ok(a !== undefined && b !== undefined);
  const [one, two] = [a, b].map(({ body }) => {
    assert.ok(typeof body !== 'string' && !(body instanceof Uint8Array));
    return body[Symbol.asyncIterator]();
  });
  const lines = Promise.all([one?.next(), two?.next()]);
  await api.ok('POST', podsPath, podOf('a'));
  const [first, second] = await lines;
  assert.equal(first?.value, second?.value);
  await one?.return?.();
  await two?.return?.();
  await api.close();
});

test('a watcher that reads too slowly is ended, and the others are not', async () => {
  const api = await startApi();
  const path = '/api/v1/namespaces/default/configmaps';
  const url = `${path}?watch=1&resourceVersion=6`;
  const [slow, quick] = [await api.watch(url), await api.watch(url)];
  await api.ok('POST', path, { metadata: { name: 'c' } });
  assert.deepEqual([await slow.summaries(1), await quick.summaries(1)], [['ADDED c'], ['ADDED c']]);
  const count = watchBufferLinesMax + 1;
  for (let n = 0; n < count; n++) {
    await api.ok('PUT', `${path}/c`, { metadata: { name: 'c' }, data: { n: String(n) } });
    await quick.summaries(1);
  }
  assert.deepEqual([...new Set(await slow.summaries(watchBufferLinesMax))], ['MODIFIED c']);
  assert.equal(await slow.next(), undefined);
  const next = quick.next();
  await api.ok('DELETE', `${path}/c`);
  assert.equal((await next).type, 'DELETED');
  await quick.close();
  await api.close();
});

test('a watch as a Table names its columns once', async () => {
  const api = await startApi();
  const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io';
  await api.ok('POST', podsPath, podOf('a'));
  const watch = await api.watch(`${podsPath}?watch=1`, { accept });
  const first = await watch.next();
  await label(api, 'a', { x: 'y' });
  const second = await watch.next();
  assert.deepEqual(
    [first, second].map(({ type, object }) => [
      type,
      object.kind,
      object.columnDefinitions.length,
      object.rows[0].cells[0],
    ]),
    [
      ['ADDED', 'Table', 9, 'a'],
      ['MODIFIED', 'Table', 0, 'a'],
    ],
  );
  await watch.close();
  await api.close();
});

test('the last bookmark comes two seconds before the end', async () => {
  const api = await startApi();
  const watch = await api.watch(`${podsPath}?watch=1&resourceVersion=6&allowWatchBookmarks=true&timeoutSeconds=10`);
  const next = watch.next();
  await api.clock.advance(7_000);
  await api.ok('POST', '/api/v1/namespaces/default/configmaps', { metadata: { name: 'c' } });
  await api.clock.advance(1_000);
  const bookmark = await next;
  assert.deepEqual([bookmark.type, bookmark.object.metadata.resourceVersion], ['BOOKMARK', '7']);
  const end = watch.next();
  await api.clock.advance(2_000);
  assert.equal(await end, undefined);
  await api.close();
});
