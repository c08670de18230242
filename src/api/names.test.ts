import assert from 'node:assert/strict';
import { test } from 'node:test';
import { goJson, goQuote } from './go-text.ts';
import {
  byteLength,
  configMapKeyProblems,
  dns1123LabelProblems,
  dns1123SubdomainProblems,
  envVarNameProblems,
  labelValueProblems,
  maskTrailingDash,
  qualifiedNameProblems,
} from './names.ts';

const long = 'a'.repeat(64);

test('names that are fine have no problems', () => {
  for (const name of ['a', 'a-b', '0', 'a'.repeat(63)]) assert.deepEqual(dns1123LabelProblems(name), [], name);
  for (const name of ['a.b', 'a-b.c', 'a'.repeat(253)]) assert.deepEqual(dns1123SubdomainProblems(name), [], name);
  for (const name of ['a', 'A_b.c', 'example.com/Name']) assert.deepEqual(qualifiedNameProblems(name), [], name);
  for (const value of ['', 'A', 'a_b']) assert.deepEqual(labelValueProblems(value), [], value);
  for (const key of ['a', '.hidden', 'A_B.c', '-']) assert.deepEqual(configMapKeyProblems(key), [], key);
  for (const name of ['A', 'a.b-c', '1', ' ']) assert.deepEqual(envVarNameProblems(name), [], name);
});

test('several problems are told together, and dots in labels have their own words', () => {
  assert.deepEqual(dns1123LabelProblems('a.b'), ['must not contain dots']);
  assert.deepEqual(dns1123LabelProblems(long), ['must be no more than 63 characters']);
  assert.equal(dns1123LabelProblems(`${long}_`).length, 2);
  assert.equal(dns1123SubdomainProblems('a..b').length, 1);
  assert.deepEqual(configMapKeyProblems('..'), ["must not be '..'"]);
  assert.deepEqual(configMapKeyProblems('..a'), ["must not start with '..'"]);
  assert.deepEqual(envVarNameProblems(''), ['environment variable name must be non-empty']);
  assert.deepEqual(qualifiedNameProblems('/a'), ['prefix part must be non-empty']);
  assert.deepEqual(qualifiedNameProblems(`a/${long}`), ['name part must be no more than 63 characters']);
  assert.equal(qualifiedNameProblems('B/')[1], 'name part must be non-empty');
});

test('a prefix of a generated name may end in a dash', () => {
  assert.equal(maskTrailingDash('web-'), 'wea');
  assert.equal(maskTrailingDash('-'), '-');
});

test('lengths are in bytes, and values are written as Go writes them', () => {
  assert.deepEqual([byteLength('abc'), byteLength('ü😀')], [3, 6]);
  assert.equal(goQuote('a"b\\c\n\u0001\u007fü\u200b'), '"a\\"b\\\\c\\n\\x01\\x7fü\\u200b"');
  assert.equal(goJson({ a: '<&>', b: [1, null] }), '{"a":"\\u003c\\u0026\\u003e","b":[1,null]}');
});
