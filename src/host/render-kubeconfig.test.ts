import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { renderKubeconfig } from './render-kubeconfig.ts';

test('a kubeconfig holds all that a client needs', () => {
  const text = renderKubeconfig({
    server: 'https://127.0.0.1:6443',
    clusterName: 'livelet',
    userName: 'kubernetes-admin',
    caPem: 'CA\n',
    clientCertPem: 'CERT\n',
    clientKeyPem: 'KEY\n',
  });
  const data = (pem: string): string => Buffer.from(pem).toString('base64');
  assert.deepEqual(parse(text), {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'livelet',
        cluster: { server: 'https://127.0.0.1:6443', 'certificate-authority-data': data('CA\n') },
      },
    ],
    contexts: [{ name: 'kubernetes-admin@livelet', context: { cluster: 'livelet', user: 'kubernetes-admin' } }],
    'current-context': 'kubernetes-admin@livelet',
    users: [
      {
        name: 'kubernetes-admin',
        user: { 'client-certificate-data': data('CERT\n'), 'client-key-data': data('KEY\n') },
      },
    ],
  });
});
