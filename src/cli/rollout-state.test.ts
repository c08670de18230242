import assert from 'node:assert/strict';
import { test } from 'node:test';
import { daemonSetRollout, deploymentRollout } from './rollout-state.ts';

test('what is said of a deployment while it rolls', () => {
  const of = (status: object, revision = 0): string => {
    const annotations = { 'deployment.kubernetes.io/revision': '2' };
    const metadata = { name: 'web', generation: 3, annotations };
    const spec = { replicas: 3, selector: {}, template: {} };
    const { text, isDone } = deploymentRollout(
      { metadata, spec, status: { observedGeneration: 3, ...status } },
      revision,
    );
    return `${isDone ? 'done: ' : ''}${text}`;
  };
  const waiting = 'Waiting for deployment "web" rollout to finish: ';
  assert.equal(of({ observedGeneration: 2 }), 'Waiting for deployment spec update to be observed...\n');
  assert.equal(of({ updatedReplicas: 1 }), `${waiting}1 out of 3 new replicas have been updated...\n`);
  const updated = { updatedReplicas: 3, replicas: 3 };
  assert.equal(of({ ...updated, replicas: 4 }), `${waiting}1 old replicas are pending termination...\n`);
  assert.equal(of({ ...updated, availableReplicas: 2 }), `${waiting}2 of 3 updated replicas are available...\n`);
  assert.equal(of({ ...updated, availableReplicas: 3 }), 'done: deployment "web" successfully rolled out\n');
  const conditions = [{ type: 'Progressing', status: 'False', reason: 'ProgressDeadlineExceeded' }];
  assert.throws(() => of({ conditions }), /deployment "web" exceeded its progress deadline/);
  assert.throws(() => of({}, 1), /desired revision \(1\) is different from the running revision \(2\)/);
});

test('what is said of a daemon set while it rolls', () => {
  const of = (status: object, type = 'RollingUpdate'): string => {
    const none = { currentNumberScheduled: 0, desiredNumberScheduled: 2, numberMisscheduled: 0, numberReady: 0 };
    const spec = { selector: {}, template: {}, updateStrategy: { type } };
    const metadata = { name: 'agent', generation: 2 };
    return daemonSetRollout({ metadata, spec, status: { ...none, observedGeneration: 2, ...status } }).text;
  };
  const waiting = 'Waiting for daemon set "agent" rollout to finish: ';
  assert.equal(of({ observedGeneration: 1 }), 'Waiting for daemon set spec update to be observed...\n');
  assert.equal(of({ updatedNumberScheduled: 1 }), `${waiting}1 out of 2 new pods have been updated...\n`);
  const updated = { updatedNumberScheduled: 2 };
  assert.equal(of({ ...updated, numberAvailable: 1 }), `${waiting}1 of 2 updated pods are available...\n`);
  assert.equal(of({ ...updated, numberAvailable: 2 }), 'daemon set "agent" successfully rolled out\n');
  assert.throws(() => of({}, 'OnDelete'), /rollout status is only available for RollingUpdate strategy type/);
});
