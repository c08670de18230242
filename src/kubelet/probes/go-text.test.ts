import assert from 'node:assert/strict';
import { test } from 'node:test';
import { goAtoi, goQuote, goQuoteBytes, goSeconds, joinHostPort } from './go-text.ts';

test('seconds print as Go durations', () => {
  const texts = [0, 1, 59, 60, 80, 3_600, 3_661, 86_400].map(goSeconds);
  assert.deepEqual(texts, ['0s', '1s', '59s', '1m0s', '1m20s', '1h0m0s', '1h1m1s', '24h0m0s']);
});

test('quoted strings escape what does not print', () => {
  assert.equal(goQuote('a "b" \\ \n\t\r'), '"a \\"b\\" \\\\ \\n\\t\\r"');
  assert.equal(goQuote('grün 日本 \u0001\u007f\u00a0\u{1f600}\u{e0001}'), '"grün 日本 \\x01\\x7f\\u00a0😀\\U000e0001"');
  assert.equal(goQuoteBytes(Uint8Array.of(0x15, 3, 0x22, 0x80, 0x41)), '"\\x15\\x03\\"\\x80A"');
  assert.equal(goQuoteBytes(new TextEncoder().encode('grün')), '"grün"');
});

test('integers are parsed as strconv.Atoi does', () => {
  assert.deepEqual(goAtoi('+80'), { value: 80 });
  assert.deepEqual(goAtoi('-1'), { value: -1 });
  assert.deepEqual(goAtoi('web'), { error: 'strconv.Atoi: parsing "web": invalid syntax' });
  assert.deepEqual(goAtoi(''), { error: 'strconv.Atoi: parsing "": invalid syntax' });
  assert.deepEqual(goAtoi('9223372036854775808'), {
    error: 'strconv.Atoi: parsing "9223372036854775808": value out of range',
  });
});

test('an IPv6 address gets brackets before its port', () => {
  assert.deepEqual([joinHostPort('10.0.0.1', 80), joinHostPort('::1', 80)], ['10.0.0.1:80', '[::1]:80']);
});
