import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node } from '../api/gen/types.ts';
import { podNetworkAnnotation, podNetworksData, podNetworksOf } from '../api/pod-networks.ts';
import type { PodNetworkOfNode } from '../api/pod-networks.ts';
import { formatIpv4Range, parseIpv4, parseIpv4Range } from '../base/ipv4-range.ts';
import type { Ipv4Range } from '../base/ipv4-range.ts';
import { podNetworksAmong } from '../controllers/node-ipam/pod-network-publisher.ts';
import { podRoutesFor } from './pod-routes.ts';

function range(text: string): Ipv4Range {
  const found = parseIpv4Range(text);
  assert.ok(found !== undefined);
  return found;
}

function networks(data: Readonly<Record<string, string>>): readonly PodNetworkOfNode[] {
  return podNetworksOf({ data });
}

const machine = [
  { device: 'eth0', address: parseIpv4('192.0.2.11') ?? 0, range: range('192.0.2.11/24') },
  { device: 'eth1', address: parseIpv4('198.51.100.1') ?? 0, range: range('198.51.100.0/28') },
];

test('a node needs routes to nodes on its networks; who is elsewhere is told, who is here needs none', () => {
  const all = networks({
    n1: '10.244.0.0/24 192.0.2.11',
    beside: '10.244.1.0/24 192.0.2.11',
    n2: '10.244.2.0/24 192.0.2.12',
    n3: '10.244.3.0/24 198.51.100.14',
    far: '10.244.4.0/24 203.0.113.5',
    outside: '10.244.5.0/24 198.51.100.16',
    broken: '10.244.6.0 192.0.2.13',
  });
  const { routes, leftOut } = podRoutesFor('n1', all, machine);
  assert.deepEqual(
    routes.map(({ range: to, to: way }) => [formatIpv4Range(to), way]),
    [
      ['10.244.2.0/24', { kind: 'via', nodeIp: '192.0.2.12', device: 'eth0' }],
      ['10.244.3.0/24', { kind: 'via', nodeIp: '198.51.100.14', device: 'eth1' }],
      ['10.244.0.0/24', { kind: 'unreachable' }],
    ],
  );
  assert.deepEqual(
    leftOut.map((text) => text.slice(0, 26)),
    ['pods of node far (10.244.4', 'pods of node outside (10.2'],
  );
  const alone = podRoutesFor('n1', networks({ n1: '10.244.0.0/24 192.0.2.11' }), machine);
  assert.deepEqual(alone, { routes: [], leftOut: [] });
});

test('nodes are told only of nodes that can be sent to, and of no two whose ranges overlap', () => {
  const node = (name: string, podCIDR: string, address: string, second: number, way = 'routed'): Node => ({
    metadata: {
      name,
      annotations: { [podNetworkAnnotation]: way },
      creationTimestamp: `2026-01-01T00:00:0${second}Z`,
    },
    spec: { podCIDR, podCIDRs: [podCIDR] },
    status: { addresses: [{ type: 'InternalIP', address }] },
  });
  const nodes = [
    node('thief', '10.244.1.0/24', '192.0.2.66', 5),
    node('n1', '10.244.1.0/24', '192.0.2.11', 1),
    node('n2', '10.244.2.0/24', '192.0.2.12', 2),
    node('wide', '10.244.0.0/16', '192.0.2.66', 6),
    node('loopback', '10.244.3.0/24', '127.0.0.1', 0),
    node('host', '10.244.4.0/24', '192.0.2.14', 0, 'host'),
    node('v6', 'fd00::/64', '192.0.2.15', 0),
  ];
  const found = podNetworksAmong(nodes);
  const data = { n1: '10.244.1.0/24 192.0.2.11', n2: '10.244.2.0/24 192.0.2.12' };
  assert.deepEqual(podNetworksData(found), data);
  assert.deepEqual(podNetworksOf({ data }), found);
});
