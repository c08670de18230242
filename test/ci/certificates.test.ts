/** Certificates that live for seconds: a node and its server renew theirs while they run, and go on. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { parseKubeconfig } from '../../src/client/http/kubeconfig.ts';
import { HttpClient } from '../../src/client/http/http-client.ts';
import { authorityHash } from '../../src/client/http/authority-pin.ts';
import { resources, startNode, startServer } from '../../src/main/livelet.ts';
import type { Secret } from '../../src/api/gen/types.ts';
import { sleepMs } from './livelet-up.ts';

const certificateLifeMs = 8_000;
const waitMsMax = 90_000;

test('node and server outlive their certificates: each is renewed before it ends', async () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-certificates-'));
  const signal = AbortSignal.timeout(waitMsMax);
  await using server = await startServer({ dataDir: path.join(directory, 'server'), certificateLifeMs });
  const secret: Secret = {
    metadata: { name: 'bootstrap-token-abcdef' },
    type: 'bootstrap.kubernetes.io/token',
    stringData: {
      'token-id': 'abcdef',
      'token-secret': '0123456789abcdef',
      'usage-bootstrap-authentication': 'true',
    },
  };
  await server.client.create(resources.secrets, { namespace: 'kube-system' }, secret, signal);
  const caPem = parseKubeconfig(server.kubeconfig, '').certificateAuthority ?? '';
  await using node = await startNode({
    server: server.url,
    token: 'abcdef.0123456789abcdef',
    caCertHash: authorityHash(caPem),
    nodeName: 'n1',
    dataDir: path.join(directory, 'node'),
  });
  const clientCertificate = (file: string): X509Certificate => {
    const { clientCertificate: pem = '' } = parseKubeconfig(fs.readFileSync(file, 'utf8'), file);
    return new X509Certificate(pem);
  };
  const files = [node.kubeconfigPath, server.kubeconfigPath];
  const first = files.map((file) => clientCertificate(file));
  const endMs = Math.max(...first.map(({ validTo }) => Date.parse(validTo)));
  while (Date.now() < endMs + 2_000) {
    signal.throwIfAborted();
    await sleepMs(200);
  }
  for (const [index, file] of files.entries()) {
    assert.ok(Date.parse(clientCertificate(file).validTo) > endMs, `${file} was not renewed`);
    assert.notEqual(clientCertificate(file).serialNumber, first[index]?.serialNumber);
  }
  // Fresh connections all the way: administrator to server, server to node, node to server.
  const admin = new HttpClient(parseKubeconfig(fs.readFileSync(server.kubeconfigPath, 'utf8'), ''));
  const answer = await admin.request('GET', '/api/v1/nodes/n1/proxy/healthz', {}, signal);
  assert.equal(answer.status, 200);
  admin.close();
  const self = new HttpClient(parseKubeconfig(fs.readFileSync(node.kubeconfigPath, 'utf8'), ''));
  assert.equal((await self.get(resources.nodes, { name: 'n1' }, signal)).metadata?.name, 'n1');
  self.close();
  await node.stop();
  await server.stop();
  fs.rmSync(directory, { recursive: true });
});
