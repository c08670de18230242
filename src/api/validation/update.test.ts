import assert from 'node:assert/strict';
import { test } from 'node:test';
import { admitPod } from '../admission.ts';
import { decode } from '../decode.ts';
import { applyDefaults } from '../defaulting.ts';
import type { Draft } from '../draft.ts';
import { fieldErrorText } from '../field-error.ts';
import type { ConfigMap, EventsV1Event, Lease, Namespace, Node, Pod, Secret } from '../gen/types.ts';
import { type KubernetesObject, resources, type ResourceType } from '../resources.ts';
import { sameValue } from './same-value.ts';
import { validateCreate, validateUpdate } from './validate.ts';

const meta = { name: 'x', namespace: 'n', uid: 'u', resourceVersion: '1' };

function made<T extends KubernetesObject>(type: ResourceType<T>, fields: object): Draft<T> {
  const { object } = decode<T>(type.model, { metadata: meta, ...fields }, 'Strict');
  return applyDefaults(type, object);
}

function changes<T extends KubernetesObject>(
  type: ResourceType<T>,
  current: Draft<T>,
  change: (next: Draft<T>) => void,
  subresource = '',
): string[] {
  const next = structuredClone(current);
  change(next);
  return validateUpdate(type, next, current, subresource).map(fieldErrorText);
}

function basePod(): Draft<Pod> {
  const pod = made<Pod>(resources.pods, {
    spec: {
      containers: [{ name: 'c', image: 'i:1', livenessProbe: { httpGet: { port: 80 } } }],
      terminationGracePeriodSeconds: -1,
      activeDeadlineSeconds: 100,
    },
  });
  admitPod(pod);
  return pod;
}

test('the parts of a pod that may change, may', () => {
  const problems = changes(resources.pods, basePod(), ({ spec, metadata }) => {
    assert.ok(spec?.containers[0] && metadata);
    spec.containers[0].image = 'i:2';
    spec.activeDeadlineSeconds = 50;
    spec.terminationGracePeriodSeconds = 1;
    spec.tolerations?.push({ key: 'more', operator: 'Exists' });
    metadata.labels = { a: 'b' };
  });
  assert.deepEqual(problems, []);
});

test('the rest of a pod stays', () => {
  const problems = changes(resources.pods, basePod(), ({ spec }) => {
    assert.ok(spec?.containers[0]?.livenessProbe);
    spec.containers[0].livenessProbe.periodSeconds = 5;
  });
  assert.deepEqual(problems, [
    'spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n- containers[0].livenessProbe.periodSeconds: 10\n+ containers[0].livenessProbe.periodSeconds: 5',
  ]);
});

test('containers are not added, deadlines not moved out, tolerations not taken away', () => {
  assert.deepEqual(
    changes(resources.pods, basePod(), ({ spec }) => void spec?.containers.push({ name: 'd', image: 'i' })),
    [
      'spec.containers[1].terminationMessagePolicy: Required value',
      'spec.containers[1].imagePullPolicy: Required value',
      'spec.containers: Forbidden: pod updates may not add or remove containers',
    ],
  );
  const later = changes(resources.pods, basePod(), ({ spec }) => {
    if (spec !== undefined) spec.activeDeadlineSeconds = 200;
  });
  assert.deepEqual(later, [
    'spec.activeDeadlineSeconds: Invalid value: 200: must be less than or equal to previous value',
  ]);
  const none = changes(resources.pods, basePod(), ({ spec }) => {
    delete spec?.activeDeadlineSeconds;
    spec?.tolerations?.shift();
  });
  assert.deepEqual(none, [
    'spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value',
    'spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds',
  ]);
});

test('a gated pod may be told more narrowly where to run, and gates only go away', () => {
  const pod = basePod();
  assert.ok(pod.spec);
  pod.spec.schedulingGates = [{ name: 'example.com/a' }];
  pod.spec.nodeSelector = { zone: 'one' };
  const narrower = changes(resources.pods, pod, ({ spec }) => {
    assert.ok(spec);
    spec.schedulingGates = [];
    spec.nodeSelector = { zone: 'one', disk: 'ssd' };
  });
  assert.deepEqual(narrower, []);
  const wider = changes(resources.pods, pod, ({ spec }) => {
    assert.ok(spec);
    spec.schedulingGates = [{ name: 'example.com/b' }];
    spec.nodeSelector = { zone: 'two' };
  });
  assert.deepEqual(wider, [
    "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'example.com/b'",
    'spec.nodeSelector: Invalid value: {"zone":"two"}: only additions to spec.nodeSelector are allowed (no mutations or deletions)',
  ]);
});

test('identity does not change, and an update says which version it replaces', () => {
  const problems = changes(resources.pods, basePod(), ({ metadata }) => {
    assert.ok(metadata);
    metadata.uid = 'other';
    metadata.name = 'y';
    delete metadata.resourceVersion;
  });
  assert.deepEqual(problems, [
    'metadata.resourceVersion: Invalid value: "": must be specified for an update',
    'metadata.name: Invalid value: "y": field is immutable',
    'metadata.uid: Invalid value: "other": field is immutable',
  ]);
});

test('an object that is going away gets no new finalizers', () => {
  const pod = basePod();
  assert.ok(pod.metadata);
  pod.metadata.deletionTimestamp = '2026-01-02T03:04:05Z';
  const problems = changes(resources.pods, pod, ({ metadata }) => {
    if (metadata !== undefined) metadata.finalizers = ['example.com/a'];
  });
  assert.deepEqual(problems, [
    'metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"example.com/a"}',
  ]);
});

test('a pod status keeps its class, its ends and sane addresses', () => {
  const pod = basePod();
  assert.ok(pod.spec);
  pod.spec.restartPolicy = 'Never';
  const container = { name: 'c', image: '', imageID: '', ready: false, restartCount: 0 };
  pod.status = {
    qosClass: 'BestEffort',
    containerStatuses: [{ ...container, state: { terminated: { exitCode: 0 } } }],
  };
  const problems = changes(
    resources.pods,
    pod,
    (next) => {
      next.status = {
        qosClass: 'Guaranteed',
        containerStatuses: [{ ...container, state: { running: {} } }],
        podIPs: [{ ip: '10.0.0.1' }, { ip: '10.0.0.x' }],
        hostIP: '1.1.1.1',
        hostIPs: [{ ip: '2.2.2.2' }],
        conditions: [{ type: 'no good', status: 'True', lastProbeTime: null }],
      };
    },
    'status',
  );
  assert.match(problems[0] ?? '', /^metadata\.conditions\[0\]\.Type: Invalid value: "no good": name part must consist/);
  assert.deepEqual(problems.slice(1), [
    'status.qosClass: Invalid value: "Guaranteed": field is immutable',
    'status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state',
    'status.podIPs[1]: Invalid value: "10.0.0.x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
    'status.hostIPs[0].ip: Invalid value: "2.2.2.2": must be equal to `hostIP`',
  ]);
});

test('config maps and secrets that are immutable stay', () => {
  const map = made<ConfigMap>(resources.configmaps, { data: { a: '1' }, immutable: true });
  assert.deepEqual(
    changes(resources.configmaps, map, (next) => {
      next.data = { a: '2' };
      next.immutable = false;
    }),
    [
      'immutable: Forbidden: field is immutable when `immutable` is set',
      'data: Forbidden: field is immutable when `immutable` is set',
    ],
  );
  const secret = made<Secret>(resources.secrets, { data: { a: 'YQ==' } });
  assert.deepEqual(
    changes(resources.secrets, secret, (next) => void (next.type = 'kubernetes.io/tls')),
    [
      'type: Invalid value: "kubernetes.io/tls": field is immutable',
      'data[tls.crt]: Required value',
      'data[tls.key]: Required value',
    ],
  );
});

test('the other kinds have their own rules', () => {
  const problemsOf = (type: ResourceType, object: KubernetesObject): string[] =>
    validateCreate(type, object).map(fieldErrorText);
  const map = made<ConfigMap>(resources.configmaps, { data: { 'a b': '', same: '' }, binaryData: { same: 'YQ==' } });
  assert.deepEqual(problemsOf(resources.configmaps, map), [
    `data[a b]: Invalid value: "a b": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')`,
    'data[same]: Invalid value: "same": duplicate of key present in binaryData',
  ]);
  const big = made<ConfigMap>(resources.configmaps, { data: { a: 'x'.repeat(1024 * 1024 + 1) } });
  assert.deepEqual(problemsOf(resources.configmaps, big), ['[]: Too long: may not be more than 1048576 bytes']);
  const lease = made<Lease>(resources.leases, { spec: { leaseDurationSeconds: 0, leaseTransitions: -1 } });
  assert.deepEqual(problemsOf(resources.leases, lease), [
    'spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0',
    'spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0',
  ]);
  const node = made<Node>(resources.nodes, {
    metadata: { name: 'n' },
    spec: {
      taints: [
        { key: 'a', effect: '' },
        { key: 'a', effect: '' },
      ],
      podCIDRs: ['10.0.0.0/33'],
    },
    status: { capacity: { pods: '1500m' } },
  });
  assert.deepEqual(problemsOf(resources.nodes, node), [
    'metadata.taints[0].effect: Required value',
    'metadata.taints[1].effect: Required value',
    'metadata.taints[1]: Duplicate value: {"key":"a","effect":""}: taints must be unique by key and effect pair',
    'status.capacity[pods]: Invalid value: "1500m": must be an integer',
    'status.allocatable[pods]: Invalid value: "1500m": must be an integer',
    'spec.podCIDRs[0]: Invalid value: "10.0.0.0/33": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
  ]);
  const namespace = made<Namespace>(resources.namespaces, { metadata: { name: 'a.b' } });
  assert.deepEqual(problemsOf(resources.namespaces, namespace), [
    'metadata.name: Invalid value: "a.b": must not contain dots',
  ]);
  const event = made<EventsV1Event>(resources.eventsV1, { eventTime: '2026-01-02T03:04:05.000000Z', type: 'Odd' });
  assert.deepEqual(problemsOf(resources.eventsV1, event).slice(-1), [
    'type: Invalid value: "": has invalid value: Odd',
  ]);
});

test('a namespace phase follows its deletion', () => {
  const namespace = made<Namespace>(resources.namespaces, { metadata: { name: 'n', resourceVersion: '1' } });
  const problems = changes(
    resources.namespaces,
    namespace,
    (next) => void (next.status = { phase: 'Terminating' }),
    'status',
  );
  assert.deepEqual(problems, [
    'status.phase: Invalid value: "Terminating": may only be \'Active\' if `deletionTimestamp` is empty',
  ]);
});

test('a node gets its address range and provider once', () => {
  const node = made<Node>(resources.nodes, {
    metadata: { name: 'n', resourceVersion: '1' },
    spec: { podCIDRs: ['10.0.0.0/24'], providerID: 'a' },
  });
  const problems = changes(resources.nodes, node, (next) => {
    next.spec = { podCIDRs: ['10.0.1.0/24'], providerID: 'b' };
  });
  assert.deepEqual(problems, [
    'spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid',
    'spec.providerID: Forbidden: node updates may not change providerID except from "" to valid',
  ]);
});

test('values are compared by meaning', () => {
  assert.equal(sameValue({ a: [], b: { c: 1, d: null } }, { b: { d: undefined, c: 1 } }), true);
  assert.equal(sameValue({ a: {} }, {}), false);
  assert.equal(sameValue([1, 2], [2, 1]), false);
  assert.equal(sameValue({ a: '1' }, { a: 1 }), false);
});
