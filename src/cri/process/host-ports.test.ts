import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import { HostPorts } from './host-ports.ts';

async function listen(server: net.Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

async function freePort(): Promise<number> {
  const server = net.createServer();
  const port = await listen(server);
  server.close();
  await once(server, 'close');
  return port;
}

test('what arrives at the host port reaches the pod, and its answer comes back, half-open as it is', async () => {
  const pod = net.createServer({ allowHalfOpen: true }, (socket) => {
    let text = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    socket.once('end', () => socket.end(`got ${text}`));
  });
  const containerPort = await listen(pod);
  const hostPort = await freePort();
  const ports = new HostPorts();
  const mapping = { protocol: 'TCP', hostIp: '127.0.0.1', hostPort, containerPort } as const;
  await ports.open('s', [mapping, { ...mapping, hostPort: 0 }], '127.0.0.1');
  await assert.rejects(ports.open('t', [mapping], '127.0.0.1'), { message: /hostPort: listen EADDRINUSE/ });
  const client = net.connect({ host: '127.0.0.1', port: hostPort, allowHalfOpen: true });
  let answer = '';
  client.setEncoding('utf8').on('data', (chunk: string) => (answer += chunk));
  client.end('hello');
  await once(client, 'end');
  assert.equal(answer, 'got hello');
  const lasting = net.connect(hostPort, '127.0.0.1');
  await once(lasting, 'connect');
  lasting.on('error', () => {}); // a reset is an end, too
  ports.closeAll();
  await once(lasting, 'close');
  pod.close();
});
