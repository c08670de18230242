import assert from 'node:assert/strict';
import { test } from 'node:test';
import { podOf, podsPath, startApi } from '../../test/support/api-calls.ts';
import type { Json } from '../../test/support/api-calls.ts';
import { MemoryStore } from '../store/memory-store.ts';

const accounts = '/api/v1/serviceaccounts';

test("the system's namespaces are there from the start, each with its service account; again after a restart", async () => {
  const store = new MemoryStore();
  let api = await startApi({ store });
  const names = (list: Json) => list.items.map((item: Json) => item.metadata.name);
  const system = ['default', 'kube-node-lease', 'kube-public', 'kube-system'];
  assert.deepEqual(names(await api.ok('GET', '/api/v1/namespaces')), system);
  const first = await api.ok('GET', accounts);
  assert.deepEqual(
    first.items.map((item: Json) => `${item.metadata.namespace}/${item.metadata.name}`),
    system.map((name) => `${name}/default`),
  );
  await api.close();
  api = await startApi({ store });
  assert.deepEqual(await api.ok('GET', accounts), first);
  await api.close();
});

test('a new namespace is Active, has its label and its finalizer, and is born with a service account', async () => {
  const api = await startApi();
  const { metadata, spec, status } = await api.ok('POST', '/api/v1/namespaces', { metadata: { name: 'team' } });
  assert.deepEqual(
    [metadata.labels, spec, status],
    [{ 'kubernetes.io/metadata.name': 'team' }, { finalizers: ['kubernetes'] }, { phase: 'Active' }],
  );
  const account = await api.ok('GET', '/api/v1/namespaces/team/serviceaccounts/default');
  assert.equal(account.metadata.resourceVersion, metadata.resourceVersion);
  await api.ok('POST', '/api/v1/namespaces/team/pods', podOf('web'));
  await api.close();
});

test('without its service account no pod is admitted; for the default one it waits a while', async () => {
  const api = await startApi();
  const accounts = '/api/v1/namespaces/default/serviceaccounts';
  assert.equal((await api.ok('DELETE', `${accounts}/default`)).kind, 'ServiceAccount');
  const words = (name: string): string =>
    `403 Forbidden: pods "web" is forbidden: error looking up service account default/${name}: ` +
    `serviceaccount "${name}" not found`;
  const pod = podOf('web', { spec: { serviceAccountName: 'nosuch' } });
  assert.equal(await api.fails('POST', podsPath, pod), words('nosuch'));
  // Admission comes before a name is made: each try of a controller is refused in the same words, and told once.
  const unnamed = { ...pod, metadata: { generateName: 'web-' } };
  assert.equal(await api.fails('POST', podsPath, unnamed), words('nosuch').replace('"web"', '"web-"'));
  const refused = api.fails('POST', podsPath, podOf('web'));
  await api.clock.advance(2_000);
  assert.equal(await refused, words('default'));
  const admitted = api.ok('POST', podsPath, podOf('web'));
  await api.clock.advance(500);
  await api.ok('POST', accounts, { metadata: { name: 'default' } });
  await api.clock.advance(200);
  assert.equal((await admitted).spec.serviceAccountName, 'default');
  await api.close();
});

test('nothing can be created in a namespace that does not exist', async () => {
  const api = await startApi();
  assert.equal(
    await api.fails('POST', '/api/v1/namespaces/nosuch/pods', podOf('web')),
    '404 NotFound: namespaces "nosuch" not found',
  );
  await api.close();
});

test('a deleted namespace is Terminating, takes nothing new but events, and goes when its finalizer is taken', async () => {
  const api = await startApi();
  const path = '/api/v1/namespaces/team';
  await api.ok('POST', '/api/v1/namespaces', { metadata: { name: 'team' } });
  const terminating = await api.ok('DELETE', path);
  assert.deepEqual(
    [terminating.status.phase, terminating.metadata.deletionTimestamp],
    ['Terminating', '2026-01-01T00:00:00Z'],
  );
  const { status, json } = await api.call('POST', `${path}/pods`, podOf('web'));
  assert.equal(status, 403);
  assert.equal(
    json.message,
    'pods "web" is forbidden: unable to create new content in namespace team because it is being terminated',
  );
  assert.deepEqual(json.details.causes, [
    { reason: 'NamespaceTerminating', message: 'namespace team is being terminated', field: 'metadata.namespace' },
  ]);
  const event = {
    metadata: { name: 'e', namespace: 'team' },
    involvedObject: { kind: 'Pod', namespace: 'team', name: 'x' },
  };
  await api.ok('POST', `${path}/events`, event);
  const plain = await api.ok('PUT', path, { ...terminating, spec: {} });
  assert.deepEqual(plain.spec, { finalizers: ['kubernetes'] });
  await api.ok('PUT', `${path}/finalize`, { ...terminating, metadata: { name: 'team' }, spec: {} });
  assert.match(await api.fails('GET', path), /^404/);
  await api.close();
});

test('the namespaces and priority classes that the cluster cannot do without stay', async () => {
  const api = await startApi();
  for (const name of ['default', 'kube-system', 'kube-public']) {
    assert.equal(
      await api.fails('DELETE', `/api/v1/namespaces/${name}`),
      `403 Forbidden: namespaces "${name}" is forbidden: this namespace may not be deleted`,
    );
  }
  assert.equal(
    await api.fails('DELETE', '/apis/scheduling.k8s.io/v1/priorityclasses/system-node-critical'),
    '403 Forbidden: priorityclasses.scheduling.k8s.io "system-node-critical" is forbidden: ' +
      'this is a system priority class and cannot be deleted',
  );
  await api.close();
});

test('no pod slips into a namespace while it is being deleted', async () => {
  const api = await startApi();
  await api.ok('POST', '/api/v1/namespaces', { metadata: { name: 'team' } });
  const creates = Array.from({ length: 20 }, (_, n) =>
    api.call('POST', '/api/v1/namespaces/team/pods', podOf(`p${n}`)),
  );
  const deleted = api.ok('DELETE', '/api/v1/namespaces/team');
  const late = Array.from({ length: 20 }, (_, n) => api.call('POST', '/api/v1/namespaces/team/pods', podOf(`q${n}`)));
  const revision = Number((await deleted).metadata.resourceVersion);
  for (const { status, json } of await Promise.all([...creates, ...late])) {
    if (status === 201) assert.ok(Number(json.metadata.resourceVersion) < revision);
    else assert.equal(json.details.causes[0].reason, 'NamespaceTerminating');
  }
  await api.close();
});
