import assert from 'node:assert/strict';
import { test } from 'node:test';
import { podOf, podsPath, startApi } from '../../test/support/api-calls.ts';
import type { Api, Json } from '../../test/support/api-calls.ts';
import type { HttpResponse } from '../base/http.ts';

const takeOver = (): Promise<void> => Promise.resolve();
const upgraded: HttpResponse = { status: 101, headers: {}, body: '', takeOver };
const webSocket = {
  connection: 'keep-alive, Upgrade',
  upgrade: 'websocket',
  'sec-websocket-protocol': 'v5.channel.k8s.io',
  'accept-encoding': 'gzip',
  authorization: 'Bearer x',
};

async function apiWithNode(answer: HttpResponse = upgraded) {
  const seen: string[] = [];
  const headers: Readonly<Record<string, string>>[] = [];
  const api = await startApi({
    nodes: (node, request) => {
      seen.push(`${request.method} ${node}${request.path}?${request.query.toString()}`);
      headers.push(request.headers);
      return Promise.resolve(answer);
    },
  });
  return { api, seen, headers };
}

async function podOnNode(api: Api, spec: Json = {}): Promise<void> {
  await api.ok('POST', podsPath, podOf('web', { spec }));
  await api.ok('POST', `${podsPath}/web/binding`, { metadata: { name: 'web' }, target: { name: 'n1' } });
}

test("exec, attach and port-forward go to the server of the pod's node, as it calls things", async () => {
  const { api, seen, headers } = await apiWithNode();
  await podOnNode(api);
  const query = 'container=main&command=sh&command=-c&command=a%20%26b&stdin=true&stdout=1&stderr=false&tty=true&x=y';
  const call = (method: string, rest: string) =>
    api.call(method, `${podsPath}/web/${rest}`, undefined, { headers: webSocket });
  assert.equal((await call('GET', `exec?${query}`)).status, 101);
  assert.equal((await call('POST', 'attach?stdout=true')).status, 101);
  assert.equal((await call('POST', 'portforward')).status, 101);
  assert.equal((await call('GET', 'portforward?ports=80&ports=81')).status, 101);
  assert.deepEqual(seen, [
    'GET n1/exec/default/web/main?input=1&output=1&tty=1&command=sh&command=-c&command=a+%26b',
    'POST n1/attach/default/web/main?output=1',
    'POST n1/portForward/default/web?',
    'GET n1/portForward/default/web?port=80&port=81',
  ]);
  assert.deepEqual(headers[0], {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-protocol': 'v5.channel.k8s.io',
  });
  await api.close();
});

test("the node's refusal is the client's, word for word", async () => {
  const refusal = { status: 500, headers: { 'content-type': 'text/plain' }, body: 'container not found ("main")' };
  const { api } = await apiWithNode(refusal);
  await podOnNode(api);
  const { status, text } = await api.call('POST', `${podsPath}/web/exec?stdout=1`, undefined, { headers: webSocket });
  assert.deepEqual([status, text], [500, 'container not found ("main")']);
  await api.close();
});

test('what cannot be served is told in words before any node is asked', async () => {
  const { api, seen } = await apiWithNode();
  const container = (name: string) => ({ name, image: 'busybox:1.29' });
  await api.ok('POST', podsPath, podOf('pending'));
  await podOnNode(api, { containers: [container('a'), container('b')] });
  const fails = (method: string, rest: string) =>
    api.fails(method, `${podsPath}/${rest}`, undefined, { headers: webSocket });
  assert.equal(
    await fails('GET', 'web/exec?command=ls'),
    '400 BadRequest: a container name must be specified for pod web, choose one of: [a b]',
  );
  assert.equal(await fails('POST', 'web/attach?container=x'), '400 BadRequest: container x is not valid for pod web');
  assert.equal(await fails('POST', 'pending/exec'), '400 BadRequest: pod pending does not have a host assigned');
  assert.equal(await fails('POST', 'pending/portforward'), '400 BadRequest: pod pending does not have a host assigned');
  assert.equal(await fails('GET', 'nosuch/exec'), '404 NotFound: pods "nosuch" not found');
  assert.match(await fails('PUT', 'web/exec?container=a'), /^405 MethodNotAllowed/);
  assert.match(await fails('GET', 'web/exec/more?container=a'), /^404 NotFound/);
  assert.equal(await api.fails('POST', `${podsPath}/web/exec?container=a`), '400 BadRequest: Upgrade request required');
  const jane = { name: 'jane', groups: [] };
  assert.match(
    await api.fails('POST', `${podsPath}/web/exec`, undefined, { user: jane, headers: webSocket }),
    /^403 Forbidden: .* User "jane" cannot create resource "pods\/exec" in API group "" in the namespace "default"/,
  );
  assert.deepEqual(seen, []);
  await api.close();
});
