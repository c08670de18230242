/** Objects made to use every field, and what kubectl 1.34.5 printed of them. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import type { Lease, Node, Pod } from '../../api/gen/types.ts';
import { describeNode } from './describe-node.ts';
import {
  describeAny,
  describeConfigMap,
  describeNamespace,
  describeSecret,
  describeServiceAccount,
  smartLabel,
} from './describe-objects.ts';
import { describePod } from './describe-pod.ts';
import { rfc1123z, type DescribeContext } from './describe-writer.ts';

const directory = 'test/data/cli';
const context: DescribeContext = { nowMs: Date.parse('2026-11-21T21:55:11Z'), zoneMinutesAt: () => 0 };
// Made by hand and by a server: each is of the kind that it is used as below.
// oxlint-disable-next-line typescript/no-explicit-any
const objects = JSON.parse(fs.readFileSync(`${directory}/objects.json`, 'utf8')) as Record<string, any>;
const recorded = (name: string): string => fs.readFileSync(`${directory}/describe-${name}.txt`, 'utf8');

const pods: readonly Pod[] = [
  ...['crasher', 'init-and-sidecar', 'kubia-liveness-delay', 'kubia-liveness', 'missing-binary', 'no-image']
    .concat(['not-ready', 'slow-start', 'tcp-liveness'])
    .map((name) => parse(fs.readFileSync(`test/data/goldens/${name}.yaml`, 'utf8')) as Pod),
  objects['po-weird'],
  objects['po-pend'],
];
const lease = objects['lease-worker002'] as Lease;
const node = objects['no-worker002'] as Node;

const described: Readonly<Record<string, () => string>> = {
  'po-weird': () => describePod(objects['po-weird'], undefined, context),
  'po-pend': () => describePod(objects['po-pend'], undefined, context),
  'no-worker002': () => describeNode(node, { pods, lease, events: undefined }, context),
  'cm-c': () => describeConfigMap(objects['cm-c'], undefined, context),
  'secret-s': () => describeSecret(objects['secret-s'], context),
  'secret-t': () => describeSecret(objects['secret-t'], context),
  'sa-default': () => describeServiceAccount(objects['sa-default'], undefined, context),
  'ns-gold': () => describeNamespace(objects['ns-gold'], context),
  'lease-l': () => describeAny(objects['lease-l'], undefined, context),
};

for (const [name, describe] of Object.entries(described)) {
  test(`${name} is described as kubectl does, line by line`, () => {
    assert.equal(describe(), recorded(name));
  });
}

test('a node without a lease says why', () => {
  const text = describeNode(node, { pods: [], lease: 'leases "x" not found', events: [] }, context);
  assert.match(text, /^Lease: +Failed to get lease: leases "x" not found$/m);
  assert.match(text, /^Events: +<none>$/m);
});

test('times are in the local zone', () => {
  assert.equal(
    rfc1123z(Date.UTC(2026, 0, 1), () => 0),
    'Thu, 01 Jan 2026 00:00:00 +0000',
  );
  assert.equal(
    rfc1123z(Date.UTC(2026, 0, 1), () => -210),
    'Wed, 31 Dec 2025 20:30:00 -0330',
  );
  assert.equal(
    rfc1123z(Date.UTC(2026, 6, 1), () => 120),
    'Wed, 01 Jul 2026 02:00:00 +0200',
  );
});

test('labels of fields are words', () => {
  const labels = ['holderIdentity', 'podCIDR', 'someUID', 'APIVersion', 'x.y/z', 'hostIPs'].map(smartLabel);
  assert.deepEqual(labels, ['Holder Identity', 'Pod CIDR', 'Some UID', 'API Version', 'x.y/z', 'Host I Ps']);
});
