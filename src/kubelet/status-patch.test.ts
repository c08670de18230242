import assert from 'node:assert/strict';
import { test } from 'node:test';
import { strategicMerge } from '../api/patch/strategic-merge.ts';
import type { Pod, PodStatus } from '../api/gen/types.ts';
import { sameStatus, sameValue, statusPatch, statusToWrite } from './status-patch.ts';

const ready = { type: 'Ready', status: 'True', lastTransitionTime: 'then' };
const notReady = {
  type: 'Ready',
  status: 'False',
  reason: 'ContainersNotReady',
  message: 'm',
  lastTransitionTime: 'then',
};
const foreign = { type: 'example.com/a', status: 'True' };

test('a patch has only what differs, and applied it gives what was wanted', () => {
  const from: PodStatus = {
    phase: 'Pending',
    reason: 'old',
    podIPs: [{ ip: '10.0.0.1' }],
    podIP: '10.0.0.1',
    conditions: [foreign, { type: 'PodScheduled', status: 'True' }, notReady],
    containerStatuses: [{ name: 'a', image: 'i', imageID: '', ready: false, restartCount: 0, lastState: {} }],
  };
  const to: PodStatus = {
    phase: 'Running',
    podIPs: [{ ip: '10.0.0.2' }],
    podIP: '10.0.0.2',
    conditions: [foreign, ready, { type: 'PodScheduled', status: 'True' }],
    containerStatuses: [{ name: 'a', image: 'i', imageID: 'x', ready: true, restartCount: 1, lastState: {} }],
  };
  const patch = statusPatch(from, to) ?? {};
  assert.deepEqual(Object.keys(patch).sort(), [
    '$setElementOrder/conditions',
    '$setElementOrder/podIPs',
    'conditions',
    'containerStatuses',
    'phase',
    'podIP',
    'podIPs',
    'reason',
  ]);
  assert.equal((patch['conditions'] as unknown[]).length, 1);
  // A PodStatus is a JSON object.
  assert.deepEqual(strategicMerge('PodStatus', from as Record<string, unknown>, patch), to);
  assert.equal(statusPatch(to, to), undefined);
});

test('what others wrote into the status is not taken out', () => {
  const from: PodStatus = { phase: 'Running', resize: 'Proposed', conditions: [ready] };
  assert.equal(statusPatch(from, { phase: 'Running', conditions: [ready] }), undefined);
});

test('a terminal phase is withheld while containers may run, and never left', () => {
  const pod: Pod = { status: { phase: 'Running', message: 'in the API', conditions: [foreign] } };
  const computed: PodStatus = { phase: 'Failed', reason: 'DeadlineExceeded', message: 'm', conditions: [notReady] };
  const withheld = statusToWrite(pod, computed, true);
  assert.deepEqual([withheld.phase, withheld.reason, withheld.message], ['Running', undefined, 'in the API']);
  assert.deepEqual(withheld.conditions, [foreign, notReady]);
  const written = statusToWrite(pod, computed, false);
  assert.deepEqual([written.phase, written.reason, written.message], ['Failed', 'DeadlineExceeded', 'm']);
  const ended: Pod = { status: { phase: 'Succeeded' } };
  assert.equal(statusToWrite(ended, { phase: 'Running' }, true).phase, 'Succeeded');
});

test('a static pod that runs once more leaves the terminal phase of its mirror', () => {
  const mirror: Pod = {
    metadata: { annotations: { 'kubernetes.io/config.mirror': 'hash' } },
    status: { phase: 'Succeeded' },
  };
  assert.equal(statusToWrite(mirror, { phase: 'Running' }, true).phase, 'Running');
  assert.equal(statusToWrite(mirror, { phase: 'Failed' }, true).phase, 'Succeeded');
  assert.equal(statusToWrite(mirror, { phase: 'Failed' }, false).phase, 'Failed');
});

test('statuses are the same whatever the order of keys and the times of conditions', () => {
  assert.ok(sameValue({ a: 1, b: [1, { c: null }] }, { b: [1, {}], a: 1 }));
  assert.ok(!sameValue({ a: [1, 2] }, { a: [2, 1] }));
  assert.ok(!sameValue({ a: 0 }, {}));
  assert.ok(sameStatus({ conditions: [ready] }, { conditions: [{ ...ready, lastTransitionTime: 'now' }] }));
  assert.ok(!sameStatus({ conditions: [ready] }, { conditions: [notReady] }));
});
