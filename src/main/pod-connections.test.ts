import assert from 'node:assert/strict';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { HttpRequest } from '../base/http.ts';
import { bodyText } from '../client/answer.ts';
import { sendToPod } from './pod-connections.ts';

const request: HttpRequest = {
  method: 'POST',
  path: '/a%20b',
  query: new URLSearchParams({ c: 'd' }),
  headers: { 'x-mine': 'y' },
  body: 'hello',
  user: undefined,
};

test('a request goes to the address of the pod and its answer comes back; who is not there is unavailable', async () => {
  const server = http.createServer((asked, answer) => {
    asked.setEncoding('utf8');
    asked.on('data', (body: string) => {
      answer.writeHead(418, { 'x-pod': 'web' });
      answer.end(`${asked.method} ${asked.url} ${String(asked.headers['x-mine'])} ${body}`);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo; // it listens on a port
  const address = { scheme: 'http', host: '127.0.0.1', port } as const;
  const { signal } = new AbortController();
  const { status, headers, body } = await sendToPod(address, request, signal);
  assert.deepEqual([status, headers['x-pod'], await bodyText(body)], [418, 'web', 'POST /a%20b?c=d y hello']);
  await assert.rejects(sendToPod({ ...address, scheme: 'https' }, request, signal), {
    reason: 'ServiceUnavailable',
    message: /^error trying to reach service: .*wrong version number/,
  });
  await new Promise((resolve) => {
    server.close(resolve);
  });
  await assert.rejects(sendToPod(address, request, signal), {
    reason: 'ServiceUnavailable',
    message: `error trying to reach service: dial tcp 127.0.0.1:${port}: connect: connection refused`,
  });
  const given = new Error('enough');
  await assert.rejects(sendToPod(address, request, AbortSignal.abort(given)), given);
});
