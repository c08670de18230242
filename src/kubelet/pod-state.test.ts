import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextPodState } from './pod-state.ts';
import type { PodEvent, PodState } from './pod-state.ts';

const deleted = (graceSeconds: number | undefined): PodEvent => ({
  kind: 'ending',
  ending: { cause: 'deleted', graceSeconds },
});
const ending = (graceSeconds: number | undefined, isRemoved = false): PodState => ({
  kind: 'terminating',
  ending: { cause: 'deleted', graceSeconds },
  isRemoved,
});

test('the way of a pod, with no way back', () => {
  const cases: readonly (readonly [state: PodState, event: PodEvent, next: PodState])[] = [
    [{ kind: 'waiting' }, { kind: 'admitted' }, { kind: 'syncing' }],
    [{ kind: 'waiting' }, deleted(30), ending(30)],
    [{ kind: 'syncing' }, { kind: 'admitted' }, { kind: 'syncing' }],
    [{ kind: 'syncing' }, { kind: 'ended' }, { kind: 'syncing' }],
    [{ kind: 'syncing' }, deleted(30), ending(30)],
    [ending(30), { kind: 'admitted' }, ending(30)],
    [ending(30), { kind: 'ended' }, { kind: 'terminated', isRemoved: false }],
    [ending(30, true), { kind: 'ended' }, { kind: 'terminated', isRemoved: true }],
    [{ kind: 'terminated', isRemoved: false }, deleted(1), { kind: 'terminated', isRemoved: false }],
    [{ kind: 'terminated', isRemoved: false }, { kind: 'admitted' }, { kind: 'terminated', isRemoved: false }],
    [
      { kind: 'terminated', isRemoved: false },
      { kind: 'removed', graceSeconds: 1 },
      { kind: 'terminated', isRemoved: true },
    ],
  ];
  for (const [state, event, next] of cases) assert.deepEqual(nextPodState(state, event), next);
});

test('a grace period may get shorter, never longer', () => {
  assert.deepEqual(nextPodState(ending(30), deleted(5)), ending(5));
  assert.deepEqual(nextPodState(ending(undefined), deleted(5)), ending(5));
  for (const event of [deleted(31), deleted(30), deleted(undefined)]) {
    const state = ending(30);
    assert.equal(nextPodState(state, event), state);
  }
});

test('removal is remembered, and keeps the cause', () => {
  assert.deepEqual(nextPodState(ending(30), { kind: 'removed', graceSeconds: undefined }), ending(30, true));
  assert.deepEqual(nextPodState({ kind: 'syncing' }, { kind: 'removed', graceSeconds: 7 }), {
    kind: 'terminating',
    ending: { cause: 'removed', graceSeconds: 7 },
    isRemoved: true,
  });
});
