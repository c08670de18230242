import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod, PodStatus } from '../api/gen/types.ts';
import { withProbeResult } from './probe-flags.ts';

const pod: Pod = { metadata: { name: 'p' }, spec: { containers: [{ name: 'c' }] } };
const update = { podUid: 'u', containerName: 'c', containerId: 'sim://1' } as const;

function statusWith(flags: { readonly started: boolean; readonly ready: boolean }): PodStatus {
  const container = { name: 'c', image: '', imageID: '', restartCount: 0, containerID: 'sim://1', ...flags };
  return { phase: 'Running', containerStatuses: [{ ...container, state: { running: {} } }] };
}

/** `started ready READY`, the last being the condition's status. */
function flagsOf(status: PodStatus): string {
  const [container] = status.containerStatuses ?? [];
  const condition = status.conditions?.find(({ type }) => type === 'Ready');
  return `${container?.started} ${container?.ready} ${condition?.status}`;
}

test('a result is shown at once, with the conditions that follow from it', () => {
  const started = withProbeResult(pod, statusWith({ started: false, ready: false }), {
    ...update,
    probeType: 'Startup',
    result: 'success',
  });
  assert.equal(flagsOf(started), 'true false False');
  const ready = withProbeResult(pod, started, { ...update, probeType: 'Readiness', result: 'success' });
  assert.equal(flagsOf(ready), 'true true True');
  const sick = withProbeResult(pod, ready, { ...update, probeType: 'Readiness', result: 'failure' });
  assert.equal(flagsOf(sick), 'true false False');
});

test('what has not started is not ready, also for an attempt that began before', () => {
  const before = statusWith({ started: true, ready: true });
  const anew = withProbeResult(pod, before, { ...update, probeType: 'Startup', result: 'unknown' });
  assert.equal(flagsOf(anew), 'false false False');
  const late = withProbeResult(pod, anew, { ...update, probeType: 'Readiness', result: 'success' });
  assert.equal(flagsOf(late), 'false false False');
});

test('a result about another instance changes nothing', () => {
  const status = statusWith({ started: true, ready: true });
  const other = { ...update, containerId: 'sim://2', probeType: 'Readiness', result: 'failure' } as const;
  assert.equal(withProbeResult(pod, status, other), status);
});
