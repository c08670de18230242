import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Job, Node, Pod } from '../../../src/api/gen/types.ts';
import { resources } from '../../../src/api/resources.ts';
import type { Entropy } from '../../../src/base/entropy.ts';
import { invariant } from '../../../src/base/status-error.ts';
import type { Informer } from '../../../src/client/informer.ts';
import type { RuntimeContainerStatus } from '../../../src/cri/runtime.ts';
import type { ProbeAttempt } from '../../../src/kubelet/probes/prober.ts';
import type { SimulatedNodeSpec } from '../../../src/main/simulated-cluster.ts';
import { SeededFaults } from '../../../src/sim/faults.ts';
import { SeededEntropy } from '../../../src/sim/seeded-entropy.ts';
import type { VirtualClock } from '../../../src/sim/virtual-clock.ts';
import { lossyHandler } from '../../support/lossy-handler.ts';
import { never, settled, startSimCluster } from '../../support/sim-cluster.ts';
import { LifeChecker } from '../life-checker.ts';
import { seedImages, seedRules } from '../pod-kinds.ts';
import { sorted, startInformer } from '../run-seed.ts';
import { ClusterChecker } from './cluster-checker.ts';
import { unrest } from './cluster-rest.ts';
import { ClusterRun, features, namespace } from './cluster-run.ts';
import type { Checkers, Feature, SimCluster } from './cluster-run.ts';
import { followObjects } from './follow-objects.ts';
import type { EventType } from './follow-objects.ts';
import { JobChecker } from './job-checker.ts';
import { PodWatchChecker } from './pod-watch-checker.ts';
import { SeedStore } from './seed-store.ts';
import { priorityClasses, workloadsFor } from './workloads.ts';

/**
 * One run of a cluster of several nodes in virtual time, drawn from a seed: what runs on it, which machines die, are cut
 * off or stand still, and what gets lost. First some minutes in which only what must never happen is looked for; then
 * everything is whole again, and the cluster must come to rest as it was told.
 */
export interface ClusterSeedResult {
  readonly trace: string;
  readonly firedCount: number;
  readonly virtualSeconds: number;
  readonly nodes: number;
  readonly drawn: readonly string[];
}

export interface ClusterSeedOptions {
  /** Fault sites that stay quiet. */
  readonly disarmed?: ReadonlySet<string>;
  /** Default 2 to 10, as the seed says. */
  readonly nodesMax?: number;
}

/** Time for some losses: noticed after 50 s and evicted after 300 s, and with fast failover after 3 s. */
const safetySecondsOf = { default: 600, fast: 240 } as const;
const readySeconds = 40; // a lost list, and a lost answer, are tried again after up to 30 s
const restSecondsMax = 1_200; // crash-loop back-off, 300 s of patience with nodes, a sync late

function drawNodes(entropy: Entropy, nodesMax: number, isSkewed: boolean): readonly SimulatedNodeSpec[] {
  const count = 2 + Math.floor(entropy.unit() * (nodesMax - 1));
  return Array.from({ length: count }, (_, index) => {
    const offsetMs = Math.floor((entropy.unit() - 0.5) * 7_200_000);
    const rate = 1 + (entropy.unit() - 0.5) * 0.04;
    return { name: `n${index}`, ...(isSkewed ? { clock: { offsetMs, rate } } : {}) };
  });
}

async function startDrawn(seed: string, options: ClusterSeedOptions, onTrace: (line: string) => void) {
  const { disarmed = new Set() } = options;
  const entropy = new SeededEntropy(`cluster ${seed}`);
  const drawn = new Set<Feature>(
    features.filter((name) => entropy.fork(name).unit() < 0.5 && !disarmed.has(`feature.${name}`)),
  );
  const faults = new SeededFaults(entropy.fork('faults'), disarmed);
  const attempts: ProbeAttempt[] = [];
  let store: SeedStore | undefined;
  const nodes = drawNodes(entropy.fork('nodes'), options.nodesMax ?? 10, drawn.has('skewedClocks'));
  const durability = { nodeCount: nodes.length, isDurableLater: drawn.has('serverCrashes') };
  const storeOn = (clock: VirtualClock): SeedStore => (store ??= new SeedStore({ clock, faults }, durability));
  const cluster = await startSimCluster(seed, {
    nodes,
    failover: drawn.has('fastFailover') ? 'fast' : 'default',
    ...(drawn.has('podCidrs') ? { clusterCidr: '10.244.0.0/16' } : {}),
    faults,
    rules: seedRules,
    images: seedImages,
    timersMax: 5_000_000,
    store: (clock) => storeOn(clock).store,
    onProbeAttempt: (attempt) => attempts.push(attempt),
    onFire: (name, atMs) => onTrace(`${atMs} ${name}`),
    ...(drawn.has('lossyControl')
      ? { controlThrough: (server, clock) => lossyHandler('control', server, faults, clock) }
      : {}),
  });
  return { entropy, drawn, faults, attempts, cluster, store: storeOn(cluster.clock) };
}

/** Tells the checkers of everything that the API and the store show. */
function follow(
  { cluster, attempts, store }: Awaited<ReturnType<typeof startDrawn>>,
  checkers: Checkers,
  onTrace: (line: string) => void,
): void {
  const { client, clock, scope } = cluster;
  const onList = (): void => {};
  const onNode = (type: EventType, node: Node): void => checkers.cluster.onNode(type, node);
  const onMissedNode = (node: Node): void => checkers.cluster.onNode('DELETED', node);
  const ofNodes = { client, clock, type: resources.nodes };
  scope.start((signal) => followObjects(ofNodes, { onList, onEvent: onNode, onMissed: onMissedNode }, signal));
  const onJob = (type: EventType, job: Job): void => {
    if (type !== 'DELETED') checkers.job.onJob(job);
  };
  const ofJobs = { client, clock, type: resources.jobs, namespace };
  scope.start((signal) => followObjects(ofJobs, { onList, onEvent: onJob, onMissed: () => {} }, signal));
  const onPod = (type: EventType, pod: Pod): void => {
    onTrace(JSON.stringify([type, pod]));
    for (const attempt of attempts.splice(0)) checkers.life.onAttempt(attempt);
    checkers.life.onEvent(type, pod);
    checkers.cluster.onPod(type, pod);
    checkers.job.onPod(pod);
    const revision = Number(pod.metadata?.resourceVersion);
    checkers.podWatch.onEvent({ revision, isDelete: type === 'DELETED' });
  };
  const onMissed = (pod: Pod): void => {
    checkers.life.onMissed(pod);
    checkers.cluster.onPod('DELETED', pod);
  };
  const onPodList = (revision: number): void => checkers.podWatch.onList(revision);
  const ofPods = { client, clock, type: resources.pods, namespace };
  scope.start((signal) => followObjects(ofPods, { onList: onPodList, onEvent: onPod, onMissed }, signal));
  scope.start((signal) => store.follow(signal));
}

export async function runClusterSeed(seed: string, options: ClusterSeedOptions = {}): Promise<ClusterSeedResult> {
  const hash = createHash('sha256');
  const onTrace = (line: string): void => void hash.update(`${line}\n`);
  const world = await startDrawn(seed, options, onTrace);
  const { cluster, drawn, entropy, faults, store } = world;
  const { clock, client, nodes } = cluster;
  const running = (): readonly RuntimeContainerStatus[] => nodes.flatMap((node) => node.runtime.runningContainers());
  const life = new LifeChecker(running, false, () => run.hasLateWords);
  const own = { cluster: new ClusterChecker(() => clock.monoMs()), job: new JobChecker('job') };
  const checkers: Checkers = { ...own, life, podWatch: new PodWatchChecker() };
  const workloads = workloadsFor(nodes.length, drawn.has('priorities'));
  const chaos = entropy.fork('chaos');
  const run = new ClusterRun(cluster, checkers, { chaos, features: drawn, workloads, store });
  follow(world, checkers, onTrace);
  // Nodes get ready late where the way to their range is long: what runs on each of them must be first on it.
  if (world.drawn.has('podCidrs')) await world.cluster.clock.advance(readySeconds * 1_000);
  const cache = startInformer(cluster);
  if (drawn.has('priorities')) {
    for (const { type, object } of priorityClasses) await settled(clock, client.create(type, {}, object, never));
  }
  for (const { type, object } of workloads) await settled(clock, client.create(type, { namespace }, object, never));
  const safetySeconds = safetySecondsOf[drawn.has('fastFailover') ? 'fast' : 'default'];
  for (let second = 0; second < safetySeconds; second++) {
    await clock.advance(1_000);
    run.check();
    await run.disturb();
  }
  faults.heal();
  await run.heal();
  let left: readonly string[] = ['not looked at'];
  let second = 0;
  for (; second < restSecondsMax && left.length > 0; second += 20) {
    for (let step = 0; step < 4; step++) {
      await clock.advance(5_000);
      run.check();
    }
    left = [...(await unrest(cluster, run)), ...run.unrest()];
  }
  invariant(left.length === 0, `not at rest ${restSecondsMax} s after the faults: ${left.join('; ')}`);
  await checkCache(cluster, cache);
  await cluster.close();
  return {
    trace: hash.digest('hex'),
    firedCount: clock.firedCount,
    virtualSeconds: safetySeconds + second,
    nodes: nodes.length,
    drawn: [...drawn, ...faults.sites.filter(({ isArmed }) => isArmed).map(({ site }) => site)],
  };
}

async function checkCache({ clock, client }: SimCluster, cache: Informer<Pod>): Promise<void> {
  await clock.advance(60_000); // its longest pause between two tries
  const { items } = await settled(clock, client.list(resources.pods, { namespace }, never));
  assert.deepEqual(sorted(cache.list()), sorted(items), 'the cache of an informer at rest is not as the store');
}
