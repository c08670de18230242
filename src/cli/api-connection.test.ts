import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { quietIo } from '../../test/support/cli-run.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { kubeconfigPathOf, openConnection, warningsOf } from './api-connection.ts';
import type { CliIo } from './cli-io.ts';
import { connectionFlags } from './connection-flags.ts';
import { parseFlags, type FlagValues } from './flags.ts';
import { startTicksOf, writePidFile } from './livelet-home.ts';

const flagsOf = (...words: readonly string[]): FlagValues => parseFlags(connectionFlags, words).values;

function ioIn(home: string, env: Readonly<Record<string, string>> = {}): CliIo {
  return { ...quietIo(new VirtualClock({ epochMs: 0 })).io, homeDir: home, env };
}

function inHome(body: (home: string) => void): void {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-cli-'));
  body(home);
  fs.rmSync(home, { recursive: true });
}

test('the flag names the kubeconfig before $KUBECONFIG does, and that before any file of the home', () => {
  inHome((home) => {
    const io = ioIn(home, { KUBECONFIG: '/b:/c' });
    assert.deepEqual(kubeconfigPathOf(flagsOf('--kubeconfig=/a'), io), { file: '/a' });
    assert.deepEqual(kubeconfigPathOf(flagsOf(), io), { kubeconfig: '/b:/c' });
  });
});

test('a running cluster is found before ~/.kube/config, one that has ended only if there is no other', () => {
  inHome((home) => {
    const own = path.join(home, '.livelet', 'kubeconfig');
    const usual = path.join(home, '.kube', 'config');
    fs.mkdirSync(path.dirname(own));
    fs.writeFileSync(own, '');
    assert.deepEqual(kubeconfigPathOf(flagsOf(), ioIn(home)), { file: own });
    fs.mkdirSync(path.dirname(usual));
    fs.writeFileSync(usual, '');
    assert.deepEqual(kubeconfigPathOf(flagsOf(), ioIn(home)), { home });
    const startTicks = startTicksOf(process.pid);
    const said = { startedAt: '', url: '', nodeName: '', runtime: '', kubeconfigPath: own };
    writePidFile(path.dirname(own), { pid: process.pid, startTicks, ...said });
    assert.deepEqual(kubeconfigPathOf(flagsOf(), ioIn(home)), { file: own });
  });
});

const kubeconfig = `
current-context: one
contexts:
- name: one
  context: {cluster: c, user: u, namespace: mine}
- name: two
  context: {cluster: c, user: u}
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: u, user: {}}]
`;

test('the namespace is the one of the flag, else of the context, else default', () => {
  inHome((home) => {
    const file = path.join(home, 'config');
    fs.writeFileSync(file, kubeconfig);
    const scopeOf = (...words: readonly string[]): object => {
      const connection = openConnection(flagsOf('--kubeconfig', file, ...words), ioIn(home));
      connection.close();
      return [connection.namespace, connection.namespaceIsExplicit];
    };
    assert.deepEqual(scopeOf(), ['mine', false]);
    assert.deepEqual(scopeOf('--context=two'), ['default', false]);
    assert.deepEqual(scopeOf('-n', 'other'), ['other', true]);
    assert.throws(() => scopeOf('--context=nope'), {
      message: 'Error in configuration: context was not found for specified context: nope',
    });
    for (const bad of ['x', '-1', '-1s']) {
      assert.throws(() => scopeOf(`--request-timeout=${bad}`), {
        message: /^Invalid timeout value\. Timeout must be a/,
      });
    }
  });
});

test('warnings of the server are read from their headers', () => {
  const warning = String.raw`299 - "unknown field \"spec.x\"", 299 - "second"`;
  assert.deepEqual(warningsOf({ headers: { warning } }), ['unknown field "spec.x"', 'second']);
  assert.deepEqual(warningsOf({ headers: {} }), []);
});
