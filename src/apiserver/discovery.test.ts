import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { admin, startApi } from '../../test/support/api-calls.ts';
import type { Json } from '../../test/support/api-calls.ts';
import { noLog } from '../base/log.ts';
import { noMetrics } from '../base/metrics.ts';
import { SeededEntropy } from '../sim/seeded-entropy.ts';
import { SimTokenIssuer } from '../sim/sim-token-issuer.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { MemoryStore } from '../store/memory-store.ts';
import { ApiServer } from './api-server.ts';

function golden(name: string): Json {
  return JSON.parse(fs.readFileSync(`test/data/goldens/wire/${name}.json`, 'utf8'));
}

/** Services are there to be read. */
function onlyRead({ storageVersionHash: _none, ...row }: Json): Json {
  return { ...row, verbs: ['get', 'list', 'watch'] };
}

test('what is in discovery is as Kubernetes 1.34 has it, but only what is served', async () => {
  const api = await startApi();
  assert.deepEqual(await api.ok('GET', '/api'), golden('api'));
  for (const [url, name] of [
    ['/api/v1', 'api-v1'],
    ['/apis/coordination.k8s.io/v1', 'apis-coordination-v1'],
    ['/apis/events.k8s.io/v1', 'apis-events-v1'],
    ['/apis/apps/v1', 'apis-apps-v1'],
  ] as const) {
    const { resources, ...head } = await api.ok('GET', url);
    const { resources: theirs, ...theirHead } = golden(name);
    assert.deepEqual(head, theirHead);
    const byName = new Map(theirs.map((row: Json) => [row.name, row.name === 'services' ? onlyRead(row) : row]));
    for (const row of resources) assert.deepEqual(row, byName.get(row.name), row.name);
  }
  const served = (await api.ok('GET', '/api/v1')).resources.map((row: Json) => row.name);
  assert.deepEqual(served, [
    'bindings',
    'configmaps',
    'events',
    'namespaces',
    'namespaces/finalize',
    'namespaces/status',
    'nodes',
    'nodes/proxy',
    'nodes/status',
    'pods',
    'pods/attach',
    'pods/binding',
    'pods/ephemeralcontainers',
    'pods/eviction',
    'pods/exec',
    'pods/log',
    'pods/portforward',
    'pods/proxy',
    'pods/status',
    'podtemplates',
    'replicationcontrollers',
    'replicationcontrollers/scale',
    'replicationcontrollers/status',
    'secrets',
    'serviceaccounts',
    'serviceaccounts/token',
    'services',
  ]);
  await api.close();
});

test('aggregated discovery says the same at once', async () => {
  const api = await startApi();
  const accept = (version: string) => ({
    headers: {
      accept: `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList,application/json`,
    },
  });
  const { headers, json } = await api.call('GET', '/api', undefined, accept('v2'));
  assert.equal(headers['content-type'], 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList');
  const theirs = golden('api-aggregated');
  assert.deepEqual([json.kind, json.apiVersion, json.metadata], [theirs.kind, theirs.apiVersion, theirs.metadata]);
  const byName = new Map(theirs.items[0].versions[0].resources.map((row: Json) => [row.resource, row]));
  const [version] = json.items[0].versions;
  assert.deepEqual([version.version, version.freshness], ['v1', 'Current']);
  for (const row of version.resources) {
    const expected = byName.get(row.resource) as Json;
    const names = new Set((row.subresources ?? []).map((sub: Json) => sub.subresource));
    const subresources = (expected.subresources ?? []).filter((sub: Json) => names.has(sub.subresource));
    const { subresources: _all, ...rest } = row.resource === 'services' ? onlyRead(expected) : expected;
    assert.deepEqual(row, subresources.length === 0 ? rest : { ...rest, subresources }, row.resource);
  }
  const groups = await api.ok('GET', '/apis', undefined, accept('v2beta1'));
  assert.deepEqual(
    [groups.apiVersion, groups.items.map((item: Json) => item.metadata.name)],
    [
      'apidiscovery.k8s.io/v2beta1',
      [
        'apps',
        'events.k8s.io',
        'authentication.k8s.io',
        'batch',
        'certificates.k8s.io',
        'policy',
        'coordination.k8s.io',
        'scheduling.k8s.io',
        'node.k8s.io',
      ],
    ],
  );
  await api.close();
});

test('version and health', async () => {
  const api = await startApi();
  const version = await api.ok('GET', '/version');
  assert.deepEqual(Object.keys(version), Object.keys(golden('version')));
  assert.deepEqual([version.major, version.minor], ['1', '34']);
  for (const url of ['/healthz', '/livez', '/readyz', '/readyz/ping']) {
    assert.equal((await api.call('GET', url)).text, 'ok');
  }
  const { text } = await api.call('GET', '/readyz?verbose');
  assert.equal(text, '[+]ping ok\n[+]log ok\n[+]etcd ok\n[+]informer-sync ok\nreadyz check passed\n');
  await api.close();
  assert.equal((await api.call('GET', '/readyz')).status, 500); // it no longer runs
});

test('a server that has not begun to run is alive, but not ready, and says so', async () => {
  const never = new AbortController().signal;
  const clock = new VirtualClock({ epochMs: 0 });
  const server = new ApiServer({
    store: new MemoryStore(),
    clock,
    entropy: new SeededEntropy('x'),
    log: noLog,
    metrics: noMetrics,
    nodes: () => Promise.reject(new Error('no nodes')),
    jsonPatch: (document) => document,
    tokens: new SimTokenIssuer('x'),
  });
  const get = async (path: string) => {
    const request = { method: 'GET', path, query: new URLSearchParams(), headers: {}, body: '', user: admin };
    return (await server.handle(request, never)).status;
  };
  assert.deepEqual([await get('/livez'), await get('/readyz'), await get('/api/v1/pods')], [200, 500, 503]);
});

test('OpenAPI: kubectl finds that fields are checked by the server, how lists merge, and every reference', async () => {
  const api = await startApi();
  const { paths } = await api.ok('GET', '/openapi/v3');
  assert.deepEqual(Object.keys(paths), [
    'api/v1',
    'apis/apps/v1',
    'apis/events.k8s.io/v1',
    'apis/authentication.k8s.io/v1',
    'apis/batch/v1',
    'apis/certificates.k8s.io/v1',
    'apis/policy/v1',
    'apis/coordination.k8s.io/v1',
    'apis/scheduling.k8s.io/v1',
    'apis/node.k8s.io/v1',
  ]);
  for (const { serverRelativeURL } of Object.values(paths) as Json[]) {
    const { json, headers } = await api.call('GET', serverRelativeURL);
    const text = JSON.stringify(json);
    for (const [, name] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
      assert.ok(json.components.schemas[name ?? ''] !== undefined, name);
    }
    const again = await api.call('GET', serverRelativeURL, undefined, {
      headers: { 'if-none-match': headers['etag'] ?? '' },
    });
    assert.deepEqual([again.status, again.text], [304, '']);
  }
  const core = await api.ok('GET', '/openapi/v3/api/v1');
  const patch = core.paths['/api/v1/namespaces/{namespace}/pods/{name}'].patch;
  assert.deepEqual(patch['x-kubernetes-group-version-kind'], { group: '', kind: 'Pod', version: 'v1' });
  assert.ok(patch.parameters.some((parameter: Json) => parameter.name === 'fieldValidation'));
  const { containers } = core.components.schemas['io.k8s.api.core.v1.PodSpec'].properties;
  assert.deepEqual(
    [containers['x-kubernetes-patch-merge-key'], containers['x-kubernetes-patch-strategy']],
    ['name', 'merge'],
  );
  const v2 = await api.ok('GET', '/openapi/v2');
  for (const [, name] of JSON.stringify(v2).matchAll(/"#\/definitions\/([^"]+)"/g)) {
    assert.ok(v2.definitions[name ?? ''] !== undefined, name);
  }
  await api.close();
});

test('OpenAPI version 2 in protobuf, for old kubectls', async () => {
  const api = await startApi();
  const headers = { accept: 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf' };
  const { body, headers: answered } = await api.respond('GET', '/openapi/v2', undefined, { headers });
  assert.equal(answered['content-type'], 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf');
  assert.ok(body instanceof Uint8Array);
  // Field 1, swagger = "2.0"; then field 2, info.
  assert.deepEqual(body.slice(0, 6), Uint8Array.of(0x0a, 3, 0x32, 0x2e, 0x30, 0x12));
  await api.close();
});

test("tables have upstream's columns, and rows with what was asked for of the object", async () => {
  const api = await startApi();
  const accept = { headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json' } };
  const columns = (table: Json) =>
    table.columnDefinitions.map(({ name, type, format, priority }: Json) => ({ name, type, format, priority }));
  for (const resource of ['pods', 'namespaces', 'nodes', 'configmaps', 'serviceaccounts']) {
    const table = await api.ok('GET', `/api/v1/${resource}`, undefined, accept);
    assert.deepEqual(columns(table), columns(golden(`table-${resource}`)), resource);
  }
  const one = await api.ok('GET', '/api/v1/namespaces/default', undefined, accept);
  assert.deepEqual(
    [one.rows[0].cells, one.rows[0].object.kind],
    [['default', 'Active', '0s'], 'PartialObjectMetadata'],
  );
  const whole = await api.ok('GET', '/api/v1/namespaces?includeObject=Object', undefined, accept);
  assert.equal(whole.rows[0].object.kind, 'Namespace');
  const none = await api.ok('GET', '/api/v1/namespaces?includeObject=None', undefined, accept);
  assert.equal(none.rows[0].object, undefined);
  const partial = { headers: { accept: 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io' } };
  const list = await api.ok('GET', '/api/v1/namespaces', undefined, partial);
  assert.deepEqual(
    [list.kind, Object.keys(list.items[0])],
    ['PartialObjectMetadataList', ['kind', 'apiVersion', 'metadata']],
  );
  await api.close();
});

test('aggregated discovery is sent again only when it has changed', async () => {
  const api = await startApi();
  const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
  const { headers } = await api.call('GET', '/apis', undefined, { headers: { accept } });
  const again = { accept, 'if-none-match': headers['etag'] ?? '' };
  assert.match(again['if-none-match'], /^"\w+"$/);
  const { status, text } = await api.call('GET', '/apis', undefined, { headers: again });
  assert.deepEqual([status, text], [304, '']);
  await api.close();
});

test('checks that are left out are told, and those that do not exist too', async () => {
  const api = await startApi();
  const { text } = await api.call('GET', '/livez?verbose&exclude=etcd&exclude=foo');
  assert.equal(
    text,
    '[+]ping ok\n[+]log ok\n[+]etcd excluded: ok\n' +
      'warn: some health checks cannot be excluded: no matches for "foo"\nlivez check passed\n',
  );
  await api.close();
});
