import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyJsonPatch } from './json-patch.ts';

test('operations apply to a copy, in order; pointers are unescaped', () => {
  const document = { a: [1, 2], 'b/c': { d: 'e' } };
  const patched = applyJsonPatch(document, [
    { op: 'test', path: '/a/0', value: 1 },
    { op: 'add', path: '/a/-', value: 3 },
    { op: 'move', from: '/b~1c/d', path: '/f' },
    { op: 'copy', from: '/a', path: '/g' },
    { op: 'remove', path: '/a/0' },
    { op: 'replace', path: '/f', value: { h: null } },
  ]);
  assert.deepEqual(patched, { a: [2, 3], 'b/c': {}, f: { h: null }, g: [1, 2, 3] });
  assert.deepEqual(document, { a: [1, 2], 'b/c': { d: 'e' } });
  assert.deepEqual(applyJsonPatch(document, [{ op: 'replace', path: '', value: { x: 1 } }]), { x: 1 });
});

test('what cannot be applied throws, and changes nothing', () => {
  const document = { a: 1 };
  const bad: readonly unknown[] = [
    { op: 'remove', path: '/b' },
    { op: 'test', path: '/a', value: 2 },
    { op: 'add', path: '/b/c', value: 1 },
    { op: 'add', path: '/b' },
    { op: 'add', path: 'a', value: 1 },
    { op: 'move', path: '/b' },
    { op: 'jump', path: '/a' },
    null,
    'x',
  ];
  for (const operation of bad) {
    const operations = [{ op: 'add', path: '/c', value: 1 }, operation];
    assert.throws(() => applyJsonPatch(document, operations), /^Error: operation 1 of the JSON patch: /);
  }
  assert.deepEqual(document, { a: 1 });
});

test('no pointer reaches a prototype', () => {
  for (const path of ['/__proto__/polluted', '/constructor/prototype/polluted']) {
    try {
      applyJsonPatch({}, [{ op: 'add', path, value: true }]);
    } catch {
      // Refusing is as good as setting a plain key.
    }
  }
  assert.equal(Reflect.get({}, 'polluted'), undefined);
});
