import assert from 'node:assert/strict';
import { test } from 'node:test';
import { admin, podOf, podsPath, startApi } from '../../test/support/api-calls.ts';
import type { Api, Json } from '../../test/support/api-calls.ts';

const accountPath = '/api/v1/namespaces/default/serviceaccounts/default';
const kubelet = { name: 'system:node:n1', groups: ['system:nodes'] };
const issuer = 'https://kubernetes.default.svc.cluster.local';
const reviews = '/apis/authentication.k8s.io/v1/tokenreviews';
const whoami = '/apis/authentication.k8s.io/v1/selfsubjectreviews';

/** As it is asked for by kubectl; `spec` is that of the TokenRequest. */
async function tokenOf(api: Api, spec: Json = {}, path = accountPath): Promise<string> {
  return (await api.ok('POST', `${path}/token`, { spec })).status.token;
}

const bearing = (token: string): Json => ({ user: undefined, headers: { authorization: `Bearer ${token}` } });

function claimsOf(token: string): Json {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
}

async function boundPod(api: Api, name: string, spec: Json = {}): Promise<Json> {
  await api.call('POST', '/api/v1/nodes', { metadata: { name: 'n1' } });
  return api.ok('POST', podsPath, podOf(name, { spec: { nodeName: 'n1', ...spec } }));
}

const boundTo = (pod: Json, more: Json = {}): Json => ({
  boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: pod.metadata.name, uid: pod.metadata.uid },
  ...more,
});

test('a token says whose it is, for whom, and for how long', async () => {
  const api = await startApi();
  const { metadata: account } = await api.ok('GET', accountPath);
  const answer = await api.ok('POST', `${accountPath}/token`, { spec: { expirationSeconds: 600 } });
  const { token, expirationTimestamp } = answer.status;
  assert.deepEqual(
    [answer.kind, answer.apiVersion, answer.metadata.name, answer.spec.audiences, expirationTimestamp],
    ['TokenRequest', 'authentication.k8s.io/v1', 'default', [issuer], '2026-01-01T00:10:00Z'],
  );
  const { jti, ...claims } = claimsOf(token);
  const now = Date.UTC(2026, 0, 1) / 1_000;
  assert.match(jti, /^[0-9a-f-]{36}$/);
  assert.deepEqual(claims, {
    aud: [issuer],
    exp: now + 600,
    iat: now,
    iss: issuer,
    'kubernetes.io': { namespace: 'default', serviceaccount: { name: 'default', uid: account.uid } },
    nbf: now,
    sub: 'system:serviceaccount:default:default',
  });
  assert.equal(claimsOf(await tokenOf(api)).exp, now + 3_600);
  await api.close();
});

test('with its token a service account may look at discovery and at itself, and at nothing else', async () => {
  const api = await startApi();
  const as = bearing(await tokenOf(api));
  assert.equal((await api.call('GET', '/version', undefined, as)).status, 200);
  assert.equal(
    (await api.call('GET', '/openid/v1/jwks', undefined, as)).headers['content-type'],
    'application/jwk-set+json',
  );
  assert.equal(
    await api.fails('GET', podsPath, undefined, as),
    '403 Forbidden: pods is forbidden: User "system:serviceaccount:default:default" cannot list resource "pods" ' +
      'in API group "" in the namespace "default"',
  );
  assert.equal(
    await api.fails('GET', '/metrics', undefined, as),
    '403 Forbidden: forbidden: User "system:serviceaccount:default:default" cannot get path "/metrics"',
  );
  assert.match(
    await api.fails('POST', reviews, { spec: { token: 'x' } }, as),
    /^403 .* cannot create resource "tokenreviews"/,
  );
  const { userInfo } = (await api.ok('POST', whoami, {}, as)).status;
  assert.deepEqual(
    [userInfo.username, userInfo.groups],
    [
      'system:serviceaccount:default:default',
      ['system:serviceaccounts', 'system:serviceaccounts:default', 'system:authenticated'],
    ],
  );
  assert.match(userInfo.extra['authentication.kubernetes.io/credential-id'][0], /^JTI=/);
  await api.close();
});

test('who has no token, or not ours, is nobody', async () => {
  const api = await startApi();
  const token = await tokenOf(api);
  const forged = `${token.slice(0, -1)}${token.endsWith('0') ? '1' : '0'}`;
  for (const headers of [
    {},
    { authorization: 'Bearer' },
    { authorization: `Basic ${token}` },
    { authorization: 'Bearer x' },
    { authorization: `Bearer ${forged}` },
  ]) {
    const answer = await api.fails('GET', '/version', undefined, { user: undefined, headers });
    assert.equal(answer, '401 Unauthorized: Unauthorized');
  }
  const other = await tokenOf(api, { audiences: ['vault'] });
  assert.match(await api.fails('GET', '/version', undefined, bearing(other)), /^401/);
  assert.equal((await api.call('GET', '/version', undefined, { ...bearing(forged), user: admin })).status, 200);
  await api.close();
});

test('a review tells whose a token is, or upstream says why it is nobody', async () => {
  const api = await startApi();
  const review = async (spec: Json): Promise<Json> => (await api.ok('POST', reviews, { spec })).status;
  const token = await tokenOf(api, { audiences: ['vault', 'db'] });
  const { authenticated, audiences, user } = await review({ token, audiences: ['db', 'x'] });
  assert.deepEqual([authenticated, audiences, user.username], [true, ['db'], 'system:serviceaccount:default:default']);
  assert.deepEqual(await review({ token }), {
    user: {},
    error: `[invalid bearer token, token audiences ["vault" "db"] is invalid for the target audiences ["${issuer}"]]`,
  });
  assert.equal((await review({ token: 'x' })).error, 'invalid bearer token');
  assert.equal(
    await api.fails('POST', reviews, { spec: {} }),
    '400 BadRequest: token is required for TokenReview in authentication',
  );
  await api.close();
});

test('a token ends with its time, its service account and its pod', async () => {
  const api = await startApi();
  const error = async (token: string): Promise<string | undefined> =>
    (await api.ok('POST', reviews, { spec: { token } })).status.error?.replace('[invalid bearer token, ', '');
  const pod = await boundPod(api, 'web');
  const ofPod = await tokenOf(api, boundTo(pod));
  const short = await tokenOf(api, { expirationSeconds: 600 });
  await api.clock.advance(659_000);
  assert.deepEqual([await error(short), await error(ofPod)], [undefined, undefined]);
  await api.clock.advance(2_000);
  assert.equal(await error(short), 'service account token has expired]');
  await api.ok('DELETE', `${podsPath}/web?gracePeriodSeconds=0`);
  assert.equal(await error(ofPod), 'service account token has been invalidated]');
  const again = await boundPod(api, 'web');
  const uids = `(${again.metadata.uid}) does not match service account pod ref claim (${pod.metadata.uid})`;
  assert.equal(await error(ofPod), `pod UID ${uids}]`);
  const team = accountPath.replace('/default/serviceaccounts/default', '/default/serviceaccounts/team');
  await api.ok('POST', '/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'team' } });
  const ofTeam = await tokenOf(api, {}, team);
  await api.ok('DELETE', team);
  assert.equal(await error(ofTeam), 'serviceaccounts "team" not found]');
  await api.close();
});

test("a pod's token names pod and node; that of its volume lives a year, and says when it should be gone", async () => {
  const api = await startApi();
  const pod = await boundPod(api, 'web');
  const node = await api.ok('GET', '/api/v1/nodes/n1');
  const request = { spec: boundTo(pod, { expirationSeconds: 3_607 }) };
  const { status } = await api.ok('POST', `${accountPath}/token`, request, { user: kubelet });
  const claims = claimsOf(status.token);
  assert.equal(status.expirationTimestamp, '2026-01-01T01:00:07Z');
  assert.deepEqual([claims.exp - claims.iat, claims['kubernetes.io'].warnafter - claims.iat], [31_536_000, 3_607]);
  assert.deepEqual(claims['kubernetes.io'].node, { name: 'n1', uid: node.metadata.uid });
  assert.deepEqual(claims['kubernetes.io'].pod, { name: 'web', uid: pod.metadata.uid });
  const { extra } = (await api.ok('POST', whoami, {}, bearing(status.token))).status.userInfo;
  assert.deepEqual(extra['authentication.kubernetes.io/pod-name'], ['web']);
  assert.deepEqual(extra['authentication.kubernetes.io/node-name'], ['n1']);
  await api.close();
});

test('what a token may not be asked for is refused in upstream’s words', async () => {
  const api = await startApi();
  const pod = await boundPod(api, 'web');
  const refused = (spec: Json, user = admin): Promise<string> =>
    api.fails('POST', `${accountPath}/token`, { spec }, { user });
  const invalid =
    '422 Invalid: TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: ';
  assert.equal(
    await refused({ expirationSeconds: 599 }),
    `${invalid}599: may not specify a duration less than 10 minutes`,
  );
  const tooLong = 2 ** 32 + 1;
  assert.equal(
    await refused({ expirationSeconds: tooLong }),
    `${invalid}${tooLong}: may not specify a duration larger than 2^32 seconds`,
  );
  const ref = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'x' };
  assert.equal(
    await refused({ boundObjectRef: ref }),
    '400 BadRequest: cannot bind token to object of type apps/v1, Kind=Deployment',
  );
  assert.equal(
    await refused({ boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'nosuch' } }),
    '404 NotFound: pods "nosuch" not found',
  );
  const otherUid = boundTo({ metadata: { name: 'web', uid: 'other' } });
  assert.equal(
    await refused(otherUid),
    '409 Conflict: Operation cannot be fulfilled on Pod "web": the UID in the bound object reference (other) does not ' +
      'match the UID in record. The object might have been deleted and then recreated',
  );
  await api.ok('POST', '/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'team' } });
  assert.equal(
    await api.fails('POST', accountPath.replace(/default$/, 'team/token'), { spec: boundTo(pod) }),
    '400 BadRequest: cannot bind token for serviceaccount "team" to pod running with different serviceaccount name.',
  );
  assert.equal(
    await api.fails('POST', `${accountPath}/token`, { metadata: { name: 'x' } }),
    '422 Invalid: TokenRequest.authentication.k8s.io "default" is invalid: metadata.name: Invalid value: "x": ' +
      'must match the service account name if specified',
  );
  assert.match(await api.fails('GET', `${accountPath}/token`), /^405/);
  assert.match(
    await api.fails('POST', '/api/v1/namespaces/default/serviceaccounts/nosuch/token', {}),
    /^404 .*"nosuch"/,
  );
  await api.close();
});

test('a node gets tokens only for pods that run on it, and for what they ask', async () => {
  const api = await startApi();
  const pod = await boundPod(api, 'web');
  const elsewhere = await boundPod(api, 'other', { nodeName: 'n2' });
  const refusal = async (spec: Json): Promise<string> => {
    const answer = await api.fails('POST', `${accountPath}/token`, { spec }, { user: kubelet });
    return answer.replace('403 Forbidden: serviceaccounts "default" is forbidden: ', '');
  };
  assert.equal(await refusal({}), 'node requested token not bound to a pod');
  const noUid = { boundObjectRef: { ...boundTo(pod).boundObjectRef, uid: '' } };
  assert.equal(await refusal(noUid), 'node requested token with a pod binding without a uid');
  assert.equal(await refusal(boundTo(elsewhere)), 'node requested token bound to a pod scheduled on a different node');
  assert.equal(
    await refusal(boundTo(pod, { audiences: ['vault'] })),
    'audience "vault" not found in pod spec volume, system:node:n1 is not authorized to request tokens for this audience',
  );
  const sources = [{ serviceAccountToken: { path: 'vault', audience: 'vault' } }];
  const asking = await boundPod(api, 'vaulted', { volumes: [{ name: 'v', projected: { sources } }] });
  const spec = boundTo(asking, { audiences: ['vault'] });
  await api.ok('POST', `${accountPath}/token`, { spec }, { user: kubelet });
  await api.close();
});
