import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { podOf, podsPath, startApi } from '../../test/support/api-calls.ts';
import type { Json } from '../../test/support/api-calls.ts';

/** What Kubernetes 1.34 answered. */
function golden(name: string): Json {
  return JSON.parse(fs.readFileSync(`test/data/goldens/wire/${name}.json`, 'utf8'));
}

test('errors are the Status objects that Kubernetes 1.34 answers', async () => {
  const api = await startApi({ yaml: { parse: JSON.parse, stringify: JSON.stringify } });
  const broken = { headers: { 'content-type': 'application/json' } };
  const text = { headers: { 'content-type': 'text/plain' } };
  const html = { headers: { accept: 'text/html' } };
  const cases: readonly (readonly [golden: string, answer: Promise<{ json: Json; status: number }>])[] = [
    ['err-400-broken-json', api.call('POST', podsPath, '{broken', broken)],
    ['err-404', api.call('GET', `${podsPath}/nosuch`)],
    ['err-405', api.call('PUT', podsPath, podOf('x'))],
    ['err-406', api.call('GET', podsPath, undefined, html)],
    ['err-415', api.call('POST', podsPath, 'x', text)],
    ['err-field-selector', api.call('GET', `${podsPath}?fieldSelector=spec.foo%3Dx`)],
    ['err-resource-version', api.call('GET', `${podsPath}?resourceVersion=abc`)],
  ];
  for (const [name, answer] of cases) {
    const { json, status } = await answer;
    assert.deepEqual(json, golden(name), name);
    assert.equal(status, json.code, name);
  }
  await api.close();
});

test("a kind that does not belong there is refused in upstream's words", async () => {
  const api = await startApi();
  const scheme = 'in scheme "k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30"';
  const cases: readonly (readonly [body: Json, error: string])[] = [
    [
      { kind: 'pod', apiVersion: 'v1' },
      `pod in version "v1" cannot be handled as a Pod: no kind "pod" is registered for version "v1" ${scheme}`,
    ],
    [
      { kind: 'Pod', apiVersion: 'v2' },
      `Pod in version "v2" cannot be handled as a Pod: no kind "Pod" is registered for version "v2" ${scheme}`,
    ],
    [
      { kind: 'ConfigMap', apiVersion: 'v1' },
      'ConfigMap in version "v1" cannot be handled as a Pod: converting (v1.ConfigMap) to (core.Pod): unknown conversion',
    ],
  ];
  for (const [body, error] of cases) assert.equal(await api.fails('POST', podsPath, body), `400 BadRequest: ${error}`);
  await api.close();
});

test('unknown fields: Strict refuses, Warn warns and drops them, Ignore drops them', async () => {
  const api = await startApi();
  const body = podOf('web', { spec: { foo: 1 } });
  assert.equal(
    await api.fails('POST', `${podsPath}?fieldValidation=Strict`, body),
    '400 BadRequest: Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec.foo"',
  );
  const warned = await api.call('POST', `${podsPath}?fieldValidation=Warn&dryRun=All`, body);
  assert.deepEqual([warned.status, warned.headers['warning']], [201, '299 - "unknown field \\"spec.foo\\""']);
  const ignored = await api.call('POST', `${podsPath}?fieldValidation=Ignore`, body);
  assert.deepEqual([ignored.status, ignored.headers['warning'], ignored.json.spec.foo], [201, undefined, undefined]);
  assert.equal(
    await api.fails('POST', `${podsPath}?fieldValidation=Loud`, body),
    '422 Invalid: CreateOptions.meta.k8s.io "" is invalid: fieldValidation: Unsupported value: "Loud": ' +
      'supported values: "", "Ignore", "Strict", "Warn"',
  );
  await api.close();
});

test('names and namespaces of object and path must agree', async () => {
  const api = await startApi();
  const namespace = { metadata: { namespace: 'other' } };
  assert.equal(
    await api.fails('POST', podsPath, podOf('web', namespace)),
    '400 BadRequest: the namespace of the provided object does not match the namespace sent on the request',
  );
  await api.ok('POST', podsPath, podOf('web'));
  assert.equal(
    await api.fails('PUT', `${podsPath}/web`, podOf('other')),
    '400 BadRequest: the name of the object (other) does not match the name on the URL (web)',
  );
  assert.equal(
    await api.fails('PUT', `${podsPath}/web`, podOf('web', namespace)),
    '400 BadRequest: the namespace of the object (other) does not match the namespace on the request (default)',
  );
  assert.equal(
    await api.fails('PUT', `${podsPath}/web`, podOf('')),
    '400 BadRequest: the name of the object (web based on URL) was undeterminable: name must be provided',
  );
  assert.equal(
    await api.fails('POST', podsPath, podOf('x', { metadata: { resourceVersion: '1' } })),
    '400 BadRequest: resourceVersion should not be set on objects to be created',
  );
  assert.equal(await api.fails('POST', podsPath, podOf('web')), '409 AlreadyExists: pods "web" already exists');
  await api.close();
});

test('paths and methods that lead nowhere', async () => {
  const api = await startApi();
  const notFound = '404 NotFound: the server could not find the requested resource';
  const wrongMethod = '405 MethodNotAllowed: the server does not allow this method on the requested resource';
  const cases: readonly (readonly [method: string, url: string, error: string])[] = [
    ['GET', '/foo', notFound],
    ['GET', '/api/v1/foo', notFound],
    ['GET', '/api/v2', notFound],
    ['GET', '/api/v2/pods', notFound],
    ['GET', '/apis/apps/v1/statefulsets', notFound],
    ['GET', '/api/v1/pods/web', notFound],
    ['GET', '/api/v1/namespaces/default/nodes', notFound],
    ['GET', '/api/v1/namespaces/default/pods/%zz', notFound],
    ['GET', `${podsPath}/web/foo`, notFound],
    ['POST', '/api/v1/pods', wrongMethod],
    ['DELETE', '/api/v1/pods', wrongMethod],
    ['DELETE', '/api/v1/namespaces', wrongMethod],
    ['BREW', podsPath, wrongMethod],
    ['POST', `${podsPath}/web`, wrongMethod],
    ['GET', `${podsPath}/web/binding`, wrongMethod],
    ['POST', '/version', wrongMethod],
    ['GET', '/api/v1/namespaces/default/bindings', wrongMethod],
  ];
  for (const [method, url, error] of cases) {
    assert.equal(await api.fails(method, url, method === 'POST' ? {} : undefined), error, `${method} ${url}`);
  }
  await api.close();
});

test("who is not known is 401, who may not is 403 in upstream's words, masters and our components may", async () => {
  const api = await startApi();
  const unknown = await api.call('GET', podsPath, undefined, { user: undefined });
  assert.deepEqual(unknown.json, {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: 'Unauthorized',
    reason: 'Unauthorized',
    code: 401,
  });
  const jane = { user: { name: 'jane', groups: ['dev'] } };
  const cases: readonly (readonly [method: string, url: string, text: string])[] = [
    [
      'GET',
      podsPath,
      'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default"',
    ],
    [
      'GET',
      `${podsPath}/web/log`,
      'pods "web" is forbidden: User "jane" cannot get resource "pods/log" in API group "" in the namespace "default"',
    ],
    [
      'DELETE',
      '/api/v1/nodes/n',
      'nodes "n" is forbidden: User "jane" cannot delete resource "nodes" in API group "" at the cluster scope',
    ],
    [
      'GET',
      '/apis/coordination.k8s.io/v1/leases?watch=1',
      'leases.coordination.k8s.io is forbidden: User "jane" cannot watch resource "leases" in API group "coordination.k8s.io" at the cluster scope',
    ],
    ['GET', '/metrics', 'forbidden: User "jane" cannot get path "/metrics"'],
  ];
  for (const [method, url, text] of cases)
    assert.equal(await api.fails(method, url, undefined, jane), `403 Forbidden: ${text}`);
  await api.ok('GET', '/api/v1', undefined, jane);
  const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
  const spec = { resourceAttributes: { verb: 'get', resource: 'pods' } };
  assert.deepEqual((await api.ok('POST', path, { spec }, jane)).status, { allowed: false });
  assert.deepEqual((await api.ok('POST', path, { spec })).status, { allowed: true });
  const asTable = { headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' } };
  assert.match(await api.fails('POST', path, { spec }, asTable), /^406 NotAcceptable/); // upstream's e2e asks for it
  for (const name of ['system:kube-scheduler', 'system:kube-controller-manager']) {
    await api.ok('GET', podsPath, undefined, { user: { name, groups: [] } });
  }
  await api.close();
});

test('an unexpected error is a 500, a line in the log and a count', async () => {
  const events: string[] = [];
  const counts: string[] = [];
  const nothing = { inc() {}, set() {}, observe() {}, remove() {} };
  const api = await startApi({
    jsonPatch: () => {
      throw new TypeError('a bug');
    },
    nodes: () => {
      throw new TypeError('another bug');
    },
    log: { info() {}, warn() {}, error: (event) => events.push(event) },
    metrics: {
      counter: () => ({ ...nothing, inc: (labels) => counts.push(`${labels['verb']} ${labels['code']}`) }),
      gauge: () => nothing,
      histogram: () => nothing,
      render: () => Promise.resolve(''),
    },
  });
  await api.ok('POST', podsPath, podOf('web'));
  await api.ok('POST', `${podsPath}/web/binding`, { metadata: { name: 'web' }, target: { name: 'n1' } });
  counts.length = 0;
  assert.equal(
    await api.fails('GET', `${podsPath}/web/log`),
    '500 InternalError: Internal error occurred: another bug',
  );
  assert.deepEqual([events, counts], [['requestFailed'], ['GET 500']]);
  await api.close();
});

test('parts of a path may be percent-encoded, all of them; empty parts lead nowhere', async () => {
  const api = await startApi();
  await api.ok('POST', podsPath, podOf('web'));
  assert.equal((await api.ok('GET', '/%61pi/v1/namespaces/%64efault/p%6fds/we%62')).metadata.name, 'web');
  for (const path of ['//api/v1/namespaces/default/pods', '/api/v1//namespaces/default/pods', `${podsPath}/%zz`]) {
    assert.match(await api.fails('GET', path), /^404 NotFound: the server could not find the requested resource$/);
  }
  await api.close();
});

test('options of writes are checked', async () => {
  const api = await startApi();
  const merge = { headers: { 'content-type': 'application/merge-patch+json' } };
  assert.equal(
    await api.fails('PATCH', `${podsPath}/web?force=true`, {}, merge),
    '422 Invalid: PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch',
  );
  const { json } = await api.call('POST', `${podsPath}?fieldManager=${'x'.repeat(129)}`, podOf('web'));
  assert.deepEqual(json.details, {
    group: 'meta.k8s.io',
    kind: 'CreateOptions',
    causes: [
      {
        reason: 'FieldValueTooLong',
        message: 'Too long: may not be more than 128 bytes',
        field: 'fieldManager',
      },
    ],
  });
  assert.match(
    await api.fails('POST', `${podsPath}?fieldManager=a%C3%BC%07`, podOf('web')),
    /: fieldManager: Invalid value: "aü\\a": invalid character U\+0007 \(at position 3\)$/,
  );
  assert.match(
    await api.fails('POST', '/api/v1/namespaces/default/bindings', { target: { kind: 'Node', name: 'n' } }),
    /^400 BadRequest: Name parameter required\.$/,
  );
  await api.close();
});

test('a patch nested without end is the fault of its sender', async () => {
  const api = await startApi();
  await api.ok('POST', podsPath, podOf('web'));
  const nested = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
  for (const type of ['merge-patch', 'strategic-merge-patch']) {
    const headers = { 'content-type': `application/${type}+json` };
    assert.match(
      await api.fails('PATCH', `${podsPath}/web`, nested(20_000), { headers }),
      /^400 BadRequest: error decoding patch: exceeded max depth$/,
    );
    await api.ok('PATCH', `${podsPath}/web`, nested(1_000), { headers });
  }
  await api.close();
});
