import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededFaults } from './faults.ts';
import { SeededEntropy } from './seeded-entropy.ts';

const sites = Array.from({ length: 40 }, (_, i) => `site.${i}`);

function play(faults: SeededFaults): boolean[] {
  return Array.from({ length: 400 }, (_, i) => faults.hit(sites[i % sites.length] ?? ''));
}

test('the same seed gives the same faults, in armed sites only, and some', () => {
  const faults = new SeededFaults(new SeededEntropy('s'));
  const first = play(faults);
  assert.deepEqual(play(new SeededFaults(new SeededEntropy('s'))), first);
  const armed = new Set(faults.sites.filter(({ isArmed }) => isArmed).map(({ site }) => site));
  assert.ok(armed.size > 2 && armed.size < 30, `${armed.size} of 40 armed`);
  assert.ok(faults.fired.length > 0 && faults.fired.every((site) => armed.has(site)));
});

test('taking one site out leaves the others as they were', () => {
  const all = new SeededFaults(new SeededEntropy('s'));
  play(all);
  const [first = ''] = all.fired;
  const fewer = new SeededFaults(new SeededEntropy('s'), new Set([first]));
  play(fewer);
  assert.deepEqual(
    fewer.fired,
    all.fired.filter((site) => site !== first),
  );
});

test('healed, nothing goes wrong any more', () => {
  const faults = new SeededFaults(new SeededEntropy('s'));
  faults.heal();
  assert.deepEqual(new Set(play(faults)), new Set([false]));
});
