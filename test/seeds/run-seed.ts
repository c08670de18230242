import { createHash } from 'node:crypto';
import type { Container, Pod } from '../../src/api/gen/types.ts';
import { resources } from '../../src/api/resources.ts';
import type { Entropy } from '../../src/base/entropy.ts';
import { InvariantError, hasReason, invariant } from '../../src/base/status-error.ts';
import type { StatusError } from '../../src/base/status-error.ts';
import { podLabels } from '../../src/cri/runtime.ts';
import type { ScriptRule } from '../../src/sim/container-script.ts';
import { SeededFaults } from '../../src/sim/faults.ts';
import { SeededEntropy } from '../../src/sim/seeded-entropy.ts';
import { tutorialRules } from '../../src/sim/tutorial-scripts.ts';
import { never, settled, startSimCluster } from '../support/sim-cluster.ts';
import { LifeChecker } from './life-checker.ts';

/**
 * One run of a cluster in virtual time, drawn from a seed: its pods, what happens to them, and what goes wrong. First ten
 * minutes with faults, in which only what must never happen is looked for; then the faults stop, and the cluster must come
 * to rest as it was told.
 */
export interface SeedResult {
  /** Of every timer that fired and every change that a watch saw. */
  readonly trace: string;
  readonly firedCount: number;
  readonly virtualMinutes: number;
  /** Which fault sites were armed. */
  readonly armed: readonly string[];
}

const safetyMinutes = 10;
/** The crash-loop back-off's 300 s, a sync late, twice. */
const livenessMinutes = 12;
const namespace = 'default';
const timersMax = 400;

type SimCluster = Awaited<ReturnType<typeof startSimCluster>>;

const rules: readonly ScriptRule[] = [
  ...tutorialRules('10.244.0.1'),
  { command: ['serve'], script: { onStop: { afterMs: 500, exitCode: 0 } } },
  { command: ['deaf'], script: {} },
  { command: ['brief'], script: { exit: { afterMs: 20_000, exitCode: 0 }, onStop: 'die' } },
  { command: ['broken'], script: { exit: { afterMs: 700, exitCode: 3 }, onStop: 'die' } },
];

const container = (name: string, command: string, rest: Partial<Container> = {}): Container => ({
  name,
  image: 'busybox:1.29',
  command: [command],
  ...rest,
});

const kubia: Container = {
  name: 'kubia',
  image: 'luksa/kubia-unhealthy',
  imagePullPolicy: 'IfNotPresent',
  livenessProbe: { httpGet: { path: '/', port: 8080 }, periodSeconds: 5 },
};

/** The kinds of pods that a run draws from; `rests`: what it must be when nothing goes wrong any more. */
const kinds: readonly {
  readonly spec: NonNullable<Pod['spec']>;
  readonly rests: 'running' | 'ended' | 'restarting';
}[] = [
  { rests: 'running', spec: { containers: [container('a', 'serve')] } },
  { rests: 'running', spec: { containers: [container('a', 'deaf'), container('b', 'serve')] } },
  { rests: 'restarting', spec: { containers: [kubia] } },
  { rests: 'restarting', spec: { containers: [container('a', 'broken')] } },
  { rests: 'ended', spec: { restartPolicy: 'Never', containers: [container('a', 'broken')] } },
  { rests: 'ended', spec: { restartPolicy: 'OnFailure', containers: [container('a', 'brief')] } },
  {
    rests: 'running',
    spec: {
      initContainers: [container('first', 'brief'), container('side', 'serve', { restartPolicy: 'Always' })],
      containers: [container('main', 'serve')],
    },
  },
];

class Run {
  readonly #cluster: SimCluster;
  readonly #chaos: Entropy;
  /** Switched on in half of the runs each: one kind of noise can hide another bug. */
  readonly #features: ReadonlyMap<string, boolean>;
  #kubelet: ReturnType<SimCluster['startKubelet']>;
  #podCount = 0;
  readonly #wanted = new Map<string, (typeof kinds)[number]['rests']>(); // by name; those that nobody deleted

  constructor(cluster: SimCluster, entropy: Entropy) {
    this.#cluster = cluster;
    this.#kubelet = cluster.node;
    this.#chaos = entropy.fork('chaos');
    this.#features = new Map(
      ['deaths', 'deletes', 'runtimeRestarts', 'kubeletRestarts'].map((name) => [
        name,
        entropy.fork(name).unit() < 0.5,
      ]),
    );
  }

  get wanted(): ReadonlyMap<string, (typeof kinds)[number]['rests']> {
    return this.#wanted;
  }

  /** What happens in one second. */
  async disturb(): Promise<void> {
    if (this.#podCount < 4 || (this.#chaos.unit() < 0.01 && this.#podCount < 12)) await this.#create();
    if (this.#happens('deaths', 0.05)) this.#killOne();
    if (this.#happens('deletes', 0.01)) await this.#deleteOne();
    if (this.#happens('runtimeRestarts', 0.005)) {
      this.#cluster.scope.start((signal) => this.#cluster.runtime.restart(3_000, signal).catch(() => {}));
    }
    if (this.#happens('kubeletRestarts', 0.005)) await this.#restartKubelet();
  }

  #happens(feature: string, share: number): boolean {
    const draw = this.#chaos.unit();
    return this.#features.get(feature) === true && draw < share;
  }

  #pick<T>(from: readonly T[]): T | undefined {
    return from[Math.floor(this.#chaos.unit() * from.length)];
  }

  async #create(): Promise<void> {
    const kind = this.#pick(kinds);
    if (kind === undefined) return;
    const name = `pod-${this.#podCount++}`;
    const graces = [1, 5, 30];
    const spec = { ...kind.spec, terminationGracePeriodSeconds: this.#pick(graces) ?? 30 };
    const pod: Pod = { metadata: { name }, spec };
    await settled(this.#cluster.clock, this.#cluster.client.create(resources.pods, { namespace }, pod, never));
    this.#wanted.set(name, kind.rests);
  }

  #killOne(): void {
    const victim = this.#pick(this.#cluster.runtime.runningContainers());
    if (victim === undefined) return;
    if (this.#chaos.unit() < 0.3) this.#cluster.runtime.oomKill(victim.id);
    else this.#cluster.runtime.endContainer(victim.id, 1);
  }

  async #deleteOne(): Promise<void> {
    const name = this.#pick([...this.#wanted.keys()]);
    if (name === undefined) return;
    this.#wanted.delete(name);
    const { clock, client } = this.#cluster;
    const deleting = client.delete(resources.pods, { namespace, name }, {}, never);
    await settled(
      clock,
      deleting.catch((error: StatusError) => {
        if (!hasReason(error, 'NotFound')) throw error;
      }),
    );
  }

  /** Its tasks end, its containers do not; then a new one takes over. */
  async #restartKubelet(): Promise<void> {
    const { clock } = this.#cluster;
    await settled(clock, this.#kubelet.scope.close());
    await clock.advance(2_000);
    this.#kubelet = this.#cluster.startKubelet();
  }

  /** A failure of the node's tasks, if there is one. */
  check(): void {
    const failure = this.#cluster.scope.failure ?? this.#kubelet.scope.failure;
    if (failure !== undefined) throw failure;
    const timers = this.#cluster.clock.pendingNames();
    invariant(timers.length <= timersMax, `timers pile up: ${timers.length}, the last ${timers.slice(-20).join(' ')}`);
  }
}

/** What is not as it should be at rest. */
function unrest(pods: readonly Pod[], wanted: Run['wanted'], cluster: SimCluster): string[] {
  const found: string[] = [];
  for (const [name, rests] of wanted) {
    const pod = pods.find(({ metadata }) => metadata?.name === name);
    const phase = pod?.status?.phase;
    if (rests === 'ended' ? phase !== 'Succeeded' && phase !== 'Failed' : phase !== 'Running') {
      found.push(`${name} is ${phase ?? 'missing'}`);
    }
    const ready = pod?.status?.conditions?.find(({ type }) => type === 'Ready')?.status;
    if (rests === 'running' && ready !== 'True') found.push(`${name} is not ready`);
  }
  for (const pod of pods) {
    const name = pod.metadata?.name ?? '';
    if (!wanted.has(name)) found.push(`${name} was deleted and is still there`);
  }
  const uids = new Set(pods.map(({ metadata }) => metadata?.uid));
  for (const running of cluster.runtime.runningContainers()) {
    const uid = running.labels[podLabels.podUid];
    if (!uids.has(uid)) found.push(`container ${running.metadata.name} of pod ${uid} runs, which is not there`);
  }
  return found;
}

export async function runSeed(seed: string, disarmed: ReadonlySet<string> = new Set()): Promise<SeedResult> {
  const hash = createHash('sha256');
  const entropy = new SeededEntropy(seed);
  const faults = new SeededFaults(entropy.fork('faults'), disarmed);
  const cluster = await startSimCluster(seed, {
    faults,
    rules,
    onFire: (name, atMs) => hash.update(`${atMs} ${name}\n`),
  });
  const { clock, client } = cluster;
  const checker = new LifeChecker(() => cluster.runtime.runningContainers());
  cluster.scope.start(async (signal) => {
    for await (const event of client.watch(resources.pods, { namespace }, signal)) {
      hash.update(`${JSON.stringify(event)}\n`);
      if (event.type !== 'BOOKMARK') checker.onEvent(event.type, event.object);
    }
    if (!signal.aborted) throw new InvariantError('the watch of the checker ended');
  });
  const run = new Run(cluster, entropy);
  for (let second = 0; second < safetyMinutes * 60; second++) {
    await clock.advance(1_000);
    run.check();
    checker.check();
    await run.disturb();
  }
  faults.heal();
  for (let second = 0; second < livenessMinutes * 60; second += 5) {
    await clock.advance(5_000);
    run.check();
    checker.check();
  }
  const list = await settled(clock, client.list(resources.pods, { namespace }, never));
  const left = unrest(list.items, run.wanted, cluster);
  invariant(left.length === 0, `not at rest ${livenessMinutes} minutes after the faults: ${left.join('; ')}`);
  await cluster.close();
  return {
    trace: hash.digest('hex'),
    firedCount: clock.firedCount,
    virtualMinutes: safetyMinutes + livenessMinutes,
    armed: faults.sites.filter(({ isArmed }) => isArmed).map(({ site }) => site),
  };
}
