import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from '../../test/support/property.ts';
import { countWrittenKeys, scanJson } from './json-scan.ts';

function errorOf(text: string): string {
  const scan = scanJson(text);
  return scan.kind === 'broken' ? scan.error : 'no error';
}

test('broken JSON gets the words of Go', () => {
  const rows: [string, string][] = [
    ['', 'unexpected end of JSON input'],
    ['{broken', "invalid character 'b' looking for beginning of object key string"],
    ['{"a" 1}', "invalid character '1' after object key"],
    ['{"a":1 "b"', "invalid character '\"' after object key:value pair"],
    ['{"a":1,}', "invalid character '}' looking for beginning of object key string"],
    ['[1 2]', "invalid character '2' after array element"],
    ['[1,]', "invalid character ']' looking for beginning of value"],
    ['{"a":', 'unexpected end of JSON input'],
    ['"a\nb"', "invalid character '\\n' in string literal"],
    ['"\\x"', "invalid character 'x' in string escape code"],
    ['"\\u12g4"', "invalid character 'g' in \\u hexadecimal character escape"],
    ['-x', "invalid character 'x' in numeric literal"],
    ['1.x', "invalid character 'x' after decimal point in numeric literal"],
    ['1ex', "invalid character 'x' in exponent of numeric literal"],
    ['tru!', "invalid character '!' in literal true (expecting 'e')"],
    ['1 2', "invalid character '2' after top-level value"],
    ["'a'", "invalid character '\\'' looking for beginning of value"],
  ];
  for (const [text, error] of rows) assert.equal(errorOf(text), error, text);
});

test('it accepts what JSON.parse accepts, and nothing else', () => {
  const pieces = fc.array(
    fc.constantFrom('{', '}', '[', ']', ',', ':', '"a"', '1', '-', '.5', 'e3', 'true', 'null', ' '),
  );
  fc.assert(
    fc.property(pieces, (parts) => {
      const text = parts.join('');
      let parses = true;
      try {
        JSON.parse(text);
      } catch {
        parses = false; // that is the question
      }
      assert.equal(scanJson(text).kind === 'whole', parses, text);
    }),
    { numRuns: 2_000 },
  );
});

test('repeated keys are found where they are', () => {
  const scan = scanJson('{"a":[{"b":1,"b":2},{"b":3}],"c":{"d":1,"d":1,"d":1},"a":0}');
  assert.deepEqual(scan, { kind: 'whole', duplicates: ['a[0].b', 'c.d', 'a'] });
});

test('keys are counted as written, whatever the strings hold', () => {
  const count = (value: unknown): number => {
    if (typeof value !== 'object' || value === null) return 0;
    const members: unknown[] = Object.values(value);
    return (Array.isArray(value) ? 0 : members.length) + members.reduce<number>((sum, one) => sum + count(one), 0);
  };
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value);
      assert.equal(countWrittenKeys(text), count(JSON.parse(text)));
    }),
  );
  assert.equal(countWrittenKeys('{"a\\\\":"\\":","b":":"}'), 2);
});

test('deep nesting is no problem', () => {
  const text = '['.repeat(100_000);
  assert.equal(errorOf(text), 'unexpected end of JSON input');
});
