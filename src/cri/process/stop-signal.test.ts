import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stopSignalNumber } from './stop-signal.ts';

test('signals by name, by number, and of real time', () => {
  const cases = {
    SIGTERM: 15,
    term: 15,
    SIGUSR1: 10,
    '9': 9,
    SIGRTMIN: 34,
    'SIGRTMIN+3': 37,
    'RTMAX-1': 63,
    RTMAX: 64,
  };
  for (const [text, number] of Object.entries(cases)) assert.equal(stopSignalNumber(text), number, text);
});

test('what is no signal is refused', () => {
  for (const text of ['', 'SIGNONE', '0', '65', 'SIGRTMIN+31', '-9']) {
    assert.throws(() => stopSignalNumber(text), { message: `failed to parse signal "${text}": invalid signal` });
  }
});
