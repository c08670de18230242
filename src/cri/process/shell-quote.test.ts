import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import fc from '../../../test/support/property.ts';
import { shellWord, shellWords, tableLine } from './shell-quote.ts';

test('any word reaches a command unchanged', { skip: process.platform === 'win32' }, () => {
  const word = fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0'));
  fc.assert(
    fc.property(fc.array(word, { minLength: 1, maxLength: 20 }), (words) => {
      const output = execFileSync('sh', ['-c', `printf '%s\\0' ${shellWords(words)}`], { encoding: 'utf8' });
      assert.deepEqual(output.split('\0').slice(0, -1), words);
    }),
    { numRuns: 20 },
  );
});

test('a NUL cannot be passed', () => {
  assert.throws(() => shellWord('a\0b'), { message: /NUL/ });
});

test('blanks in a mount table are octal', () => {
  assert.equal(tableLine('/a b\\c#\t', '/d', 'none', 'rbind'), '/a\\040b\\134c\\043\\011 /d none rbind 0 0\n');
});
