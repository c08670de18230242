import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { loadKubeconfig, parseKubeconfig } from './kubeconfig.ts';

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-kubeconfig-'));
after(() => fs.rmSync(directory, { recursive: true }));

const base64 = (text: string): string => Buffer.from(text).toString('base64');

const config = `
apiVersion: v1
kind: Config
current-context: one
clusters:
- name: c1
  cluster: {server: 'https://127.0.0.1:6443/', certificate-authority-data: ${base64('CA')}, tls-server-name: kube}
- name: c2
  cluster: {server: 'https://[::1]:6443', certificate-authority: ca.pem, insecure-skip-tls-verify: true}
contexts:
- {name: one, context: {cluster: c1, user: u1}}
- {name: two, context: {cluster: c2, user: u2, namespace: team}}
- {name: bad, context: {cluster: nowhere, user: u1}}
- {name: plugin, context: {cluster: c1, user: u3}}
users:
- name: u1
  user: {client-certificate-data: ${base64('CERT')}, client-key-data: ${base64('KEY')}}
- name: u2
  user: {client-certificate: cert.pem, client-key: key.pem, token: secret}
- name: u3
  user: {exec: {command: aws}}
`;

test('the current context is used, with the data in the file', () => {
  assert.deepEqual(parseKubeconfig(config, '/x/config'), {
    path: '/x/config',
    context: 'one',
    cluster: 'c1',
    user: 'u1',
    namespace: 'default',
    server: 'https://127.0.0.1:6443',
    certificateAuthority: 'CA',
    tlsServerName: 'kube',
    clientCertificate: 'CERT',
    clientKey: 'KEY',
  });
});

test('another context can be asked for; files are found beside the kubeconfig', () => {
  for (const name of ['ca', 'cert', 'key']) fs.writeFileSync(path.join(directory, `${name}.pem`), name);
  const file = path.join(directory, 'config');
  assert.deepEqual(parseKubeconfig(config, file, 'two'), {
    path: file,
    context: 'two',
    cluster: 'c2',
    user: 'u2',
    namespace: 'team',
    server: 'https://[::1]:6443',
    certificateAuthority: 'ca',
    insecureSkipTlsVerify: true,
    clientCertificate: 'cert',
    clientKey: 'key',
    token: 'secret',
  });
});

test('what cannot be used is refused with the reason', () => {
  const cases: readonly (readonly [string, string | undefined, RegExp])[] = [
    [config, 'three', /^context "three" does not exist$/],
    [config, 'bad', /cluster "nowhere" does not exist/],
    [config, 'plugin', /user "u3": exec is not supported/],
    [config, 'two', /unable to read \/nowhere\/ca\.pem/],
    ['a: [', undefined, /error loading config file "\/nowhere\/config"/],
    ['', undefined, /no current-context is set/],
  ];
  for (const [text, context, message] of cases) {
    assert.throws(() => parseKubeconfig(text, '/nowhere/config', context), { reason: 'BadRequest', message });
  }
});

test('the first file of $KUBECONFIG that exists wins, then the one in the home directory', () => {
  const file = path.join(directory, 'first');
  fs.writeFileSync(file, config);
  const kubeconfig = ['', path.join(directory, 'missing'), file].join(path.delimiter);
  assert.equal(loadKubeconfig({ kubeconfig })?.path, file);
  assert.equal(loadKubeconfig({ kubeconfig: path.join(directory, 'missing') }), undefined);
  assert.equal(loadKubeconfig({ home: directory }), undefined);
  fs.mkdirSync(path.join(directory, '.kube'));
  fs.writeFileSync(path.join(directory, '.kube', 'config'), config);
  assert.equal(loadKubeconfig({ kubeconfig: '', home: directory })?.context, 'one');
  assert.throws(() => loadKubeconfig({ file: '/nowhere/config' }), {
    message: 'stat /nowhere/config: no such file or directory',
  });
});
