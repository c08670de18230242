import assert from 'node:assert/strict';
import { test } from 'node:test';
import { customColumnsOfFile } from './custom-columns.ts';

const list = { items: [{ metadata: { name: 'a' }, spec: { nodeName: 'vm' } }, { metadata: { name: 'bcdef' } }] };

test('a file names the columns in its first line and what is in them in its second', () => {
  const print = customColumnsOfFile('NAME   NODE\n.metadata.name  .spec.nodeName\n', false);
  assert.equal(print(list), 'NAME    NODE\na       vm\nbcdef   <none>\n');
});

test('a file whose lines do not fit one another is refused', () => {
  assert.throws(() => customColumnsOfFile('', false), {
    message:
      'invalid template, missing header line. Expected format is one line of space separated headers, one line of space separated column specs.',
  });
  assert.throws(() => customColumnsOfFile('A B\n.a\n', false), { message: /^number of headers \(2\) and field/ });
});
