/** Section 2.2 of the behaviour sheet, row by row. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerStatus, PodStatus } from '../../api/gen/types.ts';
import {
  afterAdoption,
  afterAttempt,
  firstProbeState,
  nextProbeStep,
  type ProbeState,
  type ProbeStep,
  type ProbeSubject,
} from './probe-step.ts';
import type { ProbeType } from './prober.ts';

const nowWallMs = Date.parse('2026-01-02T03:04:35.900Z');
const startedAt = '2026-01-02T03:04:20Z'; // 15.9 s ago
const running = { running: { startedAt } };
const known: ProbeState = { ...firstProbeState, containerId: 'sim://a' };

function subject(probeType: ProbeType, more: Partial<ProbeSubject> = {}): ProbeSubject {
  return {
    probeType,
    containerName: 'main',
    isSidecar: false,
    isPodDeleted: false,
    restartsNever: false,
    initialDelaySeconds: 0,
    failureThreshold: 3,
    successThreshold: 1,
    ...more,
  };
}

function container(more: Partial<ContainerStatus> = {}): ContainerStatus {
  const base = { name: 'main', image: '', imageID: '', ready: false, restartCount: 0 };
  return { ...base, containerID: 'sim://a', state: running, started: true, ...more };
}

const pod = (...containerStatuses: ContainerStatus[]): PodStatus => ({ phase: 'Running', containerStatuses });
const step = (
  probeType: ProbeType,
  status: PodStatus | undefined,
  more: Partial<ProbeSubject> = {},
  state = known,
): ProbeStep => nextProbeStep(state, subject(probeType, more), status, nowWallMs);

test('1: without a status of the pod there is nothing to do yet', () => {
  assert.deepEqual(step('Liveness', undefined), { kind: 'wait' });
});

test('2: a pod that is over ends the worker', () => {
  for (const phase of ['Failed', 'Succeeded']) {
    assert.deepEqual(step('Readiness', { ...pod(container()), phase }), { kind: 'end' });
  }
  assert.deepEqual(step('Readiness', { containerStatuses: [container()] }), { kind: 'probe' }, 'no phase is no end');
});

test('3: a container without a status or an id is waited for; sidecars are among the init containers', () => {
  const { containerID: _, ...withoutId } = container();
  assert.deepEqual(step('Liveness', pod()), { kind: 'wait' });
  assert.deepEqual(step('Liveness', pod(withoutId)), { kind: 'wait' });
  assert.deepEqual(step('Liveness', pod(container({ containerID: '' }))), { kind: 'wait' });
  assert.deepEqual(step('Liveness', pod(container({ name: 'other' }))), { kind: 'wait' });
  assert.deepEqual(step('Liveness', { initContainerStatuses: [container()] }), { kind: 'probe' });
});

test('4: another instance is adopted; what was counted stays', () => {
  const state: ProbeState = { ...known, isOnHold: true, lastResult: 'failure', consecutive: 2 };
  const seen = step('Liveness', pod(container({ containerID: 'sim://b' })), {}, state);
  assert.deepEqual(seen, { kind: 'adopt', containerId: 'sim://b' });
  assert.deepEqual(afterAdoption(state, 'sim://b'), {
    containerId: 'sim://b',
    isOnHold: false,
    lastResult: 'failure',
    consecutive: 2,
  });
});

test('5: on hold, nothing happens to this instance any more', () => {
  const onHold = { ...known, isOnHold: true };
  assert.deepEqual(step('Liveness', pod(container({ state: {} })), {}, onHold), { kind: 'wait' });
});

test('6: an instance that does not run has failed; with restartPolicy Never that is the end', () => {
  const terminated = container({ state: { terminated: { exitCode: 1 } } });
  const waiting = container({ state: { waiting: {} } });
  const store = (next: 'wait' | 'end'): ProbeStep => ({ kind: 'store', result: 'failure', next });
  assert.deepEqual(step('Readiness', pod(terminated)), store('wait'));
  assert.deepEqual(step('Readiness', pod(waiting), { restartsNever: true }), store('wait'));
  assert.deepEqual(step('Readiness', pod(terminated), { restartsNever: true }), store('end'));
  assert.deepEqual(step('Readiness', pod(terminated), { restartsNever: true, isSidecar: true }), store('wait'));
});

test('7: a pod that was already deleted is not killed by its probes', () => {
  const quiet: ProbeStep = { kind: 'store', result: 'success', next: 'end' };
  assert.deepEqual(step('Liveness', pod(container()), { isPodDeleted: true }), quiet);
  assert.deepEqual(step('Startup', pod(container()), { isPodDeleted: true }), quiet);
  assert.deepEqual(step('Readiness', pod(container()), { isPodDeleted: true }), { kind: 'probe' });
});

test('8: the initial delay is compared with whole seconds of age', () => {
  const after = (initialDelaySeconds: number, more: Partial<ContainerStatus> = {}): ProbeStep =>
    step('Liveness', pod(container(more)), { initialDelaySeconds });
  assert.deepEqual([after(15), after(16)], [{ kind: 'probe' }, { kind: 'wait' }]);
  const future = { state: { running: { startedAt: '2026-01-02T03:04:36Z' } } };
  assert.deepEqual([after(0, future), after(1, future)], [{ kind: 'probe' }, { kind: 'wait' }]);
});

test('9: a startup probe runs until the container has started, the others after that', () => {
  const gates = (['Startup', 'Liveness', 'Readiness'] as const).map((probeType) =>
    [true, false, undefined].map((started) => {
      const { started: _, ...rest } = container();
      return step(probeType, pod(started === undefined ? rest : { ...rest, started })).kind;
    }),
  );
  assert.deepEqual(gates, [
    ['wait', 'probe', 'probe'],
    ['probe', 'wait', 'wait'],
    ['probe', 'wait', 'wait'],
  ]);
});

/** What is stored after each of these results, `.` standing for "left as it is", and whether it is on hold then. */
function run(probeType: ProbeType, results: string, more: Partial<ProbeSubject> = {}): string {
  let state = known;
  let trace = '';
  for (const letter of results) {
    const next = afterAttempt(state, subject(probeType, more), letter === 's' ? 'success' : 'failure');
    state = next.state;
    trace += next.stored ? letter : '.';
    if (state.isOnHold) trace += '!';
  }
  return trace;
}

test('10 and 11: a result counts once it was seen often enough in a row', () => {
  assert.equal(run('Liveness', 'ssffsffs'), 'ss..s..s');
  assert.equal(run('Readiness', 'fffffs'), '..fffs');
  assert.equal(run('Readiness', 'ssfssss', { successThreshold: 3, failureThreshold: 1 }), '..f..ss');
});

test('12: a liveness failure and any startup result are final, and the count begins anew', () => {
  assert.equal(run('Liveness', 'fff'), '..f!');
  assert.equal(run('Startup', 'ffs', { failureThreshold: 30 }), '..s!');
  assert.equal(run('Startup', 'fff'), '..f!');
  const { state } = afterAttempt({ ...known, lastResult: 'failure', consecutive: 2 }, subject('Liveness'), 'failure');
  assert.deepEqual(state, { containerId: 'sim://a', isOnHold: true, lastResult: 'failure', consecutive: 0 });
});
