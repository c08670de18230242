import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimNodeFiles } from '../sim/sim-node-files.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { readContainerLog } from './container-logs.ts';
import type { LogOptions } from './container-logs.ts';
import { nanosOf, nineDecimals, parseLogLine } from './cri-log.ts';
import { logInstanceOf } from './log-instance.ts';

const never = new AbortController().signal;
const all: LogOptions = {
  follow: false,
  timestamps: false,
  tailLines: undefined,
  sinceNanos: undefined,
  limitBytes: undefined,
};

async function read(content: string, options: Partial<LogOptions> = {}): Promise<string> {
  const files = new SimNodeFiles();
  files.append('/log', content);
  const deps = { files, clock: new VirtualClock({ epochMs: 0 }), isRunning: () => Promise.resolve(false) };
  let text = '';
  for await (const piece of readContainerLog(deps, '/log', { ...all, ...options }, never))
    text += new TextDecoder().decode(piece);
  return text;
}

const stamp = '2016-10-06T00:17:09.669794202Z';

test('pieces of a long line are put together, and stamped once', async () => {
  const stored = `${stamp} stdout P ab\n${stamp} stdout P cd\n${stamp} stdout F ef\n${stamp} stderr F:x gh\n`;
  assert.equal(await read(stored), 'abcdef\ngh\n');
  assert.equal(await read(stored, { timestamps: true }), `${stamp} abcdef\n${stamp} gh\n`);
  assert.equal(await read(stored, { tailLines: 2 }), 'ef\ngh\n');
});

test("Docker's JSON lines are read too, and what is no log line is passed over", async () => {
  const json = `{"log":"one\\n","stream":"stdout","time":"${stamp}"}\n`;
  assert.equal(await read(`${json}garbage\n${stamp} nowhere F x\n${stamp} stdout F \n`), 'one\n\n');
  assert.equal(parseLogLine(new TextEncoder().encode('{"broken')), undefined);
});

test('a last line without its end is not shown yet, nor counted', async () => {
  const stored = `${stamp} stdout F zero\n${stamp} stdout F one\n${stamp} stdout F tw`;
  assert.equal(await read(stored), 'zero\none\n');
  assert.equal(await read(stored, { tailLines: 1 }), 'one\n');
});

test('the tail of a log that is larger than what is read at a time', async () => {
  const lines = Array.from({ length: 5_000 }, (_, index) => `${stamp} stdout F line ${index} ${'x'.repeat(50)}\n`);
  const expected = lines.slice(-3_000).map((line) => line.slice(stamp.length + ' stdout F '.length));
  assert.equal(await read(lines.join(''), { tailLines: 3_000 }), expected.join(''));
  assert.equal((await read(lines.join(''), { tailLines: 9_000 })).split('\n').length, 5_001);
});

test('a limit of bytes counts stamps and cuts where it falls', async () => {
  const stored = `${stamp} stdout F one\n${stamp} stdout F two\n`;
  assert.equal(await read(stored, { limitBytes: 3 }), 'one');
  assert.equal(await read(stored, { limitBytes: stamp.length + 3, timestamps: true }), `${stamp} on`);
});

test('times are compared to the nanosecond, whatever their zone', () => {
  assert.equal(nanosOf('1970-01-01T00:00:01.000000002Z'), 1_000_000_002n);
  assert.equal(nanosOf('1970-01-01T01:00:01+01:00'), 1_000_000_000n);
  assert.equal(nanosOf('yesterday'), undefined);
  assert.equal(nineDecimals('2016-10-06T00:17:09.5Z'), '2016-10-06T00:17:09.500000000Z');
  assert.equal(nineDecimals('2016-10-06T00:17:09+02:00'), '2016-10-06T00:17:09.000000000+02:00');
});

test('which instance a log request means', () => {
  const common = { image: 'i', imageID: '', ready: false, restartCount: 0 };
  const ended = (containerID: string) => ({ terminated: { exitCode: 1, containerID } });
  const found = (status: object, previous = false): string => {
    const result = logInstanceOf('p', { containerStatuses: [{ ...common, name: 'c', ...status }] }, 'c', previous);
    return result.kind === 'found' ? result.containerId : result.message;
  };
  const running = { containerID: 'now', state: { running: {} } };
  assert.equal(found(running), 'now');
  assert.equal(found({ ...running, lastState: ended('before') }, true), 'before');
  assert.equal(found(running, true), 'previous terminated container "c" in pod "p" not found');
  assert.equal(found({ state: ended('done') }), 'done');
  assert.equal(found({ state: ended(''), lastState: ended('before') }), 'before');
  assert.equal(found({ state: ended('') }), 'container "c" in pod "p" is terminated');
  assert.equal(found({ state: { waiting: { reason: 'CrashLoopBackOff' } }, lastState: ended('before') }), 'before');
  for (const [reason, words] of [
    ['ContainerCreating', 'ContainerCreating'],
    ['ErrImagePull', "image can't be pulled"],
    ['ImagePullBackOff', 'trying and failing to pull image'],
  ] as const) {
    assert.equal(found({ state: { waiting: { reason } } }), `container "c" in pod "p" is waiting to start: ${words}`);
  }
  const none = logInstanceOf('p', {}, 'c', false);
  assert.deepEqual(none, { kind: 'none', message: 'container "c" in pod "p" is not available' });
});
