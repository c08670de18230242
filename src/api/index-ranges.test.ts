import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  checkIndexRanges,
  countIndexes,
  countShared,
  firstFreeIndexes,
  formatIndexRanges,
  hasIndex,
  mergeIndexRanges,
  parseIndexRanges,
  rangesOfIndexes,
} from './index-ranges.ts';

const tenBits = Array.from({ length: 1 << 10 }, (_, bits) =>
  Array.from({ length: 10 }, (_unused, index) => index).filter((index) => (bits >> index) % 2 === 1),
);

test('every set of ten indexes is written and read back; three in a row are a range, two are not', () => {
  for (const indexes of tenBits) {
    const ranges = rangesOfIndexes([...indexes].reverse());
    const text = formatIndexRanges(ranges);
    assert.deepEqual(text === '' ? [] : parseIndexRanges(text, 10), ranges);
    assert.equal(countIndexes(ranges), indexes.length);
    assert.deepEqual(
      indexes.filter((index) => hasIndex(ranges, index)),
      indexes,
    );
    const free = firstFreeIndexes(ranges, 3, 10);
    const wanted = Array.from({ length: 10 }, (_, index) => index).filter((index) => !indexes.includes(index));
    assert.deepEqual(free, wanted.slice(0, 3));
    assert.equal(
      wanted.some((index) => hasIndex(ranges, index)),
      false,
    );
  }
  assert.equal(formatIndexRanges(rangesOfIndexes([0, 1, 3, 4, 5, 8])), '0,1,3-5,8');
});

test('two sets of five indexes are merged and compared', () => {
  const sets = tenBits.slice(0, 32);
  for (const a of sets) {
    for (const b of sets) {
      const [ofA, ofB] = [rangesOfIndexes(a), rangesOfIndexes(b)];
      assert.deepEqual(mergeIndexRanges(ofA, ofB), rangesOfIndexes([...a, ...b]));
      assert.equal(countShared(ofA, ofB), a.filter((index) => b.includes(index)).length);
    }
  }
});

test('what is no range, or beyond the end, is left out of what was written before', () => {
  assert.deepEqual(formatIndexRanges(parseIndexRanges('0-1,a,3-x,5-9,12', 8)), '0,1,5-7');
  assert.deepEqual(parseIndexRanges('', 8), []);
});

test('what a client writes must be in order and below the number of completions', () => {
  const problemOf = (text: string): string => {
    const checked = checkIndexRanges(text, 10);
    return checked.kind === 'fine' ? `${checked.total}` : checked.problem;
  };
  assert.deepEqual(['', '0', '1-3,5,7-9'].map(problemOf), ['0', '1', '7']);
  assert.deepEqual(['a', '1-x', '10', '1-10', '3-2', '1-3,3', '1-2-3', ''.padEnd(1, ',')].map(problemOf), [
    'cannot convert string to integer for index: "a"',
    'cannot convert string to integer for index: "x"',
    'too large index: "10"',
    'too large index: "10"',
    'non-increasing order, previous: 3, current: 2',
    'non-increasing order, previous: 3, current: 3',
    `the fragment "1-2-3" violates the requirement that an index interval can have at most two parts separated by '-'`,
    'cannot convert string to integer for index: ""',
  ]);
});
