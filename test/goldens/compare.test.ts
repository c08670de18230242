import assert from 'node:assert/strict';
import { test } from 'node:test';
import { differences } from './compare.ts';
import { goldenRecording } from './recording.ts';

test('the recording equals itself', () => {
  assert.deepEqual(differences(goldenRecording(), goldenRecording()), []);
});

test('a missing pod, a wrong count, a wrong state and a late restart are each found', () => {
  const golden = goldenRecording();
  const found = differences(golden, {
    ...golden,
    pods: golden.pods.slice(1),
    events: golden.events.map((event) => (event.reason === 'Killing' ? { ...event, count: 17 } : event)),
    watch: golden.watch.map((row) => (row.pod === 'slow-start' ? { ...row, atSeconds: row.atSeconds + 60 } : row)),
    logs: { ...golden.logs, 'not-ready': ['oops'] },
    volumes: { ...golden.volumes, crasher: [] },
  });
  assert.ok(found.includes('crasher: no such pod'));
  assert.ok(found.some((line) => line.startsWith('kubia-liveness: event count golden x3, ours x17: Normal Killing')));
  assert.ok(found.some((line) => line.startsWith('slow-start: 1/1 Running 0 at golden +30s, ours +90s')));
  assert.ok(found.some((line) => line.startsWith('logs not-ready')));
  assert.ok(found.some((line) => /^describe crasher: golden .*TokenExpirationSeconds: +3607/.test(line)));
});
