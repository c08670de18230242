import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { decodeDocuments } from '../yaml-documents.ts';
import { toYaml } from './yaml-printer.ts';

const goldens = 'test/data/goldens';
// All but the one that was written by hand.
const recorded = fs.readdirSync(goldens).filter((name) => name.endsWith('.yaml') && name !== 'pods.yaml');

for (const name of recorded) {
  test(`${name}, as kubectl printed it, is printed the same again`, () => {
    const text = fs.readFileSync(`${goldens}/${name}`, 'utf8');
    assert.equal(decodeDocuments(text).values.map(toYaml).join('---\n'), text);
  });
}

/** What kubectl 1.34 printed for `k: TEXT`. */
const scalars: readonly (readonly [text: string, yaml: string])[] = [
  ['true', '"true"'],
  ['y', '"y"'],
  ['~', '"~"'],
  ['', '""'],
  ['0', '"0"'],
  ['1e3', '"1e3"'],
  ['0x1f', '"0x1f"'],
  ['0o18', '0o18'],
  ['089', '"089"'],
  ['1_000', '"1_000"'],
  ['12:30', '"12:30"'],
  ['2020-01-01', '"2020-01-01"'],
  ['1e400', '1e400'],
  ['12e', '12e'],
  ['.inf', '".inf"'],
  ['nUll', 'nUll'],
  ['a: b', "'a: b'"],
  ['a :b', 'a :b'],
  ['a #b', "'a #b'"],
  ['a#b', 'a#b'],
  ['- a', "'- a'"],
  ['-a', '-a'],
  ['?', "'?'"],
  ['[a]', "'[a]'"],
  ['a[b]', 'a[b]'],
  ["'x'", "'''x'''"],
  ["x'y", "x'y"],
  [' lead', "' lead'"],
  ['trail ', "'trail '"],
  ['two\nlines', '|-\n  two\n  lines'],
  ['two\nlines\n', '|\n  two\n  lines'],
  ['two\nlines\n\n', '|+\n  two\n  lines\n'],
  ['\nlead', '|2-\n\n  lead'],
  ['  indented\nx', '|2-\n    indented\n  x'],
  ['tab\tin', String.raw`"tab\tin"`],
  ['trail space \nx', String.raw`"trail space \nx"`],
  ['emoji \u{1F600}', String.raw`"emoji \U0001F600"`],
  ['é', 'é'],
  ['\u0007bell', String.raw`"\abell"`],
  ['back\\slash', 'back\\slash'],
  ['a\rb', String.raw`"a\rb"`],
  ['\n', '|2+\n'],
  ['---', "'---'"],
  ['a:', "'a:'"],
  [':a', ':a'],
  ['%', "'%'"],
  ['64Mi', '64Mi'],
  [`${'a'.repeat(120)}`, 'a'.repeat(120)],
  ['word '.repeat(30), `'${'word '.repeat(16).trim()}\n  ${'word '.repeat(14)}'`],
  [`don't: ${"it's ".repeat(20)}`, `'don''t: ${"it''s ".repeat(12).trim()}\n  ${"it''s ".repeat(8)}'`],
  [`\u0001${'word '.repeat(20)}`, String.raw`"\x01` + `${'word '.repeat(15).trim()}\n  ${'word '.repeat(5)}"`],
];

for (const [text, yaml] of scalars) {
  test(`the text ${JSON.stringify(text.slice(0, 24))} is quoted as Go's YAML quotes it`, () => {
    assert.equal(toYaml({ k: text }), `k: ${yaml}\n`);
  });
}

test('lists are not indented, empty ones and empty maps are on the line of their key', () => {
  const nested = { nest: [[1, [2]], [{ a: 1, b: [{ c: 2 }] }], {}], empty: {}, list: [], n: null };
  const lines = [
    'empty: {}',
    'list: []',
    '"n": null',
    'nest:',
    '- - 1',
    '  - - 2',
    '- - a: 1',
    '    b:',
    '    - c: 2',
    '- {}',
  ];
  assert.equal(toYaml(nested), `${lines.join('\n')}\n`);
});

test('numbers are written as Go writes them', () => {
  const numbers = { a: 1e21, b: 1.5, c: 100, d: 10_000_000_000, e: 1e-7, f: 123_456_789.125, g: 0.0001, h: -5 };
  assert.equal(
    toYaml(numbers),
    'a: 1e+21\nb: 1.5\nc: 100\nd: 10000000000\ne: 1e-07\nf: 1.23456789125e+08\ng: 0.0001\nh: -5\n',
  );
});

test('keys are in the order of Go: digits by their number, letters last', () => {
  const keys = ['a10', 'a9', 'a2b', 'A1', 'b-1', 'b_1', 'b.1', 'true', '1', '01', 'é'];
  const yaml = toYaml(Object.fromEntries(keys.map((key) => [key, 'v'])));
  const printed = yaml
    .trimEnd()
    .split('\n')
    .map((line) => line.slice(0, line.lastIndexOf(':')));
  assert.deepEqual(printed, ['"1"', '"01"', 'A1', 'a2b', 'a9', 'a10', 'b-1', 'b.1', 'b_1', '"true"', 'é']);
});

test('a key that is too long for one line is written after a question mark', () => {
  const key = 'k'.repeat(129);
  assert.equal(toYaml({ [key]: 'v' }), `? ${key}\n: v\n`);
});
