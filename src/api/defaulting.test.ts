import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import { admitServiceAccount, mirrorPodProblem } from './admission-service-account.ts';
import { admitPriority } from './admission-priority.ts';
import { admitPod } from './admission.ts';
import { decode } from './decode.ts';
import { applyDefaults } from './defaulting.ts';
import type { Draft } from './draft.ts';
import type { Namespace, Node, Pod, Secret, ServiceAccount } from './gen/types.ts';
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
  delete spec.nodeName; // what the scheduler added
  const manifest = {
    containers: [
      { image: 'luksa/kubia-unhealthy', name: 'kubia', livenessProbe: { httpGet: { path: '/', port: 8080 } } },
    ],
  };
  const pod = defaulted(manifest);
  admitPod(pod);
  assert.equal(admitPriority(pod, undefined), undefined);
  assert.equal(
    admitServiceAccount(pod, robot, () => spec.volumes?.[0]?.name.slice(-5) ?? ''),
    undefined,
  );
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

test('admission adds account and patience, unless they are there', () => {
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

const robot: ServiceAccount = { metadata: { name: 'robot' } };
const accessPath = '/var/run/secrets/kubernetes.io/serviceaccount';

/** `CONTAINER: PATH from VOLUME`, after the account's plug-in. */
function accessMounts(spec: object, account: ServiceAccount = robot): string[] {
  const pod = defaulted(spec);
  assert.equal(
    admitServiceAccount(pod, account, () => 'abcde'),
    undefined,
  );
  const again = structuredClone(pod);
  admitServiceAccount(again, account, () => 'other');
  assert.deepEqual(again, pod, 'nothing is added twice');
  const containers = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])];
  const mounts = containers.flatMap(({ name, volumeMounts = [] }) =>
    volumeMounts.map((mount) => `${name}: ${mount.mountPath} from ${mount.name}`),
  );
  return [...mounts, ...(pod.spec?.volumes ?? []).map(({ name }) => `volume ${name}`)];
}

test('every container gets the token, unless pod or account do not want it, or it has something else there', () => {
  const containers = [{ name: 'c', image: 'i' }];
  const initContainers = [{ name: 'first', image: 'i' }];
  const volume = 'kube-api-access-abcde';
  const all = [`first: ${accessPath} from ${volume}`, `c: ${accessPath} from ${volume}`, `volume ${volume}`];
  assert.deepEqual(accessMounts({ containers, initContainers }), all);
  const unwilling = { ...robot, automountServiceAccountToken: false };
  assert.deepEqual(accessMounts({ containers }, unwilling), []);
  assert.deepEqual(accessMounts({ containers, automountServiceAccountToken: true }, unwilling), all.slice(1));
  assert.deepEqual(accessMounts({ containers, automountServiceAccountToken: false }), []);
  const own = [{ name: 'c', image: 'i', volumeMounts: [{ name: 'v', mountPath: accessPath }] }];
  const volumes = [{ name: 'v', emptyDir: {} }];
  assert.deepEqual(accessMounts({ containers: own, volumes }), [`c: ${accessPath} from v`, 'volume v']);
  const named = [{ name: 'kube-api-access-x', emptyDir: {} }];
  assert.deepEqual(accessMounts({ containers, volumes: named }), [
    `c: ${accessPath} from kube-api-access-x`,
    'volume kube-api-access-x',
  ]);
});

test('a pod without pull secrets gets those of its account', () => {
  const account = { ...robot, imagePullSecrets: [{ name: 'registry' }] };
  const secretsOf = (spec: object): unknown => {
    const pod = defaulted({ containers: [], ...spec });
    admitServiceAccount(pod, account, () => 'abcde');
    return pod.spec?.imagePullSecrets;
  };
  assert.deepEqual(secretsOf({}), [{ name: 'registry' }]);
  assert.deepEqual(secretsOf({ imagePullSecrets: [{ name: 'mine' }] }), [{ name: 'mine' }]);
});

test('an account may insist that its pods use only the secrets that it names', () => {
  const account = {
    metadata: { name: 'robot', annotations: { 'kubernetes.io/enforce-mountable-secrets': 'true' } },
    secrets: [{ name: 'ours' }],
  };
  const problemOf = (spec: object): string | undefined =>
    admitServiceAccount(defaulted({ containers: [], ...spec }), account, () => 'abcde');
  const end = 'is not allowed because service account robot does not reference that secret';
  assert.equal(problemOf({ volumes: [{ name: 'v', secret: { secretName: 'ours' } }] }), undefined);
  assert.equal(
    problemOf({ volumes: [{ name: 'v', secret: { secretName: 'x' } }] }),
    `volume with secret.secretName="x" ${end}`,
  );
  const env = [{ name: 'A', valueFrom: { secretKeyRef: { name: 'x', key: 'k' } } }];
  assert.equal(
    problemOf({ initContainers: [{ name: 'i', image: 'i', env }] }),
    `init container i with envVar A referencing secret.secretName="x" ${end}`,
  );
  assert.equal(
    problemOf({ containers: [{ name: 'c', image: 'i', envFrom: [{ secretRef: { name: 'x' } }] }] }),
    `container c with envFrom referencing secret.secretName="x" ${end}`,
  );
  assert.equal(
    problemOf({ imagePullSecrets: [{ name: 'x' }] }),
    'imagePullSecrets[0].name="x" is not allowed because service account robot does not reference that imagePullSecret',
  );
});

test('a pod that mirrors a static one has no account, and no token', () => {
  assert.equal(mirrorPodProblem(defaulted({ containers: [] })), undefined);
  assert.equal(
    mirrorPodProblem(defaulted({ containers: [], serviceAccountName: 'robot' })),
    'a mirror pod may not reference service accounts',
  );
  const projected = { sources: [{ serviceAccountToken: { path: 'token' } }] };
  assert.equal(
    mirrorPodProblem(defaulted({ containers: [], volumes: [{ name: 'v', projected }] })),
    'a mirror pod may not use ServiceAccountToken volume projections',
  );
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
