import assert from 'node:assert/strict';
import { test } from 'node:test';
import { podOf, podsPath, startApi } from '../../test/support/api-calls.ts';
import type { Api, Json } from '../../test/support/api-calls.ts';
import type { HttpRequest, HttpResponse } from '../base/http.ts';

async function podOnNode(api: Api, spec: Json = {}): Promise<void> {
  await api.ok('POST', podsPath, podOf('web', { spec }));
  await api.ok('POST', `${podsPath}/web/binding`, { metadata: { name: 'web' }, target: { name: 'n1' } });
}

async function apiWithNode(answer: (request: HttpRequest) => HttpResponse) {
  const seen: string[] = [];
  const api = await startApi({
    nodes: (node, request) => {
      seen.push(`${request.method} ${node}${request.path}?${request.query.toString()}`);
      return Promise.resolve(answer(request));
    },
  });
  return { api, seen };
}

test("logs are asked of the server of the pod's node, with the options that it knows", async () => {
  const { api, seen } = await apiWithNode(() => ({ status: 200, headers: {}, body: 'hello\n' }));
  await podOnNode(api);
  const query = 'follow=true&previous=false&timestamps=1&tailLines=10&sinceSeconds=5&limitBytes=100&foo=bar';
  const { text, headers } = await api.call('GET', `${podsPath}/web/log?${query}`);
  assert.deepEqual([text, headers['content-type']], ['hello\n', 'text/plain; charset=utf-8']);
  assert.deepEqual(seen, [
    'GET n1/containerLogs/default/web/main?follow=true&timestamps=true&sinceSeconds=5&tailLines=10&limitBytes=100',
  ]);
  await api.close();
});

test('a pod that is on no node has no log yet', async () => {
  const { api, seen } = await apiWithNode(() => ({ status: 200, headers: {}, body: 'x' }));
  await api.ok('POST', podsPath, podOf('web'));
  assert.equal((await api.call('GET', `${podsPath}/web/log`)).text, '');
  assert.deepEqual(seen, []);
  await api.close();
});

test('the container: the only one, or the one that is named; else it is told which there are', async () => {
  const { api, seen } = await apiWithNode(() => ({ status: 200, headers: {}, body: '' }));
  const container = (name: string) => ({ name, image: 'busybox:1.29' });
  await podOnNode(api, { containers: [container('a'), container('b')], initContainers: [container('i')] });
  assert.equal(
    await api.fails('GET', `${podsPath}/web/log`),
    '400 BadRequest: a container name must be specified for pod web, choose one of: [a b] ' +
      'or one of the init containers: [i]',
  );
  assert.equal(
    await api.fails('GET', `${podsPath}/web/log?container=nope`),
    '400 BadRequest: container nope is not valid for pod web',
  );
  await api.call('GET', `${podsPath}/web/log?container=i`);
  assert.deepEqual(seen, ['GET n1/containerLogs/default/web/i?']);
  assert.equal(await api.fails('GET', `${podsPath}/nosuch/log`), '404 NotFound: pods "nosuch" not found');
  await api.close();
});

test("what the node answers becomes upstream's error", async () => {
  let answer: HttpResponse = { status: 200, headers: {}, body: '' };
  const { api } = await apiWithNode(() => answer);
  await podOnNode(api);
  const cases: readonly (readonly [status: number, body: string, error: string])[] = [
    [
      400,
      'container "main" in pod "web" is waiting to start: ContainerCreating',
      '400 BadRequest: container "main" in pod "web" is waiting to start: ContainerCreating',
    ],
    [500, 'oops', '500 InternalError: Internal error occurred: oops'],
    [404, 'x', '404 NotFound: the server could not find the requested resource ( pods/log web)'],
  ];
  for (const [status, body, error] of cases) {
    answer = { status, headers: {}, body };
    assert.equal(await api.fails('GET', `${podsPath}/web/log`), error);
  }
  await api.close();
});

test('options that cannot be are 422', async () => {
  const { api } = await apiWithNode(() => ({ status: 200, headers: {}, body: '' }));
  await podOnNode(api);
  const cases: readonly (readonly [query: string, text: string])[] = [
    ['tailLines=-1', 'tailLines: Invalid value: -1: must be greater than or equal to 0'],
    ['limitBytes=0', 'limitBytes: Invalid value: 0: must be greater than 0'],
    ['sinceSeconds=0', 'sinceSeconds: Invalid value: 0: must be greater than 0'],
    [
      'sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z',
      ': Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified',
    ],
    ['stream=Stdout', 'stream: Forbidden: may not be specified'],
  ];
  for (const [query, text] of cases) {
    const error = await api.fails('GET', `${podsPath}/web/log?${query}`);
    assert.equal(error, `422 Invalid: PodLogOptions "web" is invalid: ${text}`);
  }
  await api.close();
});

test("nodes/proxy hands any request on to the node's server", async () => {
  const { api, seen } = await apiWithNode((request) => ({
    status: 200,
    headers: { 'x-seen': request.body.length.toString() },
    body: 'ok',
  }));
  await api.ok('POST', '/api/v1/nodes', { metadata: { name: 'n1' } });
  const { headers } = await api.call('POST', '/api/v1/nodes/n1:10250/proxy/run/a/b?cmd=ls', 'body');
  assert.deepEqual([seen, headers['x-seen']], [['POST n1/run/a/b?cmd=ls'], '4']);
  await api.call('GET', '/api/v1/nodes/n1/proxy/');
  assert.equal(seen[1], 'GET n1/?');
  assert.match(await api.fails('GET', '/api/v1/nodes/nosuch/proxy/pods'), /^404 NotFound: nodes "nosuch" not found$/);
  await api.close();
});
