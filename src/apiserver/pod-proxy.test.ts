import assert from 'node:assert/strict';
import { test } from 'node:test';
import { podOf, podsPath, startApi } from '../../test/support/api-calls.ts';
import type { PodAddress } from './pod-proxy.ts';

async function setUp() {
  const seen: string[] = [];
  const headers: Readonly<Record<string, string>>[] = [];
  const api = await startApi({
    pods: ({ scheme, host, port }: PodAddress, request) => {
      seen.push(`${request.method} ${scheme}://${host}:${port}${request.path}?${request.query.toString()}`);
      headers.push(request.headers);
      return Promise.resolve({ status: 418, headers: { 'x-pod': 'web' }, body: 'short and stout' });
    },
  });
  await api.ok(
    'POST',
    podsPath,
    podOf('web', { spec: { containers: [{ name: 'main', image: 'i', ports: [{ containerPort: 8080 }] }] } }),
  );
  await api.ok('POST', podsPath, podOf('plain'));
  const asPatch = { headers: { 'content-type': 'application/merge-patch+json' } };
  const at = (name: string, podIP: string) =>
    api.ok('PATCH', `${podsPath}/${name}/status`, { status: { podIPs: [{ ip: podIP }], podIP } }, asPatch);
  return { api, seen, headers, at };
}

test('any request goes to the port of the pod that is named, or the first that it declares', async () => {
  const { api, seen, headers, at } = await setUp();
  await at('web', '10.244.0.7');
  await at('plain', 'fd00::7');
  const call = (method: string, rest: string) =>
    api.call(method, `${podsPath}/${rest}`, undefined, { headers: { authorization: 'Bearer x', 'x-mine': 'y' } });
  const { status, text, headers: answered } = await call('GET', 'web/proxy/a%20b/?c=d');
  assert.deepEqual([status, text, answered['x-pod']], [418, 'short and stout', 'web']);
  await call('POST', 'web:9000/proxy/');
  await call('DELETE', 'https:web:8443/proxy/x');
  await call('GET', 'plain/proxy/');
  await call('GET', 'https:plain:/proxy/');
  assert.deepEqual(seen, [
    'GET http://10.244.0.7:8080/a%20b/?c=d',
    'POST http://10.244.0.7:9000/?',
    'DELETE https://10.244.0.7:8443/x?',
    'GET http://fd00::7:80/?',
    'GET https://fd00::7:443/?',
  ]);
  assert.deepEqual(headers[0], { 'x-mine': 'y' });
  const bare = await call('GET', 'web/proxy?c=d');
  assert.deepEqual([bare.status, bare.headers['location']], [301, `${podsPath}/web/proxy/?c=d`]);
  await api.close();
});

test('what is no pod, has no address yet, or an address of the server itself, is not called', async () => {
  const { api, seen, at } = await setUp();
  const refused = (name: string): Promise<string> => api.fails('GET', `${podsPath}/${name}/proxy/`);
  assert.equal(await refused('web'), '400 BadRequest: address not allowed');
  for (const ip of ['127.0.0.1', '169.254.169.254', '0.0.0.0', '224.0.0.1', '::1', 'fe80::1', '::ffff:127.0.0.1']) {
    await at('web', ip);
    assert.equal(await refused('web'), '400 BadRequest: address not allowed', ip);
  }
  assert.equal(await refused('nosuch'), '404 NotFound: pods "nosuch" not found');
  assert.equal(await refused('ftp:web:1'), '400 BadRequest: invalid pod request "ftp:web:1"');
  await at('web', '10.0.0.1');
  assert.match(await refused('web:http'), /^503 ServiceUnavailable: error trying to reach service: invalid port/);
  const node = { user: { name: 'system:node:n1', groups: ['system:nodes'] } };
  assert.match(await api.fails('GET', `${podsPath}/web/proxy/`, undefined, node), /^403/);
  assert.deepEqual(seen, []);
  await api.close();
});
