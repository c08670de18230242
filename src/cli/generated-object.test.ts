import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { CliError } from './cli-error.ts';
import { parseFlags } from './flags.ts';
import { generatedFlags, generatedObject } from './generated-object.ts';

function generated(...words: readonly string[]): unknown {
  const { values, ...parsed } = parseFlags(generatedFlags, words);
  return generatedObject(parsed, values);
}

test('a namespace and a service account need only a name', () => {
  assert.deepEqual(generated('ns', 'x'), {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'x' },
    spec: {},
    status: {},
  });
  assert.deepEqual(generated('serviceaccount', 'x'), {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'x' },
  });
});

test('a config map takes literals and files, and keeps what is no text apart', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-cli-'));
  const file = (name: string, bytes: string | Uint8Array): string => {
    fs.writeFileSync(path.join(directory, name), bytes);
    return path.join(directory, name);
  };
  const text = file('a.txt', 'x\ny\n');
  const bytes = file('b.bin', Uint8Array.of(0, 255));
  const env = file('env', 'A=1\n# no\nB=x y\n\nC\n');
  assert.deepEqual(
    generated('cm', 'c', '--from-literal=l=1=2,3', `--from-file=${text},k=${bytes}`, '--from-env-file', env),
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'c' },
      data: { 'a.txt': 'x\ny\n', A: '1', B: 'x y', C: '', l: '1=2,3' },
      binaryData: { k: 'AP8=' },
    },
  );
  fs.rmSync(directory, { recursive: true });
});

test('a secret is base64', () => {
  assert.deepEqual(generated('secret', 'generic', 's', '--from-literal=a=1', '--type=x/y'), {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 's' },
    data: { a: 'MQ==' },
    type: 'x/y',
  });
});

test('a deployment has a container for each image, and a job runs a command', () => {
  const labels = { app: 'd' };
  const containers = [
    { name: 'b', image: 'a:5000/b:1', ports: [{ containerPort: 80 }], resources: {} },
    { name: 'c', image: 'c@sha256:0', resources: {} },
  ];
  assert.deepEqual(generated('deploy', 'd', '--image=a:5000/b:1,c@sha256:0', '--port=80', '-r', '3'), {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'd', labels },
    spec: {
      replicas: 3,
      selector: { matchLabels: labels },
      strategy: {},
      template: { metadata: { labels }, spec: { containers } },
    },
    status: {},
  });
  const command = ['date', '-u'];
  assert.deepEqual(generated('job', 'j', '--image=x', '--', 'date', '-u'), {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: 'j' },
    spec: {
      template: {
        metadata: {},
        spec: { containers: [{ name: 'j', image: 'x', command, resources: {} }], restartPolicy: 'Never' },
      },
    },
    status: {},
  });
  assert.match(JSON.stringify(generated('deployment', 'd', '--image=x/a_b.c:1')), /"name":"a-b-c-[b-z2-9]{5}"/);
});

test('words that name no such kind make nothing', () => {
  assert.equal(generated('pod', 'x'), undefined);
  assert.equal(generated(), undefined);
});

for (const [words, message] of [
  ['ns', "exactly one NAME is required, got 0\nSee 'livelet create namespace -h' for help and examples"],
  ['cm c --from-literal=a', 'invalid literal source a, expected key=value'],
  [
    'cm c --from-literal=a=1 --from-literal=a=2',
    'cannot add key "a", another key by that name already exists in Data for ConfigMap "c"',
  ],
  ['cm c --from-file=/nonexistent/x', 'error reading /nonexistent/x: no such file or directory'],
  ['deployment d', 'required flag(s) "image" not set'],
  ['job j k --image=x', "exactly one NAME is required, got 2\nSee 'livelet create job -h' for help and examples"],
  ['deployment d --image=a,b -- x', 'cannot specify multiple --image options and command'],
  ['secret tls x', 'only secrets of the kind generic can be made: create secret generic NAME'],
] as const) {
  test(`create ${words} is refused`, () => {
    assert.throws(() => generated(...words.split(' ')), new CliError(message));
  });
}
