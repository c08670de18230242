import assert from 'node:assert/strict';
import { test } from 'node:test';
import { podOf, podsPath, startApi } from '../../test/support/api-calls.ts';
import type { Api, Json } from '../../test/support/api-calls.ts';
import { MemoryStore } from '../store/memory-store.ts';

async function makePods(api: Api, count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    await api.ok('POST', podsPath, podOf(`p${n}`, { metadata: { labels: { even: String(n % 2 === 0) } } }));
  }
}

function names(list: Json): string[] {
  return list.items.map((item: Json) => item.metadata.name);
}

test('a list has its kind and revision, and items without kind', async () => {
  const api = await startApi();
  await makePods(api, 2);
  const list = await api.ok('GET', podsPath);
  assert.deepEqual(
    [list.kind, list.apiVersion, list.metadata, names(list)],
    ['PodList', 'v1', { resourceVersion: '8' }, ['p0', 'p1']],
  );
  assert.deepEqual([list.items[0].kind, list.items[0].metadata.resourceVersion], [undefined, '7']);
  assert.deepEqual((await api.ok('GET', '/api/v1/namespaces/kube-system/pods')).items, []);
  await api.close();
});

test('pages show the state of the first one', async () => {
  const api = await startApi();
  await makePods(api, 5);
  const first = await api.ok('GET', `${podsPath}?limit=2`);
  assert.deepEqual([names(first), first.metadata.remainingItemCount], [['p0', 'p1'], 3]);
  await api.ok('DELETE', `${podsPath}/p2`);
  await api.ok('POST', podsPath, podOf('p11'));
  const second = await api.ok('GET', `${podsPath}?limit=2&continue=${first.metadata.continue}`);
  assert.deepEqual([names(second), second.metadata.remainingItemCount], [['p2', 'p3'], 1]);
  const last = await api.ok('GET', `${podsPath}?limit=2&continue=${second.metadata.continue}`);
  assert.deepEqual([names(last), last.metadata.continue], [['p4'], undefined]);
  assert.equal(last.metadata.resourceVersion, first.metadata.resourceVersion);
  await api.close();
});

test('pages with selectors hold as many as were asked for, and do not count the rest', async () => {
  const api = await startApi();
  await makePods(api, 7);
  const first = await api.ok('GET', `${podsPath}?limit=3&labelSelector=even%3Dtrue`);
  assert.deepEqual([names(first), first.metadata.remainingItemCount], [['p0', 'p2', 'p4'], undefined]);
  const last = await api.ok('GET', `${podsPath}?limit=3&labelSelector=even%3Dtrue&continue=${first.metadata.continue}`);
  assert.deepEqual([names(last), last.metadata.continue], [['p6'], undefined]);
  await api.close();
});

test('a page of a state that is compacted away is 410, with a token to go on in the newest state', async () => {
  const store = new MemoryStore();
  const api = await startApi({ store });
  await makePods(api, 3);
  const first = await api.ok('GET', `${podsPath}?limit=1`);
  await api.ok('DELETE', `${podsPath}/p1`);
  await store.compact(10, api.scope.signal);
  const { status, json } = await api.call('GET', `${podsPath}?limit=1&continue=${first.metadata.continue}`);
  assert.deepEqual([status, json.reason], [410, 'Expired']);
  assert.match(json.message, /^The provided continue parameter is too old to display a consistent list result\./);
  assert.deepEqual(names(await api.ok('GET', `${podsPath}?limit=5&continue=${json.metadata.continue}`)), ['p2']);
  await api.close();
});

test('resourceVersion: 0 is what the cache has, a number is at least that, Exact is that', async () => {
  const api = await startApi();
  await makePods(api, 2);
  assert.deepEqual(names(await api.ok('GET', `${podsPath}?resourceVersion=0&limit=1`)), ['p0', 'p1']);
  assert.deepEqual(names(await api.ok('GET', `${podsPath}?resourceVersion=7`)), ['p0', 'p1']);
  const exact = `${podsPath}?resourceVersion=7&resourceVersionMatch=Exact`;
  assert.deepEqual(names(await api.ok('GET', exact)), ['p0']);
  const { status, json, headers } = await api.call('GET', `${podsPath}?resourceVersion=99`);
  assert.deepEqual(
    [status, json.message, json.details, headers['retry-after']],
    [
      504,
      'Too large resource version: 99, current: 8',
      {
        causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
        retryAfterSeconds: 1,
      },
      '1',
    ],
  );
  await api.close();
});

test('field selectors: by name, by node, unsupported', async () => {
  const api = await startApi();
  await makePods(api, 2);
  await api.ok('POST', `${podsPath}/p1/binding`, { metadata: { name: 'p1' }, target: { name: 'n1' } });
  const by = async (selector: string) =>
    names(await api.ok('GET', `/api/v1/pods?fieldSelector=${encodeURIComponent(selector)}`));
  assert.deepEqual(await by('spec.nodeName=n1'), ['p1']);
  assert.deepEqual(await by('spec.nodeName='), ['p0']);
  assert.deepEqual(await by('metadata.name=p0,metadata.namespace=default'), ['p0']);
  assert.deepEqual(names(await api.ok('GET', `${podsPath}?fieldSelector=metadata.name%3Dp1`)), ['p1']);
  assert.deepEqual(names(await api.ok('GET', `${podsPath}?fieldSelector=metadata.name%3Dp1&labelSelector=even`)), [
    'p1',
  ]);
  assert.deepEqual(names(await api.ok('GET', `${podsPath}?fieldSelector=metadata.name%3Dp1&labelSelector=!even`)), []);
  await api.close();
});

test('options that contradict each other are told', async () => {
  const api = await startApi();
  const head = '422 Invalid: ListOptions.meta.k8s.io "" is invalid: ';
  const cases: readonly (readonly [query: string, error: string])[] = [
    [
      'resourceVersionMatch=Exact',
      `${head}resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided`,
    ],
    [
      'resourceVersion=1&resourceVersionMatch=Foo',
      `${head}resourceVersionMatch: Unsupported value: "Foo": supported values: "Exact", "NotOlderThan", ""`,
    ],
    [
      'resourceVersion=0&resourceVersionMatch=Exact',
      `${head}resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"`,
    ],
    ['sendInitialEvents=true', `${head}sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list`],
    ['limit=abc', '400 BadRequest: strconv.ParseInt: parsing "abc": invalid syntax'],
    ['continue=xyz!', '400 BadRequest: invalid continue token: continue key is not valid: it is no base64 of JSON'],
    ['continue=e30', '400 BadRequest: invalid continue token: continue key is not valid: no version'],
    ['labelSelector=a%3D%3D%3Db', "400 BadRequest: unable to parse requirement: found '=', expected: identifier"],
  ];
  for (const [query, error] of cases) assert.equal(await api.fails('GET', `${podsPath}?${query}`), error);
  await api.close();
});

test('exactly a state that is compacted away is 410, one that is still to come 504', async () => {
  const store = new MemoryStore();
  const api = await startApi({ store });
  await makePods(api, 3);
  await api.ok('DELETE', `${podsPath}/p1`);
  await store.compact(10, api.scope.signal);
  const exactly = (revision: number) => `${podsPath}?resourceVersionMatch=Exact&resourceVersion=${revision}`;
  assert.equal(
    await api.fails('GET', exactly(7)),
    '410 Expired: The resourceVersion for the provided list is too old.',
  );
  assert.match(await api.fails('GET', exactly(99)), /^504 Timeout: Too large resource version: 99, current: \d+$/);
  await api.close();
});
