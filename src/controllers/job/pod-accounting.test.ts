import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Job, Pod } from '../../api/gen/types.ts';
import { progressOf, trackingFinalizer } from './job-progress.ts';
import { accountFor } from './pod-accounting.ts';

test('no more than 500 pods are counted at once; those that the status names are let go in any case', () => {
  const pods: readonly Pod[] = Array.from({ length: 700 }, (_, number) => ({
    metadata: { name: `p${number}`, uid: `u${number}`, finalizers: [trackingFinalizer] },
    status: { phase: number % 2 === 0 ? 'Succeeded' : 'Failed' },
  }));
  const look = (job: Job) => accountFor(job, pods, progressOf(job, pods), undefined);
  const job: Job = { spec: { completions: 700, template: {} } };
  const first = look(job);
  assert.deepEqual(
    [first.letGo.length, first.succeeded.length, first.failed.length, first.isAll],
    [500, 250, 250, false],
  );
  const last = { succeeded: ['u698'], failed: ['u699', 'gone'] };
  const next = look({ ...job, status: { uncountedTerminatedPods: last } });
  assert.deepEqual(
    next.letGo.slice(-2).map((pod) => pod.metadata?.name),
    ['p698', 'p699'],
  );
  assert.deepEqual([next.letGo.length, next.failed.includes('gone'), next.isAll], [500, false, false]);
});
