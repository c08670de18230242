import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from '../../test/support/property.ts';
import {
  addQuantities,
  canonicalQuantity,
  compareQuantities,
  formatQuantity,
  parseQuantity,
  quantityErrors,
  quantityMilliValue,
  quantityOf,
  quantityValue,
} from './quantity.ts';

function canonical(text: string): string {
  const result = canonicalQuantity(text);
  return 'error' in result ? `error: ${result.error}` : result.text;
}

test('quantities are written in canonical form', () => {
  const expected: Record<string, string> = {
    '0': '0',
    '1': '1',
    '100m': '100m',
    '1000m': '1',
    '1500m': '1500m',
    '0.5': '500m',
    '.5': '500m',
    '1.': '1.',
    '1000': '1k',
    '10000': '10k',
    '1024': '1024',
    '1024Ki': '1Mi',
    '1025Ki': '1025Ki',
    '0.5Gi': '512Mi',
    '0.5Ki': '512',
    '1.5Ki': '1536',
    '1e3': '1e3',
    '1000e0': '1e3',
    '12e6': '12e6',
    '100k': '100k',
    '1000k': '1M',
    '1E': '1E',
    '-1': '-1',
    '-1000m': '-1',
    '1.500': '1.500',
    '0.1n': '1n',
    '1u': '1u',
    '1000000000n': '1',
    '64Mi': '64Mi',
    '24731708Ki': '24731708Ki',
    '8192Ki': '8Mi',
    '9223372036854775808Ki': '9223372036854775807',
    k: '0',
  };
  for (const [text, want] of Object.entries(expected)) assert.equal(canonical(text), want, text);
});

test('texts that are no quantities give the errors of upstream', () => {
  for (const text of ['', 'abc', '1KiB', '1x', '1 Gi', '1e3.5']) {
    assert.equal(canonical(text), `error: ${quantityErrors.format}`, text);
  }
  for (const text of ['1mm', '1e', '1Ki5', '1+5', '1EE', '--1']) {
    assert.equal(canonical(text), `error: ${quantityErrors.suffix}`, text);
  }
});

test('amounts compare and add across formats, exactly', () => {
  const of = quantityOf;
  assert.equal(compareQuantities(of('1Ki'), of('1024')), 0);
  assert.equal(compareQuantities(of('1Gi'), of('1G')), 1);
  assert.equal(compareQuantities(of('999m'), of('1')), -1);
  assert.equal(formatQuantity(addQuantities(of('100m'), of('0.2'))), '300m');
  assert.equal(formatQuantity(addQuantities(of('0'), of('1Gi'))), '1Gi');
  assert.equal(quantityValue(of('1500m')), 2);
  assert.equal(quantityMilliValue(of('1500u')), 2);
  assert.equal(quantityValue(of('-1500m')), -2);
});

test('writing and reading again gives the same amount', () => {
  const suffix = fc.constantFrom('', 'n', 'u', 'm', 'k', 'M', 'G', 'T', 'Ki', 'Mi', 'Gi', 'Ti', 'e3', 'E-2');
  const text = fc.tuple(fc.integer({ min: -99_999, max: 99_999 }), fc.nat(999), suffix);
  fc.assert(
    fc.property(text, ([whole, fraction, unit]) => {
      const first = parseQuantity(`${whole}.${fraction}${unit}`);
      assert.ok(!('error' in first));
      const again = parseQuantity(formatQuantity(first));
      assert.ok(!('error' in again));
      assert.equal(again.nanos, first.nanos);
    }),
  );
});
