import assert from 'node:assert/strict';
import { test } from 'node:test';
import { podOf, startApi } from '../../test/support/api-calls.ts';
import type { Json } from '../../test/support/api-calls.ts';

const csrPath = '/apis/certificates.k8s.io/v1/certificatesigningrequests';
const secretsPath = '/api/v1/namespaces/kube-system/secrets';
const token = 'abcdef.0123456789abcdef';
const pem = '-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----\n';

function csr(spec: Json = {}): Json {
  const signerName = 'kubernetes.io/kube-apiserver-client-kubelet';
  return {
    metadata: { name: 'node-csr-A_1' },
    spec: { request: btoa(pem), signerName, usages: ['digital signature', 'client auth'], ...spec },
  };
}

function tokenSecret(change: Json = {}): Json {
  const [id, secret] = token.split('.');
  const stringData = {
    'token-id': id,
    'token-secret': secret,
    'usage-bootstrap-authentication': 'true',
    'auth-extra-groups': 'system:bootstrappers:x,system:masters',
    ...change,
  };
  return { metadata: { name: `bootstrap-token-${id}` }, type: 'bootstrap.kubernetes.io/token', stringData };
}

const asBearer = (text: string): object => ({ user: undefined, headers: { authorization: `Bearer ${text}` } });

test('a bootstrap token lets its bearer ask for certificates, and nothing else', async () => {
  const api = await startApi();
  await api.ok('POST', secretsPath, tokenSecret());
  const made = await api.ok('POST', csrPath, csr({ username: 'admin', groups: ['system:masters'] }), asBearer(token));
  assert.deepEqual(
    [made.spec.username, made.spec.groups, made.status],
    ['system:bootstrap:abcdef', ['system:bootstrappers', 'system:bootstrappers:x', 'system:authenticated'], {}],
  );
  await api.ok('GET', `${csrPath}/node-csr-A_1`, undefined, asBearer(token));
  for (const [method, path, body] of [
    ['GET', secretsPath],
    ['GET', '/api/v1/nodes'],
    ['DELETE', `${csrPath}/node-csr-A_1`],
    ['PUT', `${csrPath}/node-csr-A_1/approval`, made],
    ['PUT', `${csrPath}/node-csr-A_1/status`, made],
  ] as const) {
    assert.match(await api.fails(method, path, body, asBearer(token)), /^403 Forbidden: /, path);
  }
  await api.close();
});

test('a token that is wrong, expired, or for something else is refused', async () => {
  const api = await startApi();
  const attempt = async (change: Json, text = token): Promise<string> => {
    await api.call('DELETE', `${secretsPath}/bootstrap-token-abcdef`);
    await api.ok('POST', secretsPath, tokenSecret(change));
    const { status } = await api.call('GET', csrPath, undefined, asBearer(text));
    return String(status);
  };
  assert.deepEqual(
    [
      await attempt({}),
      await attempt({}, 'abcdef.0123456789abcdeg'),
      await attempt({}, 'abcdeg.0123456789abcdef'),
      await attempt({ expiration: '2000-01-01T00:00:00Z' }),
      await attempt({ expiration: 'soon' }),
      await attempt({ expiration: '2999-01-01T00:00:00Z' }),
      await attempt({ 'usage-bootstrap-authentication': 'false' }),
    ],
    ['200', '401', '401', '401', '401', '200', '401'],
  );
  await api.close();
});

test('a signing request never changes what it asks; only /approval judges it, once', async () => {
  const api = await startApi();
  const made = await api.ok('POST', csrPath, csr());
  const path = `${csrPath}/node-csr-A_1`;
  const changed = await api.ok('PUT', path, { ...made, spec: { ...made.spec, signerName: 'a.b/c' } });
  assert.equal(changed.spec.signerName, made.spec.signerName);
  const judged = (type: string): Json => ({ ...made, status: { conditions: [{ type, status: 'True' }] } });
  assert.match(
    await api.fails('PUT', `${path}/status`, judged('Approved')),
    /status\.conditions: Forbidden: updates may not add a condition of type "Approved"$/,
  );
  const approved = await api.ok('PUT', `${path}/approval`, judged('Approved'));
  const when = '2026-01-01T00:00:00Z';
  assert.deepEqual(approved.status.conditions, [
    { type: 'Approved', status: 'True', lastUpdateTime: when, lastTransitionTime: when },
  ]);
  assert.match(
    await api.fails('PUT', `${path}/approval`, { ...made, metadata: approved.metadata, status: {} }),
    /updates may not remove a condition of type "Approved"$/,
  );
  const both = [...approved.status.conditions, { type: 'Denied', status: 'True' }];
  assert.match(
    await api.fails('PUT', `${path}/approval`, { ...approved, status: { conditions: both } }),
    /Approved and Denied conditions are mutually exclusive/,
  );
  const table = await api.ok('GET', path, undefined, {
    headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' },
  });
  assert.deepEqual(
    [table.rows[0].cells[0], ...table.rows[0].cells.slice(2)],
    ['node-csr-A_1', made.spec.signerName, made.spec.username, '<none>', 'Approved'],
  );
  await api.close();
});

test('what makes no sense is refused in words', async () => {
  const api = await startApi();
  const problem = async (spec: Json): Promise<string> =>
    (await api.fails('POST', csrPath, csr(spec))).replace(/^.* is invalid: /, '');
  assert.match(await problem({ request: btoa('x') }), /^spec\.request: .*PEM block type must be CERTIFICATE REQUEST$/);
  assert.equal(await problem({ usages: [] }), 'spec.usages: Required value: usages must be provided');
  assert.match(await problem({ usages: ['fly'] }), /^spec\.usages\[0\]: Unsupported value: "fly"/);
  assert.match(await problem({ signerName: 'x' }), /must be a fully qualified domain and path/);
  assert.equal(
    await problem({ expirationSeconds: 599 }),
    'spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 600 seconds (10 minutes)',
  );
  await api.close();
});

test('who may do everything may act as somebody else, with his rights and no more; nobody else may', async () => {
  const api = await startApi();
  const whoami = async (headers: Readonly<Record<string, string>>): Promise<Json> => {
    const review = await api.ok('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', {}, { headers });
    return review.status.userInfo;
  };
  const asNode = { 'impersonate-user': 'system:node:n1', 'impersonate-group': 'system:nodes' };
  assert.deepEqual(await whoami({ ...asNode, 'impersonate-extra-a%2Fb': 'c, d', 'impersonate-uid': '7' }), {
    username: 'system:node:n1',
    uid: '7',
    groups: ['system:nodes', 'system:authenticated'],
    extra: { 'a/b': ['c', 'd'] },
  });
  assert.deepEqual((await whoami({ 'impersonate-user': 'system:serviceaccount:a:b' })).groups, [
    'system:serviceaccounts',
    'system:serviceaccounts:a',
    'system:authenticated',
  ]);
  const secret = '/api/v1/namespaces/default/secrets/s';
  assert.match(await api.fails('GET', secret, undefined, { headers: asNode }), /^403 .* no relationship found/);
  const jane = { user: { name: 'jane', groups: [] }, headers: { 'impersonate-user': 'kubernetes-admin' } };
  assert.equal(
    await api.fails('GET', secret, undefined, jane),
    '403 Forbidden: users "kubernetes-admin" is forbidden: User "jane" cannot impersonate resource "users" in API group "" at the cluster scope',
  );
  const headers = { 'impersonate-group': 'system:masters' };
  assert.match(await api.fails('GET', secret, undefined, { headers }), /^500 .*without impersonating a user$/);
  await api.close();
});

test("a node reads and writes its own objects, and the secrets that its pods name; another's are refused", async () => {
  const api = await startApi();
  const as = { user: { name: 'system:node:n1', groups: ['system:nodes'] } };
  const denied = (verb: string, resource: string, where: string): string =>
    `is forbidden: User "system:node:n1" cannot ${verb} resource "${resource}" in API group "" ${where}: `;
  await api.ok('POST', '/api/v1/nodes', { metadata: { name: 'n1' } }, as);
  assert.equal(
    await api.fails('POST', '/api/v1/nodes', { metadata: { name: 'n2' } }, as),
    '403 Forbidden: nodes "n2" is forbidden: node "n1" is not allowed to modify node "n2"',
  );
  await api.ok('GET', '/api/v1/nodes/n1', undefined, as);
  assert.equal(
    await api.fails('GET', '/api/v1/nodes', undefined, as),
    `403 Forbidden: nodes ${denied('list', 'nodes', 'at the cluster scope')}node 'n1' cannot read all nodes, only its own Node object`,
  );
  assert.match(await api.fails('DELETE', '/api/v1/nodes/n1', undefined, as), /^403 /);
  const merge = { ...as, headers: { 'content-type': 'application/merge-patch+json' } };
  const taints = [{ key: 'k', effect: 'NoSchedule' }];
  const labels = { 'node-restriction.kubernetes.io/zone': 'a', mine: 'yes' };
  assert.deepEqual(
    [
      await api.fails('PATCH', '/api/v1/nodes/n1', { spec: { taints } }, merge),
      await api.fails('PATCH', '/api/v1/nodes/n1', { metadata: { labels } }, merge),
    ],
    [
      '403 Forbidden: nodes "n1" is forbidden: node "n1" is not allowed to modify taints',
      '403 Forbidden: nodes "n1" is forbidden: node "n1" is not allowed to modify labels: node-restriction.kubernetes.io/zone',
    ],
  );
  await api.ok('PATCH', '/api/v1/nodes/n1', { metadata: { labels: { mine: 'yes' } } }, merge);
  const namespace = '/api/v1/namespaces/default';
  for (const name of ['mine', 'other']) {
    await api.ok('POST', `${namespace}/secrets`, { metadata: { name }, stringData: { a: 'b' } });
  }
  const volumes = [{ name: 'v', secret: { secretName: 'mine' } }];
  await api.ok('POST', `${namespace}/pods`, podOf('p', { spec: { nodeName: 'n1', volumes } }));
  await api.ok('GET', `${namespace}/secrets/mine`, undefined, as);
  const unrelated = "no relationship found between node 'n1' and this object";
  assert.equal(
    await api.fails('GET', `${namespace}/secrets/other`, undefined, as),
    `403 Forbidden: secrets "other" ${denied('get', 'secrets', 'in the namespace "default"')}${unrelated}`,
  );
  assert.match(await api.fails('GET', `${namespace}/secrets`, undefined, as), /No Object name found$/);
  const range = { spec: { podCIDR: '10.9.0.0/24', podCIDRs: ['10.9.0.0/24'] } };
  assert.match(await api.fails('PATCH', '/api/v1/nodes/n1', range, merge), /not allowed to modify podCIDRs/);
  // What nodes have to know of the cluster, and no other config map there.
  const maps = '/api/v1/namespaces/kube-system/configmaps';
  for (const name of ['livelet-cluster', 'livelet-pod-networks']) {
    assert.match(await api.fails('GET', `${maps}/${name}`, undefined, as), /^404 NotFound/);
  }
  assert.match(await api.fails('GET', `${maps}/other`, undefined, as), /no relationship found/);
  await api.ok('DELETE', `${namespace}/pods/p?gracePeriodSeconds=0`);
  assert.match(await api.fails('GET', `${namespace}/secrets/mine`, undefined, as), /no relationship found/);
  assert.match(
    await api.fails('GET', '/api/v1/pods', undefined, as),
    /can only list\/watch pods with spec\.nodeName field selector$/,
  );
  await api.ok('GET', '/api/v1/pods?fieldSelector=spec.nodeName%3Dn1', undefined, as);
  await api.ok('POST', `${namespace}/pods`, podOf('q', { spec: { nodeName: 'n1' } }));
  for (const subresource of ['exec', 'log', 'portforward']) {
    assert.match(await api.fails('GET', `${namespace}/pods/q/${subresource}`, undefined, as), /^403 /, subresource);
  }
  const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
  await api.ok('POST', leases, { metadata: { name: 'n1' }, spec: {} }, as);
  assert.match(
    await api.fails('POST', leases, { metadata: { name: 'n2' }, spec: {} }, as),
    /can only access node lease with the same name as the requesting node$/,
  );
  await api.close();
});
