import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { resources } from '../../api/resources.ts';
import { StatusError } from '../../base/status-error.ts';
import { bodyText } from '../answer.ts';
import { HttpClient } from './http-client.ts';

// The adapter's contract, on real sockets of the loopback interface.

const never = new AbortController().signal;
const pem = (name: string): string =>
  fs.readFileSync(new URL(`../../../test/data/tls/${name}.pem`, import.meta.url), 'utf8');
const authority = pem('ca');
const other = pem('another-ca');
const serving = { certificate: pem('server'), key: pem('server.key') };
const admin = { certificate: pem('admin'), key: pem('admin.key') };

const cleanUps: (() => void)[] = [];
after(() => {
  for (const cleanUp of cleanUps) cleanUp();
});

async function serve(listener: http.RequestListener, tls = true) {
  const options = { cert: serving.certificate, key: serving.key, ca: authority, requestCert: true };
  const server = tls ? https.createServer(options, listener) : http.createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // A server that listens on TCP has such an address.
  const { port } = server.address() as AddressInfo;
  const close = (): void => {
    server.closeAllConnections();
    server.close();
  };
  cleanUps.push(close);
  return { url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`, close, server };
}

function clientFor(server: string, extra: object = {}): HttpClient {
  const { certificate, key } = admin;
  const client = new HttpClient({
    server,
    certificateAuthority: authority,
    clientCertificate: certificate,
    clientKey: key,
    ...extra,
  });
  cleanUps.push(() => client.close());
  return client;
}

async function readAll(request: http.IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}

test('requests carry the client certificate, the query and the body, over few connections', async () => {
  const seen: unknown[] = [];
  const { url, server } = await serve((request, response) => {
    void readAll(request).then((body) => {
      // Every socket of an HTTPS server has a peer certificate.
      const socket = request.socket as import('node:tls').TLSSocket;
      seen.push([
        request.method,
        request.url,
        request.headers['content-type'],
        body,
        socket.getPeerCertificate().subject.CN,
      ]);
      response.end('{"metadata":{"name":"é"}}');
    });
  });
  let connectionCount = 0;
  server.on('secureConnection', () => (connectionCount += 1));
  const client = clientFor(url);
  const object = { metadata: { name: 'é' } };
  const created = await client.create(resources.pods, { namespace: 'd' }, object, never, { dryRun: true });
  await client.get(resources.pods, { namespace: 'd', name: 'web' }, never);
  assert.deepEqual(created, object);
  assert.deepEqual(seen, [
    ['POST', '/api/v1/namespaces/d/pods?dryRun=All', 'application/json', JSON.stringify(object), 'kubernetes-admin'],
    ['GET', '/api/v1/namespaces/d/pods/web', undefined, '', 'kubernetes-admin'],
  ]);
  assert.equal(connectionCount, 1);
});

test('a watch streams events and ends when its signal aborts; other requests go on beside it', async () => {
  let closed: () => void = () => {};
  const streamClosed = new Promise<void>((resolve) => (closed = resolve));
  const { url } = await serve((request, response) => {
    if (!String(request.url).includes('watch=true')) {
      response.end('{}');
      return;
    }
    response.on('close', () => closed());
    response.write('{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n{"type":"MODI');
    setImmediate(() => response.write('FIED","object":{"metadata":{"name":"b"}}}\n'));
  });
  const client = clientFor(url);
  const controller = new AbortController();
  const got: string[] = [];
  for await (const event of client.watch(resources.pods, { resourceVersion: '5' }, controller.signal)) {
    got.push(`${event.type} ${event.object.metadata?.name}`);
    if (got.length < 2) continue;
    await client.get(resources.nodes, { name: 'n' }, never);
    controller.abort(new Error('stop'));
  }
  assert.deepEqual(got, ['ADDED a', 'MODIFIED b']);
  await streamClosed;
});

test('a watch whose connection breaks fails with ServiceUnavailable', async () => {
  const { url } = await serve((_request, response) => {
    response.write('{"type":"ADDED","object":{}}\n');
    setImmediate(() => response.socket?.destroy());
  });
  const got: string[] = [];
  await assert.rejects(
    async () => {
      for await (const event of clientFor(url).watch(resources.pods, {}, never)) got.push(event.type);
    },
    { reason: 'ServiceUnavailable' },
  );
  assert.deepEqual(got, ['ADDED']);
});

test('a server that refuses the connection is ServiceUnavailable, with the cause and Go’s words', async () => {
  const { url, close } = await serve(() => {});
  close();
  const client = clientFor(url);
  await assert.rejects(client.get(resources.nodes, { name: 'n' }, never), (error) => {
    assert(error instanceof StatusError);
    assert.equal(error.reason, 'ServiceUnavailable');
    const host = client.serverHost;
    assert.equal(error.message, `Get "${url}/api/v1/nodes/n": dial tcp ${host}: connect: connection refused`);
    assert(error.cause instanceof Error && 'code' in error.cause && error.cause.code === 'ECONNREFUSED');
    return true;
  });
});

test('a certificate of an unknown authority is refused, unless told to skip the check', async () => {
  const { url } = await serve((_request, response) => response.end('{}'));
  await assert.rejects(clientFor(url, { certificateAuthority: other }).get(resources.nodes, { name: 'n' }, never), {
    reason: 'ServiceUnavailable',
    message: /certificate signed by unknown authority/,
  });
  const careless = clientFor(url, { certificateAuthority: other, insecureSkipTlsVerify: true });
  await careless.get(resources.nodes, { name: 'n' }, never);
});

test('an abort before the answer rejects with the signal’s reason, and its listeners go away', async () => {
  const { url } = await serve(() => {}); // never answers
  const controller = new AbortController();
  const reason = new Error('enough');
  const pending = clientFor(url).get(resources.nodes, { name: 'n' }, controller.signal);
  setTimeout(() => controller.abort(reason), 20);
  await assert.rejects(pending, (error) => error === reason);
  await assert.rejects(
    clientFor(url).get(resources.nodes, { name: 'n' }, controller.signal),
    (error) => error === reason,
  );
});

test('raw requests over plain HTTP carry a bearer token and keep the path of the server', async () => {
  const { url } = await serve((request, response) => {
    response.writeHead(203, { 'content-type': 'text/plain' });
    response.end(`${request.url} ${request.headers.authorization} ${request.headers['user-agent']}`);
  }, false);
  const client = new HttpClient({ server: `${url}/k8s/`, token: 't0ken' }, { userAgent: 'test/1' });
  const answer = await client.request('GET', '/version', {}, never);
  assert.equal(answer.headers['content-type'], 'text/plain');
  assert.deepEqual([answer.status, await bodyText(answer.body)], [203, '/k8s/version Bearer t0ken test/1']);
  client.close();
});

test('a connection that the server closed while idle is not used again', async () => {
  const { url, server } = await serve((_request, response) => response.end('{}'));
  const client = clientFor(url);
  await client.get(resources.nodes, { name: 'n' }, never);
  server.closeIdleConnections();
  await new Promise((resolve) => setTimeout(resolve, 20));
  await client.get(resources.nodes, { name: 'n' }, never);
});
