import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Container, Pod, PodSpec } from '../api/gen/types.ts';
import type { ContainerRuntimeState, PodSandboxStatus, RuntimeContainerStatus } from '../cri/runtime.ts';
import { containerAnnotations } from './container-labels.ts';
import { computePodActions } from './pod-actions.ts';
import type { PodActions } from './pod-actions.ts';
import type { ProbeResult, ProbeType } from './probes/prober.ts';

const spec: PodSpec = {
  containers: [
    { name: 'a', image: 'i' },
    { name: 'b', image: 'i' },
  ],
};
const sidecar: Container = {
  name: 'side',
  image: 'i',
  restartPolicy: 'Always',
  startupProbe: { exec: { command: ['up'] } },
  livenessProbe: { exec: { command: ['ok'] } },
};
const withInit: PodSpec = {
  containers: [{ name: 'a', image: 'i' }],
  initContainers: [{ name: 'one', image: 'i' }, sidecar, { name: 'two', image: 'i' }],
};

interface Instance {
  readonly name: string;
  readonly state: ContainerRuntimeState;
  readonly exitCode?: number;
  readonly image?: string;
  readonly reason?: string;
}

const running = (name: string): Instance => ({ name, state: 'running' });
const exited = (name: string, exitCode: number): Instance => ({ name, state: 'exited', exitCode });

function instanceOf(
  { name, state, exitCode, image = 'i', reason = '' }: Instance,
  index: number,
): RuntimeContainerStatus {
  return {
    id: `${name}-${index}`,
    podSandboxId: 'sandbox',
    metadata: { name, attempt: 0 },
    state,
    createdWallMs: 1_000 - index, // the first of a list is the newest
    startedWallMs: 1_000,
    finishedWallMs: undefined,
    exitCode,
    reason,
    message: '',
    image,
    imageRef: image,
    labels: {},
    annotations: containerAnnotations({}, { name, image }, 0),
    logPath: '',
  };
}

function sandboxOf(change: Partial<PodSandboxStatus> = {}): PodSandboxStatus {
  return {
    id: 'sandbox',
    metadata: { name: 'p', uid: 'u', namespace: 'n', attempt: 2 },
    state: 'ready',
    createdWallMs: 0,
    ips: ['10.0.0.1'],
    networkMode: 'pod',
    labels: {},
    annotations: {},
    ...change,
  };
}

interface Case {
  readonly spec?: PodSpec;
  readonly deleted?: boolean;
  readonly sandboxes?: readonly PodSandboxStatus[];
  readonly containers?: readonly Instance[];
  readonly results?: Readonly<Record<string, ProbeResult>>; // by `TYPE NAME`
}

function actionsOf(given: Case): PodActions {
  const pod: Pod = {
    metadata: { name: 'p', ...(given.deleted === true ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}) },
    spec: given.spec ?? spec,
  };
  return computePodActions({
    pod,
    runtimePod: {
      sandboxes: given.sandboxes ?? [sandboxOf()],
      containers: (given.containers ?? []).map(instanceOf),
    },
    probeResultOf: (type: ProbeType, { metadata }) => given.results?.[`${type} ${metadata.name}`],
  });
}

/** `kill pod`, `sandbox 3`, `kill a: TEXT`, `init one`, `start a`: all that is to be done, in order. */
function summary(given: Case): string[] {
  const actions = actionsOf(given);
  return [
    ...(actions.killPod ? ['kill pod'] : []),
    ...(actions.createSandbox ? [`sandbox ${actions.sandboxAttempt}`] : []),
    ...actions.kill.map(({ message, reason }) => `${reason}: ${message}`),
    ...actions.startEphemeral.map((name) => `ephemeral ${name}`),
    ...actions.startInit.map((name) => `init ${name}`),
    ...actions.start.map((name) => `start ${name}`),
  ];
}

test('ephemeral containers start before all others, once, and not in a pod that ends', () => {
  const ephemeralContainers = [{ name: 'e' }, { name: 'f' }];
  const withThem = { ...spec, ephemeralContainers };
  const cases: readonly (readonly [given: Case, expected: string[]])[] = [
    [{ spec: withThem, containers: [running('a')] }, ['ephemeral e', 'ephemeral f', 'start b']],
    [{ spec: withThem, containers: [...bothRun, exited('e', 1), running('f')] }, []],
    [{ spec: { ...withThem, restartPolicy: 'Never' }, containers: [exited('a', 0), exited('b', 0)] }, ['kill pod']],
    [{ spec: withThem, sandboxes: [] }, ['kill pod', 'sandbox 0', 'start a', 'start b']],
  ];
  for (const [given, expected] of cases) assert.deepEqual(summary(given), expected);
});

const never: PodSpec = { ...spec, restartPolicy: 'Never' };
const onFailure: PodSpec = { ...spec, restartPolicy: 'OnFailure' };
const bothRun = [running('a'), running('b')];

test('what has to be done about the regular containers, by policy and by what ended', () => {
  const cases: readonly (readonly [given: Case, expected: string[]])[] = [
    [{ containers: bothRun }, []],
    [{ containers: [] }, ['start a', 'start b']],
    [{ containers: [running('a'), exited('b', 0)] }, ['start b']],
    [{ containers: [running('a'), exited('b', 1)] }, ['start b']],
    [{ spec: onFailure, containers: [running('a'), exited('b', 0)] }, []],
    [{ spec: onFailure, containers: [running('a'), exited('b', 1)] }, ['start b']],
    [{ spec: never, containers: [running('a'), exited('b', 1)] }, []],
    [{ spec: never, containers: [running('a')] }, ['start b']],
    [{ spec: never, containers: [exited('a', 0), exited('b', 1)] }, ['kill pod']],
    [{ spec: onFailure, containers: [exited('a', 0), exited('b', 0)] }, ['kill pod']],
    [{ containers: [running('a'), { name: 'b', state: 'created' }] }, ['start b']],
    [
      { containers: [running('a'), { name: 'b', state: 'unknown' }] },
      ['other: Container is in "unknown" state, try killing it before restart', 'start b'],
    ],
    [{ containers: [running('a'), exited('b', 1)], deleted: true }, []],
    [{ containers: [running('b'), exited('b', 1), running('a')] }, []], // only the newest instance counts
  ];
  for (const [given, expected] of cases) assert.deepEqual(summary(given), expected, JSON.stringify(given));
});

test('a failed liveness or startup probe kills, and restarts unless the policy is Never', () => {
  const results = { 'Liveness b': 'failure' } as const;
  assert.deepEqual(summary({ containers: bothRun, results }), [
    'liveness: Container b failed liveness probe, will be restarted',
    'start b',
  ]);
  assert.deepEqual(summary({ spec: onFailure, containers: bothRun, results: { 'Startup b': 'failure' } }), [
    'startup: Container b failed startup probe, will be restarted',
    'start b',
  ]);
  assert.deepEqual(summary({ spec: never, containers: bothRun, results }), [
    'liveness: Container b failed liveness probe',
  ]);
  assert.deepEqual(
    summary({ containers: bothRun, results: { 'Liveness b': 'unknown', 'Readiness b': 'failure' } }),
    [],
  );
});

test('another image kills and restarts whatever the policy', () => {
  const containers = [running('a'), { ...running('b'), image: 'old' }];
  for (const given of [spec, onFailure, never]) {
    assert.deepEqual(summary({ spec: given, containers }), [
      'other: Container b definition changed, will be restarted',
      'start b',
    ]);
  }
});

test('a missing or broken sandbox is replaced, and everything starts anew', () => {
  const notReady = sandboxOf({ state: 'notReady' });
  const cases: readonly (readonly [given: Case, expected: string[]])[] = [
    [{ sandboxes: [] }, ['kill pod', 'sandbox 0', 'start a', 'start b']],
    [{ sandboxes: [notReady], containers: [exited('a', 1)] }, ['kill pod', 'sandbox 3', 'start a', 'start b']],
    [{ sandboxes: [sandboxOf(), sandboxOf()] }, ['kill pod', 'sandbox 3', 'start a', 'start b']],
    [{ sandboxes: [sandboxOf({ ips: [] })] }, ['kill pod', 'sandbox 3', 'start a', 'start b']],
    [{ sandboxes: [sandboxOf({ ips: [], networkMode: 'node' })], containers: bothRun }, []],
    [{ spec: { ...spec, hostNetwork: true }, containers: bothRun }, ['kill pod', 'sandbox 3', 'start a', 'start b']],
    [{ spec: never, sandboxes: [notReady], containers: [exited('a', 1)] }, ['kill pod']],
    [{ spec: never, sandboxes: [] }, ['kill pod', 'sandbox 0', 'start a', 'start b']],
    [{ spec: onFailure, sandboxes: [notReady], containers: [exited('a', 0)] }, ['kill pod', 'sandbox 3', 'start b']],
    [{ spec: onFailure, sandboxes: [notReady], containers: [exited('a', 0), exited('b', 0)] }, ['kill pod']],
    [{ spec: withInit, sandboxes: [notReady], containers: [exited('one', 0)] }, ['kill pod', 'sandbox 3', 'init one']],
  ];
  for (const [given, expected] of cases) assert.deepEqual(summary(given), expected, JSON.stringify(given));
});

test('init containers go one after the other; a sidecar lets the next one go when it has started', () => {
  const up = { 'Startup side': 'success' } as const;
  const one = exited('one', 0);
  const two = exited('two', 0);
  const cases: readonly (readonly [given: Case, expected: string[]])[] = [
    [{ containers: [] }, ['init one']],
    [{ containers: [running('one')] }, []],
    [{ containers: [{ name: 'one', state: 'created' }] }, ['init one']],
    [{ containers: [exited('one', 1)] }, ['init one']],
    [{ containers: [{ ...one, reason: 'OOMKilled' }] }, ['init one']],
    [{ containers: [one] }, ['init side']],
    [{ containers: [running('side'), one] }, []],
    [{ containers: [running('side'), one], results: { 'Startup side': 'unknown' } }, []],
    [{ containers: [running('side'), one], results: up }, ['init two']],
    [{ containers: [running('side')], results: up }, ['init two']], // the instance of `one` was removed
    [{ containers: [running('side'), one, running('two')], results: up }, []],
    [{ containers: [running('side'), one, two], results: up }, ['start a']],
    [{ containers: [exited('side', 0), one, running('two')] }, ['init side']],
    [{ containers: [exited('side', 0), one, two] }, ['init side', 'start a']],
    [{ containers: [running('a'), exited('side', 0)] }, ['init side']],
    [{ containers: [running('a')] }, ['init side']],
    [{ containers: [exited('a', 1), running('side'), two], results: up }, ['start a']],
  ];
  for (const [given, expected] of cases) {
    assert.deepEqual(summary({ spec: withInit, ...given }), expected, JSON.stringify(given));
  }
});

test("a sidecar's failed probe restarts it, with words of its own", () => {
  const containers = [running('a'), running('side'), exited('two', 0)];
  const up = { 'Startup side': 'success' } as const;
  assert.deepEqual(summary({ spec: withInit, containers, results: { ...up, 'Liveness side': 'failure' } }), [
    'liveness: Init container side failed liveness probe',
    'init side',
  ]);
  assert.deepEqual(summary({ spec: withInit, containers, results: { 'Startup side': 'failure' } }), [
    'startup: Init container side failed startup probe',
    'init side',
  ]);
});

test('where the policy is Never a failed init container ends the pod, and finished regular ones end the sidecars', () => {
  const once: PodSpec = { ...withInit, restartPolicy: 'Never' };
  assert.deepEqual(summary({ spec: once, containers: [exited('one', 1)] }), ['kill pod']);
  assert.deepEqual(summary({ spec: once, containers: [exited('a', 0), exited('side', 0), exited('two', 0)] }), [
    'kill pod',
  ]);
});
