import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from '../../test/support/property.ts';
import { prefixEnd, SortedKeys } from './sorted-keys.ts';

test('ranges are those of a sorted array, whatever was added and removed', () => {
  const key = fc.string({ unit: fc.constantFrom('/', 'a', 'b', '~'), maxLength: 3 });
  const step = fc.record({ key, isDelete: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), key, key, fc.integer({ min: 1, max: 9 }), (steps, a, b, limit) => {
      const keys = new SortedKeys();
      const model = new Set<string>();
      for (const { key: changed, isDelete } of steps) {
        if (isDelete) keys.delete(changed);
        else keys.add(changed);
        if (isDelete) model.delete(changed);
        else model.add(changed);
      }
      for (const end of [b, undefined]) {
        const within = [...model].filter((each) => each >= a && (end === undefined || each < end)).sort();
        const expected = { keys: within.slice(0, limit), remainingCount: Math.max(0, within.length - limit) };
        assert.deepEqual(keys.range(a, end, limit), expected);
      }
    }),
  );
});

for (const [order, at] of Object.entries({
  ascending: (index: number) => index,
  descending: (index: number) => 4_999 - index,
  shuffled: (index: number) => (index * 2_741) % 5_000,
})) {
  test(`thousands of keys in ${order} order fill, and leave, many chunks`, () => {
    const keyOf = (index: number): string => `/${String(at(index)).padStart(4, '0')}`;
    const keys = new SortedKeys();
    for (let index = 0; index < 5_000; index++) keys.add(keyOf(index));
    const page = keys.range('/1000', '/4000', 3);
    assert.deepEqual(page, { keys: ['/1000', '/1001', '/1002'], remainingCount: 2_997 });
    for (let index = 0; index < 5_000; index += 2) keys.delete(keyOf(index));
    assert.equal(keys.range('', undefined, Infinity).keys.length, 2_500);
    for (let index = 1; index < 5_000; index += 2) keys.delete(keyOf(index));
    assert.deepEqual(keys.range('', undefined, Infinity), { keys: [], remainingCount: 0 });
  });
}

test('the end of a prefix is the first string after all that start with it', () => {
  assert.equal(prefixEnd('/pods/'), '/pods0');
  assert.equal(prefixEnd('a\uffff'), 'b');
  assert.equal(prefixEnd('\uffff'), undefined);
  assert.equal(prefixEnd(''), undefined);
});
