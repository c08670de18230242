import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerState, ContainerStatus, Pod, PodSpec } from '../api/gen/types.ts';
import { podConditionsOf, withTransitionTimes } from './pod-conditions.ts';
import { podPhaseOf } from './pod-phase.ts';

const a = { name: 'a', image: 'i' };
const b = { name: 'b', image: 'i' };
const side = { name: 'side', image: 'i', restartPolicy: 'Always' };
const init = { name: 'init', image: 'i' };

const running: ContainerState = { running: {} };
const waiting: ContainerState = { waiting: {} };
const ended = (exitCode: number): ContainerState => ({ terminated: { exitCode } });

function statusOf(name: string, state: ContainerState, more: Partial<ContainerStatus> = {}): ContainerStatus {
  return {
    name,
    state,
    image: 'i',
    imageID: '',
    ready: false,
    restartCount: 0,
    started: state.running !== undefined,
    ...more,
  };
}

function podOf(spec: Partial<PodSpec>): Pod {
  return { metadata: { generation: 3 }, spec: { containers: [a, b], ...spec } };
}

test('the phase of a pod of two containers, by policy', () => {
  const backOff = { lastState: ended(1) };
  const cases: readonly (readonly [
    statuses: readonly ContainerStatus[],
    always: string,
    onFailure: string,
    never: string,
  ])[] = [
    [[], 'Pending', 'Pending', 'Pending'],
    [[statusOf('a', waiting), statusOf('b', running)], 'Pending', 'Pending', 'Pending'],
    [[statusOf('a', running), statusOf('b', running)], 'Running', 'Running', 'Running'],
    [[statusOf('a', running), statusOf('b', ended(1))], 'Running', 'Running', 'Running'],
    [[statusOf('a', running)], 'Pending', 'Pending', 'Pending'],
    [[statusOf('a', running), statusOf('b', waiting, backOff)], 'Running', 'Running', 'Running'],
    [[statusOf('a', waiting, backOff), statusOf('b', waiting, backOff)], 'Running', 'Running', 'Failed'],
    [[statusOf('a', ended(0)), statusOf('b', ended(0))], 'Running', 'Succeeded', 'Succeeded'],
    [[statusOf('a', ended(0)), statusOf('b', ended(1))], 'Running', 'Running', 'Failed'],
  ];
  for (const [statuses, ...expected] of cases) {
    const phases = ['Always', 'OnFailure', 'Never'].map((restartPolicy) =>
      podPhaseOf(podOf({ restartPolicy }), statuses, false),
    );
    assert.deepEqual(phases, expected, JSON.stringify(statuses));
  }
});

test('a pod that was torn down has succeeded only if all its containers have', () => {
  const pod = podOf({ restartPolicy: 'Always' });
  assert.equal(podPhaseOf(pod, [statusOf('a', ended(0)), statusOf('b', ended(0))], true), 'Succeeded');
  assert.equal(podPhaseOf(pod, [statusOf('a', ended(0)), statusOf('b', ended(143))], true), 'Failed');
  assert.equal(podPhaseOf(pod, [statusOf('a', waiting), statusOf('b', waiting)], true), 'Pending');
});

test('init containers hold the pod back, and fail it where they must not be run again', () => {
  const spec = { initContainers: [init], containers: [a] };
  const regular = statusOf('a', waiting);
  for (const [state, more, always, never] of [
    [running, {}, 'Pending', 'Pending'],
    [waiting, {}, 'Pending', 'Pending'],
    [ended(1), {}, 'Pending', 'Failed'],
    [waiting, { lastState: ended(1) }, 'Pending', 'Failed'],
    [ended(0), {}, 'Pending', 'Pending'],
  ] as const) {
    const statuses = [statusOf('init', state, more), regular];
    assert.equal(podPhaseOf(podOf({ ...spec, restartPolicy: 'Always' }), statuses, false), always);
    assert.equal(podPhaseOf(podOf({ ...spec, restartPolicy: 'Never' }), statuses, false), never);
  }
});

test('a sidecar counts as running, but neither keeps the pod alive nor decides how it ended', () => {
  const pod = podOf({ initContainers: [side], containers: [a], restartPolicy: 'Never' });
  assert.equal(
    podPhaseOf(pod, [statusOf('side', running, { started: false }), statusOf('a', waiting)], false),
    'Pending',
  );
  assert.equal(
    podPhaseOf(pod, [statusOf('side', running, { started: false }), statusOf('a', running)], false),
    'Running',
  );
  assert.equal(podPhaseOf(pod, [statusOf('side', ended(1)), statusOf('a', ended(0))], false), 'Succeeded');
  assert.equal(podPhaseOf(pod, [statusOf('side', ended(0)), statusOf('a', ended(1))], false), 'Failed');
  assert.equal(
    podPhaseOf(pod, [statusOf('side', waiting, { lastState: ended(1) }), statusOf('a', running)], false),
    'Running',
  );
});

function findings(
  pod: Pod,
  phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed',
  statuses: readonly ContainerStatus[],
): string[] {
  return podConditionsOf({ pod, phase, statuses, hasSandbox: true }).map(
    ({ type, status, reason, message, observedGeneration }) => {
      assert.equal(observedGeneration, type.startsWith('example') ? undefined : 3);
      return [type, status, reason, message].filter((text) => text !== undefined).join(' | ');
    },
  );
}

test('conditions name the containers that are missing, in the words of kubectl describe', () => {
  const pod = podOf({ initContainers: [init, side] });
  assert.deepEqual(
    findings(pod, 'Pending', [statusOf('init', running), statusOf('side', waiting), statusOf('a', waiting)]),
    [
      'PodReadyToStartContainers | True',
      'Initialized | False | ContainersNotInitialized | containers with incomplete status: [init side]',
      'Ready | False | ContainersNotReady | containers with unknown status: [b], containers with unready status: [side a]',
      'ContainersReady | False | ContainersNotReady | containers with unknown status: [b], containers with unready status: [side a]',
      'PodScheduled | True',
    ],
  );
});

test('a finished pod is not ready, for a reason of its own', () => {
  const pod = podOf({ containers: [a] });
  assert.deepEqual(findings(pod, 'Succeeded', [statusOf('a', ended(0))]).slice(1, 4), [
    'Initialized | True | PodCompleted',
    'Ready | False | PodCompleted',
    'ContainersReady | False | PodCompleted',
  ]);
  assert.deepEqual(findings(pod, 'Failed', [statusOf('a', ended(1))]).slice(1, 4), [
    'Initialized | True',
    'Ready | False | PodFailed',
    'ContainersReady | False | PodFailed',
  ]);
});

test('readiness gates are asked of the foreign conditions, which stay in front', () => {
  const gates = [{ conditionType: 'example.com/a' }, { conditionType: 'example.com/b' }];
  const foreign = { type: 'example.com/a', status: 'False' };
  const pod: Pod = { ...podOf({ containers: [a], readinessGates: gates }), status: { conditions: [foreign] } };
  assert.deepEqual(findings(pod, 'Running', [statusOf('a', running, { ready: true })]), [
    'example.com/a | False',
    'PodReadyToStartContainers | True',
    'Initialized | True',
    'Ready | False | ReadinessGatesNotReady | the status of pod readiness gate "example.com/a" is not "True", but False, ' +
      'corresponding condition of pod readiness gate "example.com/b" does not exist.',
    'ContainersReady | True',
    'PodScheduled | True',
  ]);
});

test('a condition keeps its time while its status stays', () => {
  const before = [
    { type: 'Ready', status: 'True', lastTransitionTime: 'old' },
    { type: 'Initialized', status: 'False', lastTransitionTime: 'old' },
  ];
  const now = [
    { type: 'Ready', status: 'True', reason: 'x' },
    { type: 'Initialized', status: 'True' },
    { type: 'example.com/a', status: 'True' },
  ];
  assert.deepEqual(
    withTransitionTimes(now, before, 'new').map(({ lastTransitionTime }) => lastTransitionTime),
    ['old', 'new', undefined],
  );
});
