import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeDocuments } from './yaml-documents.ts';

const values = (text: string): readonly unknown[] => {
  const { values: found, failed } = decodeDocuments(text);
  assert.equal(failed, undefined);
  return found;
};

test('documents are separated by three dashes, and empty ones are left out', () => {
  assert.deepEqual(values('# only a comment\n---\na: 1\n---\n---\nb: 2\n'), [{ a: 1 }, { b: 2 }]);
});

test('JSON objects may follow one another', () => {
  assert.deepEqual(values('{"a": "}"}\n{"b": [1, {"c": "\\""}]}'), [{ a: '}' }, { b: [1, { c: '"' }] }]);
});

test('words and numbers are read as YAML 1.1, but dates and times stay texts', () => {
  const text = '{a: yes, b: Off, c: 012, d: 0o14, e: 1_000, f: 12:30, g: 2020-01-01, h: 0x1F, i: "yes", j: ~, k: 1e3}';
  assert.deepEqual(values(`k: ${text}`), [
    {
      k: { a: true, b: false, c: 10, d: 12, e: 1_000, f: '12:30', g: '2020-01-01', h: 31, i: 'yes', j: null, k: 1_000 },
    },
  ]);
});

test('a number begins with a digit, a sign or a dot: e1 is a name', () => {
  const [read] = values('[e1, E5, -e3, ., _1, 1.5, .5, -1_0.5, 1e3, 1.e2, +.5e1, 1e, 1e5x]');
  assert.deepEqual(read, ['e1', 'E5', '-e3', '.', '_1', 1.5, 0.5, -10.5, 1_000, 100, 5, '1e', '1e5x']);
  assert.match(decodeDocuments('a: .inf').failed ?? '', /unsupported value: \+Inf$/);
});

test('the later of two equal keys wins', () => {
  assert.deepEqual(values('a: 1\na: 2\n'), [{ a: 2 }]);
});

/** What kubectl 1.34 said of each. */
const broken: readonly (readonly [name: string, text: string, why: string])[] = [
  [
    'a value and a mapping',
    'kind: Pod\nmetadata:\n  name: x\n   labels: y\n',
    'line 4: mapping values are not allowed in this context',
  ],
  [
    'a mapping on the line of a mapping',
    'a: b\nmetadata: name: x\n',
    'line 2: mapping values are not allowed in this context',
  ],
  ['a tab', 'kind: Pod\nmetadata:\n\tname: x\n', 'line 3: found character that cannot start any token'],
  ['a wrong indentation', 'metadata:\n    name: x\n  labels: {}\n', 'line 2: did not find expected key'],
  ['an unclosed map', 'kind: Pod\nmetadata: {name: x\nspec:\n  a: b\n', "line 2: did not find expected ',' or '}'"],
  ['an unclosed quote', 'kind: "Pod\nmetadata:\n  name: x\n', 'line 4: found unexpected end of stream'],
  ['a line without a colon', 'a: b\nkind Pod\nmetadata:\n  name: x\n', "line 3: could not find expected ':'"],
  ['a reserved sign', 'a: b\nkind: @Pod\n', 'line 2: found character that cannot start any token'],
  ['an unclosed list in the first line', 'a: [1\n', "line 1: did not find expected ',' or ']'"],
  ['an unclosed list before a key', 'a: [b\n  c: d\n', "line 1: did not find expected ',' or ']'"],
  ['an unclosed map in the last line', 'a: {b: 1', "line 1: did not find expected ',' or '}'"],
  ['a bracket too much', 'a: [1] ]\n', 'did not find expected key'],
  ['a brace alone', 'a: }\n', 'did not find expected node content'],
  ['an item among keys', 'a: b\n- c\n', 'line 1: did not find expected key'],
  ['an item that sticks out', 'spec:\n  list:\n    - a: x\n  - b: y\n', 'line 3: did not find expected key'],
  ['an unknown anchor', 'a: *nope\n', "unknown anchor 'nope' referenced"],
];

for (const [name, text, why] of broken) {
  test(`${name} is refused with the line and the words of kubectl`, () => {
    assert.equal(decodeDocuments(text).failed, `error converting YAML to JSON: yaml: ${why}`);
  });
}

test('what stood before a broken document is there, and the line counts from its own first', () => {
  assert.deepEqual(decodeDocuments('a: 1\n---\nb:\n  c: x\n   d: y\n---\ne: 1\n'), {
    values: [{ a: 1 }],
    failed: 'error converting YAML to JSON: yaml: line 3: mapping values are not allowed in this context',
  });
});

test('JSON that ends too early is refused', () => {
  assert.deepEqual(decodeDocuments('{"a": 1'), { values: [], failed: 'unexpected EOF' });
});

test('aliases that would grow without end are refused', () => {
  const levels = Array.from({ length: 9 }, (_, index) => `l${index + 1}: &l${index + 1} [${`*l${index},`.repeat(9)}]`);
  assert.equal(
    decodeDocuments(`l0: &l0 [x]\n${levels.join('\n')}\n`).failed,
    'error converting YAML to JSON: yaml: document contains excessive aliasing',
  );
});

test('a number that JSON cannot hold is refused', () => {
  assert.equal(decodeDocuments('a: .inf\n').failed, 'error converting YAML to JSON: json: unsupported value: +Inf');
});
