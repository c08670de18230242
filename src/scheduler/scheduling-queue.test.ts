import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PodSpec } from '../api/gen/types.ts';
import { asking, clusterOf, nodeOf, podOf } from '../../test/support/scheduling-world.ts';
import type { NodeOptions } from '../../test/support/scheduling-world.ts';
import type { Rejector } from './filters.ts';
import { nodeFactsOf } from './node-facts.ts';
import type { NodeFacts } from './node-facts.ts';
import { needsOf } from './pod-needs.ts';
import type { PodNeeds } from './pod-needs.ts';
import { mayHelp, rejectorsConcerned } from './queueing-hints.ts';
import type { ClusterChange } from './queueing-hints.ts';
import { SchedulingQueue } from './scheduling-queue.ts';

const anything: ReadonlySet<string> = new Set();

function takeAll(queue: SchedulingQueue<string>, nowMs: number): string[] {
  const taken: string[] = [];
  for (let uid = queue.take(nowMs); uid !== undefined; uid = queue.take(nowMs)) taken.push(uid);
  return taken;
}

test('the highest priority first, then first come, first served', () => {
  const queue = new SchedulingQueue<string>();
  queue.add('a', 0);
  queue.add('b', 10);
  queue.add('c', 0);
  queue.add('d', 10);
  queue.add('e', -5);
  assert.deepEqual(takeAll(queue, 0), ['b', 'd', 'a', 'c', 'e']);
  assert.equal(queue.length, 5); // in flight
});

test('a pod that found no node waits until something changes, but never longer than 5 min', () => {
  const queue = new SchedulingQueue<string>();
  queue.add('a', 0);
  assert.equal(queue.take(0), 'a');
  queue.rejected('a', anything, false, 0);
  assert.equal(queue.nextDueMs(), 300_000);
  assert.equal(queue.take(299_999), undefined);
  assert.equal(queue.take(300_000), 'a');
});

test('after a change it is tried at once when its back-off is over or nothing else is to do', () => {
  const queue = new SchedulingQueue<string>();
  queue.add('a', 0);
  queue.take(0);
  queue.rejected('a', anything, false, 0);
  queue.clusterChanged([], () => false, 100);
  queue.add('b', 0);
  assert.equal(queue.take(100), 'b');
  assert.equal(queue.take(100), 'a'); // early: nothing else is active
  queue.rejected('a', anything, false, 100);
  queue.clusterChanged([], () => false, 60_000);
  assert.equal(queue.take(60_000), 'a');
});

test('after an error it backs off 1 s, 2 s, 4 s, 8 s, then 10 s each time, whatever happens', () => {
  const queue = new SchedulingQueue<string>();
  queue.add('a', 0);
  let nowMs = 0;
  const waitsMs: number[] = [];
  for (let round = 0; round < 6; round++) {
    assert.equal(queue.take(nowMs), 'a');
    queue.failed('a', nowMs);
    queue.clusterChanged([], () => false, nowMs);
    const dueMs = queue.nextDueMs();
    assert.equal(queue.take(dueMs - 1), undefined);
    waitsMs.push(dueMs - nowMs);
    nowMs = dueMs;
  }
  assert.deepEqual(waitsMs, [1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
});

test('only what may help a pod brings it back', () => {
  const queue = new SchedulingQueue<string>();
  queue.add('a', 0);
  queue.take(0);
  queue.rejected('a', new Set(['room', 'ports']), false, 0);
  const asked: string[] = [];
  const ask = (helps: boolean) => (uid: string, by: string) => asked.push(`${uid} ${by}`) > 0 && helps;
  queue.clusterChanged(['taints'], ask(true), 10_000);
  queue.clusterChanged(['room'], ask(false), 10_000);
  assert.equal(queue.take(10_000), undefined);
  queue.clusterChanged(['ports', 'room'], ask(true), 10_000);
  assert.equal(queue.take(10_000), 'a');
  assert.deepEqual(asked, ['a room', 'a ports']);
});

test('a pod that others make room for waits until they were asked, and forgets no help meanwhile', () => {
  const queue = new SchedulingQueue<string>();
  const reject = (nowMs: number): void => {
    assert.equal(queue.take(nowMs), 'a');
    queue.rejected('a', new Set(['room']), true, nowMs);
  };
  queue.add('a', 0);
  reject(0);
  queue.clusterChanged(['room'], () => true, 400_000);
  assert.equal(queue.take(400_000), undefined);
  queue.preempted('a', true, 400_000);
  reject(400_000);
  queue.preempted('a', true, 400_000);
  assert.equal(queue.take(400_000), undefined); // nothing has happened yet
  queue.clusterChanged(['room'], () => true, 400_000);
  reject(400_000);
  queue.preempted('a', false, 420_000); // that has failed: it is tried again
  assert.equal(queue.take(420_000), 'a');
});

test('a pod that has changed is tried at once, but never twice at a time', () => {
  const queue = new SchedulingQueue<string>();
  queue.add('a', 0);
  queue.take(0);
  queue.add('a', 0);
  assert.equal(queue.take(0), undefined);
  queue.failed('a', 0);
  assert.equal(queue.take(0), undefined);
  queue.add('a', 3);
  assert.equal(queue.take(0), 'a');
});

test('a removed pod is never handed out, and its failure is of no account', () => {
  const queue = new SchedulingQueue<string>();
  queue.add('a', 0);
  queue.add('b', 0);
  queue.take(0);
  queue.remove('a');
  queue.remove('b');
  queue.rejected('a', anything, false, 0);
  assert.equal(queue.take(1e9), undefined);
  assert.equal(queue.length, 0);
  queue.add('a', 0);
  queue.failed('a', 0); // of the one before
  assert.equal(queue.take(0), 'a');
});

const host = 'kubernetes.io/hostname';

function termOn(app: string) {
  return { topologyKey: host, labelSelector: { matchLabels: { app } } };
}

test('what may help whom', () => {
  const app = (name: string, spec: Partial<PodSpec> = {}) =>
    needsOf(podOf(spec, { namespace: 'd', labels: { app: name } }));
  const required = 'requiredDuringSchedulingIgnoredDuringExecution';
  const nearWeb = app('x', { affinity: { podAffinity: { [required]: [termOn('web')] } } });
  const farWeb = app('x', { affinity: { podAntiAffinity: { [required]: [termOn('web')] } } });
  const zones = { topologyKey: 'zone', maxSkew: 1, whenUnsatisfiable: 'DoNotSchedule' };
  const evenly = app('web', { topologySpreadConstraints: [{ ...zones, labelSelector: termOn('web').labelSelector }] });
  const big = app('x', asking({ cpu: '3' }));
  const picky = app('x', { nodeSelector: { disk: 'ssd' } });
  const node = (options?: NodeOptions) => nodeFactsOf(nodeOf('n', options));
  const web = app('web');
  const gone = (before: PodNeeds): ClusterChange => ({ kind: 'podGone', before });
  const placed = (now: PodNeeds, before?: PodNeeds): ClusterChange => ({ kind: 'podPlaced', now, before });
  const changed = (now: NodeFacts, before?: NodeFacts): ClusterChange => ({ kind: 'node', now, before });
  const cpus = (cpu: string) => node({ allocatable: { cpu } });
  const cases: readonly (readonly [boolean, ClusterChange, PodNeeds, Rejector])[] = [
    [true, gone(web), big, 'NodeResourcesFit'],
    [false, gone(web), big, 'NodePorts'],
    [true, gone(web), farWeb, 'InterPodAffinity'],
    [true, gone(farWeb), web, 'InterPodAffinity'],
    [false, gone(app('y')), farWeb, 'InterPodAffinity'],
    [false, gone(web), nearWeb, 'InterPodAffinity'],
    [true, gone(web), evenly, 'PodTopologySpread'],
    [true, placed(web), evenly, 'PodTopologySpread'],
    [false, placed(app('y')), evenly, 'PodTopologySpread'],
    [true, placed(web), nearWeb, 'InterPodAffinity'],
    [false, placed(web), farWeb, 'InterPodAffinity'],
    [true, placed(app('y'), web), farWeb, 'InterPodAffinity'], // it is no longer one of those
    [true, changed(cpus('4')), big, 'NodeResourcesFit'],
    [false, changed(cpus('2')), big, 'NodeResourcesFit'],
    [true, changed(cpus('5'), cpus('4')), big, 'NodeResourcesFit'],
    [false, changed(cpus('4'), cpus('5')), big, 'NodeResourcesFit'],
    [true, changed(node({ labels: { disk: 'ssd' } }), node()), picky, 'NodeAffinity'],
    [false, changed(node({ labels: { disk: 'hdd' } }), node()), picky, 'NodeAffinity'],
    [true, changed(node(), node({ ready: 'False' })), web, 'TaintToleration'],
    [false, changed(node({ ready: 'False' }), node()), web, 'TaintToleration'],
    [true, { kind: 'nodeGone', before: node({ labels: { zone: 'a' } }) }, evenly, 'PodTopologySpread'],
    [false, { kind: 'nodeGone', before: node() }, evenly, 'PodTopologySpread'],
    [true, { kind: 'namespace' }, nearWeb, 'InterPodAffinity'],
  ];
  for (const [helps, change, needs, rejectedBy] of cases) {
    const what = `${change.kind} for what was rejected by ${rejectedBy}`;
    assert.ok(rejectorsConcerned(change).includes(rejectedBy) || !helps, what);
    assert.equal(mayHelp(change, needs, rejectedBy, clusterOf([])), helps, what);
  }
});
