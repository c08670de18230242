import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod, PodSpec } from '../api/gen/types.ts';
import { matcherOfLabels } from '../api/label-selector.ts';
import { SeededEntropy } from '../sim/seeded-entropy.ts';
import { answer, asking, clusterOf, nodeOf, podOf } from '../../test/support/scheduling-world.ts';
import { defaultSpreadOf } from './affinity-terms.ts';
import type { ClusterView } from './cluster-view.ts';
import { needsOf } from './pod-needs.ts';
import { schedulePod } from './schedule-pod.ts';

const unhelpful = (count: number): string =>
  `no new claims to deallocate, preemption: 0/${count} nodes are available: ` +
  `${count} Preemption is not helpful for scheduling.`;

test('what rejects a node is said in upstream’s words', () => {
  const port = (hostPort: number): Partial<PodSpec> => ({
    containers: [{ name: 'c', image: 'i', ports: [{ containerPort: hostPort, hostPort }] }],
  });
  const noVictims =
    'no new claims to deallocate, preemption: 0/1 nodes are available: ' +
    '1 No preemption victims found for incoming pod.';
  const full = [['n', podOf(asking({ cpu: '1500m' }))]] as const;
  const cases: readonly (readonly [string, ClusterView, Pod])[] = [
    ['no nodes available to schedule pods', clusterOf([]), podOf()],
    [
      `0/1 nodes are available: 1 node(s) were unschedulable. ${unhelpful(1)}`,
      clusterOf([nodeOf('n', { unschedulable: true })]),
      podOf(),
    ],
    [
      `0/1 nodes are available: 1 node(s) had untolerated taint(s). ${unhelpful(1)}`,
      clusterOf([nodeOf('n', { taints: [{ key: 'a', effect: 'NoExecute' }] })]),
      podOf(),
    ],
    [
      `0/1 nodes are available: 1 node(s) had untolerated taint(s). ${unhelpful(1)}`,
      clusterOf([nodeOf('n', { ready: 'False' })]),
      podOf(),
    ],
    [
      `0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. ${unhelpful(1)}`,
      clusterOf([nodeOf('n')]),
      podOf({ nodeSelector: { gpu: 'true' } }),
    ],
    [
      `0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. ${noVictims}`,
      clusterOf([nodeOf('n')], [['n', podOf(port(80))]]),
      podOf(port(80)),
    ],
    [
      `0/1 nodes are available: 1 Insufficient cpu. ${noVictims}`,
      clusterOf([nodeOf('n')], full),
      podOf(asking({ cpu: '501m' })),
    ],
    [
      `0/1 nodes are available: 1 Insufficient cpu. ${unhelpful(1)}`,
      clusterOf([nodeOf('n')]),
      podOf(asking({ cpu: '2001m' })),
    ],
    [
      `0/1 nodes are available: 1 Insufficient example.com/gpu, 1 Insufficient memory. ${unhelpful(1)}`,
      clusterOf([nodeOf('n')]),
      podOf(asking({ memory: '5Gi', 'example.com/gpu': '1' })),
    ],
    [
      `0/1 nodes are available: 1 Too many pods. ${noVictims}`,
      clusterOf([nodeOf('n', { allocatable: { pods: '1' } })], [['n', podOf()]]),
      podOf(),
    ],
    [
      '0/1 nodes are available: 1 Insufficient cpu. ' +
        'no new claims to deallocate, preemption: not eligible due to preemptionPolicy=Never.',
      clusterOf([nodeOf('n')], full),
      podOf({ ...asking({ cpu: '1' }), preemptionPolicy: 'Never' }),
    ],
    [
      `0/1 nodes are available: persistentvolumeclaim "data" not found. not found`,
      clusterOf([nodeOf('n')]),
      podOf({ volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'data' } }] }),
    ],
  ];
  for (const [message, cluster, pod] of cases) assert.equal(answer(pod, cluster), message);
});

test('reasons are counted over the nodes and sorted as text', () => {
  const nodes = [
    nodeOf('a', { taints: [{ key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule' }] }),
    nodeOf('b'),
    nodeOf('c'),
  ];
  const placed = [
    ['b', podOf(asking({ cpu: '2' }))],
    ['c', podOf(asking({ cpu: '2' }))],
  ] as const;
  assert.equal(
    answer(podOf(asking({ cpu: '1' })), clusterOf(nodes, placed)),
    '0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu. no new claims to deallocate, ' +
      'preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, ' +
      '2 No preemption victims found for incoming pod.',
  );
});

test('resource claims are refused', () => {
  const message = answer(podOf({ resourceClaims: [{ name: 'r' }] }), clusterOf([nodeOf('n')]));
  assert.equal(message, '0/1 nodes are available: resource claims are not supported by this scheduler. not found');
});

test('a pod that names its node is tried on no other', () => {
  const named = (...names: string[]): Pod => {
    const fields = names.map((name) => ({ key: 'metadata.name', operator: 'In', values: [name] }));
    const required = { nodeSelectorTerms: [{ matchFields: fields }] };
    return podOf({
      ...asking({ cpu: '1' }),
      affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: required } },
    });
  };
  const cluster = clusterOf([nodeOf('a'), nodeOf('b'), nodeOf('c')], [['b', podOf(asking({ cpu: '2' }))]]);
  assert.equal(answer(named('a'), cluster), 'a');
  assert.equal(
    answer(named('b'), cluster),
    "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]. " +
      'no new claims to deallocate, preemption: 0/3 nodes are available: ' +
      '1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling.',
  );
  assert.equal(answer(named('a', 'b'), cluster), '0/3 nodes are available: pod affinity terms conflict. not found');
});

test('tolerations: every combination of operator, key, value and effect', () => {
  const taint = { key: 'k', value: 'v', effect: 'NoSchedule' };
  const tolerated: string[] = [];
  for (const operator of [undefined, 'Equal', 'Exists']) {
    for (const key of [undefined, 'k', 'other']) {
      for (const value of [undefined, 'v', 'other']) {
        for (const effect of [undefined, 'NoSchedule', 'NoExecute']) {
          const toleration = {
            ...(operator === undefined ? {} : { operator }),
            ...(key === undefined ? {} : { key }),
            ...(value === undefined ? {} : { value }),
            ...(effect === undefined ? {} : { effect }),
          };
          const result = answer(podOf({ tolerations: [toleration] }), clusterOf([nodeOf('n', { taints: [taint] })]));
          if (result === 'n') tolerated.push([operator, key, value, effect].map((part) => part ?? '-').join(' '));
        }
      }
    }
  }
  const exists = ['-', 'k'].flatMap((key) =>
    ['-', 'v', 'other'].flatMap((value) => ['-', 'NoSchedule'].map((effect) => `Exists ${key} ${value} ${effect}`)),
  );
  const equal = ['-', 'Equal'].flatMap((operator) => ['-', 'NoSchedule'].map((effect) => `${operator} k v ${effect}`));
  assert.deepEqual(tolerated.sort(), [...exists, ...equal].sort());
});

test('a node that is not Ready, or is under pressure, takes only pods that tolerate what that stands for', () => {
  const cluster = clusterOf([nodeOf('n', { ready: 'Unknown' })]);
  const tolerant = podOf({ tolerations: [{ key: 'node.kubernetes.io/unreachable', operator: 'Exists' }] });
  assert.equal(answer(tolerant, cluster), 'n');
  assert.match(answer(podOf(), cluster), /untolerated/);
  const pressed = nodeOf('n');
  const conditions = [...(pressed.status?.conditions ?? []), { type: 'DiskPressure', status: 'True' }];
  const underPressure = clusterOf([{ ...pressed, status: { ...pressed.status, conditions } }]);
  assert.match(answer(podOf(), underPressure), /untolerated/);
});

test('required node affinity: terms are alternatives, their expressions must all hold', () => {
  const node = nodeOf('n1', { labels: { zone: 'a', cores: '8' } });
  const matches = (terms: readonly object[]): boolean => {
    const required = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } };
    return answer(podOf({ affinity: { nodeAffinity: required } }), clusterOf([node])) === 'n1';
  };
  const expression = (key: string, operator: string, ...values: string[]) => ({
    matchExpressions: [{ key, operator, values }],
  });
  const cases: readonly (readonly [boolean, readonly object[]])[] = [
    [true, [expression('zone', 'In', 'b', 'a')]],
    [false, [expression('zone', 'In', 'b')]],
    [false, [expression('zone', 'NotIn', 'a')]],
    [true, [expression('absent', 'NotIn', 'a')]],
    [true, [expression('zone', 'Exists')]],
    [false, [expression('zone', 'DoesNotExist')]],
    [true, [expression('absent', 'DoesNotExist')]],
    [true, [expression('cores', 'Gt', '7')]],
    [false, [expression('cores', 'Gt', '8')]],
    [true, [expression('cores', 'Lt', '9')]],
    [false, [expression('zone', 'Gt', '1')]],
    [true, [expression('zone', 'In', 'b'), expression('cores', 'Exists')]],
    [
      false,
      [{ matchExpressions: [...expression('zone', 'Exists').matchExpressions, { key: 'x', operator: 'Exists' }] }],
    ],
    [true, [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n1'] }] }]],
    [false, [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n2'] }] }]],
    [false, [{}]],
  ];
  for (const [wanted, terms] of cases) assert.equal(matches(terms), wanted, JSON.stringify(terms));
});

test('host ports clash by protocol, number and address; container ports only where pods share the network', () => {
  const withPort = (port: object): Pod =>
    podOf({ containers: [{ name: 'c', image: 'i', ports: [{ containerPort: 80, ...port }] }] });
  const fits = (a: object, b: object, sharesNetwork = false): boolean =>
    answer(withPort(b), clusterOf([nodeOf('n', { sharesNetwork })], [['n', withPort(a)]])) === 'n';
  assert.equal(fits({ hostPort: 80 }, { hostPort: 80 }), false);
  assert.equal(fits({ hostPort: 80 }, { hostPort: 81 }), true);
  assert.equal(fits({ hostPort: 80 }, { hostPort: 80, protocol: 'UDP' }), true);
  assert.equal(fits({ hostPort: 80, hostIP: '127.0.0.1' }, { hostPort: 80, hostIP: '10.0.0.1' }), true);
  assert.equal(fits({ hostPort: 80, hostIP: '127.0.0.1' }, { hostPort: 80 }), false);
  assert.equal(fits({}, {}), true);
  assert.equal(fits({}, {}, true), false);
  assert.equal(fits({}, { hostPort: 8080 }, true), false);
  assert.equal(fits({}, { containerPort: 81 }, true), true);
});

test('room that a pod leaves is room for the next, down to the last millicore', () => {
  const cluster = clusterOf([nodeOf('n')]);
  const first = needsOf(podOf(asking({ cpu: '1999m', memory: '4Gi' })));
  cluster.place(first, 'n');
  assert.equal(answer(podOf(asking({ cpu: '1m' })), cluster), 'n');
  assert.match(answer(podOf(asking({ cpu: '2m' })), cluster), /Insufficient cpu/);
  assert.match(answer(podOf(asking({ memory: '1' })), cluster), /Insufficient memory/);
  assert.equal(cluster.remove(first.uid), first);
  assert.equal(cluster.remove(first.uid), undefined);
  assert.equal(answer(podOf(asking({ cpu: '2', memory: '4Gi' })), cluster), 'n');
});

test('pods of a node that is not known yet count when it comes', () => {
  const cluster = clusterOf([], [['n', podOf(asking({ cpu: '2' }))]]);
  assert.equal(cluster.setNode(nodeOf('n'))?.before, undefined);
  assert.equal(cluster.setNode(nodeOf('n')), undefined);
  assert.match(answer(podOf(asking({ cpu: '1' })), cluster), /Insufficient cpu/);
  cluster.removeNode('n');
  assert.equal(answer(podOf(), cluster), 'no nodes available to schedule pods');
});

test('pods of one controller are spread, and the emptier node is preferred', () => {
  const nodes = [nodeOf('a'), nodeOf('b'), nodeOf('c')];
  const cluster = clusterOf(nodes);
  const counts = new Map<string, number>();
  const spread = defaultSpreadOf(matcherOfLabels({ app: 'web' }));
  for (let index = 0; index < 30; index++) {
    const pod = podOf({}, { namespace: 'd', name: `w${index}`, uid: `w${index}`, labels: { app: 'web' } });
    const nodeName = answer(pod, cluster, spread);
    cluster.place(needsOf(pod), nodeName);
    counts.set(nodeName, (counts.get(nodeName) ?? 0) + 1);
  }
  assert.deepEqual([...counts.values()], [10, 10, 10]);
  const uneven = clusterOf(nodes, [
    ['a', podOf(asking({ cpu: '1' }))],
    ['b', podOf(asking({ cpu: '500m' }))],
  ]);
  assert.equal(answer(podOf(), uneven), 'c');
});

test('preferences outweigh emptiness: node affinity by weight, and taints that prefer no pods', () => {
  const nodes = [nodeOf('a', { labels: { disk: 'ssd' } }), nodeOf('b')];
  const term = { matchExpressions: [{ key: 'disk', operator: 'In', values: ['ssd'] }] };
  const preferred = { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1, preference: term }] };
  const busy = [['a', podOf(asking({ cpu: '1' }))]] as const;
  assert.equal(answer(podOf({ affinity: { nodeAffinity: preferred } }), clusterOf(nodes, busy)), 'a');
  assert.equal(answer(podOf(), clusterOf(nodes, busy)), 'b');
  const tainted = [nodeOf('a'), nodeOf('b', { taints: [{ key: 'k', effect: 'PreferNoSchedule' }] })];
  assert.equal(answer(podOf(), clusterOf(tainted, busy)), 'a');
});

test('of equally good nodes one is drawn, the same one for the same seed', () => {
  const cluster = clusterOf(['a', 'b', 'c', 'd'].map((name) => nodeOf(name)));
  const draw = (seed: string): string => {
    const placement = schedulePod(needsOf(podOf()), cluster, new SeededEntropy(seed));
    return placement.kind === 'node' ? placement.nodeName : '';
  };
  assert.equal(draw('x'), draw('x'));
  assert.equal(new Set(Array.from({ length: 50 }, (_, index) => draw(String(index)))).size, 4);
});
