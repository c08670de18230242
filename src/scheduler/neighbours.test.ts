/** Pod affinity and anti-affinity, and topology spread. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod, PodAffinityTerm, PodSpec, TopologySpreadConstraint } from '../api/gen/types.ts';
import { answer, asking, clusterOf, nodeOf, podOf } from '../../test/support/scheduling-world.ts';
import type { NodeOptions } from '../../test/support/scheduling-world.ts';
import type { ClusterView } from './cluster-view.ts';
import { rejectionOf, trialOf } from './filters.ts';
import { needsOf } from './pod-needs.ts';

const host = 'kubernetes.io/hostname';
const required = 'requiredDuringSchedulingIgnoredDuringExecution';
const preferred = 'preferredDuringSchedulingIgnoredDuringExecution';

function appTerm(app: string, topologyKey = host, more: Partial<PodAffinityTerm> = {}): PodAffinityTerm {
  return { labelSelector: { matchLabels: { app } }, topologyKey, ...more };
}

function near(...terms: PodAffinityTerm[]): Partial<PodSpec> {
  return { affinity: { podAffinity: { [required]: terms } } };
}

function far(...terms: PodAffinityTerm[]): Partial<PodSpec> {
  return { affinity: { podAntiAffinity: { [required]: terms } } };
}

function app(name: string, spec: Partial<PodSpec> = {}, more: Pod['metadata'] = {}): Pod {
  return podOf(spec, { ...podOf().metadata, labels: { app: name }, ...more });
}

function zone(name: string): NodeOptions {
  return { labels: { zone: name } };
}

/** All nodes that the pod fits on. */
function fits(pod: Pod, cluster: ClusterView): string {
  const trial = trialOf(needsOf(pod), cluster);
  const fitting = cluster.nodes.filter((node) => rejectionOf(trial, node) === undefined);
  return fitting.map(({ facts }) => facts.name).join(' ');
}

const zones = [nodeOf('a1', zone('a')), nodeOf('a2', zone('a')), nodeOf('b1', zone('b')), nodeOf('x')] as const;

test('required affinity: where all that it wants to be near are, in any of its topologies', () => {
  const cluster = clusterOf(zones, [
    ['a1', app('db')],
    ['b1', app('cache')],
    ['x', app('db')],
  ]);
  assert.equal(fits(podOf(near(appTerm('db'))), cluster), 'a1 x');
  assert.equal(fits(podOf(near(appTerm('db', 'zone'))), cluster), 'a1 a2');
  assert.equal(fits(podOf(near(appTerm('cache', 'zone'))), cluster), 'b1');
  assert.equal(fits(podOf(near(appTerm('db', 'zone'), appTerm('cache', 'zone'))), cluster), ''); // one pod is not both
  assert.match(
    answer(podOf(near(appTerm('none'))), cluster),
    /^0\/4 nodes are available: 4 node\(s\) didn't match pod affinity rules\. no new claims to deallocate, preemption: 0\/4 nodes are available: 4 Preemption is not helpful for scheduling\.$/,
  );
});

test('the first of pods that want to be together may go anywhere that has the label, the second to the first', () => {
  const together = near(appTerm('web', 'zone'));
  const cluster = clusterOf(zones);
  assert.equal(fits(app('web', together), cluster), 'a1 a2 b1');
  assert.equal(fits(app('other', together), cluster), '');
  cluster.place(needsOf(app('web', together)), 'b1');
  assert.equal(fits(app('web', together), cluster), 'b1');
});

test('required anti-affinity holds both ways', () => {
  const cluster = clusterOf(zones, [
    ['a1', app('db', far(appTerm('web', 'zone')))],
    ['b1', app('web')],
  ]);
  assert.equal(fits(app('web'), cluster), 'b1 x'); // the other wants it far
  assert.equal(fits(app('db', far(appTerm('web', 'zone'))), cluster), 'a1 a2 x');
  assert.equal(fits(app('other'), cluster), 'a1 a2 b1 x');
  const alone = clusterOf([nodeOf('a1', zone('a'))], [['a1', app('db', far(appTerm('web', 'zone')))]]);
  assert.match(answer(app('web'), alone), /1 node\(s\) didn't satisfy existing pods anti-affinity rules\. no new/);
  const web = clusterOf([nodeOf('b1', zone('b'))], [['b1', app('web')]]);
  assert.match(
    answer(podOf(far(appTerm('web', 'zone'))), web),
    /1 node\(s\) didn't match pod anti-affinity rules\. no/,
  );
});

test('terms mean pods of their own namespace, of those they name, or of those they select', () => {
  const cluster = clusterOf(zones, [
    ['a1', app('db')],
    ['b1', app('db', {}, { namespace: 'e' })],
    ['x', app('db', {}, { namespace: 'f' })],
  ]);
  cluster.setNamespaceLabels('e', { team: 'red' });
  cluster.setNamespaceLabels('f', { team: 'blue' });
  const select = (team: string) => ({ namespaceSelector: { matchLabels: { team } } });
  const cases: readonly (readonly [string, Partial<PodAffinityTerm>])[] = [
    ['a1', {}],
    ['b1', { namespaces: ['e'] }],
    ['a1 b1', { namespaces: ['e', 'd'] }],
    ['x', select('blue')],
    ['b1 x', { namespaces: ['f'], ...select('red') }],
    ['a1 b1 x', { namespaceSelector: {} }],
  ];
  for (const [wanted, more] of cases) assert.equal(fits(podOf(near(appTerm('db', host, more))), cluster), wanted);
  // The same for terms of pods that are there already.
  const guarded = clusterOf(zones, [['a1', podOf(far(appTerm('web', host, select('red'))), { namespace: 'q' })]]);
  guarded.setNamespaceLabels('e', { team: 'red' });
  assert.equal(fits(app('web', {}, { namespace: 'e' }), guarded), 'a2 b1 x');
  assert.equal(fits(app('web'), guarded), 'a1 a2 b1 x');
});

test('matchLabelKeys and mismatchLabelKeys take their values from the pod itself', () => {
  const cluster = clusterOf(zones, [
    ['a1', app('web', {}, { labels: { app: 'web', version: '1' } })],
    ['b1', app('web', {}, { labels: { app: 'web', version: '2' } })],
  ]);
  const labels = { labels: { app: 'web', version: '2' } };
  assert.equal(fits(app('web', near(appTerm('web', host, { matchLabelKeys: ['version'] })), labels), cluster), 'b1');
  assert.equal(fits(app('web', near(appTerm('web', host, { mismatchLabelKeys: ['version'] })), labels), cluster), 'a1');
  assert.equal(fits(app('web', near(appTerm('web', host, { matchLabelKeys: ['none'] })), labels), cluster), 'a1 b1');
});

test('preferred affinity draws and repels by weight; what pods there prefer counts as well', () => {
  const weighted = (weight: number, term: PodAffinityTerm) => ({ weight, podAffinityTerm: term });
  const nodes = ['a', 'b', 'c'].map((name) => nodeOf(name));
  const db = (more: Partial<PodSpec> = {}): Pod => app('db', { ...asking({ cpu: '100m' }), ...more });
  const cluster = clusterOf(nodes, [
    ['a', db()],
    ['b', app('cache')],
  ]);
  const draws = {
    affinity: { podAffinity: { [preferred]: [weighted(1, appTerm('db')), weighted(9, appTerm('cache'))] } },
  };
  assert.equal(answer(podOf(draws), cluster), 'b');
  const repels = {
    affinity: { podAntiAffinity: { [preferred]: [weighted(1, appTerm('cache')), weighted(1, appTerm('none'))] } },
  };
  const busy = clusterOf(nodes.slice(1), [
    ['b', app('cache')],
    ['c', db({ ...asking({ cpu: '500m' }) })],
  ]);
  assert.equal(answer(podOf(repels), busy), 'c');
  const likesWeb = { affinity: { podAffinity: { [preferred]: [weighted(1, appTerm('web'))] } } };
  const needsWeb = near(appTerm('web'));
  for (const likes of [likesWeb, needsWeb]) {
    assert.equal(answer(app('web'), clusterOf(nodes, [['b', db(likes)]])), 'b');
  }
});

function spread(more: Partial<TopologySpreadConstraint> = {}): Partial<PodSpec> {
  const constraint = { maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule', ...more };
  return { topologySpreadConstraints: [{ labelSelector: { matchLabels: { app: 'web' } }, ...constraint }] };
}

test('DoNotSchedule: no domain may have more than maxSkew over the emptiest', () => {
  const cluster = clusterOf(zones, [['a1', app('web')]]);
  assert.equal(fits(app('web', spread()), cluster), 'b1');
  assert.equal(fits(app('web', spread({ maxSkew: 2 })), cluster), 'a1 a2 b1');
  assert.equal(fits(app('other', spread()), cluster), 'a1 a2 b1'); // it does not count itself
  assert.equal(fits(app('web', spread({ topologyKey: host })), cluster), 'a2 b1 x');
  assert.equal(
    answer(app('web', { ...spread(), ...asking({ cpu: '3' }) }), cluster).replace(/\. no new.*/, ''),
    '0/4 nodes are available: 4 Insufficient cpu',
  );
  const full = clusterOf(
    [...zones.slice(0, 2), nodeOf('b1', { ...zone('b'), unschedulable: true }), nodeOf('x')],
    [['a1', app('web')]],
  );
  assert.equal(
    answer(app('web', spread()), full),
    "0/4 nodes are available: 1 node(s) didn't match pod topology spread constraints (missing required label), " +
      "1 node(s) were unschedulable, 2 node(s) didn't match pod topology spread constraints. " +
      'no new claims to deallocate, preemption: 0/4 nodes are available: ' +
      '2 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling.',
  );
});

test('what counts for spreading: not pods that end, are of other namespaces, or on excluded nodes', () => {
  const one = clusterOf(zones, [['a1', app('web', {}, { deletionTimestamp: '2026-01-01T00:00:00Z' })]]);
  assert.equal(fits(app('web', spread()), one), 'a1 a2 b1');
  const other = clusterOf(zones, [['a1', app('web', {}, { namespace: 'e' })]]);
  assert.equal(fits(app('web', spread()), other), 'a1 a2 b1');
  // Zone b is none of its zones, as long as its node selector counts.
  const cluster = clusterOf(zones, [['a1', app('web')]]);
  const inA = { nodeSelector: { zone: 'a' } };
  assert.equal(fits(app('web', { ...inA, ...spread() }), cluster), 'a1 a2');
  assert.equal(fits(app('web', { ...inA, ...spread({ nodeAffinityPolicy: 'Ignore' }) }), cluster), '');
  // Taints are the other way round.
  const tainted = nodeOf('b1', { ...zone('b'), taints: [{ key: 'k', effect: 'NoSchedule' }] });
  const taints = clusterOf([...zones.slice(0, 2), tainted], [['a1', app('web')]]);
  assert.equal(fits(app('web', spread()), taints), '');
  assert.equal(fits(app('web', spread({ nodeTaintsPolicy: 'Honor' })), taints), 'a1 a2');
});

test('with fewer domains than minDomains the emptiest counts as 0', () => {
  const cluster = clusterOf(zones, [
    ['a1', app('web')],
    ['b1', app('web')],
  ]);
  assert.equal(fits(app('web', spread({ minDomains: 2 })), cluster), 'a1 a2 b1');
  assert.equal(fits(app('web', spread({ minDomains: 3 })), cluster), '');
});

test('spreading by matchLabelKeys looks only at pods of the same version', () => {
  const labels = (version: string) => ({ labels: { app: 'web', version } });
  const cluster = clusterOf(zones, [['a1', app('web', {}, labels('1'))]]);
  const keys = spread({ matchLabelKeys: ['version'] });
  assert.equal(fits(app('web', keys, labels('1')), cluster), 'b1');
  assert.equal(fits(app('web', keys, labels('2')), cluster), 'a1 a2 b1');
});

test('ScheduleAnyway forbids nothing, but prefers the emptier domain', () => {
  const soft = spread({ whenUnsatisfiable: 'ScheduleAnyway' });
  const busy = asking({ cpu: '500m' });
  const cluster = clusterOf(zones.slice(0, 3), [
    ['a1', app('web')],
    ['b1', app('other', busy)],
  ]);
  assert.equal(fits(app('web', soft), cluster), 'a1 a2 b1');
  assert.equal(answer(app('web', soft), cluster), 'b1'); // though it is busier
  assert.equal(answer(app('web'), cluster), 'a2');
});
