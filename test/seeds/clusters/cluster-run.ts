import { resources } from '../../../src/api/resources.ts';
import type { Entropy } from '../../../src/base/entropy.ts';
import { InvariantError, hasReason, invariant } from '../../../src/base/status-error.ts';
import type { StatusError } from '../../../src/base/status-error.ts';
import type { SimulatedNode } from '../../../src/main/simulated-node.ts';
import { never, settled } from '../../support/sim-cluster.ts';
import type { startSimCluster } from '../../support/sim-cluster.ts';
import type { LifeChecker } from '../life-checker.ts';
import type { ClusterChecker } from './cluster-checker.ts';
import type { JobChecker } from './job-checker.ts';
import type { PodWatchChecker } from './pod-watch-checker.ts';
import type { SeedStore } from './seed-store.ts';
import type { Workload } from './workloads.ts';

export const namespace = 'default';
const lateWordsMsMax = 10_000; // a slow store, a slow network, and a request sent twice

/** What may happen in a run; each is off in half of them. */
export const features = [
  'fastFailover',
  'skewedClocks',
  'lossyControl',
  'podCidrs',
  'deaths',
  'powerOffs',
  'partitions',
  'pauses',
  'kubeletCrashes',
  'serverCrashes',
  'priorities',
  'podDeletes',
  'forcedDeletes',
  'nodeDeletes',
  'rollouts',
  'scaling',
] as const;
export type Feature = (typeof features)[number];
export type SimCluster = Awaited<ReturnType<typeof startSimCluster>>;

export interface Checkers {
  readonly cluster: ClusterChecker;
  readonly life: LifeChecker;
  readonly job: JobChecker;
  readonly podWatch: PodWatchChecker;
}

/** What a machine suffers from, and when that is over. */
interface Trouble {
  readonly node: SimulatedNode;
  readonly untilSecond: number;
  readonly end: () => void;
}

/** What is done to a cluster, second by second, and what has to hold all the while. */
export class ClusterRun {
  readonly #cluster: SimCluster;
  readonly #checkers: Checkers;
  readonly #store: SeedStore;
  readonly #chaos: Entropy;
  readonly #features: ReadonlySet<Feature>;
  readonly #workloads: readonly Workload[];
  readonly #wanted = new Map<string, number>(); // by app: replicas
  readonly #peaks = new Map<string, { readonly replicas: number; readonly atSecond: number }[]>(); // of the last minutes
  #troubles: Trouble[] = [];
  #second = 0;
  #rollouts = 0;
  #isHealed = false;
  #serverBackSecond = 0; // when a server that died is started again
  #lastDeathMs = Number.NEGATIVE_INFINITY; // of a kubelet

  constructor(
    cluster: SimCluster,
    checkers: Checkers,
    draws: {
      readonly store: SeedStore;
      readonly chaos: Entropy;
      readonly features: ReadonlySet<Feature>;
      readonly workloads: readonly Workload[];
    },
  ) {
    this.#cluster = cluster;
    this.#checkers = checkers;
    this.#store = draws.store;
    this.#chaos = draws.chaos;
    this.#features = draws.features;
    this.#workloads = draws.workloads;
    for (const { name, replicas } of draws.workloads) if (replicas !== undefined) this.#want(name, replicas);
    // Those of a rolling update are counted at rest: its replica sets follow it one after the other.
    const exact = draws.workloads.filter(({ surge }) => surge === 0);
    checkers.cluster.afterPod = () => this.#checkCounts(exact);
  }

  /** Whether the last words of a kubelet may still be on their way. */
  get hasLateWords(): boolean {
    return this.#cluster.clock.monoMs() - this.#lastDeathMs < lateWordsMsMax;
  }

  get wanted(): ReadonlyMap<string, number> {
    return this.#wanted;
  }

  /** Those that take what room is left: not all of them need to run. */
  get fillers(): ReadonlySet<string> {
    return new Set(this.#workloads.filter(({ isFiller }) => isFiller).map(({ name }) => name));
  }

  /** What is not as it should be at rest, by what was seen on the way. */
  unrest(): readonly string[] {
    // When the answer to a create is lost, a job makes one more, and ends it when it is complete: nobody counts that.
    return this.#features.has('lossyControl') ? [] : this.#checkers.job.unrest();
  }

  #want(app: string, replicas: number): void {
    const before = this.#wanted.get(app) ?? 0; // was wanted until now, however long ago it was asked for
    this.#wanted.set(app, replicas);
    const recent = (this.#peaks.get(app) ?? []).filter(({ atSecond }) => atSecond > this.#second - 120);
    this.#peaks.set(app, [...recent, { replicas: Math.max(before, replicas), atSecond: this.#second }]);
  }

  #happens(feature: Feature, share: number): boolean {
    const draw = this.#chaos.unit();
    // On a full node a pod that left before its containers did has its successor rejected, and that one's, and so on,
    // as fast as they can be made (upstream too, at 20 a second).
    const isLeft = this.#features.has('priorities') && (feature === 'forcedDeletes' || feature === 'nodeDeletes');
    return this.#features.has(feature) && draw < share && !isLeft;
  }

  #pick<T>(from: readonly T[]): T | undefined {
    return from[Math.floor(this.#chaos.unit() * from.length)];
  }

  /** What happens in one second. */
  async disturb(): Promise<void> {
    this.#second += 1;
    if (this.#happens('serverCrashes', 0.005)) await this.#crashServer();
    if (this.#second >= this.#serverBackSecond) await this.#startServer();
    for (const trouble of this.#troubles.filter(({ untilSecond }) => untilSecond <= this.#second)) this.#end(trouble);
    if (this.#happens('deaths', 0.05)) this.#killOne();
    if (this.#happens('powerOffs', 0.01))
      this.#trouble((node) => (this.#killKubelet(() => node.powerOff()), () => node.powerOn()));
    if (this.#happens('partitions', 0.01)) this.#trouble((node) => (node.partition(), () => node.heal()));
    if (this.#happens('pauses', 0.01)) this.#trouble((node) => (node.pause(), () => node.resume()));
    if (this.#happens('kubeletCrashes', 0.01)) {
      this.#trouble((node) => (this.#killKubelet(() => node.kubelet?.crash()), () => void node.startKubelet()), 2);
    }
    if (!this.#cluster.control.isRunning) return; // nobody to tell
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

  #killKubelet(kill: () => void): void {
    this.#lastDeathMs = this.#cluster.clock.monoMs();
    kill();
  }

  /** The process of the API server, the scheduler and the controllers dies, with what was not durable yet. */
  async #crashServer(): Promise<void> {
    const { control, clock } = this.#cluster;
    if (!control.isRunning) return;
    this.#serverBackSecond = this.#second + (this.#pick([0, 5, 20, 90]) ?? 0);
    await this.#ask(this.#startOfWrite());
    control.crash();
    this.#checkers.podWatch.onServerDeath();
    await settled(clock, this.#store.crash(this.#chaos.unit() < 0.5, never));
  }

  /** Something that is being written just then. */
  async #startOfWrite(): Promise<void> {
    const { client } = this.#cluster;
    const body = { metadata: { labels: { second: String(this.#second) } } };
    client.patch(resources.namespaces, { name: namespace }, { type: 'merge', body }, never).catch(() => {});
  }

  async #startServer(): Promise<void> {
    const { control, clock } = this.#cluster;
    if (!control.isRunning) await settled(clock, control.start());
  }

  /** All is well again. */
  async heal(): Promise<void> {
    this.#isHealed = true;
    await this.#startServer();
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
    const name = this.#pick(this.#checkers.cluster.pods)?.metadata?.name;
    if (name === undefined) return;
    if (gracePeriodSeconds === 0) this.#checkers.life.onForcedDelete(name);
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
    const replicas = 1 + Math.floor(this.#chaos.unit() * workload.replicasMax);
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
    const { nodes, scope, clock, control } = this.#cluster;
    const failure =
      scope.failure ?? control.failure ?? nodes.map((node) => node.failure).find((found) => found !== undefined);
    if (failure !== undefined) throw failure;
    if (clock.pendingCount > 200 + 300 * nodes.length) {
      const names = clock.pendingNames().slice(-20).join(' ');
      throw new InvariantError(`timers pile up: ${clock.pendingCount}, the last ${names}`);
    }
    this.#checkers.life.check();
    const troubled = new Set(this.#troubles.map(({ node }) => node));
    const mayLose = this.#features.has('lossyControl') && !this.#isHealed;
    const isReached = (node: SimulatedNode): boolean => !troubled.has(node) && control.isRunning;
    this.#checkers.cluster.check(nodes, isReached, mayLose || !control.isRunning);
    this.#checkers.job.check();
    this.#checkers.podWatch.check(this.#store.takePodChanges());
    this.#checkCounts(this.#workloads);
  }

  #checkCounts(workloads: readonly Workload[]): void {
    if (this.#features.has('lossyControl')) return; // a lost answer to a create makes one more, for a moment
    for (const { name, surge, replicas } of workloads) {
      if (replicas === undefined) continue;
      const peak = Math.max(this.#wanted.get(name) ?? 0, ...(this.#peaks.get(name) ?? []).map((one) => one.replicas));
      const count = this.#checkers.cluster.activeOf(name).length;
      invariant(count <= peak + surge, `${count} pods of ${name}, where ${peak} and ${surge} more may be`);
    }
  }
}
