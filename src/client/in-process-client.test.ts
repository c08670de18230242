import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resources } from '../api/resources.ts';
import type { HttpRequest, HttpResponse } from '../base/http.ts';
import { StatusError } from '../base/status-error.ts';
import { bodyText } from './answer.ts';
import { inProcessClient } from './in-process-client.ts';

const user = { name: 'tester', groups: ['system:masters'] };
const never = new AbortController().signal;

function scripted(answer: (request: HttpRequest, signal: AbortSignal) => HttpResponse) {
  const seen: HttpRequest[] = [];
  const client = inProcessClient({
    user,
    handle: async (request, signal) => {
      seen.push(request);
      return answer(request, signal);
    },
  });
  return { client, seen };
}

function json(status: number, body: unknown): HttpResponse {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}

function line(request: HttpRequest | undefined): string {
  const query = request?.query.toString() ?? '';
  return `${request?.method} ${request?.path}${query === '' ? '' : `?${query}`}`;
}

test('each verb has the path, the query and the content type that Kubernetes gives it', async () => {
  const { client, seen } = scripted(() => json(200, { metadata: {}, items: [] }));
  const pod = { metadata: { name: 'web' } };
  const ref = { namespace: 'default', name: 'web' };
  await client.get(resources.pods, ref, never);
  await client.get(resources.nodes, { name: 'n1' }, never);
  await client.get(resources.leases, { namespace: 'kube-node-lease', name: 'a/b' }, never);
  await client.list(resources.pods, { labelSelector: 'a=b,c!=d', fieldSelector: 'spec.nodeName=n1', limit: 5 }, never);
  await client.list(resources.pods, { namespace: 'x', continueToken: 'tok', resourceVersion: '7' }, never);
  await client.create(resources.pods, { namespace: 'default' }, pod, never, { dryRun: true, fieldManager: 'me' });
  await client.create(resources.pods, { ...ref, subresource: 'binding' }, {}, never);
  await client.update(resources.pods, { ...ref, subresource: 'status' }, pod, never, { fieldValidation: 'Strict' });
  await client.patch(resources.events, ref, { type: 'merge', body: {} }, never);
  await client.delete(resources.pods, ref, { gracePeriodSeconds: 0 }, never);
  assert.deepEqual(seen.map(line), [
    'GET /api/v1/namespaces/default/pods/web',
    'GET /api/v1/nodes/n1',
    'GET /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/a%2Fb',
    'GET /api/v1/pods?labelSelector=a%3Db%2Cc%21%3Dd&fieldSelector=spec.nodeName%3Dn1&limit=5',
    'GET /api/v1/namespaces/x/pods?resourceVersion=7&continue=tok',
    'POST /api/v1/namespaces/default/pods?dryRun=All&fieldManager=me',
    'POST /api/v1/namespaces/default/pods/web/binding',
    'PUT /api/v1/namespaces/default/pods/web/status?fieldValidation=Strict',
    'PATCH /api/v1/namespaces/default/events/web',
    'DELETE /api/v1/namespaces/default/pods/web',
  ]);
  assert.equal(seen[8]?.headers['content-type'], 'application/merge-patch+json');
  assert.equal(seen[9]?.body, '{"apiVersion":"v1","kind":"DeleteOptions","gracePeriodSeconds":0}');
  assert.deepEqual(seen[0]?.user, user);
});

test('a Status that tells of a failure comes back as the error that the server threw', async () => {
  const details = {
    name: 'web',
    kind: 'pods',
    causes: [{ reason: 'FieldValueInvalid', message: 'no', field: 'spec' }],
  };
  const status = { kind: 'Status', status: 'Failure', message: 'pods "web" not found', reason: 'NotFound', details };
  const { client } = scripted(() => json(404, { ...status, code: 404 }));
  await assert.rejects(client.get(resources.pods, { namespace: 'default', name: 'web' }, never), (error) => {
    assert(error instanceof StatusError);
    assert.deepEqual([error.reason, error.message, error.details], ['NotFound', 'pods "web" not found', details]);
    return true;
  });
});

test('an answer without a Status becomes an error by its code', async () => {
  for (const [code, reason] of [
    [502, 'InternalError'],
    [503, 'ServiceUnavailable'],
    [409, 'Conflict'],
    [401, 'Unauthorized'],
    [418, 'InternalError'],
  ] as const) {
    const { client } = scripted(() => ({ status: code, headers: {}, body: '<html>' }));
    await assert.rejects(client.get(resources.nodes, { name: 'n' }, never), { name: 'StatusError', reason });
  }
});

test('a name without a namespace is refused before anything is sent', async () => {
  const { client, seen } = scripted(() => json(200, {}));
  await assert.rejects(client.get(resources.pods, { name: 'web' }, never), { reason: 'BadRequest' });
  await assert.rejects(client.get(resources.nodes, { name: '' }, never), { reason: 'BadRequest' });
  assert.equal(seen.length, 0);
});

async function* pieces(list: readonly (string | Uint8Array)[]): AsyncIterable<string | Uint8Array> {
  for (const piece of list) yield piece;
}

test('watch events are found however their lines, and their characters, are split into pieces', async () => {
  const events = ['é', '漢字', '😀'].map((name) => ({ type: 'ADDED', object: { metadata: { name } } }));
  const bytes = new TextEncoder().encode(`${events.map((event) => JSON.stringify(event)).join('\n')}\n`);
  for (let size = 1; size <= bytes.length; size++) {
    const chunks: Uint8Array[] = [];
    for (let start = 0; start < bytes.length; start += size) chunks.push(bytes.subarray(start, start + size));
    const { client } = scripted(() => ({ status: 200, headers: {}, body: pieces(chunks) }));
    const got: unknown[] = [];
    for await (const event of client.watch(resources.pods, {}, never)) got.push(event);
    assert.deepEqual(got, events);
  }
});

test('an ERROR event of a watch is thrown, and a version that is too old is Expired by any name', async () => {
  const gone = { kind: 'Status', message: 'too old resource version: 1 (2)', reason: 'Gone', code: 410 };
  const body = `${JSON.stringify({ type: 'ERROR', object: gone })}\n`;
  const inStream = scripted(() => ({ status: 200, headers: {}, body: pieces([body]) }));
  const atOnce = scripted(() => json(410, gone));
  for (const { client } of [inStream, atOnce]) {
    const iterator = client.watch(resources.pods, { resourceVersion: '1' }, never)[Symbol.asyncIterator]();
    await assert.rejects(iterator.next(), { reason: 'Expired', message: 'too old resource version: 1 (2)' });
  }
});

test('leaving the loop ends the watch on the server', async () => {
  let ended = false;
  const { client } = scripted((_request, signal) => ({
    status: 200,
    headers: {},
    body: (async function* () {
      try {
        yield '{"type":"ADDED","object":{}}\n';
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      } finally {
        ended = true;
      }
    })(),
  }));
  for await (const event of client.watch(resources.pods, {}, never)) {
    assert.equal(event.type, 'ADDED');
    break;
  }
  assert.equal(ended, true);
});

test('a watch ends without an error when its signal aborts', async () => {
  const controller = new AbortController();
  const { client } = scripted((_request, signal) => ({
    status: 200,
    headers: {},
    body: (async function* () {
      yield '{"type":"ADDED","object":{}}\n';
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    })(),
  }));
  const got: string[] = [];
  for await (const event of client.watch(resources.pods, {}, controller.signal)) {
    got.push(event.type);
    controller.abort(new Error('stop'));
  }
  assert.deepEqual(got, ['ADDED']);
});

test('raw requests give whatever the server answers', async () => {
  const { client, seen } = scripted(() => ({ status: 404, headers: {}, body: pieces(['no ', 'such']) }));
  const query = new URLSearchParams({ tailLines: '1' });
  const headers = { accept: 'text/plain' };
  const answer = await client.request('GET', '/api/v1/namespaces/a/pods/b/log', { query, headers }, never);
  assert.deepEqual([answer.status, await bodyText(answer.body)], [404, 'no such']);
  assert.equal(line(seen[0]), 'GET /api/v1/namespaces/a/pods/b/log?tailLines=1');
});
