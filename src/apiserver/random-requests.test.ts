import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc, { propertySeed as seed } from '../../test/support/property.ts';
import { admin, podOf, podsPath, startApi } from '../../test/support/api-calls.ts';
import type { Json } from '../../test/support/api-calls.ts';
import { models } from '../api/gen/models.ts';

const words = [...new Set(Object.values(models).flatMap((model) => Object.keys(model)))];

/** Objects whose keys are those of real models, so that many of them are nearly right. */
const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 5, depthSize: 'small' },
    fc.constantFrom<Json>(
      null,
      true,
      false,
      0,
      1,
      -1,
      8080,
      1e21,
      0.5,
      '',
      'a',
      'web',
      'Always',
      '100m',
      '2026-01-01T00:00:00Z',
    ),
    fc.string(),
    fc.array(tie('any'), { maxLength: 3 }),
    fc.dictionary(fc.oneof(fc.constantFrom(...words), fc.string()), tie('any'), { maxKeys: 5 }),
  ),
})).any;

/** A pod with one thing replaced by something random. */
const bentPod = fc
  .tuple(
    fc.constantFrom('web', 'a', 'b', 'c'),
    fc.constantFrom('metadata', 'spec', 'status', 'kind', 'apiVersion'),
    fc.constantFrom(...words),
    value,
  )
  .map(([name, part, word, random]) => {
    const pod = podOf(name);
    if (part === 'kind' || part === 'apiVersion') return { ...pod, [part]: random };
    return { ...pod, [part]: { ...pod[part], [word]: random } };
  });

const body = fc.oneof(
  bentPod.map((object) => JSON.stringify(object)),
  value.map((object) => JSON.stringify(object)),
  fc.string(),
  fc.uint8Array({ maxLength: 64 }),
  fc.uint8Array({ maxLength: 64 }).map((bytes) => Uint8Array.of(0x6b, 0x38, 0x73, 0, ...bytes)),
);

const segment = fc.oneof(
  fc.constantFrom(
    'api',
    'apis',
    'v1',
    'namespaces',
    'default',
    'pods',
    'web',
    'status',
    'log',
    'binding',
    'nodes',
    'events',
  ),
  fc.constantFrom(
    'events.k8s.io',
    'coordination.k8s.io',
    'leases',
    'finalize',
    'proxy',
    'watch',
    '%2e',
    '%zz',
    '',
    '..',
  ),
  fc.string({ maxLength: 8 }).map((text) => text.replaceAll(/[/?#]/g, '-')),
);

const path = fc.oneof(
  fc.constantFrom(
    podsPath,
    `${podsPath}/web`,
    `${podsPath}/web/status`,
    `${podsPath}/web/binding`,
    `${podsPath}/web/log`,
  ),
  fc.constantFrom(
    '/api/v1/namespaces',
    '/api/v1/namespaces/default',
    '/api/v1/nodes',
    '/api/v1/namespaces/default/events',
  ),
  fc.constantFrom('/apis/events.k8s.io/v1/namespaces/default/events', '/openapi/v3', '/metrics', '/readyz', '/version'),
  fc.array(segment, { maxLength: 7 }).map((segments) => `/${segments.join('/')}`),
);

const queryNames = [
  'watch',
  'limit',
  'continue',
  'resourceVersion',
  'resourceVersionMatch',
  'labelSelector',
  'fieldSelector',
  'dryRun',
  'fieldValidation',
  'timeoutSeconds',
  'sendInitialEvents',
  'allowWatchBookmarks',
  'gracePeriodSeconds',
  'pretty',
  'propagationPolicy',
  'container',
  'tailLines',
  'sinceTime',
  'includeObject',
  'fieldManager',
  'verbose',
];
const queryValues = [
  'true',
  '1',
  '0',
  '-1',
  'All',
  'Exact',
  'NotOlderThan',
  'Strict',
  'a=b',
  'a in (b,c)',
  'metadata.name=web',
  'x',
  '',
];
const query = fc.array(
  fc.tuple(fc.constantFrom(...queryNames), fc.oneof(fc.constantFrom(...queryValues), fc.string())),
  { maxLength: 4 },
);

const contentTypes = [
  'application/json',
  'application/yaml',
  'application/vnd.kubernetes.protobuf',
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml',
  'text/plain',
];
const accepts = [
  '*/*',
  'application/json',
  'application/yaml',
  'application/vnd.kubernetes.protobuf',
  'text/html',
  ';;q=,',
  'application/json;q=x',
  'application/json;as=Table;v=v1;g=meta.k8s.io',
  'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io',
];
const headers = fc.record(
  { 'content-type': fc.constantFrom(...contentTypes), accept: fc.constantFrom(...accepts) },
  { requiredKeys: [] },
);

const anything = fc.record({
  method: fc.constantFrom('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'FOO'),
  path,
  query: query.map((pairs) => new URLSearchParams(pairs)),
  headers,
  body,
});

const podPath = fc.constantFrom('web', 'a', 'b', 'c').map((name) => `${podsPath}/${name}`);
const jsonPatch = fc.array(
  fc.record({
    op: fc.constantFrom('add', 'remove', 'replace', 'move', 'copy', 'test', 'x'),
    path: fc
      .array(fc.oneof(fc.constantFrom(...words), fc.constantFrom('0', '-', '~1')), { maxLength: 4 })
      .map((parts) => parts.map((part) => `/${part}`).join('')),
    from: fc.constantFrom('/metadata', '/spec/containers/0', '', '/metadata/name'),
    value,
  }),
  { maxLength: 3 },
);

/** Nearly right: the method, the path and the content type fit, the body is bent. */
const nearlyRight = fc
  .oneof(
    fc.record({ method: fc.constant('POST'), path: fc.constant(podsPath), body: bentPod }),
    fc.record({ method: fc.constantFrom('PUT', 'DELETE'), path: podPath, body: bentPod }),
    fc.record({
      method: fc.constant('PATCH'),
      path: podPath,
      type: fc.constantFrom('merge', 'strategic-merge'),
      body: bentPod,
    }),
    fc.record({ method: fc.constant('PATCH'), path: podPath, type: fc.constant('json'), body: jsonPatch }),
    fc.record({ method: fc.constant('GET'), path: podPath, body: fc.constant('') }),
  )
  .map((random) => ({
    method: random.method,
    path: random.path,
    query: new URLSearchParams(),
    headers: { 'content-type': 'type' in random ? `application/${random.type}-patch+json` : 'application/json' },
    body: JSON.stringify(random.body),
  }));

const request = fc.oneof(anything, nearlyRight);

test('whatever is asked, the answer is an answer: no crash, no 500, errors as Status objects', async () => {
  const errors: string[] = [];
  const log = {
    info() {},
    warn() {},
    error: (event: string, fields?: object) => errors.push(`${event} ${JSON.stringify(fields)}`),
  };
  const yaml = { parse: (text: string): unknown => JSON.parse(text), stringify: JSON.stringify };
  const nodes = () => Promise.resolve({ status: 200, headers: {}, body: 'log' });
  const api = await startApi({ log, yaml, nodes });
  await api.ok('POST', podsPath, podOf('web'));
  const codes = new Map<number, number>();
  await fc.assert(
    fc.asyncProperty(request, async (random) => {
      const answer = await api.server.handle({ ...random, user: admin }, api.scope.signal);
      codes.set(answer.status, (codes.get(answer.status) ?? 0) + 1);
      const { body: answered } = answer;
      if (typeof answered !== 'string' && !(answered instanceof Uint8Array)) {
        await answered[Symbol.asyncIterator]().return?.();
      }
      assert.ok(answer.status < 500 || answer.status === 504, JSON.stringify(answer)); // 504: a revision to come
      if (answer.status < 400) return;
      const status: Json = JSON.parse(typeof answered === 'string' ? answered : '');
      assert.deepEqual([status.kind, status.status, status.code], ['Status', 'Failure', answer.status]);
    }),
    { seed, numRuns: Number(process.env['FC_RUNS'] ?? 3_000) /* more of them by hand */ },
  );
  assert.deepEqual(errors, []);
  // The requests are worth something: they get through to every kind of answer.
  for (const code of [200, 201, 400, 404, 405, 406, 415, 422]) assert.ok(codes.has(code), `no ${code}: ${[...codes]}`);
  await api.close();
});

test('whatever object is stored, it comes back as it was answered, in every representation', async () => {
  const api = await startApi();
  const path_ = '/api/v1/namespaces/default/configmaps';
  const text = fc.string({ unit: 'binary', maxLength: 20 });
  const data = fc.dictionary(fc.stringMatching(/^[a-z][-._a-zA-Z0-9]{0,9}$/), text, { maxKeys: 5 });
  const annotations = fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), text, { maxKeys: 3 });
  let count = 0;
  await fc.assert(
    fc.asyncProperty(data, annotations, async (randomData, randomAnnotations) => {
      const name = `c${count++}`;
      const created = await api.ok('POST', path_, {
        metadata: { name, annotations: randomAnnotations },
        data: randomData,
      });
      const expected = JSON.parse(JSON.stringify({ data: randomData, annotations: randomAnnotations }));
      assert.deepEqual({ data: created.data ?? {}, annotations: created.metadata.annotations ?? {} }, expected);
      assert.deepEqual(await api.ok('GET', `${path_}/${name}`), created);
      const list = await api.ok('GET', `${path_}?fieldSelector=metadata.name%3D${name}`);
      const { kind: _kind, apiVersion: _apiVersion, ...item } = created;
      assert.deepEqual(list.items, [item]);
      const protobuf = {
        headers: {
          'content-type': 'application/vnd.kubernetes.protobuf',
          accept: 'application/vnd.kubernetes.protobuf',
        },
      };
      const { body: bytes } = await api.respond('GET', `${path_}/${name}`, undefined, protobuf);
      const again = await api.call('PUT', `${path_}/${name}`, bytes, {
        headers: { 'content-type': 'application/vnd.kubernetes.protobuf' },
      });
      assert.deepEqual(again.json, created); // nothing was lost on the way, so nothing was written
    }),
    { seed, numRuns: 200 },
  );
  await api.close();
});
