import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toJson, toJsonLine } from './json-printer.ts';

test('keys are sorted, also those that look like numbers, and four spaces indent', () => {
  // `__proto__` as JSON has it: a key like any other.
  const value: unknown = JSON.parse('{"b": [1, {}], "10": [], "9": "<&>", "a": null, "__proto__": 1}');
  assert.equal(
    toJson(value),
    '{\n    "10": [],\n    "9": "\\u003c\\u0026\\u003e",\n    "__proto__": 1,\n    "a": null,\n    "b": [\n        1,\n        {}\n    ]\n}\n',
  );
});

test('on one line there is no space', () => {
  assert.equal(toJsonLine({ b: [1, 2], a: 'x' }), '{"a":"x","b":[1,2]}\n');
});
