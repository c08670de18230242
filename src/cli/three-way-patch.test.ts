import assert from 'node:assert/strict';
import { test } from 'node:test';
import { strategicMerge } from '../api/patch/strategic-merge.ts';
import { isEqual, threeWayPatch, type JsonMap } from './three-way-patch.ts';

const container = (name: string, more: object = {}): object => ({ name, image: 'a', ...more });
const pod = (containers: readonly object[], more: object = {}): JsonMap => ({ spec: { containers, ...more } });

/** The patch, and what the server makes of it. */
function applied(original: JsonMap | undefined, modified: JsonMap, current: JsonMap): JsonMap {
  return strategicMerge('Pod', current, threeWayPatch('Pod', original, modified, current));
}

test('nothing to change is an empty patch, whatever the server has added', () => {
  const mine = pod([container('c')]);
  const current = pod([container('c', { imagePullPolicy: 'Always' })], { restartPolicy: 'Always' });
  assert.deepEqual(threeWayPatch('Pod', mine, mine, current), {});
});

test('a changed field is changed in its container, and what others set stays', () => {
  const current = pod([container('c', { imagePullPolicy: 'Always' }), container('theirs')]);
  const result = applied(pod([container('c')]), pod([container('c', { image: 'b' })]), current);
  assert.deepEqual(result, pod([container('c', { image: 'b', imagePullPolicy: 'Always' }), container('theirs')]));
});

test('a field that was applied and is no more is removed, one that was never applied stays', () => {
  const current = { metadata: { labels: { mine: '1', theirs: '2' } } };
  const result = applied({ metadata: { labels: { mine: '1' } } }, { metadata: { labels: {} } }, current);
  assert.deepEqual(result, { metadata: { labels: { theirs: '2' } } });
});

test('a container that was applied and is no more is removed, and a new one is added in its place', () => {
  const result = applied(
    pod([container('a'), container('b')]),
    pod([container('c'), container('b')]),
    pod([container('a'), container('b')]),
  );
  assert.deepEqual(result, pod([container('c'), container('b')]));
});

test('lists that are sets are merged by value', () => {
  const meta = (...finalizers: readonly string[]): JsonMap => ({ metadata: { finalizers } });
  assert.deepEqual(applied(meta('a', 'b'), meta('b', 'c'), meta('a', 'b', 'theirs')), meta('b', 'c', 'theirs'));
});

test('a volume that changes its kind loses the old kind', () => {
  const volumes = (source: object): JsonMap => ({ spec: { volumes: [{ name: 'v', ...source }] } });
  const result = applied(volumes({ emptyDir: {} }), volumes({ hostPath: { path: '/x' } }), volumes({ emptyDir: {} }));
  assert.deepEqual(result, volumes({ hostPath: { path: '/x' } }));
});

test('a list without a merge key is replaced as a whole', () => {
  const args = (...words: readonly string[]): JsonMap => pod([container('c', { args: words })]);
  assert.deepEqual(applied(args('a', 'b'), args('b'), args('a', 'b')), args('b'));
});

test('a kind that is not known here gets a JSON merge patch', () => {
  const patch = threeWayPatch(
    undefined,
    { spec: { a: 1, b: [1] } },
    { spec: { b: [1, 2] } },
    { spec: { a: 1, b: [1], c: 3 } },
  );
  assert.deepEqual(patch, { spec: { b: [1, 2], a: null } });
});

test('JSON values are equal whatever the order of their keys', () => {
  assert.equal(isEqual({ a: [1, { b: 2 }], c: null }, { c: null, a: [1, { b: 2 }] }), true);
  assert.equal(isEqual({ a: 1 }, { a: 1, b: undefined }), false);
});
