import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import type { ContainerState, ContainerStatus, Event, Pod } from './gen/types.ts';
import { podStatusText } from './pod-status-text.ts';
import { type KubernetesObject, resources, type ResourceType } from './resources.ts';
import { type Table, tableOf } from './tables.ts';
import { formatTime } from './time.ts';

const nowWallMs = Date.UTC(2026, 10, 21, 20, 5, 0);
const ago = (seconds: number): string => formatTime(nowWallMs - seconds * 1000);

/** What Kubernetes 1.34 answered; descriptions and most metadata were taken out. */
function golden(name: string): Table {
  return JSON.parse(fs.readFileSync(new URL(`testdata/tables/${name}.json`, import.meta.url), 'utf8')) as Table;
}

function container(name: string, rest: Partial<ContainerStatus>): ContainerStatus {
  return { name, image: '', imageID: '', ready: false, restartCount: 0, ...rest };
}

const running = { running: { startedAt: ago(60) } };
const ended = (secondsAgo: number): ContainerState => ({
  terminated: { exitCode: 1, reason: 'Error', finishedAt: ago(secondsAgo) },
});

function goldPod(name: string, ip: string, statuses: ContainerStatus[], rest: Partial<Pod> = {}): Pod {
  return {
    metadata: { name, namespace: 'gold', creationTimestamp: ago(73) },
    spec: { containers: statuses.map((one) => ({ name: one.name })), nodeName: 'worker002' },
    status: { phase: 'Running', podIPs: [{ ip }], containerStatuses: statuses },
    ...rest,
  };
}

const goldPods: readonly Pod[] = [
  goldPod('crasher', '10.244.0.211', [
    container('c', { restartCount: 3, state: { waiting: { reason: 'CrashLoopBackOff' } }, lastState: ended(33) }),
  ]),
  goldPod('exec-liveness', '10.244.0.208', [
    container('c', { ready: true, restartCount: 1, state: running, lastState: ended(8) }),
  ]),
  {
    metadata: { name: 'init-and-sidecar', namespace: 'gold', creationTimestamp: ago(73) },
    spec: {
      nodeName: 'worker002',
      containers: [{ name: 'main' }],
      initContainers: [{ name: 'setup' }, { name: 'side', restartPolicy: 'Always' }],
    },
    status: {
      phase: 'Running',
      podIPs: [{ ip: '10.244.0.216' }],
      conditions: [{ type: 'Initialized', status: 'True', lastProbeTime: null }],
      initContainerStatuses: [
        container('setup', { restartCount: 4, state: { terminated: { exitCode: 0, reason: 'Completed' } } }),
        container('side', { ready: true, started: true, state: running }),
      ],
      containerStatuses: [container('main', { ready: true, restartCount: 1, state: running, lastState: ended(31) })],
    },
  },
  goldPod('no-image', '10.244.0.210', [container('c', { state: { waiting: { reason: 'ImagePullBackOff' } } })]),
  goldPod('once', '10.244.0.209', [], {
    spec: { containers: [{ name: 'c' }], nodeName: 'worker002' },
    status: {
      phase: 'Succeeded',
      podIPs: [{ ip: '10.244.0.209' }],
      containerStatuses: [container('c', { state: { terminated: { exitCode: 0, reason: 'Completed' } } })],
    },
  }),
  {
    metadata: { name: 'unschedulable', namespace: 'gold', creationTimestamp: ago(73) },
    spec: { containers: [{ name: 'c' }] },
    status: { phase: 'Pending' },
  },
];

const rowsByKind: readonly [string, ResourceType, readonly KubernetesObject[]][] = [
  ['pods', resources.pods, goldPods],
  [
    'nodes',
    resources.nodes,
    [
      {
        metadata: { name: 'worker002', creationTimestamp: ago(102) },
        status: {
          conditions: [{ type: 'Ready', status: 'True' }],
          addresses: [{ type: 'InternalIP', address: '192.0.2.2' }],
          nodeInfo: {
            kubeletVersion: 'v1.34.2',
            osImage: 'Debian GNU/Linux 12 (bookworm)',
            kernelVersion: '6.18.44-fc-v657',
            containerRuntimeVersion: 'containerd://1.6.20',
          },
        },
      } as KubernetesObject,
    ],
  ],
  [
    'namespaces',
    resources.namespaces,
    [
      ['default', 105],
      ['gold', 75],
      ['kube-node-lease', 105],
      ['kube-public', 105],
      ['kube-system', 105],
    ].map(([name, age]) => ({
      metadata: { name: String(name), creationTimestamp: ago(Number(age)) },
      status: { phase: 'Active' },
    })),
  ],
  [
    'configmaps',
    resources.configmaps,
    [
      {
        metadata: { name: 'kube-root-ca.crt', namespace: 'gold', creationTimestamp: ago(75) },
        data: { 'ca.crt': 'x' },
      } as KubernetesObject,
    ],
  ],
  [
    'leases',
    resources.leases,
    [
      {
        metadata: { name: 'worker002', namespace: 'kube-node-lease', creationTimestamp: ago(91) },
        spec: { holderIdentity: 'worker002' },
      } as KubernetesObject,
    ],
  ],
  [
    'serviceaccounts',
    resources.serviceaccounts,
    [{ metadata: { name: 'default', namespace: 'gold', creationTimestamp: ago(75) } }],
  ],
];

for (const [name, type, objects] of rowsByKind) {
  test(`the table of ${name} is that of Kubernetes 1.34`, () => {
    const expected = golden(name);
    const table = tableOf(type, objects, nowWallMs, { metadata: { resourceVersion: '536' } });
    const columns = table.columnDefinitions.map(({ description: _text, ...column }) => column);
    assert.deepEqual(columns, expected.columnDefinitions);
    const names = new Set(objects.map((object) => object.metadata?.name));
    const wanted = expected.rows.filter((row) => names.has(String(row.cells[0])));
    assert.equal(wanted.length, objects.length);
    assert.deepEqual(
      table.rows.map(({ cells, conditions }) => ({ cells, conditions })),
      wanted.map(({ cells, conditions }) => ({ cells, conditions })),
    );
    assert.deepEqual(table.metadata, expected.metadata);
    assert.deepEqual([table.kind, table.apiVersion], [expected.kind, expected.apiVersion]);
  });
}

test('rows carry metadata, the object, or nothing, as asked; columns may be left out', () => {
  const [pod] = goldPods;
  assert.ok(pod);
  const meta = { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: pod.metadata };
  assert.deepEqual(tableOf(resources.pods, [pod], nowWallMs).rows[0]?.object, meta);
  assert.equal(tableOf(resources.pods, [pod], nowWallMs, { includeObject: 'Object' }).rows[0]?.object, pod);
  const bare = tableOf(resources.pods, [pod], nowWallMs, { includeObject: 'None', includeColumns: false });
  assert.equal(bare.rows[0]?.object, undefined);
  assert.deepEqual(bare.columnDefinitions, []);
});

test('events show how often and since when, in both versions', () => {
  const counted: Event = {
    metadata: { name: 'e1' },
    involvedObject: { kind: 'Pod', name: 'p', fieldPath: 'spec.containers{c}' },
    type: 'Warning',
    reason: 'Unhealthy',
    message: ' no\n',
    source: { component: 'kubelet', host: 'n1' },
    firstTimestamp: ago(172),
    lastTimestamp: ago(8),
    count: 6,
  };
  const scheduled = {
    metadata: { name: 'e2' },
    regarding: { kind: 'Pod', name: 'p' },
    eventTime: '2026-11-21T20:03:00.000000Z',
    reportingController: 'default-scheduler',
    type: 'Normal',
    reason: 'Scheduled',
    note: 'ok',
  };
  assert.deepEqual(tableOf(resources.events, [counted], nowWallMs).rows[0]?.cells, [
    '8s',
    'Warning',
    'Unhealthy',
    'pod/p',
    'spec.containers{c}',
    'kubelet, n1',
    'no',
    '2m52s',
    6,
    'e1',
  ]);
  assert.deepEqual(tableOf(resources.eventsV1, [scheduled], nowWallMs).rows[0]?.cells, [
    '2m',
    'Normal',
    'Scheduled',
    'pod/p',
    '',
    'default-scheduler',
    'ok',
    '2m',
    1,
    'e2',
  ]);
});

test('the status column tells the first thing that matters', () => {
  const of = (status: Pod['status'], meta: Pod['metadata'] = {}, spec: Partial<Pod['spec']> = {}): string => {
    const pod: Pod = {
      metadata: meta,
      spec: { containers: [{ name: 'a' }, { name: 'b' }], ...spec },
      ...(status === undefined ? {} : { status }),
    };
    const { ready, status: text, restarts } = podStatusText(pod, nowWallMs);
    return `${ready} ${text} ${restarts}`;
  };
  const twoInits = { initContainers: [{ name: 'i' }, { name: 'j' }] };
  const init = (state: ContainerStatus['state']): Pod['status'] => ({
    phase: 'Pending',
    initContainerStatuses: [container('i', { restartCount: 2, lastState: ended(10), ...(state && { state }) })],
    containerStatuses: [container('a', { state: { waiting: { reason: 'PodInitializing' } } })],
  });
  assert.equal(of({ phase: 'Pending' }), '0/2 Pending 0');
  assert.equal(of({ phase: 'Failed', reason: 'Evicted' }), '0/2 Evicted 0');
  const gated = { type: 'PodScheduled', status: 'False', reason: 'SchedulingGated', lastProbeTime: null };
  assert.equal(of({ phase: 'Pending', conditions: [gated] }), '0/2 SchedulingGated 0');
  assert.equal(of(init(running), {}, twoInits), '0/2 Init:0/2 2 (10s ago)');
  assert.equal(of(init({ waiting: { reason: 'PodInitializing' } }), {}, twoInits), '0/2 Init:0/2 2 (10s ago)');
  assert.equal(
    of(init({ waiting: { reason: 'CrashLoopBackOff' } }), {}, twoInits),
    '0/2 Init:CrashLoopBackOff 2 (10s ago)',
  );
  assert.equal(of(init({ terminated: { exitCode: 3 } }), {}, twoInits), '0/2 Init:ExitCode:3 2 (10s ago)');
  assert.equal(of(init({ terminated: { exitCode: 3, signal: 9 } }), {}, twoInits), '0/2 Init:Signal:9 2 (10s ago)');
  const both = (a: ContainerStatus, b: ContainerStatus): Pod['status'] => ({
    phase: 'Running',
    containerStatuses: [a, b],
  });
  const up = container('b', { ready: true, state: running });
  const done = container('a', { state: { terminated: { exitCode: 0, reason: 'Completed' } } });
  assert.equal(of(both(done, up)), '1/2 NotReady 0');
  const ready = { type: 'Ready', status: 'True', lastProbeTime: null };
  assert.equal(of({ ...both(done, up), conditions: [ready] }), '1/2 Running 0');
  const killed = container('a', { state: { terminated: { exitCode: 137 } }, restartCount: 5 });
  assert.equal(of(both(killed, up)), '1/2 ExitCode:137 5');
  assert.equal(of(both(up, up), { deletionTimestamp: ago(1) }), '2/2 Terminating 0');
  assert.equal(of({ ...both(done, done), phase: 'Succeeded' }, { deletionTimestamp: ago(1) }), '0/2 Completed 0');
  assert.equal(of({ ...both(up, up), reason: 'NodeLost' }, { deletionTimestamp: ago(1) }), '2/2 Unknown 0');
});

test('what keeps pods running tells how many are wanted, are there, and are ready', () => {
  const object = {
    metadata: { name: 'kubia', creationTimestamp: ago(73) },
    spec: {
      replicas: 3,
      selector: {
        matchLabels: { app: 'kubia', tier: 'web' },
        matchExpressions: [{ key: 'old', operator: 'DoesNotExist' }],
      },
      template: {
        spec: {
          containers: [
            { name: 'a', image: 'i:1' },
            { name: 'b', image: 'i:2' },
          ],
        },
      },
    },
    status: { replicas: 2, readyReplicas: 1 },
  };
  const { columnDefinitions, rows } = tableOf(resources.replicasets, [object], nowWallMs);
  assert.deepEqual(
    columnDefinitions.map(({ name, type, priority }) => `${name} ${type} ${priority}`),
    [
      'Name string 0',
      'Desired integer 0',
      'Current integer 0',
      'Ready integer 0',
      'Age string 0',
      'Containers string 1',
      'Images string 1',
      'Selector string 1',
    ],
  );
  const cells = ['kubia', 3, 2, 1, '73s', 'a,b', 'i:1,i:2'];
  assert.deepEqual(rows[0]?.cells, [...cells, 'app=kubia,!old,tier=web']);
  const controller = { ...object, spec: { ...object.spec, selector: { app: 'kubia' } } };
  assert.deepEqual(tableOf(resources.replicationcontrollers, [controller], nowWallMs).rows[0]?.cells, [
    ...cells,
    'app=kubia',
  ]);
  const status = { replicas: 4, readyReplicas: 2, updatedReplicas: 1, availableReplicas: 2 };
  const deployment = { ...object, status };
  assert.deepEqual(tableOf(resources.deployments, [deployment], nowWallMs).rows[0]?.cells, [
    'kubia',
    '2/3',
    1,
    2,
    '73s',
    'a,b',
    'i:1,i:2',
    'app=kubia,!old,tier=web',
  ]);
});

test('a job tells how it stands, and how long it took', () => {
  const cellsOf = (status: object, spec: object = {}): unknown[] => {
    const object = { metadata: { name: 'j', creationTimestamp: ago(100) }, spec, status };
    return (tableOf(resources.jobs, [object], nowWallMs).rows[0]?.cells ?? []).slice(1, 5);
  };
  const condition = (type: string): object => ({ conditions: [{ type, status: 'True' }] });
  assert.deepEqual(cellsOf({ startTime: ago(90) }, { completions: 2 }), ['Running', '0/2', '90s', '100s']);
  const done = { startTime: ago(90), completionTime: ago(50), succeeded: 1, ...condition('Complete') };
  assert.deepEqual(cellsOf(done, { parallelism: 3 }), ['Complete', '1/1 of 3', '40s', '100s']);
  assert.deepEqual(cellsOf(condition('Failed'), { parallelism: 1 }), ['Failed', '0/1', '', '100s']);
  assert.equal(cellsOf(condition('Suspended'))[0], 'Suspended');
});

test('a daemon set tells how many nodes have its pod, a revision whose it is', () => {
  const meta = { name: 'd', creationTimestamp: ago(100) };
  const template = { spec: { nodeSelector: { disk: 'ssd' }, containers: [{ name: 'a', image: 'i:1' }] } };
  const status = { desiredNumberScheduled: 3, currentNumberScheduled: 2, numberReady: 1, numberMisscheduled: 0 };
  const daemonSet = { metadata: meta, spec: { selector: { matchLabels: { a: 'b' } }, template }, status };
  const cells = ['d', 3, 2, 1, 0, 0, 'disk=ssd', '100s', 'a', 'i:1', 'a=b'];
  assert.deepEqual(tableOf(resources.daemonsets, [daemonSet], nowWallMs).rows[0]?.cells, cells);
  const owner = { apiVersion: 'apps/v1', kind: 'DaemonSet', name: 'd', uid: 'u', controller: true };
  const revision = { metadata: { ...meta, ownerReferences: [owner] }, revision: 7 };
  assert.deepEqual(tableOf(resources.controllerrevisions, [revision], nowWallMs).rows[0]?.cells, [
    'd',
    'daemonset.apps/d',
    7,
    '100s',
  ]);
});
