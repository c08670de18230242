import { createHash } from 'node:crypto';
import type { Job, Node, Pod } from '../../../src/api/gen/types.ts';
import { resources } from '../../../src/api/resources.ts';
import type { Entropy } from '../../../src/base/entropy.ts';
import { InvariantError, hasReason, invariant } from '../../../src/base/status-error.ts';
import type { StatusError } from '../../../src/base/status-error.ts';
import { podLabels } from '../../../src/cri/runtime.ts';
import type { ProbeAttempt } from '../../../src/kubelet/probes/prober.ts';
import type { SimulatedNodeSpec } from '../../../src/main/simulated-cluster.ts';
import type { SimulatedNode } from '../../../src/main/simulated-node.ts';
import { SeededFaults } from '../../../src/sim/faults.ts';
import type { Faults } from '../../../src/sim/faults.ts';
import { SeededEntropy } from '../../../src/sim/seeded-entropy.ts';
import type { VirtualClock } from '../../../src/sim/virtual-clock.ts';
import { MemoryStore } from '../../../src/store/memory-store.ts';
import type { Store } from '../../../src/store/store.ts';
import { lossyHandler } from '../../support/lossy-handler.ts';
import { never, settled, startSimCluster } from '../../support/sim-cluster.ts';
import { LifeChecker } from '../life-checker.ts';
import { seedImages, seedRules } from '../pod-kinds.ts';
import { ClusterChecker } from './cluster-checker.ts';
import { workloadsFor } from './workloads.ts';
import type { Workload } from './workloads.ts';

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

const namespace = 'default';
const safetySeconds = 600;
const restSecondsMax = 1_200; // crash-loop back-off, 300 s of patience with nodes, a sync late
const slowStoreMs = 700;

const features = [
  'fastFailover',
  'skewedClocks',
  'lossyControl',
  'deaths',
  'powerOffs',
  'partitions',
  'pauses',
  'kubeletCrashes',
  'podDeletes',
  'forcedDeletes',
  'nodeDeletes',
  'rollouts',
  'scaling',
] as const;
type Feature = (typeof features)[number];
type SimCluster = Awaited<ReturnType<typeof startSimCluster>>;

/** What a machine suffers from, and when that is over. */
interface Trouble {
  readonly node: SimulatedNode;
  readonly untilSecond: number;
  readonly end: () => void;
}

class ClusterRun {
  readonly #cluster: SimCluster;
  readonly #checker: ClusterChecker;
  readonly #life: LifeChecker;
  readonly #chaos: Entropy;
  readonly #features: ReadonlySet<Feature>;
  readonly #workloads: readonly Workload[];
  readonly #wanted = new Map<string, number>(); // by app: replicas
  readonly #peaks = new Map<string, { readonly replicas: number; readonly atSecond: number }[]>(); // of the last minutes
  #troubles: Trouble[] = [];
  #second = 0;
  #rollouts = 0;

  constructor(
    cluster: SimCluster,
    checkers: { readonly cluster: ClusterChecker; readonly life: LifeChecker },
    draws: {
      readonly chaos: Entropy;
      readonly features: ReadonlySet<Feature>;
      readonly workloads: readonly Workload[];
    },
  ) {
    this.#cluster = cluster;
    this.#checker = checkers.cluster;
    this.#life = checkers.life;
    this.#chaos = draws.chaos;
    this.#features = draws.features;
    this.#workloads = draws.workloads;
    for (const { name, replicas } of draws.workloads) if (replicas !== undefined) this.#want(name, replicas);
    // Those of a rolling update are counted at rest: its replica sets follow it one after the other.
    const exact = draws.workloads.filter(({ surge }) => surge === 0);
    checkers.cluster.afterPod = () => this.#checkCounts(exact);
  }

  get wanted(): ReadonlyMap<string, number> {
    return this.#wanted;
  }

  #want(app: string, replicas: number): void {
    const before = this.#wanted.get(app) ?? 0; // was wanted until now, however long ago it was asked for
    this.#wanted.set(app, replicas);
    const recent = (this.#peaks.get(app) ?? []).filter(({ atSecond }) => atSecond > this.#second - 120);
    this.#peaks.set(app, [...recent, { replicas: Math.max(before, replicas), atSecond: this.#second }]);
  }

  #happens(feature: Feature, share: number): boolean {
    const draw = this.#chaos.unit();
    return this.#features.has(feature) && draw < share;
  }

  #pick<T>(from: readonly T[]): T | undefined {
    return from[Math.floor(this.#chaos.unit() * from.length)];
  }

  /** What happens in one second. */
  async disturb(): Promise<void> {
    this.#second += 1;
    for (const trouble of this.#troubles.filter(({ untilSecond }) => untilSecond <= this.#second)) this.#end(trouble);
    if (this.#happens('deaths', 0.05)) this.#killOne();
    if (this.#happens('powerOffs', 0.01)) this.#trouble((node) => (node.powerOff(), () => node.powerOn()));
    if (this.#happens('partitions', 0.01)) this.#trouble((node) => (node.partition(), () => node.heal()));
    if (this.#happens('pauses', 0.01)) this.#trouble((node) => (node.pause(), () => node.resume()));
    if (this.#happens('kubeletCrashes', 0.01)) {
      this.#trouble((node) => (node.kubelet?.crash(), () => void node.startKubelet()), 2);
    }
    if (this.#happens('podDeletes', 0.01)) await this.#deleteOne(undefined);
    if (this.#happens('forcedDeletes', 0.005)) await this.#deleteOne(0);
    if (this.#happens('nodeDeletes', 0.02)) await this.#deleteLostNode();
    if (this.#happens('rollouts', 0.005)) await this.#rollOut();
    if (this.#happens('scaling', 0.01)) await this.#scale();
  }

  /** One trouble for each machine at a time. */
  #trouble(begin: (node: SimulatedNode) => () => void, seconds = this.#pick([3, 20, 60, 200, 400]) ?? 3): void {
    const well = this.#cluster.nodes.filter((node) => !this.#troubles.some((trouble) => trouble.node === node));
    const node = this.#pick(well);
    if (node === undefined) return;
    this.#troubles.push({ node, untilSecond: this.#second + seconds, end: begin(node) });
  }

  #end(trouble: Trouble): void {
    trouble.end();
    this.#troubles = this.#troubles.filter((other) => other !== trouble);
  }

  /** All is well again. */
  heal(): void {
    for (const trouble of Array.from(this.#troubles)) this.#end(trouble);
  }

  #killOne(): void {
    const node = this.#pick(this.#cluster.nodes);
    const victim = this.#pick(node?.runtime.runningContainers() ?? []);
    if (victim !== undefined) node?.runtime.endContainer(victim.id, 1);
  }

  async #ask(asking: Promise<unknown>): Promise<void> {
    await settled(
      this.#cluster.clock,
      asking.catch((error: StatusError) => {
        if (!hasReason(error, 'NotFound', 'Conflict')) throw error;
      }),
    );
  }

  async #deleteOne(gracePeriodSeconds: number | undefined): Promise<void> {
    const name = this.#pick(this.#checker.pods)?.metadata?.name;
    if (name === undefined) return;
    if (gracePeriodSeconds === 0) this.#life.onForcedDelete(name);
    const options = gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds };
    await this.#ask(this.#cluster.client.delete(resources.pods, { namespace, name }, options, never));
  }

  /** Somebody gives up a machine; should it come back, it registers again. */
  async #deleteLostNode(): Promise<void> {
    const lost = this.#pick(this.#troubles)?.node.name;
    if (lost !== undefined) await this.#ask(this.#cluster.client.delete(resources.nodes, { name: lost }, {}, never));
  }

  async #rollOut(): Promise<void> {
    this.#rollouts += 1;
    const template = { metadata: { annotations: { rollout: String(this.#rollouts) } } };
    await this.#patch('deploy', { spec: { template } });
  }

  async #scale(): Promise<void> {
    const workload = this.#pick(this.#workloads.filter(({ replicas }) => replicas !== undefined));
    if (workload === undefined) return;
    const replicas = 1 + Math.floor(this.#chaos.unit() * 5);
    this.#want(workload.name, replicas);
    await this.#patch(workload.name, { spec: { replicas } });
  }

  async #patch(app: string, body: object): Promise<void> {
    const workload = this.#workloads.find(({ name }) => name === app);
    if (workload === undefined) return;
    const { client } = this.#cluster;
    await this.#ask(client.patch(workload.type, { namespace, name: app }, { type: 'merge', body }, never));
  }

  /** Between two seconds: a failure of some task, or of a rule. */
  check(): void {
    const { nodes, scope, clock } = this.#cluster;
    const failure = scope.failure ?? nodes.map((node) => node.failure).find((found) => found !== undefined);
    if (failure !== undefined) throw failure;
    const timers = clock.pendingNames();
    invariant(
      timers.length <= 200 + 300 * nodes.length,
      `timers pile up: ${timers.length}, ${timers.slice(-20).join(' ')}`,
    );
    this.#life.check();
    const troubled = new Set(this.#troubles.map(({ node }) => node));
    this.#checker.check(nodes, (node) => !troubled.has(node));
    this.#checkCounts(this.#workloads);
  }

  #checkCounts(workloads: readonly Workload[]): void {
    if (this.#features.has('lossyControl')) return; // a lost answer to a create makes one more, for a moment
    for (const { name, surge, replicas } of workloads) {
      if (replicas === undefined) continue;
      const peak = Math.max(this.#wanted.get(name) ?? 0, ...(this.#peaks.get(name) ?? []).map((one) => one.replicas));
      const count = this.#checker.activeOf(name).length;
      invariant(count <= peak + surge, `${count} pods of ${name}, where ${peak} and ${surge} more may be`);
    }
  }
}

/** What is not as it should be at rest. */
async function unrest(cluster: SimCluster, run: ClusterRun): Promise<readonly string[]> {
  const { clock, client, nodes } = cluster;
  const list = <T>(asking: Promise<{ readonly items: readonly T[] }>): Promise<{ readonly items: readonly T[] }> =>
    settled(clock, asking);
  const pods = (await list<Pod>(client.list(resources.pods, { namespace }, never))).items;
  const found = (await list<Node>(client.list(resources.nodes, {}, never))).items.flatMap(
    ({ metadata, spec, status }) => {
      const ready = status?.conditions?.find(({ type }) => type === 'Ready')?.status;
      const taints = (spec?.taints ?? []).map(({ key }) => key).join(' ');
      return ready === 'True' && taints === '' ? [] : [`${metadata?.name} is Ready ${ready}, with taints ${taints}`];
    },
  );
  const readyOf = (app: string): number =>
    pods.filter(
      ({ metadata, status }) =>
        metadata?.labels?.['app'] === app &&
        metadata.deletionTimestamp === undefined &&
        status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True'),
    ).length;
  for (const [app, replicas] of [...run.wanted, ['daemons', nodes.length] as const]) {
    if (readyOf(app) !== replicas) found.push(`${readyOf(app)} of ${replicas} pods of ${app} are Ready`);
  }
  const [job] = (await list<Job>(client.list(resources.jobs, { namespace }, never))).items;
  const isOver = job?.status?.conditions?.some(({ type, status }) => type === 'Complete' && status === 'True');
  if (isOver !== true) found.push(`the job is not complete: ${JSON.stringify(job?.status)}`);
  for (const { metadata } of pods) {
    if (metadata?.deletionTimestamp !== undefined) found.push(`${metadata.name} is still on its way out`);
  }
  found.push(...leaks(pods, nodes));
  return found;
}

function leaks(pods: readonly Pod[], nodes: readonly SimulatedNode[]): readonly string[] {
  return nodes.flatMap((node) => {
    const own = new Set(pods.filter(({ spec }) => spec?.nodeName === node.name).map(({ metadata }) => metadata?.uid));
    const strays = node.runtime
      .runningContainers()
      .filter(({ labels }) => !own.has(labels[podLabels.podUid]))
      .map(({ labels }) => `${node.name} runs a container of ${labels[podLabels.podName]}, which is not there`);
    const files = node.files.paths().filter((file) => {
      const [uid] = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/.exec(file) ?? [];
      return uid !== undefined && !own.has(uid);
    });
    return [...strays, ...files.map((file) => `${node.name} keeps ${file} of a pod that is not there`)];
  });
}

/** Writes take their time now and then. */
function slowStore(inner: Store, clock: VirtualClock, faults: Faults): Store {
  return new Proxy(inner, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function') return value;
      if (key !== 'txn') return value.bind(target);
      return async (...args: Parameters<Store['txn']>) => {
        if (faults.hit('store.slow')) await clock.sleep(slowStoreMs, 'store.slow', args[1]);
        return target.txn(...args);
      };
    },
  });
}

function drawNodes(entropy: Entropy, nodesMax: number, isSkewed: boolean): readonly SimulatedNodeSpec[] {
  const count = 2 + Math.floor(entropy.unit() * (nodesMax - 1));
  return Array.from({ length: count }, (_, index) => {
    const offsetMs = Math.floor((entropy.unit() - 0.5) * 7_200_000);
    const rate = 1 + (entropy.unit() - 0.5) * 0.04;
    return { name: `n${index}`, ...(isSkewed ? { clock: { offsetMs, rate } } : {}) };
  });
}

async function startDrawn(seed: string, options: ClusterSeedOptions, onTrace: (line: string) => void) {
  const entropy = new SeededEntropy(`cluster ${seed}`);
  const drawn = new Set<Feature>(features.filter((name) => entropy.fork(name).unit() < 0.5));
  const faults = new SeededFaults(entropy.fork('faults'), options.disarmed);
  const attempts: ProbeAttempt[] = [];
  const cluster = await startSimCluster(seed, {
    nodes: drawNodes(entropy.fork('nodes'), options.nodesMax ?? 10, drawn.has('skewedClocks')),
    failover: drawn.has('fastFailover') ? 'fast' : 'default',
    faults,
    rules: seedRules,
    images: seedImages,
    timersMax: 5_000_000,
    store: (clock) => slowStore(new MemoryStore(), clock, faults),
    onProbeAttempt: (attempt) => attempts.push(attempt),
    onFire: (name, atMs) => onTrace(`${atMs} ${name}`),
    ...(drawn.has('lossyControl')
      ? { controlThrough: (server, clock) => lossyHandler('control', server, faults, clock) }
      : {}),
  });
  return { entropy, drawn, faults, attempts, cluster };
}

function follow(
  { cluster, attempts }: Awaited<ReturnType<typeof startDrawn>>,
  checkers: { readonly cluster: ClusterChecker; readonly life: LifeChecker },
  onTrace: (line: string) => void,
): void {
  const { client, scope } = cluster;
  scope.start(async (signal) => {
    for await (const event of client.watch(resources.nodes, {}, signal)) {
      if (event.type !== 'BOOKMARK') checkers.cluster.onNode(event.type, event.object);
    }
    if (!signal.aborted) throw new InvariantError('the watch of nodes ended');
  });
  scope.start(async (signal) => {
    for await (const event of client.watch(resources.pods, { namespace }, signal)) {
      onTrace(JSON.stringify(event));
      if (event.type === 'BOOKMARK') continue;
      for (const attempt of attempts.splice(0)) checkers.life.onAttempt(attempt);
      checkers.life.onEvent(event.type, event.object);
      checkers.cluster.onPod(event.type, event.object);
    }
    if (!signal.aborted) throw new InvariantError('the watch of pods ended');
  });
}

export async function runClusterSeed(seed: string, options: ClusterSeedOptions = {}): Promise<ClusterSeedResult> {
  const hash = createHash('sha256');
  const onTrace = (line: string): void => void hash.update(`${line}\n`);
  const world = await startDrawn(seed, options, onTrace);
  const { cluster, drawn, entropy, faults } = world;
  const { clock, client, nodes } = cluster;
  const life = new LifeChecker(() => nodes.flatMap((node) => node.runtime.runningContainers()), false);
  const checkers = { cluster: new ClusterChecker(() => clock.monoMs()), life };
  follow(world, checkers, onTrace);
  const workloads = workloadsFor(nodes.length);
  for (const { type, object } of workloads) await settled(clock, client.create(type, { namespace }, object, never));
  const run = new ClusterRun(cluster, checkers, { chaos: entropy.fork('chaos'), features: drawn, workloads });
  for (let second = 0; second < safetySeconds; second++) {
    await clock.advance(1_000);
    run.check();
    await run.disturb();
  }
  faults.heal();
  run.heal();
  let left: readonly string[] = ['not looked at'];
  let second = 0;
  for (; second < restSecondsMax && left.length > 0; second += 20) {
    for (let step = 0; step < 4; step++) {
      await clock.advance(5_000);
      run.check();
    }
    left = await unrest(cluster, run);
  }
  invariant(left.length === 0, `not at rest ${restSecondsMax} s after the faults: ${left.join('; ')}`);
  await cluster.close();
  return {
    trace: hash.digest('hex'),
    firedCount: clock.firedCount,
    virtualSeconds: safetySeconds + second,
    nodes: nodes.length,
    drawn: [...drawn, ...faults.sites.filter(({ isArmed }) => isArmed).map(({ site }) => site)],
  };
}
