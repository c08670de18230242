import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Event, Pod } from '../api/gen/types.ts';
import type { ProbeAttempt } from '../main/livelet.ts';
import { exitCodeText, isTold, newStory, nextStory, whyText, type Story, type StoryInput } from './demo-story.ts';

function probe(outcome: ProbeAttempt['outcome'], consecutive: number): StoryInput {
  const attempt: ProbeAttempt = {
    podUid: 'u',
    podNamespace: 'default',
    podName: 'kubia-unhealthy',
    containerName: 'kubia',
    containerId: 'process://1',
    probeType: 'Liveness',
    outcome,
    output: outcome === 'success' ? "You've hit kubia\n" : 'HTTP probe failed with statuscode: 500',
    startedWallMs: 0,
    durationMs: 2.34,
    consecutive,
    threshold: 3,
  };
  return { kind: 'probe', attempt };
}

function event(reason: string, message: string, count = 1): StoryInput {
  const seen: Event = { metadata: { uid: reason }, involvedObject: {}, type: 'Normal', reason, message, count };
  return { kind: 'event', event: seen };
}

function pod(restartCount: number, exitCode?: number): StoryInput {
  const lastState = exitCode === undefined ? {} : { terminated: { exitCode } };
  const status = {
    name: 'kubia',
    image: '',
    imageID: '',
    ready: true,
    restartCount,
    state: { running: {} },
    lastState,
  };
  const snapshot: Pod = { status: { containerStatuses: [status] } };
  return { kind: 'pod', pod: snapshot };
}

function told(inputs: readonly StoryInput[]): { story: Story; texts: string[] } {
  let story = newStory;
  const texts: string[] = [];
  for (const input of inputs) {
    const next = nextStory(story, input);
    story = next.story;
    texts.push(...next.lines.map((line) => `${line.what} ${line.tone}: ${line.text}`));
  }
  return { story, texts };
}

const upToTheKill = [
  pod(0),
  probe('success', 1),
  probe('failure', 1),
  probe('failure', 2),
  probe('failure', 3),
  event('Killing', 'Container kubia failed liveness probe, will be restarted'),
];

test('the whole story is told only when the new instance has answered', () => {
  assert.equal(isTold(told(upToTheKill).story), false);
  assert.equal(isTold(told([...upToTheKill, pod(1, 137)]).story), false);
  const { story } = told([...upToTheKill, pod(1, 137), probe('success', 1)]);
  assert.equal(isTold(story), true);
  assert.deepEqual([story.failureCount, story.restartCount, story.exitCode], [3, 1, 137]);
});

test('a restart for any other reason is not the story, but a crash', () => {
  const { story } = told([pod(0), probe('success', 1), pod(1, 1), probe('success', 1)]);
  assert.deepEqual([isTold(story), story.crashed], [false, true]);
  assert.equal(told([...upToTheKill, pod(1, 137)]).story.crashed, false);
});

test('probes, events and states are a line each, and the same again is no news', () => {
  const { texts } = told([
    pod(0),
    pod(0),
    probe('success', 1),
    probe('failure', 1),
    event('Unhealthy', 'Liveness probe failed '),
    event('Unhealthy', 'Liveness probe failed '),
    event('Unhealthy', 'Liveness probe failed ', 2),
    pod(1, 137),
  ]);
  assert.deepEqual(texts, [
    'state good: container kubia is running, RESTARTS 0',
    "probe good:   2.3 ms  success   You've hit kubia",
    'probe bad:   2.3 ms  failure   HTTP probe failed with statuscode: 500 (1 of 3)',
    'event plain: Unhealthy  Liveness probe failed',
    'event plain: Unhealthy  Liveness probe failed (x2)',
    'state good: container kubia is running, RESTARTS 1; the last instance ended with exit code 137 (128 + 9, SIGKILL)',
  ]);
});

test('why is two sentences, with the exit code that was seen', () => {
  const options = { graceSeconds: 5, container: 'kubia' };
  const killed = told([...upToTheKill, pod(1, 137), probe('success', 1)]).story;
  assert.match(whyText(killed, options), /failed 3 times in a row\n\(HTTP probe failed with statuscode: 500\)/);
  assert.match(
    whyText(killed, options),
    /SIGKILL \(exit code 137 = 128 \+ 9\),\nand was started again because .* RESTARTS is 1\.$/,
  );
  const ended = told([...upToTheKill, pod(1, 143), probe('success', 1)]).story;
  assert.match(whyText(ended, options), /It ended with exit code 143 \(128 \+ 15, SIGTERM\), and was started again/);
});

test('exit codes above 128 name their signal', () => {
  assert.deepEqual([exitCodeText(0), exitCodeText(3), exitCodeText(137)], ['0', '3', '137 (128 + 9, SIGKILL)']);
});
