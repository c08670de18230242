import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject } from './merge-patch.ts';
import { mergePatch } from './merge-patch.ts';
import { strategicMerge } from './strategic-merge.ts';

test('a merge patch follows the examples of RFC 7386', () => {
  const rows: [unknown, unknown, unknown][] = [
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ a: 'foo' }, 'bar', 'bar'],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ];
  for (const [current, patch, result] of rows) assert.deepEqual(mergePatch(current, patch), result);
});

test('a merge patch leaves its arguments alone, also with a key named __proto__', () => {
  const current = { a: { b: 1 } };
  const patch = JSON.parse('{"a":{"__proto__":{"c":2}}}') as unknown;
  assert.equal(JSON.stringify(mergePatch(current, patch)), '{"a":{"b":1,"__proto__":{"c":2}}}');
  assert.deepEqual(current, { a: { b: 1 } });
});

const pod = {
  metadata: { name: 'p', labels: { app: 'web', old: 'x' }, finalizers: ['a', 'b'] },
  spec: {
    containers: [
      { name: 'one', image: 'one:1', ports: [{ containerPort: 80 }], env: [{ name: 'A', value: '1' }] },
      { name: 'two', image: 'two:1' },
    ],
    tolerations: [{ key: 'x', operator: 'Exists' }],
    volumes: [{ name: 'v', emptyDir: { medium: 'Memory' } }],
  },
} satisfies JsonObject;

function podAfter(patch: JsonObject): JsonObject {
  const before = JSON.stringify(pod);
  const result = strategicMerge('Pod', pod, patch);
  assert.equal(JSON.stringify(pod), before, 'the current object is not changed');
  return result;
}

test('objects are merged, and null removes', () => {
  const result = podAfter({ metadata: { labels: { app: 'db', old: null, fresh: 'y' } } });
  assert.deepEqual(result['metadata'], { name: 'p', labels: { app: 'db', fresh: 'y' }, finalizers: ['a', 'b'] });
});

test('lists with a merge key are merged element by element', () => {
  const result = podAfter({
    spec: {
      containers: [
        { name: 'two', image: 'two:2' },
        { name: 'one', env: [{ name: 'B', value: '2' }] },
      ],
    },
  });
  const { containers } = result['spec'] as { containers: unknown };
  assert.deepEqual(containers, [
    { name: 'two', image: 'two:2' },
    {
      name: 'one',
      image: 'one:1',
      ports: [{ containerPort: 80 }],
      env: [
        { name: 'B', value: '2' },
        { name: 'A', value: '1' },
      ],
    },
  ]);
});

test('other lists are replaced', () => {
  const result = podAfter({ spec: { tolerations: [{ key: 'y', operator: 'Exists' }] } });
  assert.deepEqual((result['spec'] as { tolerations: unknown }).tolerations, [{ key: 'y', operator: 'Exists' }]);
});

test('an element is removed by $patch: delete, a list or object replaced by $patch: replace', () => {
  const deleted = podAfter({ spec: { containers: [{ name: 'one', $patch: 'delete' }] } });
  assert.deepEqual((deleted['spec'] as { containers: unknown }).containers, [{ name: 'two', image: 'two:1' }]);
  const replaced = podAfter({ spec: { containers: [{ name: 'new', image: 'n' }, { $patch: 'replace' }] } });
  assert.deepEqual((replaced['spec'] as { containers: unknown }).containers, [{ name: 'new', image: 'n' }]);
  const emptied = podAfter({ metadata: { labels: { $patch: 'replace', only: 'z' } } });
  assert.deepEqual((emptied['metadata'] as { labels: unknown }).labels, { only: 'z' });
});

test('lists of primitives are united, or shortened by their delete directive', () => {
  const added = podAfter({ metadata: { finalizers: ['c', 'a'] } });
  assert.deepEqual((added['metadata'] as { finalizers: unknown }).finalizers, ['c', 'a', 'b']);
  const removed = podAfter({ metadata: { '$deleteFromPrimitiveList/finalizers': ['a'] } });
  assert.deepEqual((removed['metadata'] as { finalizers: unknown }).finalizers, ['b']);
});

test('$setElementOrder orders the merged list, as kubectl apply asks', () => {
  const result = podAfter({
    spec: {
      '$setElementOrder/containers': [{ name: 'three' }, { name: 'one' }, { name: 'two' }],
      containers: [{ name: 'three', image: 'three:1' }],
    },
  });
  const { containers } = result['spec'] as { containers: { name: string }[] };
  assert.deepEqual(
    containers.map(({ name }) => name),
    ['three', 'one', 'two'],
  );
});

test('$retainKeys drops the other members, so that a volume can change its type', () => {
  const result = podAfter({
    spec: { volumes: [{ name: 'v', $retainKeys: ['name', 'hostPath'], hostPath: { path: '/x' } }] },
  });
  assert.deepEqual((result['spec'] as { volumes: unknown }).volumes, [{ name: 'v', hostPath: { path: '/x' } }]);
});

test('conditions of a status are merged by type', () => {
  const current = {
    status: {
      conditions: [
        { type: 'Ready', status: 'False' },
        { type: 'Initialized', status: 'True' },
      ],
    },
  };
  const result = strategicMerge('Pod', current, { status: { conditions: [{ type: 'Ready', status: 'True' }] } });
  assert.deepEqual(result, {
    status: {
      conditions: [
        { type: 'Ready', status: 'True' },
        { type: 'Initialized', status: 'True' },
      ],
    },
  });
});

test('what is wrong with a patch is said in the words of upstream', () => {
  const fails = (patch: unknown): string => {
    try {
      strategicMerge('Pod', pod, patch);
    } catch (error) {
      if (error instanceof Error) return error.message;
    }
    return 'no error';
  };
  assert.equal(fails([]), 'invalid JSON document');
  assert.equal(
    fails({ spec: { containers: [{ image: 'x' }] } }),
    'map: map[image:x] does not contain declared merge key: name',
  );
  assert.equal(fails({ metadata: { $patch: 'swap' } }), 'unknown patch type: swap in map: map[$patch:swap]');
  assert.equal(
    fails({ spec: { containers: [{ name: 'one', $patch: 'merge' }] } }),
    'merging lists cannot yet be specified in the patch',
  );
  assert.equal(fails({ metadata: { $retainKeys: 'x' } }), 'invalid patch format of retainKeys');
  assert.equal(fails({ metadata: { $deleteFromPrimitiveList: ['x'] } }), 'invalid patch format of primitive list');
  assert.equal(fails({ metadata: { $setElementOrder: ['x'] } }), 'invalid patch format of setElementOrder list');
});
