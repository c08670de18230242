import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node, Pod, PodSpec } from '../api/gen/types.ts';
import { refusalOf } from './admission.ts';
import { sysctlsOf } from './sysctls.ts';

const node: Node = { metadata: { name: 'node-1', labels: { disk: 'ssd', cores: '8' } } };
const allocatable = { cpu: '2', memory: '1Gi', pods: '3', 'example.com/gpu': '1' };

function podOf(spec: Partial<PodSpec>, asks: Readonly<Record<string, string>> = {}): Pod {
  return { spec: { containers: [{ name: 'c', resources: { requests: asks } }], ...spec } };
}

function reasonOf(pod: Pod, others: readonly Pod[] = []): string | undefined {
  return refusalOf({ pod, others, allocatable, node })?.reason;
}

test('what is left after the other pods has to be enough', () => {
  const half = podOf({}, { cpu: '1', memory: '512Mi' });
  assert.equal(reasonOf(half, [half]), undefined);
  assert.equal(reasonOf(podOf({}, { cpu: '1001m' }), [half]), 'OutOfcpu');
  assert.equal(reasonOf(podOf({}, { memory: '513Mi' }), [half]), 'OutOfmemory');
  assert.equal(reasonOf(podOf({}, { 'example.com/gpu': '2' })), 'OutOfexample.com/gpu');
  assert.equal(reasonOf(podOf({}, { 'example.com/unknown': '1' })), undefined);
  assert.equal(reasonOf(podOf({}), [half, podOf({}), podOf({})]), 'OutOfpods');
  assert.equal(
    refusalOf({ pod: podOf({}, { memory: '1Gi' }), others: [half], allocatable, node })?.message,
    "Node didn't have enough resource: memory, requested: 1073741824, used: 536870912, capacity: 1073741824",
  );
});

test('selector and required affinity have to fit the labels', () => {
  const requiring = (operator: string, key: string, values: readonly string[]): Pod => {
    const nodeSelectorTerms = [{ matchExpressions: [{ key, operator, values }] }];
    return podOf({
      affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } } },
    });
  };
  assert.equal(reasonOf(podOf({ nodeSelector: { disk: 'ssd' } })), undefined);
  assert.equal(reasonOf(podOf({ nodeSelector: { disk: 'hdd' } })), 'NodeAffinity');
  const fits: readonly (readonly [operator: string, key: string, values: readonly string[], fits: boolean])[] = [
    ['In', 'disk', ['ssd', 'x'], true],
    ['In', 'disk', ['x'], false],
    ['NotIn', 'disk', ['x'], true],
    ['NotIn', 'absent', ['x'], true],
    ['Exists', 'disk', [], true],
    ['Exists', 'absent', [], false],
    ['DoesNotExist', 'absent', [], true],
    ['Gt', 'cores', ['7'], true],
    ['Gt', 'cores', ['8'], false],
    ['Lt', 'cores', ['9'], true],
  ];
  for (const [operator, key, values, expected] of fits) {
    assert.equal(reasonOf(requiring(operator, key, values)) === undefined, expected, `${operator} ${key} ${values}`);
  }
});

test('a host port is taken by one pod at a time, per address and protocol', () => {
  const listening = (hostPort: number, hostIP?: string, protocol?: string): Pod =>
    podOf({
      containers: [
        {
          name: 'c',
          ports: [{ containerPort: 80, hostPort, ...(hostIP && { hostIP }), ...(protocol && { protocol }) }],
        },
      ],
    });
  assert.equal(reasonOf(listening(80), [listening(80)]), 'NodePorts');
  assert.equal(reasonOf(listening(80), [listening(81)]), undefined);
  assert.equal(reasonOf(listening(80, '10.0.0.1'), [listening(80, '10.0.0.2')]), undefined);
  assert.equal(reasonOf(listening(80, '10.0.0.1'), [listening(80)]), 'NodePorts');
  assert.equal(reasonOf(listening(80, undefined, 'UDP'), [listening(80)]), undefined);
});

test("only kernel parameters that are a pod's own are set, written with dots or slashes", () => {
  const withSysctl = (name: string, spec: Partial<PodSpec> = {}): string | undefined => {
    const pod = podOf({ ...spec, securityContext: { sysctls: [{ name, value: '1' }] } });
    return refusalOf({ pod, others: [], allocatable, node })?.message;
  };
  assert.equal(withSysctl('kernel.shm_rmid_forced'), undefined);
  assert.equal(withSysctl('net/ipv4/tcp_syncookies'), undefined);
  assert.equal(withSysctl('kernel/msgmax'), 'forbidden sysctl: "kernel.msgmax" not allowlisted');
  assert.equal(withSysctl('net/ipv4/conf/eth0.7/x'), 'forbidden sysctl: "net.ipv4.conf.eth0/7.x" not allowlisted');
  assert.equal(
    withSysctl('kernel.shm_rmid_forced', { hostIPC: true }),
    'forbidden sysctl: "kernel.shm_rmid_forced" not allowed with host IPC enabled',
  );
  const pod = podOf({ securityContext: { sysctls: [{ name: 'net/ipv4/tcp_syncookies', value: '1' }] } });
  assert.deepEqual(sysctlsOf(pod), { 'net.ipv4.tcp_syncookies': '1' });
});

test('what this node cannot give is refused by name', () => {
  assert.equal(reasonOf(podOf({ os: { name: 'windows' } })), 'PodOSNotSupported');
  const refusal = refusalOf({
    pod: podOf({ resourceClaims: [{ name: 'gpu' }], hostUsers: false }),
    others: [],
    allocatable,
    node,
  });
  assert.deepEqual(refusal, {
    reason: 'UnsupportedPodSpec',
    message: 'spec.hostUsers is not supported by this node, spec.resourceClaims is not supported by this node',
  });
  const container = {
    name: 'c',
    volumeDevices: [{ name: 'v', devicePath: '/dev/v' }],
    volumeMounts: [{ name: 'w', mountPath: '/w', recursiveReadOnly: 'Enabled' }],
  };
  const devices = refusalOf({ pod: { spec: { containers: [container] } }, others: [], allocatable: {}, node });
  assert.equal(
    devices?.message,
    'spec.containers[0].volumeDevices is not supported by this node, ' +
      'spec.containers[0].volumeMounts[0].recursiveReadOnly: Enabled is not supported by this node',
  );
  const longSpec = { containers: [], hostname: 'h', subdomain: 's'.repeat(50), setHostnameAsFQDN: true };
  const long = refusalOf({ pod: { metadata: { namespace: 'n' }, spec: longSpec }, others: [], allocatable: {}, node });
  assert.match(long?.message ?? '', /^FQDN h\.s+\.n\.svc\.cluster\.local is too long \(64 characters is the max, /);
});
