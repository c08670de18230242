import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Event } from '../api/gen/types.ts';
import { noLog } from '../base/log.ts';
import { StatusError } from '../base/status-error.ts';
import type { StatusReason } from '../base/status-error.ts';
import { TaskScope } from '../base/task-scope.ts';
import { SeededEntropy } from '../sim/seeded-entropy.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import type { Client } from './client.ts';
import { CorrelatingEventRecorder } from './correlating-event-recorder.ts';
import { queuedEventsMax, retryDelayMs, triesMax } from './event-sender.ts';

const pod = { apiVersion: 'v1', kind: 'Pod', namespace: 'gold', name: 'web', uid: 'u1', resourceVersion: '7' };

function setUp() {
  const clock = new VirtualClock({ epochMs: 1_764_000_000_000 });
  const stored = new Map<string, Event>();
  const requests: string[] = [];
  const server: { failure: StatusReason | undefined } = { failure: undefined };
  const answer = (what: string): void => {
    requests.push(`${clock.monoMs()} ${what}`);
    if (server.failure !== undefined) throw new StatusError(server.failure, 'scripted');
  };
  // Only the functions that a recorder uses.
  const client = {
    create: async (_type: unknown, ref: { namespace?: string }, event: Event) => {
      answer(`create ${ref.namespace} ${event.message}`);
      stored.set(event.metadata?.name ?? '', event);
      return event;
    },
    patch: async (_type: unknown, ref: { name: string }, patch: { body: object }) => {
      answer('patch');
      const before = stored.get(ref.name);
      if (before === undefined) throw new StatusError('NotFound', 'gone');
      const after = { ...before, ...patch.body };
      stored.set(ref.name, after);
      return after;
    },
  } as unknown as Client;
  const entropy = new SeededEntropy('events');
  const source = { component: 'kubelet', host: 'n1' };
  const events = new CorrelatingEventRecorder({ client, clock, entropy, log: noLog, source });
  return { clock, stored, requests, server, events };
}

const never = new AbortController().signal;

test('an event has the shape that the kubelet gives it, and a repeat raises its count', async () => {
  const { clock, stored, events } = setUp();
  const scope = new TaskScope();
  scope.start((signal) => events.run(signal));
  events.event({ ...pod, fieldPath: 'spec.containers{c}' }, 'Normal', 'Started', 'Started container c');
  await clock.advance(110_000);
  events.event({ ...pod, fieldPath: 'spec.containers{c}' }, 'Normal', 'Started', 'Started container c');
  await clock.advance(0);
  const [event] = [...stored.values()];
  const name = event?.metadata?.name ?? '';
  assert.match(name, /^web\.187afca767[cd][0-9a-f]{5}$/);
  assert.deepEqual(
    [...stored.values()],
    [
      {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { name, namespace: 'gold' },
        involvedObject: { ...pod, fieldPath: 'spec.containers{c}' },
        reason: 'Started',
        message: 'Started container c',
        source: { component: 'kubelet', host: 'n1' },
        firstTimestamp: '2025-11-24T16:00:00Z',
        lastTimestamp: '2025-11-24T16:01:50Z',
        count: 2,
        type: 'Normal',
        reportingComponent: 'kubelet',
        reportingInstance: 'n1',
      },
    ],
  );
  await scope.close();
});

test('an event about a node is written in the namespace default', async () => {
  const { requests, events } = setUp();
  events.event({ kind: 'Node', name: 'n1', uid: 'n1' }, 'Normal', 'Starting', 'Starting kubelet.');
  await events.flush(never);
  assert.deepEqual(requests, ['0 create default Starting kubelet.']);
});

test('a repeat of an event that the server has forgotten is created anew, with its count', async () => {
  const { stored, events, requests } = setUp();
  const say = (): void => events.event(pod, 'Warning', 'BackOff', 'Back-off');
  say();
  say();
  await events.flush(never);
  stored.clear(); // its time to live was over
  say();
  await events.flush(never);
  assert.deepEqual(requests, ['0 create gold Back-off', '0 patch', '0 patch', '0 create gold Back-off']);
  assert.deepEqual(
    [...stored.values()].map((event) => event.count),
    [3],
  );
});

test('an event is tried 12 times, 10 s apart, while the server is away, and the others wait behind it', async () => {
  const { clock, requests, server, events } = setUp();
  const scope = new TaskScope();
  scope.start((signal) => events.run(signal));
  server.failure = 'ServiceUnavailable';
  events.event(pod, 'Normal', 'A', 'a');
  events.event(pod, 'Normal', 'B', 'b');
  await clock.advance(triesMax * retryDelayMs);
  const tries = requests.filter((request) => request.endsWith(' a'));
  const [first, second, third] = tries.map((request) => Number(request.split(' ')[0]));
  assert.equal(tries.length, triesMax);
  assert.equal(first, 0);
  assert(second !== undefined && second > 0 && second < retryDelayMs);
  assert.equal(third, second + retryDelayMs);
  assert.equal(events.droppedCount, 1);
  server.failure = undefined;
  await clock.advance(retryDelayMs);
  assert(requests.at(-1)?.endsWith('create gold b'));
  await scope.close();
});

test('what the server refuses is given up at once', async () => {
  for (const reason of ['Forbidden', 'Invalid', 'AlreadyExists', 'InternalError'] as const) {
    const { clock, requests, server, events } = setUp();
    const scope = new TaskScope();
    scope.start((signal) => events.run(signal));
    server.failure = reason;
    events.event(pod, 'Normal', 'A', 'a');
    await clock.advance(1_000_000);
    assert.deepEqual(requests, ['0 create gold a']);
    await scope.close();
  }
});

test('more events than the queue holds are dropped and counted, never waited for', async () => {
  const { stored, events } = setUp();
  for (let index = 0; index < queuedEventsMax + 5; index++) {
    events.event({ ...pod, name: `p${index}`, uid: `u${index}` }, 'Normal', 'A', 'a');
  }
  assert.equal(events.droppedCount, 5);
  await events.flush(never);
  assert.equal(stored.size, queuedEventsMax);
});

test('flush after run has ended writes what was left, also what was being retried; its signal bounds it', async () => {
  const { clock, requests, server, events } = setUp();
  const scope = new TaskScope();
  scope.start((signal) => events.run(signal));
  server.failure = 'ServiceUnavailable';
  events.event(pod, 'Normal', 'A', 'a');
  events.event(pod, 'Normal', 'B', 'b');
  await clock.advance(0);
  await scope.close();
  const deadline = new AbortController();
  const flushed = events.flush(deadline.signal);
  await clock.advance(0);
  deadline.abort(new Error('deadline'));
  await flushed;
  server.failure = undefined;
  requests.length = 0;
  await events.flush(never);
  assert.deepEqual(requests, ['0 create gold a', '0 create gold b']);
  assert.deepEqual(clock.pendingNames(), []);
});

test('flush while run is at work waits for it', async () => {
  const { clock, stored, events } = setUp();
  const scope = new TaskScope();
  scope.start((signal) => events.run(signal));
  for (const reason of ['A', 'B', 'C']) events.event(pod, 'Normal', reason, reason);
  const flushed = events.flush(never);
  await clock.advance(0);
  await flushed;
  assert.equal(stored.size, 3);
  await scope.close();
});
