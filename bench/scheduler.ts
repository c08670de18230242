/**
 * Pods scheduled per second in a cluster of 1,000 nodes in 10 zones: the decision alone, for 30,000 pods one after the
 * other, and the whole way through the real API server (in memory), with informers, bindings, conditions and events,
 * for some thousands. Everything runs in this process; the time is the host's. Standalone: `npx tsx bench/scheduler.ts`.
 */
import type { Node, Pod, PodSpec } from '../src/api/gen/types.ts';
import { matcherOfLabels } from '../src/api/label-selector.ts';
import { resources } from '../src/api/resources.ts';
import { SharedInformers } from '../src/controllers/shared-informers.ts';
import { defaultSpreadOf } from '../src/scheduler/affinity-terms.ts';
import { ClusterView } from '../src/scheduler/cluster-view.ts';
import { needsOf } from '../src/scheduler/pod-needs.ts';
import { schedulePod } from '../src/scheduler/schedule-pod.ts';
import { Scheduler } from '../src/scheduler/scheduler.ts';
import { SeededEntropy } from '../src/sim/seeded-entropy.ts';
import { startApiWorld } from '../test/support/api-world.ts';
import type { BenchRow } from './row.ts';

const nodeCount = 1_000;
const podCount = 30_000;
const wholeWayPodCount = 4_000;
const replicaCount = 100; // of each replica set
const targetPerSecond = 1_000; // kube-scheduler is known for some 330
const createdAtOnce = 64;

type Kind = 'plain' | 'anti-affinity' | 'spread over zones';

function nodeOf(index: number): Node {
  const name = `node-${index}`;
  const amounts = { cpu: '32', memory: '256Gi', pods: '110' };
  return {
    metadata: {
      name,
      labels: { 'kubernetes.io/hostname': name, 'topology.kubernetes.io/zone': `zone-${index % 10}` },
    },
    status: { allocatable: amounts, capacity: amounts, conditions: [{ type: 'Ready', status: 'True' }] },
  };
}

function podOf(index: number, kind: Kind): Pod {
  const app = `app-${Math.floor(index / replicaCount)}`;
  const labelSelector = { matchLabels: { app } };
  const term = { topologyKey: 'kubernetes.io/hostname', labelSelector };
  const zones = { topologyKey: 'topology.kubernetes.io/zone', maxSkew: 1, whenUnsatisfiable: 'DoNotSchedule' };
  const extra: Partial<PodSpec> =
    kind === 'plain'
      ? {}
      : kind === 'anti-affinity'
        ? { affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } } }
        : { topologySpreadConstraints: [{ ...zones, labelSelector }] };
  const requests = { cpu: '100m', memory: '200Mi' };
  return {
    metadata: { namespace: 'default', name: `pod-${index}`, uid: `uid-${index}`, labels: { app } },
    spec: { containers: [{ name: 'c', image: 'i', resources: { requests } }], ...extra },
  };
}

/** Decisions per second. */
function measureDecisions(kind: Kind): number {
  const cluster = new ClusterView();
  for (let index = 0; index < nodeCount; index++) cluster.setNode(nodeOf(index));
  const entropy = new SeededEntropy('bench');
  const startedMs = performance.now();
  for (let index = 0; index < podCount; index++) {
    const needs = needsOf(podOf(index, kind));
    const spread = defaultSpreadOf(matcherOfLabels(needs.labels));
    const placement = schedulePod(needs, cluster, entropy, spread);
    if (placement.kind === 'none') throw new Error(placement.message);
    cluster.place(needs, placement.nodeName);
  }
  return (podCount / (performance.now() - startedMs)) * 1_000;
}

/** Pods bound per second, from when the scheduler starts until every pod is bound. */
async function measureWholeWay(kind: Kind): Promise<number> {
  const world = await startApiWorld('bench');
  const { clock, scope, client, log } = world;
  const { signal } = scope;
  for (let index = 0; index < nodeCount; index++) await client.create(resources.nodes, {}, nodeOf(index), signal);
  for (let index = 0; index < wholeWayPodCount; index += createdAtOnce) {
    const count = Math.min(createdAtOnce, wholeWayPodCount - index);
    const pods = Array.from({ length: count }, (_, offset) => podOf(index + offset, kind));
    await Promise.all(pods.map((pod) => client.create(resources.pods, { namespace: 'default' }, pod, signal)));
  }
  const entropy = world.entropy.fork('bench');
  const shared = new SharedInformers({ client, clock, entropy: entropy.fork('informers'), log });
  const scheduler = new Scheduler({
    client: world.clientOf('system:kube-scheduler'),
    informers: (type) => shared.of(type),
    clock,
    entropy,
    log,
    hostName: 'bench',
  });
  const pods = shared.of(resources.pods);
  let bound = 0;
  pods.onChange(({ previous, current }) => {
    if ((previous?.spec?.nodeName ?? '') === '' && (current?.spec?.nodeName ?? '') !== '') bound += 1;
  });
  const startedMs = performance.now();
  shared.run(scope);
  scope.start((inner) => scheduler.run(inner));
  while (bound < wholeWayPodCount) await clock.advance(1_000);
  const perSecond = (wholeWayPodCount / (performance.now() - startedMs)) * 1_000;
  await scope.close();
  return perSecond;
}

export async function benchScheduler(): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  const kinds: readonly Kind[] = ['plain', 'anti-affinity', 'spread over zones'];
  for (const kind of kinds) {
    const common = { unit: '1/s', target: targetPerSecond, better: 'higher' } as const;
    const decisions = measureDecisions(kind);
    rows.push({ name: `scheduler: decisions, 1,000 nodes, ${kind}`, ours: decisions, ...common });
    const wholeWay = await measureWholeWay(kind);
    rows.push({ name: `scheduler: pods bound, 1,000 nodes, ${kind}`, ours: wholeWay, ...common });
  }
  return rows;
}

if (import.meta.filename === process.argv[1]) console.table(await benchScheduler());
