import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Binding, Node, Pod, PodSpec } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import type { KubernetesObject } from '../api/resources.ts';
import type { Clock } from '../base/clock.ts';
import type { Entropy } from '../base/entropy.ts';
import { StatusError } from '../base/status-error.ts';
import type { ApiClient } from '../client/api-client.ts';
import { SharedInformers } from '../controllers/shared-informers.ts';
import { startApiWorld } from '../../test/support/api-world.ts';
import { SeededEntropy } from '../sim/seeded-entropy.ts';
import { ClusterView } from './cluster-view.ts';
import { needsOf } from './pod-needs.ts';
import { schedulePod } from './schedule-pod.ts';
import { Scheduler } from './scheduler.ts';

const never = new AbortController().signal;

interface Options {
  /** The server as the scheduler sees it, with what gets lost on the way. */
  readonly through?: (client: ApiClient) => ApiClient;
  /** How late its caches hear of a change. */
  readonly lagMs?: () => number;
}

/** Watches hear of everything, but late. */
function lagging(client: ApiClient, clock: Clock, lagMs: () => number): ApiClient {
  return {
    ...client,
    async *watch(type, options, signal) {
      for await (const event of client.watch(type, options, signal)) {
        try {
          await clock.sleep(lagMs(), 'test.lag', signal);
        } catch (error) {
          if (signal.aborted) return;
          throw error;
        }
        yield event;
      }
    },
  };
}

async function setUp(seed: string, options: Options = {}) {
  const world = await startApiWorld(seed);
  const { clock, scope, log, client } = world;
  const { entropy } = world;
  const informing = options.lagMs === undefined ? client : lagging(client, clock, options.lagMs);
  const shared = new SharedInformers({ client: informing, clock, log, entropy: entropy.fork('informers') });
  const scheduler = new Scheduler({
    client: options.through?.(world.clientOf('system:kube-scheduler')) ?? world.clientOf('system:kube-scheduler'),
    informers: (type) => shared.of(type),
    clock,
    entropy: entropy.fork('scheduler'),
    log,
    hostName: 'host1',
  });
  shared.run(scope);
  scope.start((signal) => scheduler.run(signal));
  await clock.advance(0);
  const addNode = async (name: string, allocatable: Readonly<Record<string, string>> = {}): Promise<void> => {
    await client.create(resources.nodes, {}, { metadata: { name } }, never);
    await setNodeStatus(name, 'True', allocatable);
  };
  const setNodeStatus = async (name: string, ready: string, allocatable: Readonly<Record<string, string>> = {}) => {
    const all = { cpu: '2', memory: '4Gi', pods: '110', ...allocatable };
    const status: Node['status'] = { allocatable: all, capacity: all, conditions: [{ type: 'Ready', status: ready }] };
    const ref = { name, subresource: 'status' };
    await client.patch(resources.nodes, ref, { type: 'merge', body: { status } }, never);
    await clock.advance(0);
  };
  const addPod = async (name: string, spec: Partial<PodSpec> = {}): Promise<void> => {
    const containers = [{ name: 'c', image: 'i' }];
    const pod: Pod = { metadata: { name }, spec: { containers, ...spec } };
    await client.create(resources.pods, { namespace: 'default' }, pod, never);
    await clock.advance(0);
  };
  const getPod = (name: string): Promise<Pod> => client.get(resources.pods, { namespace: 'default', name }, never);
  const nodeOf = async (name: string): Promise<string | undefined> => (await getPod(name)).spec?.nodeName;
  const events = async () => {
    const { items } = await client.list(resources.events, { namespace: 'default' }, never);
    return items.filter((event) => event.involvedObject.kind === 'Pod');
  };
  return { ...world, addNode, setNodeStatus, addPod, getPod, nodeOf, events };
}

function asking(cpu: string): Partial<PodSpec> {
  return { containers: [{ name: 'c', image: 'i', resources: { requests: { cpu } } }] };
}

test('a pod is bound to the node at once, with the event that kubectl describe shows', async () => {
  const { addNode, addPod, getPod, events, close } = await setUp('bound');
  await addNode('n1');
  const before = await events();
  await addPod('web');
  const pod = await getPod('web');
  assert.equal(pod.spec?.nodeName, 'n1');
  assert.deepEqual(
    pod.status?.conditions?.map((condition) => [condition.type, condition.status]),
    [['PodScheduled', 'True']],
  );
  const [event] = await events();
  assert.deepEqual([before.length, (await events()).length], [0, 1]);
  assert.deepEqual(
    { ...event, metadata: undefined, involvedObject: event?.involvedObject.name },
    {
      metadata: undefined,
      action: 'Binding',
      eventTime: '2026-01-01T00:00:00.000000Z',
      firstTimestamp: null,
      lastTimestamp: null,
      involvedObject: 'web',
      message: 'Successfully assigned default/web to n1',
      reason: 'Scheduled',
      reportingComponent: 'default-scheduler',
      reportingInstance: 'default-scheduler-host1',
      source: {},
      type: 'Normal',
    },
  );
  await close();
});

test('a pod that finds no node says why, and is bound as soon as a node is ready', async () => {
  const { clock, addNode, setNodeStatus, addPod, getPod, nodeOf, events, close } = await setUp('waits');
  await addPod('web');
  const condition = async () => (await getPod('web')).status?.conditions?.[0];
  assert.deepEqual(await condition(), {
    type: 'PodScheduled',
    status: 'False',
    lastProbeTime: null,
    lastTransitionTime: '2026-01-01T00:00:00Z',
    reason: 'Unschedulable',
    message: 'no nodes available to schedule pods',
    observedGeneration: 1,
  });
  await addNode('n1');
  await setNodeStatus('n1', 'False');
  await clock.advance(0);
  assert.equal(await nodeOf('web'), 'n1'); // it was Ready for a moment
  await addPod('late');
  assert.match((await getPod('late')).status?.conditions?.[0]?.message ?? '', /untolerated taint/);
  await setNodeStatus('n1', 'True');
  assert.equal(await nodeOf('late'), 'n1');
  const reasons = (await events()).map((event) => `${event.involvedObject.name} ${event.type} ${event.reason}`);
  assert.deepEqual(reasons.sort(), [
    'late Normal Scheduled',
    'late Warning FailedScheduling',
    'web Normal Scheduled',
    'web Warning FailedScheduling', // no nodes
    'web Warning FailedScheduling', // one without a status
  ]);
  await close();
});

test('room that a deleted pod leaves is given to the one that waits', async () => {
  const { clock, client, addNode, addPod, nodeOf, close } = await setUp('room');
  await addNode('n1');
  await addPod('big', asking('1500m'));
  await addPod('next', asking('1'));
  assert.deepEqual([await nodeOf('big'), await nodeOf('next')], ['n1', undefined]);
  await client.delete(resources.pods, { namespace: 'default', name: 'big' }, { gracePeriodSeconds: 0 }, never);
  await clock.advance(0);
  assert.equal(await nodeOf('next'), 'n1');
  await close();
});

test('a pod that has ended takes no room', async () => {
  const { clock, client, addNode, addPod, nodeOf, close } = await setUp('ended');
  await addNode('n1');
  await addPod('job', asking('2'));
  await addPod('next', asking('2'));
  const ref = { namespace: 'default', name: 'job', subresource: 'status' };
  await client.patch(resources.pods, ref, { type: 'merge', body: { status: { phase: 'Succeeded' } } }, never);
  await clock.advance(0);
  assert.equal(await nodeOf('next'), 'n1');
  await close();
});

test('many pods at once never take more than there is', async () => {
  const { clock, client, addNode, addPod, close } = await setUp('many');
  await addNode('n1');
  await addNode('n2');
  await Promise.all(Array.from({ length: 30 }, (_, index) => addPod(`p${index}`, asking('300m'))));
  await clock.advance(0);
  const { items } = await client.list(resources.pods, { namespace: 'default' }, never);
  const counts = ['n1', 'n2', undefined].map((name) => items.filter((pod) => pod.spec?.nodeName === name).length);
  assert.deepEqual(counts, [6, 6, 18]);
  await close();
});

test('pods of another scheduler and gated pods are left alone', async () => {
  const { clock, client, addNode, addPod, getPod, nodeOf, events, close } = await setUp('others');
  await addNode('n1');
  await addPod('foreign', { schedulerName: 'mine' });
  await addPod('gated', { schedulingGates: [{ name: 'example.com/wait' }] });
  await clock.advance(600_000);
  assert.deepEqual([await nodeOf('foreign'), await nodeOf('gated')], [undefined, undefined]);
  const condition = (await getPod('gated')).status?.conditions?.[0];
  assert.deepEqual(
    [condition?.reason, condition?.message],
    ['SchedulingGated', 'Scheduling is blocked due to non-empty scheduling gates'],
  );
  assert.deepEqual(await events(), []);
  const body = [{ op: 'remove', path: '/spec/schedulingGates/0' }];
  await client.patch(resources.pods, { namespace: 'default', name: 'gated' }, { type: 'json', body }, never);
  await clock.advance(0);
  assert.equal(await nodeOf('gated'), 'n1');
  await close();
});

test('a pod that nothing helps is tried again every 5 min, as one event with a count', async () => {
  const { clock, addNode, addPod, events, close } = await setUp('unhelped');
  await addNode('n1');
  await addPod('big', asking('3'));
  await clock.advance(301_000);
  const all = await events();
  assert.equal(all.length, 2); // the second is about the pod with its condition: another version of it
  await clock.advance(300_000);
  assert.deepEqual(
    (await events()).map((event) => event.series?.count ?? 1).toSorted((a, b) => a - b),
    [1, 2],
  );
  await close();
});

async function addPriority(client: ApiClient, name: string, value: number, more: object = {}): Promise<void> {
  await client.create(resources.priorityclasses, {}, { metadata: { name }, value, ...more } as KubernetesObject, never);
}

test('a pod of higher priority ends one of lower priority, and gets its place when that is gone', async () => {
  const { clock, client, addNode, addPod, getPod, nodeOf, events, close } = await setUp('preempts');
  await addPriority(client, 'high', 1_000);
  await addNode('n1');
  await addPod('low', asking('2'));
  await addPod('high', { ...asking('1'), priorityClassName: 'high' });
  const victim = await getPod('low');
  const preemptor = await getPod('high');
  assert.equal(victim.metadata?.deletionGracePeriodSeconds, 30);
  assert.deepEqual(
    victim.status?.conditions?.find(({ type }) => type === 'DisruptionTarget'),
    {
      type: 'DisruptionTarget',
      status: 'True',
      lastProbeTime: null,
      lastTransitionTime: '2026-01-01T00:00:00Z',
      reason: 'PreemptionByScheduler',
      message: 'default-scheduler: preempting to accommodate a higher priority pod',
      observedGeneration: 1,
    },
  );
  assert.equal(preemptor.status?.nominatedNodeName, 'n1');
  assert.equal(preemptor.status.conditions?.[0]?.message, '0/1 nodes are available: 1 Insufficient cpu.');
  const preempted = (await events()).find(({ reason }) => reason === 'Preempted');
  assert.deepEqual(
    [preempted?.involvedObject.name, preempted?.related?.name, preempted?.action, preempted?.type, preempted?.message],
    ['low', 'high', 'Preempting', 'Normal', `Preempted by pod ${preemptor.metadata?.uid} on node n1`],
  );
  // Meanwhile nobody else takes the place, and nobody else is ended.
  await addPod('late', asking('1'));
  await clock.advance(20_000);
  assert.deepEqual([await nodeOf('late'), await nodeOf('high')], [undefined, undefined]);
  await client.delete(resources.pods, { namespace: 'default', name: 'low' }, { gracePeriodSeconds: 0 }, never);
  await clock.advance(10_000);
  assert.deepEqual([await nodeOf('high'), await nodeOf('late')], ['n1', 'n1']);
  assert.equal((await getPod('high')).status?.nominatedNodeName, 'n1'); // as upstream leaves it
  await close();
});

test('room that was kept for a pod is given to the next one as soon as that pod is deleted', async () => {
  const { clock, client, addNode, addPod, nodeOf, close } = await setUp('released');
  await addPriority(client, 'middle', 500);
  await addPriority(client, 'high', 1_000);
  await addNode('n1');
  await addPod('low', asking('1'));
  await addPod('high', { ...asking('2'), priorityClassName: 'high' });
  await addPod('small', { ...asking('1'), priorityClassName: 'middle' });
  await clock.advance(30_000);
  assert.deepEqual([await nodeOf('low'), await nodeOf('high'), await nodeOf('small')], ['n1', undefined, undefined]);
  await client.delete(resources.pods, { namespace: 'default', name: 'high' }, {}, never);
  await clock.advance(1_000);
  assert.equal(await nodeOf('small'), 'n1');
  await close();
});

test('a nomination that leads to nothing is taken back', async () => {
  const { clock, client, addNode, addPod, getPod, nodeOf, close } = await setUp('taken-back');
  await addPriority(client, 'high', 1_000);
  await addPriority(client, 'higher', 2_000);
  await addNode('n1');
  await addPod('low', asking('2'));
  await addPod('high', { ...asking('2'), priorityClassName: 'high' });
  assert.equal((await getPod('high')).status?.nominatedNodeName, 'n1');
  await addPod('higher', { ...asking('2'), priorityClassName: 'higher' });
  await clock.advance(0);
  assert.equal((await getPod('high')).status?.nominatedNodeName, undefined);
  await client.delete(resources.pods, { namespace: 'default', name: 'low' }, { gracePeriodSeconds: 0 }, never);
  await clock.advance(10_000);
  assert.deepEqual([await nodeOf('higher'), await nodeOf('high')], ['n1', undefined]);
  await close();
});

/** Loses the answers to the first `count` bindings; the server has done what they asked for. */
function losingBindings(count: number, asked: string[]) {
  return (client: ApiClient): ApiClient => {
    const create: ApiClient['create'] = async (type, ref, object, signal, options) => {
      const answer = await client.create(type, ref, object, signal, options);
      if (ref.subresource !== 'binding') return answer;
      asked.push(`${ref.name} ${(object as Binding).target.name}`);
      if (asked.length > count) return answer;
      throw new StatusError('ServiceUnavailable', 'the answer was lost');
    };
    return { ...client, create };
  };
}

test('a pod whose binding was answered by nothing is bound where it was bound, and nowhere else', async () => {
  const asked: string[] = [];
  const { clock, addNode, addPod, getPod, nodeOf, events, close } = await setUp('lost-answer', {
    through: losingBindings(1, asked),
    lagMs: () => 5_000, // and the caches do not know either
  });
  await addNode('n1');
  await addNode('n2');
  await clock.advance(10_000);
  await addPod('web', asking('2'));
  await addPod('next', asking('2'));
  await addPod('last', asking('2'));
  await clock.advance(60_000);
  const nodes = [(await nodeOf('web')) ?? '', (await nodeOf('next')) ?? ''];
  assert.deepEqual([...nodes].sort(), ['n1', 'n2']);
  assert.deepEqual(asked, [`web ${nodes[0]}`, `next ${nodes[1]}`]);
  assert.equal(await nodeOf('last'), undefined);
  assert.match((await getPod('last')).status?.conditions?.[0]?.message ?? '', /2 Insufficient cpu/);
  const scheduled = (await events()).filter(({ reason }) => reason === 'Scheduled');
  assert.deepEqual(scheduled.map(({ involvedObject }) => involvedObject.name ?? '').sort(), ['next', 'web']);
  await close();
});

test('a request that is lost is repeated for the same node, however long it takes', async () => {
  const asked: string[] = [];
  const { clock, addNode, addPod, nodeOf, close } = await setUp('lost-request', {
    through: (client) => ({
      ...client,
      create: async (type, ref, object, signal, options) => {
        if (ref.subresource !== 'binding') return client.create(type, ref, object, signal, options);
        asked.push((object as Binding).target.name ?? '');
        if (asked.length <= 6) throw new StatusError('Timeout', 'lost');
        return client.create(type, ref, object, signal, options);
      },
    }),
  });
  await addNode('n1');
  await addNode('n2');
  await addPod('web', asking('2'));
  await clock.advance(60_000);
  assert.equal(asked.length, 7);
  assert.deepEqual(new Set(asked), new Set([await nodeOf('web')]));
  await close();
});

test('a pod is tried again only when something happens that may help it', async () => {
  const { clock, client, addNode, setNodeStatus, addPod, nodeOf, events, close } = await setUp('hints');
  const tries = async (): Promise<number> => {
    const all = (await events()).filter(({ reason }) => reason === 'FailedScheduling');
    return all.reduce((sum, { series }) => sum + (series?.count ?? 1), 0);
  };
  const setNode = async (name: string, body: object): Promise<void> => {
    await client.patch(resources.nodes, { name }, { type: 'merge', body }, never);
    await clock.advance(11_000);
  };
  await addNode('n1');
  await addPod('ssd', { nodeSelector: { disk: 'ssd' } });
  await clock.advance(11_000);
  const before = await tries();
  await setNodeStatus('n1', 'True', { cpu: '4' }); // it has no disk by that
  await addPod('other', asking('100m'));
  await client.delete(resources.pods, { namespace: 'default', name: 'other' }, { gracePeriodSeconds: 0 }, never);
  await setNode('n1', { metadata: { labels: { disk: 'hdd' } } });
  assert.equal(await tries(), before);
  await setNode('n1', { metadata: { labels: { disk: 'ssd' } } });
  assert.equal(await nodeOf('ssd'), 'n1');
  await close();
});

/** Requests that write, and answers to them, get lost until `heal` is called; what was asked for may be done. */
function lossyWrites(entropy: Entropy) {
  let isHealed = false;
  const lossy = async <T>(write: () => Promise<T>): Promise<T> => {
    const draw = isHealed ? 1 : entropy.unit();
    if (draw < 0.15) throw new StatusError('ServiceUnavailable', 'the request was lost');
    const answer = await write();
    if (draw < 0.3) throw new StatusError('Timeout', 'the answer was lost');
    return answer;
  };
  const through = (client: ApiClient): ApiClient => ({
    ...client,
    create: (type, ref, object, signal, options) => lossy(() => client.create(type, ref, object, signal, options)),
    patch: (type, ref, patch, signal, options) => lossy(() => client.patch(type, ref, patch, signal, options)),
    delete: (type, ref, options, signal) => lossy(() => client.delete(type, ref, options, signal)),
  });
  const heal = (): void => {
    isHealed = true;
  };
  return { through, heal };
}

const isLive = ({ status }: Pod): boolean => status?.phase !== 'Succeeded' && status?.phase !== 'Failed';
const milliOf = (pod: Pod): number => needsOf(pod).requests.cpuMilli;

class PlacementChecker {
  readonly #nodeByUid = new Map<string, string>();

  check(pods: readonly Pod[], nodes: readonly Node[]): void {
    const bound = pods.filter((pod) => isLive(pod) && (pod.spec?.nodeName ?? '') !== '');
    for (const { metadata, spec } of bound) {
      const uid = metadata?.uid ?? '';
      assert.equal(this.#nodeByUid.get(uid) ?? spec?.nodeName, spec?.nodeName, 'a pod has moved');
      this.#nodeByUid.set(uid, spec?.nodeName ?? '');
    }
    for (const { metadata, status } of nodes) {
      const here = bound.filter(({ spec }) => spec?.nodeName === metadata?.name);
      const used = here.reduce((sum, pod) => sum + milliOf(pod), 0);
      assert.ok(used <= Number(status?.allocatable?.['cpu']) * 1_000, `${metadata?.name} is overfull: ${used}`);
      const guards = here.filter(({ spec }) => spec?.affinity !== undefined);
      assert.ok(guards.length <= 1, `${guards.length} pods on ${metadata?.name} that want to be alone`);
    }
  }
}

async function loseThings(seed: string): Promise<{ readonly bound: number; readonly preempted: number }> {
  const entropy = new SeededEntropy(seed);
  const draw = (count: number): number => Math.floor(entropy.unit() * count);
  const { through, heal } = lossyWrites(entropy.fork('losses'));
  const lags = entropy.fork('lags');
  const { clock, client, setNodeStatus, close } = await setUp(seed, {
    through,
    lagMs: () => (lags.unit() < 0.1 ? 1_500 : 0),
  });
  const checker = new PlacementChecker();
  const podsNow = async () => (await client.list(resources.pods, { namespace: 'default' }, never)).items;
  const nodesNow = async () => (await client.list(resources.nodes, {}, never)).items;
  const force = async (name: string): Promise<void> => {
    await client.delete(resources.pods, { namespace: 'default', name }, { gracePeriodSeconds: 0 }, never);
  };
  /** What kubelets do: end what is to end. */
  const live = async (ms: number, endingShare: number): Promise<void> => {
    await clock.advance(ms);
    checker.check(await podsNow(), await nodesNow());
    for (const { metadata } of await podsNow()) {
      if (metadata?.deletionTimestamp !== undefined && entropy.unit() < endingShare) await force(metadata.name ?? '');
    }
    await clock.advance(0);
    checker.check(await podsNow(), await nodesNow());
  };
  for (const value of [1, 2]) await addPriority(client, `p${value}`, value);
  for (let index = 0; index < 4; index++) {
    const name = `n${index}`;
    await client.create(resources.nodes, {}, { metadata: { name, labels: { [hostKey]: name } } }, never);
    await setNodeStatus(name, 'True', { cpu: String(1 + draw(3)) });
  }
  let made = 0;
  const act = async (): Promise<void> => {
    const names = (await podsNow()).map(({ metadata }) => metadata?.name ?? '');
    const name = names[draw(names.length)];
    const kind = draw(10);
    if (kind < 7 || name === undefined) {
      const labels = draw(3) === 0 ? { alone: 'yes' } : { alone: 'no' };
      const spec = randomSpec(draw, labels.alone === 'yes');
      await client.create(resources.pods, { namespace: 'default' }, podWith(`w${made++}`, labels, spec), never);
    } else if (kind < 9) await force(name);
    else await client.patch(resources.nodes, { name: `n${draw(4)}` }, cordon(draw(3) === 0), never);
  };
  for (let step = 0; step < 60; step++) {
    await act();
    await live(draw(4) * 700, 0.5);
  }
  heal();
  for (let index = 0; index < 4; index++)
    await client.patch(resources.nodes, { name: `n${index}` }, cordon(false), never);
  for (let seconds = 0; seconds < 60; seconds += 5) await live(5_000, 1);
  const pods = await podsNow();
  checkSettled(pods, await nodesNow());
  const { items } = await client.list(resources.events, { namespace: 'default' }, never);
  await close();
  const preempted = items.filter(({ reason }) => reason === 'Preempted').length;
  return { bound: pods.filter(({ spec }) => spec?.nodeName !== undefined).length, preempted };
}

const hostKey = 'kubernetes.io/hostname';

function cordon(unschedulable: boolean) {
  return { type: 'merge', body: { spec: { unschedulable } } } as const;
}

function podWith(name: string, labels: Readonly<Record<string, string>>, spec: PodSpec): Pod {
  return { metadata: { name, labels }, spec };
}

function randomSpec(draw: (count: number) => number, isAlone: boolean): PodSpec {
  const term = { topologyKey: hostKey, labelSelector: { matchLabels: { alone: 'yes' } } };
  const far = { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } };
  const priority = draw(3);
  return {
    containers: [{ name: 'c', image: 'i', resources: { requests: { cpu: `${draw(12) * 100}m` } } }],
    terminationGracePeriodSeconds: 5,
    ...(isAlone ? { affinity: far } : {}),
    ...(priority === 0 ? {} : { priorityClassName: `p${priority}` }),
  };
}

/** No pod waits that could be placed, or could make room for itself. */
function checkSettled(pods: readonly Pod[], nodes: readonly Node[]): void {
  const cluster = new ClusterView();
  for (const node of nodes) cluster.setNode(node);
  const live = pods.filter(isLive);
  for (const pod of live) if (pod.spec?.nodeName !== undefined) cluster.place(needsOf(pod), pod.spec.nodeName);
  for (const pod of live.filter(({ spec }) => spec?.nodeName === undefined)) {
    const placement = schedulePod({ ...needsOf(pod), nominatedNodeName: '' }, cluster, new SeededEntropy('settled'));
    assert.ok(placement.kind === 'none', `${pod.metadata?.name} could be on ${JSON.stringify(placement)}`);
    assert.equal(placement.victims, undefined, `${pod.metadata?.name} could make room`);
  }
}

test('whatever gets lost: no node is overfull, no pod is bound twice, and in the end none waits in vain', async () => {
  const total = { bound: 0, preempted: 0 };
  for (let seed = 0; seed < 6; seed++) {
    const { bound, preempted } = await loseThings(`losses ${seed}`);
    total.bound += bound;
    total.preempted += preempted;
  }
  assert.ok(total.bound > 30 && total.preempted > 5, JSON.stringify(total));
});

test('pods of one controller are spread over the nodes, though one node has more room', async () => {
  const { client, clock, addNode, close } = await setUp('replicas');
  await addNode('n1', { cpu: '16', memory: '64Gi' });
  await addNode('n2');
  for (const name of ['n1', 'n2']) {
    const body = { metadata: { labels: { [hostKey]: name } } };
    await client.patch(resources.nodes, { name }, { type: 'merge', body }, never);
  }
  const template = { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: 'i' }] } };
  const controller = { metadata: { name: 'web' }, spec: { replicas: 6, selector: { app: 'web' }, template } };
  const made = await client.create(resources.replicationcontrollers, { namespace: 'default' }, controller, never);
  const owner = { apiVersion: 'v1', kind: 'ReplicationController', name: 'web', uid: made.metadata?.uid ?? '' };
  const nodesOf = async (name: string, ownerReferences: readonly object[]): Promise<readonly string[]> => {
    for (let index = 0; index < 6; index++) {
      const metadata = { name: `${name}${index}`, labels: { app: name }, ownerReferences };
      await client.create(resources.pods, { namespace: 'default' }, { ...template, metadata } as Pod, never);
    }
    await clock.advance(1_000);
    const { items } = await client.list(resources.pods, { labelSelector: `app=${name}` }, never);
    return items.map(({ spec }) => spec?.nodeName ?? '').sort((a, b) => (a < b ? -1 : 1));
  };
  await clock.advance(1_000);
  assert.deepEqual(await nodesOf('web', [{ ...owner, controller: true }]), ['n1', 'n1', 'n1', 'n2', 'n2', 'n2']);
  assert.deepEqual(await nodesOf('bare', []), ['n1', 'n1', 'n1', 'n1', 'n1', 'n1']);
  await close();
});
