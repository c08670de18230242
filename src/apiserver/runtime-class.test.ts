import assert from 'node:assert/strict';
import { test } from 'node:test';
import { podOf, podsPath, startApi } from '../../test/support/api-calls.ts';

const mergePatch = { headers: { 'content-type': 'application/merge-patch+json' } };

test('a pod gets from its runtime class what that says, and is refused if it says otherwise', async () => {
  const api = await startApi();
  const classes = '/apis/node.k8s.io/v1/runtimeclasses';
  const classOf = (name: string, fields: object) => ({
    apiVersion: 'node.k8s.io/v1',
    kind: 'RuntimeClass',
    metadata: { name },
    handler: 'kata-fc',
    ...fields,
  });
  const scheduling = {
    nodeSelector: { vm: 'yes' },
    tolerations: [
      { key: 'vm', operator: 'Exists' },
      { key: 'cheap', operator: 'Exists', effect: 'NoSchedule' },
    ],
  };
  await api.ok('POST', classes, classOf('kata', { overhead: { podFixed: { memory: '100Mi' } }, scheduling }));
  await api.ok('POST', classes, classOf('plain', {}));
  const own = { key: 'vm', operator: 'Equal', value: '1', effect: 'NoSchedule' };
  const specOf = (runtimeClassName: string, fields: object = {}) => ({
    spec: { runtimeClassName, containers: [{ name: 'c', image: 'i' }], ...fields },
  });
  await api.ok('POST', podsPath, podOf('web', specOf('kata', { tolerations: [own] })));
  const { spec } = await api.ok('GET', `${podsPath}/web`);
  assert.deepEqual([spec.overhead, spec.nodeSelector], [{ memory: '100Mi' }, { vm: 'yes' }]);
  assert.deepEqual(
    spec.tolerations.map(({ key, operator }: { key: string; operator: string }) => `${key} ${operator}`),
    ['node.kubernetes.io/not-ready Exists', 'node.kubernetes.io/unreachable Exists', 'vm Exists', 'cheap Exists'],
  );
  const refused = async (...spec: Parameters<typeof specOf>) =>
    (await api.fails('POST', podsPath, podOf('no', specOf(...spec)))).replace(
      '403 Forbidden: pods "no" is forbidden: ',
      '',
    );
  const overhead = { memory: '1Gi' };
  assert.deepEqual(
    [
      await refused('none'),
      await refused('kata', { overhead }),
      await refused('plain', { overhead }),
      await refused('kata', { nodeSelector: { vm: 'no' } }),
    ],
    [
      'pod rejected: RuntimeClass "none" not found',
      "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
      'pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead',
      'conflict: runtimeClass.scheduling.nodeSelector[vm] = yes; pod.spec.nodeSelector[vm] = no',
    ],
  );
  assert.match(
    await api.fails('PATCH', `${classes}/plain`, { handler: 'other' }, mergePatch),
    /^422 Invalid: RuntimeClass.node.k8s.io "plain" is invalid: handler: Invalid value: "other": field is immutable$/,
  );
  assert.match(await api.fails('POST', classes, classOf('bad', { handler: 'Kata' })), /handler: Invalid value: "Kata"/);
  await api.close();
});
