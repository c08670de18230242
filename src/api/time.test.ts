import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ageOf, humanDuration } from './age.ts';
import { formatDuration, parseDuration } from './duration.ts';
import { formatMicroTime, formatTime, isCanonicalTime, parseGoTime, parseTime, rfc3339, rfc3339Micro } from './time.ts';

test('times have whole seconds, micro times six decimals', () => {
  assert.equal(formatTime(Date.UTC(2026, 0, 2, 3, 4, 5, 999)), '2026-01-02T03:04:05Z');
  assert.equal(formatMicroTime(Date.UTC(2026, 0, 2, 3, 4, 5) + 0.007), '2026-01-02T03:04:05.000007Z');
  assert.equal(formatMicroTime(Date.UTC(2026, 0, 2, 3, 4, 5, 120)), '2026-01-02T03:04:05.120000Z');
});

test('every RFC 3339 text is read, whatever its zone', () => {
  const noon = Date.UTC(2026, 0, 2, 12, 0, 0);
  assert.equal(parseTime('2026-01-02T12:00:00Z'), noon);
  assert.equal(parseTime('2026-01-02T14:30:00+02:30'), noon);
  assert.equal(parseTime('2026-01-02T12:00:00.25Z'), noon + 250);
  assert.equal(parseTime('2024-02-29T12:00:00Z'), Date.UTC(2024, 1, 29, 12));
  assert.equal(parseTime('2026-02-29T12:00:00Z'), undefined);
  assert.equal(parseTime('soon'), undefined);
  assert.equal(isCanonicalTime('2026-01-02T12:00:00Z', false), true);
  assert.equal(isCanonicalTime('2026-01-02T12:00:00+00:00', false), false);
});

test('texts that are no times get the words of Go', () => {
  const error = (text: string, layout: typeof rfc3339 | typeof rfc3339Micro = rfc3339): string | undefined =>
    parseGoTime(text, layout).error;
  assert.equal(error('soon'), 'parsing time "soon" as "2006-01-02T15:04:05Z07:00": cannot parse "soon" as "2006"');
  assert.equal(error(''), 'parsing time "" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "2006"');
  assert.equal(error('2026-13-02T12:00:00Z'), 'parsing time "2026-13-02T12:00:00Z": month out of range');
  assert.equal(error('2026-02-30T12:00:00Z'), 'parsing time "2026-02-30T12:00:00Z": day out of range');
  assert.equal(
    error('2026-01-02T12:00:00'),
    'parsing time "2026-01-02T12:00:00" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "Z07:00"',
  );
  assert.equal(error('2026-01-02T12:00:00Z!'), 'parsing time "2026-01-02T12:00:00Z!": extra text: "!"');
  assert.equal(
    error('2026-01-02T12:00:00Z', rfc3339Micro),
    'parsing time "2026-01-02T12:00:00Z" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "Z" as ".000000"',
  );
});

test('durations are written and read as in Go', () => {
  const texts: Record<number, string> = {
    0: '0s',
    1_000: '1s',
    1_500: '1.5s',
    20_000: '20s',
    80_000: '1m20s',
    300_000: '5m0s',
    7_200_000: '2h0m0s',
    3_661_001: '1h1m1.001s',
    150: '150ms',
    0.25: '250µs',
    0.0001: '100ns',
    [-1_500]: '-1.5s',
  };
  for (const [ms, text] of Object.entries(texts)) {
    assert.equal(formatDuration(Number(ms)), text);
    assert.equal(parseDuration(text), Number(ms));
  }
  assert.equal(parseDuration('1.5h'), 5_400_000);
  for (const text of ['', '1', 's', '1x', '1s ', '.s']) assert.equal(parseDuration(text), undefined, text);
});

test('ages are cut to one or two units', () => {
  const second = 1_000;
  const minute = 60 * second;
  const hour = 60 * minute;
  const day = 24 * hour;
  const rows: [number, string][] = [
    [-2 * second, '<invalid>'],
    [-1 * second, '0s'],
    [0, '0s'],
    [119 * second, '119s'],
    [2 * minute, '2m'],
    [125 * second, '2m5s'],
    [10 * minute + 5 * second, '10m'],
    [179 * minute, '179m'],
    [3 * hour, '3h'],
    [3 * hour + minute, '3h1m'],
    [8 * hour + minute, '8h'],
    [47 * hour, '47h'],
    [48 * hour, '2d'],
    [49 * hour, '2d1h'],
    [8 * day + hour, '8d'],
    [729 * day, '729d'],
    [731 * day, '2y1d'],
    [3_000 * day, '8y'],
  ];
  for (const [ms, text] of rows) assert.equal(humanDuration(ms), text, String(ms));
  assert.equal(ageOf('2026-01-02T03:04:05Z', Date.UTC(2026, 0, 2, 3, 5, 20)), '75s');
  assert.equal(ageOf(null, 0), '<unknown>');
});
