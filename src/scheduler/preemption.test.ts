import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod, PodDisruptionBudget, PodSpec } from '../api/gen/types.ts';
import { SeededEntropy } from '../sim/seeded-entropy.ts';
import { answer, asking, clusterOf, nodeOf, placementOf, podOf } from '../../test/support/scheduling-world.ts';
import type { ClusterView } from './cluster-view.ts';
import type { NodeFacts } from './node-facts.ts';
import { needsOf } from './pod-needs.ts';
import type { PodNeeds } from './pod-needs.ts';
import { schedulePod } from './schedule-pod.ts';

function runner(name: string, priority: number, cpu: string, startedAt = '2026-01-01T00:00:00Z'): Pod {
  const pod = podOf({ ...asking({ cpu }), priority }, { namespace: 'd', name, uid: name });
  return { ...pod, status: { startTime: startedAt } };
}

function wanting(cpu: string, priority: number, spec: Partial<PodSpec> = {}): Pod {
  return podOf({ ...asking({ cpu }), priority, ...spec });
}

/** `NODE: VICTIM VICTIM`. */
function victimsOf(pod: Pod, cluster: ClusterView): string {
  const placement = placementOf(pod, cluster);
  if (placement.kind === 'node') return `fits on ${placement.nodeName}`;
  if (placement.victims === undefined) return placement.message;
  const { nodeName, pods } = placement.victims;
  assert.equal(placement.nomination, nodeName);
  return `${nodeName}: ${pods.map(({ name }) => name).join(' ')}`;
}

test('as few as possible must go, and the least important first', () => {
  const cluster = clusterOf(
    [nodeOf('n')],
    [
      ['n', runner('low-small', 1, '500m')],
      ['n', runner('low-large', 1, '1', '2026-01-01T00:00:05Z')],
      ['n', runner('high', 5, '500m')],
    ],
  );
  assert.equal(victimsOf(wanting('500m', 9), cluster), 'n: low-large'); // it has run for a shorter time
  assert.equal(victimsOf(wanting('1', 9), cluster), 'n: low-large');
  assert.equal(victimsOf(wanting('1500m', 9), cluster), 'n: low-small low-large');
  assert.equal(victimsOf(wanting('2', 9), cluster), 'n: high low-small low-large');
  assert.equal(cluster.nodes[0]?.pods.size, 3); // nothing has changed
  assert.equal(cluster.nodes[0]?.load.cpuMilli, 2_000);
});

test('pods that their budgets would keep go last, and a node where none must go comes first', () => {
  const budget: PodDisruptionBudget = {
    metadata: { namespace: 'd', name: 'b' },
    spec: { selector: { matchLabels: { app: 'kept' } } },
    status: { disruptionsAllowed: 1, currentHealthy: 3, desiredHealthy: 2, expectedPods: 3 },
  };
  const kept = (name: string, priority: number, cpu: string): Pod => {
    const pod = runner(name, priority, cpu);
    return { ...pod, metadata: { ...pod.metadata, labels: { app: 'kept' } } };
  };
  const placed: [string, Pod][] = [
    ['n', kept('kept-1', 1, '500m')],
    ['n', kept('kept-2', 1, '500m')],
    ['n', runner('free', 3, '1')],
  ];
  const cluster = clusterOf([nodeOf('n')], placed, [budget]);
  assert.equal(victimsOf(wanting('500m', 9), cluster), 'n: kept-1'); // one may go
  assert.equal(victimsOf(wanting('1', 9), cluster), 'n: free');
  assert.equal(victimsOf(wanting('1500m', 9), cluster), 'n: free kept-1');
  const two = clusterOf([nodeOf('n'), nodeOf('m')], [...placed, ['m', runner('other', 5, '2')]], [budget]);
  assert.equal(victimsOf(wanting('2', 9), two), 'm: other');
});

test('the text of a pod that makes room says only why it does not fit now', () => {
  const cluster = clusterOf(
    [nodeOf('n'), nodeOf('m')],
    [
      ['n', runner('low', 1, '2')],
      ['m', runner('high', 9, '2')],
    ],
  );
  assert.equal(answer(wanting('1', 5), cluster), '0/2 nodes are available: 2 Insufficient cpu.');
});

test('of several nodes: the lowest highest victim, the smallest sum, the fewest, the latest start', () => {
  const nodes = [nodeOf('a'), nodeOf('b')];
  const cases: readonly (readonly [string, readonly (readonly [string, Pod])[]])[] = [
    [
      'b: b1',
      [
        ['a', runner('a1', 3, '2')],
        ['b', runner('b1', 2, '2')],
      ],
    ],
    [
      'a: a1 a2',
      [
        ['a', runner('a1', 3, '1')],
        ['a', runner('a2', 1, '1')],
        ['b', runner('b1', 3, '1')],
        ['b', runner('b2', 2, '1')],
      ],
    ],
    [
      'b: b1',
      [
        ['a', runner('a1', 3, '1')],
        ['a', runner('a2', -1_000, '1')],
        ['b', runner('b1', 3, '2')],
      ],
    ],
    [
      'b: b1',
      [
        ['a', runner('a1', 3, '2')],
        ['b', runner('b1', 3, '2', '2026-01-01T00:00:01Z')],
      ],
    ],
  ];
  for (const [wanted, placed] of cases) assert.equal(victimsOf(wanting('2', 9), clusterOf(nodes, placed)), wanted);
});

test('why nobody is ended', () => {
  const after = (pod: Pod, placed: readonly Pod[]): string => {
    const cluster = clusterOf(
      [nodeOf('n')],
      placed.map((other) => ['n', other] as const),
    );
    return answer(pod, cluster).replace(/^.*no new claims to deallocate, preemption: /, '');
  };
  const low = runner('low', 1, '500m');
  const high = runner('high', 9, '1500m');
  const of = '0/1 nodes are available: 1';
  assert.equal(after(wanting('1', 9), [runner('same', 9, '2')]), `${of} No preemption victims found for incoming pod.`);
  assert.equal(after(wanting('1', 9), [low, high]), `${of} Insufficient cpu.`); // it would not be enough
  assert.equal(after(wanting('3', 9), [low]), `${of} Preemption is not helpful for scheduling.`);
  const never = wanting('1', 9, { preemptionPolicy: 'Never' });
  assert.equal(after(never, [runner('low2', 1, '2')]), 'not eligible due to preemptionPolicy=Never.');
  const ending: Pod = {
    ...runner('low3', 1, '2'),
    metadata: { ...runner('low3', 1, '2').metadata, deletionTimestamp: '2026-01-01T00:00:30Z' },
    status: { conditions: [{ type: 'DisruptionTarget', status: 'True', reason: 'PreemptionByScheduler' }] },
  };
  const nominated: Pod = { ...wanting('1', 9), status: { nominatedNodeName: 'n' } };
  assert.equal(after(nominated, [ending]), 'not eligible due to a terminating pod on the nominated node.');
});

test('a pod that is hindered by others’ anti-affinity or by ports ends those', () => {
  const term = { labelSelector: { matchLabels: { app: 'web' } }, topologyKey: 'kubernetes.io/hostname' };
  const guard = { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } };
  const guarding = podOf({ priority: 1, affinity: guard }, { namespace: 'd', name: 'guard', uid: 'guard' });
  const web = podOf({ priority: 9 }, { namespace: 'd', name: 'web', uid: 'web', labels: { app: 'web' } });
  const bystander = runner('bystander', 1, '100m');
  assert.equal(
    victimsOf(
      web,
      clusterOf(
        [nodeOf('n')],
        [
          ['n', guarding],
          ['n', bystander],
        ],
      ),
    ),
    'n: guard',
  );
  const port = { containers: [{ name: 'c', image: 'i', ports: [{ containerPort: 80, hostPort: 80 }] }] };
  const holder = podOf({ ...port, priority: 1 }, { namespace: 'd', name: 'holder', uid: 'holder' });
  const cluster = clusterOf(
    [nodeOf('n')],
    [
      ['n', holder],
      ['n', bystander],
    ],
  );
  assert.equal(victimsOf(podOf({ ...port, priority: 2 }), cluster), 'n: holder');
});

test('room that is made for a pod is not given to others of its priority or less, but to more important ones', () => {
  const cluster = clusterOf([nodeOf('n')]);
  const nominated = needsOf(wanting('2', 5));
  cluster.nominate(nominated, 'n');
  assert.match(answer(wanting('1', 5), cluster), /1 Insufficient cpu/);
  assert.match(answer(wanting('1', 1), cluster), /1 Insufficient cpu/);
  assert.equal(answer(wanting('1', 6), cluster), 'n');
  assert.equal(schedulePod({ ...nominated, nominatedNodeName: 'n' }, cluster, new SeededEntropy('x')).kind, 'node');
  cluster.nominate(nominated, '');
  assert.equal(answer(wanting('1', 5), cluster), 'n');
});

/** A random pod out of few labels, zones and amounts, so that they get in each other's way. */
function randomPod(entropy: SeededEntropy, index: number): Pod {
  const draw = (count: number): number => Math.floor(entropy.unit() * count);
  const term = (): object => ({
    topologyKey: draw(2) === 0 ? 'zone' : 'kubernetes.io/hostname',
    labelSelector: { matchLabels: { app: `app${draw(3)}` } },
  });
  const terms = (chance: number): object[] => (entropy.unit() < chance ? [term()] : []);
  const when = { requiredDuringSchedulingIgnoredDuringExecution: terms(0.15) };
  const spec: Partial<PodSpec> = {
    ...asking({ cpu: `${draw(9) * 100}m`, memory: `${draw(5) * 100}Mi` }),
    priority: draw(3),
    affinity: { podAffinity: when, podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: terms(0.4) } },
    ...(draw(4) === 0 ? { nodeSelector: { zone: `z${draw(3)}` } } : {}),
  } as Partial<PodSpec>; // the terms are made above
  return podOf(spec, { namespace: 'd', name: `r${index}`, uid: `r${index}`, labels: { app: `app${draw(3)}` } });
}

function checkInvariants(cluster: ClusterView): void {
  for (const { facts, pods, load } of cluster.nodes) {
    const all = [...pods.values()];
    const sum = (amount: (needs: PodNeeds) => number): number => all.reduce((total, needs) => total + amount(needs), 0);
    assert.equal(
      load.cpuMilli,
      sum(({ requests }) => requests.cpuMilli),
    );
    assert.ok(load.cpuMilli <= facts.allocatable.cpuMilli, `${facts.name}: ${load.cpuMilli}`);
    assert.equal(
      load.memoryBytes,
      sum(({ requests }) => requests.memoryBytes),
    );
    assert.ok(load.memoryBytes <= facts.allocatable.memoryBytes);
    assert.ok(all.length <= facts.podsMax);
    for (const { nodeSelector } of all)
      assert.ok(nodeSelector === undefined || nodeSelector['zone'] === facts.labels['zone']);
  }
  checkNeighbours(cluster);
}

/** By brute force, over all pairs. */
function checkNeighbours(cluster: ClusterView): void {
  const all = cluster.nodes.flatMap(({ facts, pods }) => [...pods.values()].map((needs) => ({ facts, needs })));
  for (const one of all) {
    for (const term of one.needs.affinity?.far ?? []) {
      const value = one.facts.labels[term.topologyKey];
      const conflicts = all.filter(
        ({ facts, needs }) =>
          needs !== one.needs &&
          value !== undefined &&
          facts.labels[term.topologyKey] === value &&
          term.selector.matches(needs.labels),
      );
      assert.deepEqual(
        conflicts.map(({ needs }) => needs.name),
        [],
        `${one.needs.name} on ${one.facts.name}`,
      );
    }
  }
}

/** The nodes where all is near that it wants near, by brute force; `undefined`: all nodes. */
function nearby({ affinity, labels }: PodNeeds, cluster: ClusterView): ReadonlySet<string> | undefined {
  const terms = affinity?.near ?? [];
  if (terms.length === 0) return undefined;
  const all = cluster.nodes.flatMap(({ facts, pods }) => [...pods.values()].map((needs) => ({ facts, needs })));
  const wanted = all.filter(({ needs }) => terms.every(({ selector }) => selector.matches(needs.labels)));
  if (wanted.length === 0 && terms.every(({ selector }) => selector.matches(labels))) return undefined;
  const isNear = (facts: NodeFacts): boolean =>
    terms.every(({ topologyKey: key }) => wanted.some((other) => other.facts.labels[key] === facts.labels[key]));
  return new Set(cluster.nodes.flatMap(({ facts }) => (isNear(facts) ? [facts.name] : [])));
}

test('whatever comes and goes: nodes are never overfull, and no two pods are where one wants the other far', () => {
  for (let round = 0; round < 25; round++) {
    const entropy = new SeededEntropy(`property ${round}`);
    const nodes = Array.from({ length: 6 }, (_, index) =>
      nodeOf(`n${index}`, { labels: { zone: `z${index % 3}` }, allocatable: { pods: '5' } }),
    );
    const cluster = clusterOf(nodes);
    let preempted = 0;
    for (let index = 0; index < 80; index++) {
      const needs = needsOf(randomPod(entropy, index));
      const mustBeNear = nearby(needs, cluster);
      const placement = schedulePod(needs, cluster, entropy);
      if (placement.kind === 'node') {
        assert.ok(mustBeNear?.has(placement.nodeName) !== false, `${needs.name} on ${placement.nodeName}`);
        cluster.place(needs, placement.nodeName);
      } else if (placement.victims !== undefined) {
        preempted += placement.victims.pods.length;
        assert.ok(placement.victims.pods.every(({ priority }) => priority < needs.priority));
        for (const victim of placement.victims.pods) cluster.remove(victim.uid);
        const { nodeName } = placement.victims;
        const again = schedulePod({ ...needs, nominatedNodeName: nodeName }, cluster, entropy);
        assert.deepEqual(again, { kind: 'node', nodeName }); // that was worth it
        cluster.place(needs, nodeName);
      }
      if (entropy.unit() < 0.3) cluster.remove(`r${Math.floor(entropy.unit() * index)}`);
      checkInvariants(cluster);
    }
    assert.ok(preempted > 0);
  }
});
