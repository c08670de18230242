import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import { admitPod } from './admission.ts';
import { decode } from './decode.ts';
import { applyDefaults } from './defaulting.ts';
import type { Draft } from './draft.ts';
import type { Namespace, Node, Pod, Secret } from './gen/types.ts';
import { defaultPullPolicy, parseImageName } from './image-name.ts';
import { qosClassOf } from './qos.ts';
import { resources } from './resources.ts';

function defaulted(spec: object): Draft<Pod> {
  const { object } = decode<Pod>('Pod', { metadata: { name: 'p' }, spec }, 'Strict');
  return applyDefaults(resources.pods, object);
}

test('a pod of the tutorial gets the defaults that a real cluster gave it', () => {
  const golden = parse(fs.readFileSync(new URL('testdata/kubia-liveness.yaml', import.meta.url), 'utf8')) as Draft<Pod>;
  const spec = golden.spec;
  assert.ok(spec?.containers[0]);
  // What the scheduler and the service account plug-in added.
  delete spec.nodeName;
  delete spec.volumes;
  delete spec.containers[0].volumeMounts;
  const manifest = {
    containers: [
      { image: 'luksa/kubia-unhealthy', name: 'kubia', livenessProbe: { httpGet: { path: '/', port: 8080 } } },
    ],
  };
  const pod = defaulted(manifest);
  admitPod(pod);
  const policy = pod.spec?.containers[0]?.imagePullPolicy;
  assert.equal(policy, 'Always', 'no tag'); // the recorded pod had IfNotPresent in its manifest
  spec.containers[0].imagePullPolicy = 'Always';
  assert.deepEqual(pod.spec, spec);
});

test('probes, hooks, ports and variables get their defaults, and zero counts as not given', () => {
  const pod = defaulted({
    hostNetwork: true,
    containers: [
      {
        name: 'c',
        image: 'i:1',
        ports: [{ containerPort: 80 }, { containerPort: 81, hostPort: 82, protocol: 'UDP' }],
        env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }],
        livenessProbe: { periodSeconds: 0, grpc: { port: 1 } },
        lifecycle: { preStop: { httpGet: { port: 80 } } },
      },
    ],
  });
  const container = pod.spec?.containers[0];
  assert.deepEqual(container?.ports, [
    { containerPort: 80, hostPort: 80, protocol: 'TCP' },
    { containerPort: 81, hostPort: 82, protocol: 'UDP' },
  ]);
  assert.equal(container?.env?.[0]?.valueFrom?.fieldRef?.apiVersion, 'v1');
  assert.deepEqual(container?.livenessProbe, {
    grpc: { port: 1, service: '' },
    timeoutSeconds: 1,
    periodSeconds: 10,
    successThreshold: 1,
    failureThreshold: 3,
  });
  assert.deepEqual(container?.lifecycle, { preStop: { httpGet: { port: 80, path: '/', scheme: 'HTTP' } } });
});

test('requests default to limits, for containers and for the pod', () => {
  const pod = defaulted({
    resources: { limits: { cpu: '2', memory: '1Gi' } },
    containers: [
      { name: 'a', image: 'i', resources: { limits: { cpu: '1', memory: '64Mi' }, requests: { cpu: '100u' } } },
    ],
  });
  assert.deepEqual(pod.spec?.containers[0]?.resources?.requests, { cpu: '1m', memory: '64Mi' });
  assert.deepEqual(pod.spec?.resources?.requests, { cpu: '1m', memory: '64Mi' });
});

test('volumes get their type, modes and expiry', () => {
  const pod = defaulted({
    containers: [{ name: 'c', image: 'i' }],
    volumes: [
      { name: 'bare' },
      { name: 's', secret: { secretName: 'x' } },
      { name: 'c', configMap: { name: 'x', defaultMode: 256 } },
      { name: 'h', hostPath: { path: '/x' } },
      {
        name: 'p',
        projected: {
          sources: [
            { serviceAccountToken: { path: 't' } },
            { downwardAPI: { items: [{ path: 'n', fieldRef: { fieldPath: 'metadata.name' } }] } },
          ],
        },
      },
    ],
  });
  assert.deepEqual(pod.spec?.volumes, [
    { name: 'bare', emptyDir: {} },
    { name: 's', secret: { secretName: 'x', defaultMode: 420 } },
    { name: 'c', configMap: { name: 'x', defaultMode: 256 } },
    { name: 'h', hostPath: { path: '/x', type: '' } },
    {
      name: 'p',
      projected: {
        defaultMode: 420,
        sources: [
          { serviceAccountToken: { path: 't', expirationSeconds: 3600 } },
          { downwardAPI: { items: [{ path: 'n', fieldRef: { fieldPath: 'metadata.name', apiVersion: 'v1' } }] } },
        ],
      },
    },
  ]);
});

test('the pull policy follows from the image name', () => {
  const rows: Record<string, string> = {
    busybox: 'Always',
    'busybox:latest': 'Always',
    'busybox:1.29': 'IfNotPresent',
    'registry:5000/a/b': 'Always',
    'registry:5000/a/b:2': 'IfNotPresent',
    [`busybox@sha256:${'0'.repeat(64)}`]: 'IfNotPresent',
    [`busybox:latest@sha256:${'0'.repeat(64)}`]: 'Always',
    'Bad Name': 'IfNotPresent',
    '': 'IfNotPresent',
  };
  for (const [image, policy] of Object.entries(rows)) assert.equal(defaultPullPolicy(image), policy, image);
  assert.deepEqual(parseImageName('host:1/a:b'), { repository: 'host:1/a', tag: 'b', digest: '' });
});

test('admission adds account, priority and patience, unless they are there', () => {
  const pod = defaulted({
    containers: [{ name: 'c', image: 'i' }],
    serviceAccount: 'robot',
    tolerations: [{ key: 'node.kubernetes.io/not-ready', operator: 'Exists' }],
  });
  admitPod(pod);
  assert.deepEqual([pod.spec?.serviceAccountName, pod.spec?.serviceAccount], ['robot', 'robot']);
  assert.deepEqual(
    pod.spec?.tolerations?.map(({ key, tolerationSeconds }) => [key, tolerationSeconds]),
    [
      ['node.kubernetes.io/not-ready', undefined],
      ['node.kubernetes.io/unreachable', 300],
    ],
  );
  const again = structuredClone(pod);
  admitPod(again);
  assert.deepEqual(again, pod);
});

test('the QoS class follows from requests and limits of cpu and memory', () => {
  const of = (...resourcesOfEach: object[]): string =>
    qosClassOf({ containers: resourcesOfEach.map((one, index) => ({ name: `c${index}`, resources: one })) });
  const full = { requests: { cpu: '1', memory: '1Gi' }, limits: { cpu: '1000m', memory: '1024Mi' } };
  assert.equal(of({}), 'BestEffort');
  assert.equal(of({ requests: { cpu: '0' } }), 'BestEffort');
  assert.equal(of(full), 'Guaranteed');
  assert.equal(of(full, {}), 'Burstable');
  assert.equal(of({ ...full, requests: { cpu: '1', memory: '512Mi' } }), 'Burstable');
  assert.equal(of({ limits: { memory: '1Gi' } }), 'Burstable');
});

test('other kinds get their defaults', () => {
  const { object: namespace } = decode<Namespace>('Namespace', { metadata: { name: 'n' } }, 'Strict');
  applyDefaults(resources.namespaces, namespace);
  assert.deepEqual(namespace.metadata?.labels, { 'kubernetes.io/metadata.name': 'n' });
  assert.equal(namespace.status?.phase, 'Active');
  const { object: secret } = decode<Secret>('Secret', { data: { a: 'YQ==' }, stringData: { b: 'ü' } }, 'Strict');
  applyDefaults(resources.secrets, secret);
  assert.deepEqual(secret, { data: { a: 'YQ==', b: 'w7w=' }, type: 'Opaque', metadata: {} });
  const { object: node } = decode<Node>('Node', { status: { capacity: { cpu: '2' } } }, 'Strict');
  applyDefaults(resources.nodes, node);
  assert.deepEqual(node.status?.allocatable, { cpu: '2' });
});
