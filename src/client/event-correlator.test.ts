import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Event } from '../api/gen/types.ts';
import { formatTime, parseTime } from '../api/time.ts';
import { EventCorrelator, combinedPrefix, keysMax } from './event-correlator.ts';

const startWallMs = parseTime('2026-11-21T20:03:22Z') ?? 0;

interface Said {
  readonly atS: number;
  readonly type?: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message?: string;
  readonly pod?: string;
  readonly fieldPath?: string;
}

let eventCount = 0;

function eventOf(said: Said): Event {
  eventCount += 1;
  const timestamp = formatTime(startWallMs + said.atS * 1_000);
  const { pod = 'web', fieldPath = 'spec.containers{c}' } = said;
  return {
    metadata: { name: `${pod}.${eventCount.toString(16)}`, namespace: 'gold' },
    involvedObject: { apiVersion: 'v1', kind: 'Pod', namespace: 'gold', name: pod, uid: `uid-${pod}`, fieldPath },
    reason: said.reason,
    message: said.message ?? said.reason,
    source: { component: 'kubelet', host: 'worker002' },
    firstTimestamp: timestamp,
    lastTimestamp: timestamp,
    count: 1,
    type: said.type ?? 'Warning',
    reportingComponent: 'kubelet',
    reportingInstance: 'worker002',
  };
}

/** Plays `all` against a server that keeps what it is sent; returns its events by name. */
function play(all: readonly Said[], correlator = new EventCorrelator()): Map<string, Event> {
  const server = new Map<string, Event>();
  for (const said of all) {
    const monoMs = said.atS * 1_000;
    const decision = correlator.correlate(eventOf(said), { monoMs, wallMs: startWallMs + monoMs, nanosWithinMs: 7 });
    if (decision.kind === 'drop') continue;
    const name = decision.event.metadata?.name ?? '';
    const before = server.get(name);
    const after = decision.kind === 'patch' && before !== undefined ? { ...before, ...decision.patch } : decision.event;
    server.set(name, after);
    correlator.written(after);
  }
  return server;
}

function summary(server: Map<string, Event>): string[] {
  return [...server.values()].map((event) => {
    const [firstS, lastS] = [event.firstTimestamp, event.lastTimestamp].map(
      (text) => ((parseTime(text ?? '') ?? 0) - startWallMs) / 1_000,
    );
    return `${event.message} x${event.count} ${firstS}..${lastS}`;
  });
}

function every(atS: readonly number[], said: Omit<Said, 'atS'>): Said[] {
  return atS.map((second) => ({ ...said, atS: second }));
}

function inOrder(...lists: readonly (readonly Said[])[]): Said[] {
  return lists.flat().sort((a, b) => a.atS - b.atS);
}

// The counts and times of the tests that follow are those of a real cluster, six minutes after the pods were created.

test('a failing liveness probe: Unhealthy x9 and Killing x3 over three rounds', () => {
  const normal = { type: 'Normal' } as const;
  const server = play(
    inOrder(
      every([0, 110, 220, 330], { ...normal, reason: 'Pulled' }),
      every([0, 110, 220, 330], { ...normal, reason: 'Created' }),
      every([1, 110, 220, 330], { ...normal, reason: 'Started' }),
      every([60, 70, 80, 170, 180, 190, 280, 290, 300], { reason: 'Unhealthy' }),
      every([80, 190, 300], { ...normal, reason: 'Killing' }),
    ),
  );
  assert.deepEqual(summary(server), [
    'Pulled x4 0..330',
    'Created x4 0..330',
    'Started x4 1..330',
    'Unhealthy x9 60..300',
    'Killing x3 80..300',
  ]);
});

test('25 Normal events of a pod use up its budget: Pulled goes on after 300 s with a jump, Created does not', () => {
  const normal = { type: 'Normal' } as const;
  const roundsS = [5, 42, 82, 122, 162, 202, 332];
  const server = play(
    inOrder(
      ...['first', 'main'].flatMap((container) =>
        ['Pulled', 'Created', 'Started'].map((reason) =>
          every([container === 'first' ? 1 : 6], {
            ...normal,
            reason,
            fieldPath: container,
            message: container + reason,
          }),
        ),
      ),
      ...['Pulled', 'Created', 'Started'].map((reason) => every(roundsS, { ...normal, reason })),
      every([40, 80, 120, 160, 200], { ...normal, reason: 'Killing' }),
    ),
  );
  assert.deepEqual(
    summary(server).filter((text) => /^(Pulled|Created|Started|Killing)/.test(text)),
    ['Pulled x7 5..332', 'Created x5 5..162', 'Started x5 5..162', 'Killing x4 40..160'],
  );
});

test('Warning and Normal events have budgets of their own, and what was held back is counted', () => {
  const failedS = [1, 14, 30, 60, 110, 175];
  const backOffS = [3, 15, 31, 43, 55, 61, 73, 85, 97, 109, 111, 123, 135, 147, 159, 171, 176, 188, 200];
  const heldBackS = [212, 224, 236, 248, 260];
  const server = play(
    inOrder(
      every(failedS, { reason: 'Failed' }),
      every([...backOffS, ...heldBackS, 310], { reason: 'BackOff' }),
      every([1, 339], { type: 'Normal', reason: 'Pulled' }),
    ),
  );
  assert.deepEqual(summary(server).sort(), ['BackOff x25 3..310', 'Failed x6 1..175', 'Pulled x2 1..339']);
});

test('from the tenth distinct message on, similar events are combined into one that is counted', () => {
  const said = Array.from({ length: 13 }, (_, index) => ({ atS: index, reason: 'Failed', message: `try ${index}` }));
  const server = play(said);
  assert.deepEqual(
    summary(server).slice(0, 9),
    said.slice(0, 9).map(({ atS, message }) => `${message} x1 ${atS}..${atS}`),
  );
  assert.deepEqual(summary(server).slice(9), [`${combinedPrefix}try 12 x4 9..12`]);
});

test('a message that is already known does not combine, and a pause of more than 600 s forgets the messages', () => {
  const nine = Array.from({ length: 9 }, (_, index) => ({ atS: index, reason: 'Failed', message: `try ${index}` }));
  const repeat = { atS: 10, reason: 'Failed', message: 'try 3' };
  const justInTime = { atS: 610, reason: 'Failed', message: 'new' };
  const tooLate = { atS: 611, reason: 'Failed', message: 'new' };
  assert.match(summary(play([...nine, repeat, justInTime])).join(), /try 3 x2.*combined/);
  assert.doesNotMatch(summary(play([...nine, repeat, tooLate])).join(), /combined/);
});

test('events that differ only in their container are counted apart, and events of two pods never meet', () => {
  const server = play([
    { atS: 0, reason: 'Pulled', fieldPath: 'spec.containers{a}' },
    { atS: 1, reason: 'Pulled', fieldPath: 'spec.containers{b}' },
    { atS: 2, reason: 'Pulled', pod: 'other' },
    { atS: 3, reason: 'Pulled', fieldPath: 'spec.containers{b}' },
  ]);
  assert.deepEqual(summary(server), ['Pulled x1 0..0', 'Pulled x2 1..3', 'Pulled x1 2..2']);
});

test('the budget refills by one event each 300 s, to 25 at most', () => {
  const burst = Array.from({ length: 30 }, (_, index) => index / 10);
  const passed = (atS: readonly number[]): number => {
    const correlator = new EventCorrelator();
    let count = 0;
    for (const second of atS) {
      const now = { monoMs: second * 1_000, wallMs: startWallMs + second * 1_000, nanosWithinMs: 0 };
      if (correlator.correlate(eventOf({ atS: second, reason: 'BackOff' }), now).kind !== 'drop') count += 1;
    }
    return count;
  };
  assert.equal(passed(burst), 25);
  assert.equal(passed([...burst, 299]), 25);
  assert.equal(passed([...burst, 300]), 26);
  assert.equal(passed([...burst, 900, 900, 900, 900]), 28);
  assert.equal(passed([...burst, ...Array.from({ length: 40 }, () => 1e6)]), 50);
});

test('only the most recently used keys are remembered', () => {
  const correlator = new EventCorrelator();
  const first = { atS: 0, reason: 'Started', pod: 'first' };
  play([first], correlator);
  play(
    Array.from({ length: keysMax }, (_, index) => ({ atS: 1, reason: 'Started', pod: `pod-${index}` })),
    correlator,
  );
  assert.deepEqual(summary(play([{ ...first, atS: 2 }], correlator)), ['Started x1 2..2']);
  assert.deepEqual(summary(play([{ ...first, atS: 3 }], correlator)), ['Started x2 2..3']);
});
