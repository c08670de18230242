import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startApi } from '../../test/support/api-calls.ts';

const services = '/api/v1/namespaces/default/services';

test('the service kubernetes is where the server is, also when that changes; others are refused', async () => {
  const api = await startApi();
  await api.server.publish({ ip: '192.0.2.7', port: 6443 }, api.scope.signal);
  const { uid, labels } = (await api.ok('GET', `${services}/kubernetes`)).metadata;
  assert.deepEqual(labels, { component: 'apiserver', provider: 'kubernetes' });
  await api.server.publish({ ip: '192.0.2.8', port: 7443 }, api.scope.signal);
  await api.server.publish({ ip: '192.0.2.8', port: 7443 }, api.scope.signal);
  const { metadata, spec } = await api.ok('GET', `${services}/kubernetes`);
  assert.equal(metadata.uid, uid);
  assert.deepEqual(
    [spec.clusterIP, spec.ports],
    ['192.0.2.8', [{ name: 'https', port: 7443, protocol: 'TCP', targetPort: 7443 }]],
  );
  const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json';
  const table = (await api.call('GET', services, undefined, { headers: { accept } })).json;
  assert.deepEqual(
    table.rows.map(({ cells }: { cells: unknown[] }) => cells),
    [['kubernetes', 'ClusterIP', '192.0.2.8', '<none>', '7443/TCP', '0s', '<none>']],
  );
  const web = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'web' }, spec: { ports: [{ port: 80 }] } };
  const refusal =
    '405 MethodNotAllowed: services cannot be written: livelet routes no traffic to Services; reach pods by their IPs, ' +
    'by hostPort or with port-forward';
  assert.deepEqual(
    [await api.fails('POST', services, web), await api.fails('DELETE', `${services}/kubernetes`)],
    [refusal, refusal],
  );
  await api.close();
});
