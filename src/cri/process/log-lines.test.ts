import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LogLines, logLineBytesMax } from './log-lines.ts';

function feed(chunks: readonly string[]): string {
  const lines = new LogLines('stdout');
  const out = chunks.map((chunk) => lines.push(Buffer.from(chunk, 'latin1'), 'T').toString('latin1'));
  return out.join('') + lines.end('E').toString('latin1');
}

test('each line gets its prefix, whole, however it was cut', () => {
  const whole = 'T stdout F one\nT stdout F \nT stdout F two\nE stdout F rest\n';
  assert.equal(feed(['one\n\ntwo\nrest']), whole);
  assert.equal(feed('one\n\ntwo\nrest'.split('')), whole);
  assert.equal(feed(['on', 'e\n\ntw', 'o\nrest']), whole);
  assert.equal(feed(['one\n']), 'T stdout F one\n');
  assert.equal(feed([]), '');
});

test('a line that is too long goes out in pieces, of which the last is full', () => {
  const long = 'x'.repeat(logLineBytesMax);
  assert.equal(feed([`${long}\n`]), `T stdout F ${long}\n`);
  assert.equal(feed([`${long}y\nz\n`]), `T stdout P ${long}\nT stdout F y\nT stdout F z\n`);
  assert.equal(feed([`a\n${long}${long}b`]), `T stdout F a\nT stdout P ${long}\nT stdout P ${long}\nE stdout F b\n`);
});

test('what waits for a newline stays bounded', () => {
  const lines = new LogLines('stderr');
  let bytes = 0;
  for (let i = 0; i < 100; i++) bytes += lines.push(Buffer.alloc(1_000, 97), 'T').length;
  const rest = lines.end('E').length - 'E stderr F \n'.length;
  const pieceCount = Math.floor(100_000 / logLineBytesMax);
  assert.equal(bytes, pieceCount * (logLineBytesMax + 'T stderr P \n'.length));
  assert.equal(rest, 100_000 - pieceCount * logLineBytesMax);
});

test('bytes pass unchanged', () => {
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i).filter((i) => i !== 10));
  const out = new LogLines('stdout').push(Buffer.concat([bytes, Buffer.from('\n')]), 'T');
  assert.deepEqual(out.subarray('T stdout F '.length, -1), bytes);
});
