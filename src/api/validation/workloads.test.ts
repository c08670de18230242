import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode } from '../decode.ts';
import { applyDefaults } from '../defaulting.ts';
import type { Draft } from '../draft.ts';
import { fieldErrorText } from '../field-error.ts';
import type { ControllerRevision, DaemonSet, Deployment, ReplicaSet, ReplicationController } from '../gen/types.ts';
import { type KubernetesObject, resources, type ResourceType } from '../resources.ts';
import { validateCreate, validateUpdate } from './validate.ts';

const metadata = { name: 'x', namespace: 'n', uid: 'u', resourceVersion: '1' };
const containers = [{ name: 'c', image: 'i:1' }];
const template = { metadata: { labels: { app: 'a' } }, spec: { containers } };
const selector = { matchLabels: { app: 'a' } };

function made<T extends KubernetesObject>(type: ResourceType<T>, spec: object): Draft<T> {
  const { object } = decode<T>(type.model, { metadata, spec }, 'Strict');
  return applyDefaults(type, object);
}

function problems(type: ResourceType, spec: object): string[] {
  return validateCreate(type, made(type, spec)).map(fieldErrorText);
}

test('a replication controller takes its selector and its labels from its template', () => {
  const type: ResourceType<ReplicationController> = resources.replicationcontrollers;
  const object = made(type, { template });
  assert.deepEqual(
    [object.spec?.replicas, object.spec?.selector, object.metadata?.labels],
    [1, { app: 'a' }, { app: 'a' }],
  );
  assert.deepEqual(problems(type, { template }), []);
  const pod = object.spec?.template?.spec;
  assert.deepEqual(
    [pod?.restartPolicy, pod?.dnsPolicy, pod?.enableServiceLinks],
    ['Always', 'ClusterFirst', undefined],
  );
});

test('what a replication controller may not be', () => {
  const type = resources.replicationcontrollers;
  const bad = {
    metadata: { labels: { app: 'b' } },
    spec: { containers, restartPolicy: 'Never', activeDeadlineSeconds: 1 },
  };
  assert.deepEqual(problems(type, { replicas: -1, minReadySeconds: -2, selector: { app: 'a' }, template: bad }), [
    'spec.minReadySeconds: Invalid value: -2: must be greater than or equal to 0',
    'spec.replicas: Invalid value: -1: must be greater than or equal to 0',
    'spec.template.metadata.labels: Invalid value: {"app":"b"}: `selector` does not match template `labels`',
    'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
    'spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicationController is not Supported',
  ]);
  assert.deepEqual(problems(type, {}), ['spec.selector: Required value', 'spec.template: Required value']);
});

test('what a replica set may not be', () => {
  const type = resources.replicasets;
  assert.deepEqual(problems(type, { selector, template }), []);
  assert.deepEqual(problems(type, { template })[0], 'spec.selector: Required value');
  assert.deepEqual(problems(type, { selector: {}, template }), [
    'spec.selector: Invalid value: {}: empty selector is invalid for deployment',
  ]);
  assert.deepEqual(problems(type, { selector, template: { spec: { containers } } }), [
    'spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`',
  ]);
  const ofHost = {
    ...template,
    spec: { hostNetwork: true, containers: [{ ...containers[0], ports: [{ containerPort: 80 }] }] },
  };
  assert.deepEqual(problems(type, { selector, template: ofHost }), []);
});

test('the selector of a replica set stays; its status counts no more than there are', () => {
  const type: ResourceType<ReplicaSet> = resources.replicasets;
  const current = made(type, { selector, template });
  const labels = { app: 'b' };
  const next = made(type, { selector: { matchLabels: labels }, template: { ...template, metadata: { labels } } });
  assert.deepEqual(validateUpdate(type, next, current, '').map(fieldErrorText), [
    'spec.selector: Invalid value: {"matchLabels":{"app":"b"}}: field is immutable',
  ]);
  const status = { replicas: 1, fullyLabeledReplicas: 2, readyReplicas: 2, availableReplicas: 3 };
  assert.deepEqual(
    validateUpdate(type, Object.assign(structuredClone(current), { status }), current, 'status').map(fieldErrorText),
    [
      'status.fullyLabeledReplicas: Invalid value: 2: cannot be greater than status.replicas',
      'status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas',
      'status.availableReplicas: Invalid value: 3: cannot be greater than status.replicas',
      'status.availableReplicas: Invalid value: 3: cannot be greater than readyReplicas',
    ],
  );
});

test('a deployment rolls by a quarter, remembers ten revisions, and gives up after ten minutes', () => {
  const type: ResourceType<Deployment> = resources.deployments;
  const { template: _template, selector: _selector, ...rest } = made(type, { selector, template }).spec ?? {};
  assert.deepEqual(rest, {
    replicas: 1,
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } },
    revisionHistoryLimit: 10,
    progressDeadlineSeconds: 600,
  });
  assert.deepEqual(problems(type, { selector, template }), []);
  assert.deepEqual(problems(type, { selector, template, strategy: { type: 'Recreate' } }), []);
});

test('what a deployment may not be', () => {
  const of = (spec: object): string[] => problems(resources.deployments, { selector, template, ...spec });
  const rolling = (rollingUpdate: object): object => ({ strategy: { type: 'RollingUpdate', rollingUpdate } });
  const percentText =
    "a valid percent string must be a numeric string followed by an ending '%' " +
    "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
  assert.deepEqual(of(rolling({ maxSurge: 'a', maxUnavailable: '101%' })), [
    `spec.strategy.rollingUpdate.maxSurge: Invalid value: "a": ${percentText}`,
    'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%',
  ]);
  assert.deepEqual(of(rolling({ maxSurge: '0%', maxUnavailable: 0 })), [
    'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0',
  ]);
  assert.deepEqual(of({ strategy: { type: 'Recreate', rollingUpdate: { maxSurge: 1 } } }), [
    "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
  ]);
  assert.deepEqual(of({ strategy: { type: 'Blue' } }), [
    'spec.strategy.type: Unsupported value: "Blue": supported values: "Recreate", "RollingUpdate"',
  ]);
  assert.deepEqual(of({ minReadySeconds: 600, revisionHistoryLimit: -1 }), [
    'spec.revisionHistoryLimit: Invalid value: -1: must be greater than or equal to 0',
    'spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds',
  ]);
});

test('how often hashes of a deployment have met is never counted back', () => {
  const type: ResourceType<Deployment> = resources.deployments;
  const current = Object.assign(made(type, { selector, template }), { status: { collisionCount: 2 } });
  const next = Object.assign(structuredClone(current), { status: { collisionCount: 1, updatedReplicas: 1 } });
  assert.deepEqual(validateUpdate(type, next, current, 'status').map(fieldErrorText), [
    'status.updatedReplicas: Invalid value: 1: cannot be greater than status.replicas',
    'status.collisionCount: Invalid value: 1: cannot be decremented',
  ]);
});

test('a daemon set replaces one pod at a time, and remembers ten templates', () => {
  const type: ResourceType<DaemonSet> = resources.daemonsets;
  const { template: _template, selector: _selector, ...rest } = made(type, { selector, template }).spec ?? {};
  assert.deepEqual(rest, {
    updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } },
    revisionHistoryLimit: 10,
  });
  const of = (spec: object): string[] => problems(type, { selector, template, ...spec });
  const rolling = (rollingUpdate: object): object => ({ updateStrategy: { type: 'RollingUpdate', rollingUpdate } });
  assert.deepEqual(of({}), []);
  assert.deepEqual(of({ updateStrategy: { type: 'OnDelete' } }), []);
  assert.deepEqual(of(rolling({ maxSurge: 1 })), [
    'spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero',
  ]);
  assert.deepEqual(of(rolling({ maxUnavailable: '0%' })), [
    'spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0',
  ]);
  assert.deepEqual(of({ selector: {} }), ['spec.selector: Invalid value: {}: empty selector is invalid for daemonset']);
  assert.deepEqual(of({ updateStrategy: { type: 'Recreate' } }), [
    'spec.updateStrategy.type: Unsupported value: "Recreate": supported values: "OnDelete", "RollingUpdate"',
  ]);
});

test('a revision has data, and keeps it', () => {
  const type = resources.controllerrevisions;
  const of = (fields: object): Draft<ControllerRevision> =>
    decode<ControllerRevision>(type.model, { metadata, ...fields }, 'Strict').object;
  assert.deepEqual(validateCreate(type, of({ revision: -1 })).map(fieldErrorText), [
    'data: Required value: data is mandatory',
    'revision: Invalid value: -1: must be greater than or equal to 0',
  ]);
  const changed = validateUpdate(type, of({ data: { a: 1 }, revision: 2 }), of({ data: { a: 2 }, revision: 1 }), '');
  assert.deepEqual(changed.map(fieldErrorText), ['data: Invalid value: {"a":1}: field is immutable']);
});
