import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CliError } from '../cli-error.ts';
import { compileJsonPath, compileJsonPathAsJson, compilePath } from './json-path.ts';

const list = {
  items: [
    { metadata: { name: 'a', labels: { 'x.y/z': '1' } }, status: { count: 2, ready: true } },
    { metadata: { name: 'b' }, status: { count: 10, ready: false } },
  ],
};

const cases: readonly (readonly [template: string, text: string])[] = [
  ['{.items[0].metadata.name}', 'a'],
  ['.items[0].metadata.name', 'a'],
  ['{$.items[-1].metadata.name}', 'b'],
  ['{.items[*].metadata.name}', 'a b'],
  ['{.items[0:1].metadata.name}', 'a'],
  ['{.items[?(@.metadata.name=="b")].status.count}', '10'],
  ['{.items[?(@.status.count>5)].metadata.name}', 'b'],
  ['{.items[?(@.status.ready==true)].metadata.name}', 'a'],
  ['{.items[?(@.metadata.labels)].metadata.name}', 'a'],
  [String.raw`{.items[0].metadata.labels['x\.y/z']}`, '1'],
  ["{.items[*]['metadata.name', 'status.count']}", 'a 2 b 10'],
  ['{.items[1,0].metadata.name}', 'b a'],
  [String.raw`{.items[0].metadata.labels.x\.y/z}`, '1'],
  ['{..name}', 'a b'],
  ['{range .items[*]}{.metadata.name}{"\\t"}{.status.count}{"\\n"}{end}', 'a\t2\nb\t10\n'],
  ['count: {.items[1].status.count}!', 'count: 10!'],
  ['{.nosuch.field}', ''],
  ['{.items[0].status}', '{"count":2,"ready":true}'],
  ['{.items[0].metadata.name} {.items[1].metadata.name}', 'a b'],
];

for (const [template, text] of cases) {
  test(`${template} prints ${JSON.stringify(text)}`, () => {
    assert.equal(compileJsonPath(template)(list), text);
  });
}

for (const template of ['{.items[0}', '{range .items[*]}{.x}', '{.items[?(x)]}', '{end}', '{.a']) {
  test(`${template} is refused`, () => {
    assert.throws(() => compileJsonPath(template), CliError);
  });
}

test('a path alone finds values', () => {
  assert.deepEqual(compilePath('.items[*].status.count')(list), [2, 10]);
  assert.deepEqual(compilePath('{.items[0].metadata.name}')(list), ['a']);
});

test('objects are printed with their keys in order and what HTML would read escaped, as Go does', () => {
  assert.equal(
    compileJsonPath('{.a}')({ a: { z: '<', b: [{ y: 1, x: null }] } }),
    '{"b":[{"x":null,"y":1}],"z":"\\u003c"}',
  );
});

test('jsonpath-as-json prints what each path finds as a list', () => {
  assert.equal(compileJsonPathAsJson('{.items[*].metadata.name}')(list), '[\n    "a",\n    "b"\n]\n');
  assert.equal(compileJsonPathAsJson('.nope')(list), '[]\n');
});
