import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventsV1Event } from '../api/gen/types.ts';
import { noLog } from '../base/log.ts';
import { StatusError } from '../base/status-error.ts';
import { TaskScope } from '../base/task-scope.ts';
import { SeededEntropy } from '../sim/seeded-entropy.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import type { Client } from './client.ts';
import { SeriesEventRecorder } from './series-event-recorder.ts';

const regarding = { apiVersion: 'v1', kind: 'Pod', namespace: 'gold', name: 'web', uid: 'u1', resourceVersion: '7' };
const failed = { regarding, type: 'Warning', reason: 'FailedScheduling', action: 'Scheduling', note: 'no' } as const;

function setUp() {
  const clock = new VirtualClock({ epochMs: 1_764_000_000_000 });
  const stored = new Map<string, EventsV1Event>();
  const requests: string[] = [];
  // Only the functions that a recorder uses.
  const client = {
    create: async (_type: unknown, _ref: unknown, event: EventsV1Event) => {
      requests.push(`${clock.monoMs()} create`);
      stored.set(event.metadata?.name ?? '', event);
      return event;
    },
    patch: async (_type: unknown, ref: { name: string }, patch: { body: object }) => {
      requests.push(`${clock.monoMs()} patch`);
      const before = stored.get(ref.name);
      if (before === undefined) throw new StatusError('NotFound', 'gone');
      stored.set(ref.name, { ...before, ...patch.body });
      return before;
    },
  } as unknown as Client;
  const events = new SeriesEventRecorder({
    client,
    clock,
    entropy: new SeededEntropy('series'),
    log: noLog,
    reportingController: 'default-scheduler',
    reportingInstance: 'default-scheduler-vm',
  });
  const scope = new TaskScope();
  scope.start((signal) => events.run(signal));
  return { clock, stored, requests, events, scope };
}

test('an event has the shape that the scheduler gives it', async () => {
  const { clock, stored, events, scope } = setUp();
  events.event({ ...failed, note: 'n'.repeat(2_000) });
  await clock.advance(0);
  const [event] = [...stored.values()];
  assert.deepEqual(event, {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { name: event?.metadata?.name, namespace: 'gold' },
    eventTime: '2025-11-24T16:00:00.000000Z',
    reportingController: 'default-scheduler',
    reportingInstance: 'default-scheduler-vm',
    action: 'Scheduling',
    reason: 'FailedScheduling',
    regarding,
    note: `${'n'.repeat(1_020)} ...`,
    type: 'Warning',
  });
  await scope.close();
});

test('the second of a series is written, the others are counted and written when it ends', async () => {
  const { clock, stored, requests, events, scope } = setUp();
  for (let count = 0; count < 5; count++) {
    events.event({ ...failed, note: `try ${count}` });
    await clock.advance(10_000);
  }
  assert.deepEqual(requests, ['0 create', '10000 patch']);
  assert.equal([...stored.values()][0]?.series?.count, 2);
  await clock.advance(720_000);
  const [event] = [...stored.values()];
  assert.deepEqual(event?.series, { count: 5, lastObservedTime: '2025-11-24T16:00:40.000000Z' });
  assert.equal(event?.note, 'try 0');
  events.event(failed);
  await clock.advance(0);
  assert.equal(stored.size, 2);
  await scope.close();
});

test('a series that goes on is written again every 30 min', async () => {
  const { clock, requests, events, scope } = setUp();
  for (let minute = 0; minute < 65; minute++) {
    events.event(failed);
    await clock.advance(60_000);
  }
  assert.deepEqual(requests, ['0 create', '60000 patch', '1800000 patch', '3600000 patch']);
  await scope.close();
});

test('another version of the pod, another reason or another pod is another series', async () => {
  const { clock, requests, events, scope } = setUp();
  events.event(failed);
  events.event({ ...failed, regarding: { ...regarding, resourceVersion: '8' } });
  events.event({ ...failed, reason: 'Other' });
  events.event({ ...failed, regarding: { ...regarding, name: 'other' } });
  await clock.advance(0);
  assert.deepEqual(requests, ['0 create', '0 create', '0 create', '0 create']);
  await scope.close();
});
