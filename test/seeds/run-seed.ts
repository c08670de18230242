import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { DeleteOptions, Pod } from '../../src/api/gen/types.ts';
import { quantityMilliValue, quantityOf } from '../../src/api/quantity.ts';
import { resources } from '../../src/api/resources.ts';
import type { Entropy } from '../../src/base/entropy.ts';
import { noLog } from '../../src/base/log.ts';
import { InvariantError, hasReason, invariant, unreachable } from '../../src/base/status-error.ts';
import type { StatusError } from '../../src/base/status-error.ts';
import { ListWatchInformer } from '../../src/client/list-watch-informer.ts';
import { podLabels } from '../../src/cri/runtime.ts';
import type { ProbeAttempt } from '../../src/kubelet/probes/prober.ts';
import { SeededFaults } from '../../src/sim/faults.ts';
import { SeededEntropy } from '../../src/sim/seeded-entropy.ts';
import { never, settled, startSimCluster } from '../support/sim-cluster.ts';
import { LifeChecker } from './life-checker.ts';
import { configMapName, podKinds, seedImages, seedRules } from './pod-kinds.ts';
import type { Rest } from './pod-kinds.ts';

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
const longRestShare = 0.25; // of the runs go on that long even when they have come to rest
const namespace = 'default';
const timersMax = 400;

const features = [
  'deaths',
  'deletes',
  'secondDeletes',
  'forcedDeletes',
  'namesAgain',
  'runtimeRestarts',
  'kubeletRestarts',
  'kubeletCrashes',
] as const;

type SimCluster = Awaited<ReturnType<typeof startSimCluster>>;

class Run {
  readonly #cluster: SimCluster;
  readonly #checker: LifeChecker;
  readonly #chaos: Entropy;
  /** Switched on in half of the runs each: one kind of noise can hide another bug. */
  readonly #features: ReadonlyMap<(typeof features)[number], boolean>;
  #podCount = 0;
  #hasForced = false;
  readonly #wanted = new Map<string, Rest>(); // by name; those that nobody deleted
  readonly #deleted: string[] = []; // names, also of those that are on their way

  constructor(cluster: SimCluster, checker: LifeChecker, entropy: Entropy) {
    this.#cluster = cluster;
    this.#checker = checker;
    this.#chaos = entropy.fork('chaos');
    this.#features = new Map(features.map((name) => [name, entropy.fork(name).unit() < 0.5]));
  }

  /** Some pod left the API before its containers ended. */
  get hasForced(): boolean {
    return this.#hasForced;
  }

  get wanted(): ReadonlyMap<string, Rest> {
    return this.#wanted;
  }

  /** What happens in one second. */
  async disturb(): Promise<void> {
    if (this.#podCount < 4 || (this.#chaos.unit() < 0.01 && this.#podCount < 12)) await this.#create();
    if (this.#happens('deaths', 0.05)) this.#killOne();
    if (this.#happens('deletes', 0.01)) await this.#deleteOne({});
    if (this.#happens('forcedDeletes', 0.005)) await this.#deleteOne({ gracePeriodSeconds: 0 });
    if (this.#happens('secondDeletes', 0.02)) await this.#deleteAgain();
    if (this.#happens('runtimeRestarts', 0.005)) {
      this.#cluster.scope.start((signal) => this.#cluster.runtime.restart(3_000, signal).catch(() => {}));
    }
    if (this.#happens('kubeletRestarts', 0.005)) await this.#restartKubelet();
    if (this.#happens('kubeletCrashes', 0.005)) await this.#crashKubelet();
  }

  #happens(feature: (typeof features)[number], share: number): boolean {
    const draw = this.#chaos.unit();
    return this.#features.get(feature) === true && draw < share;
  }

  #pick<T>(from: readonly T[]): T | undefined {
    return from[Math.floor(this.#chaos.unit() * from.length)];
  }

  async #create(): Promise<void> {
    const kind = this.#pick(podKinds);
    if (kind === undefined) return;
    const again = this.#happens('namesAgain', 0.5) ? this.#pick(this.#deleted) : undefined;
    const name = again ?? `pod-${this.#podCount}`;
    this.#podCount += 1;
    const graces = [1, 5, 30];
    const spec = { terminationGracePeriodSeconds: this.#pick(graces) ?? 30, ...kind.spec };
    const pod: Pod = { metadata: { name }, spec };
    const { clock, client } = this.#cluster;
    const isMade = await settled(
      clock,
      client.create(resources.pods, { namespace }, pod, never).then(
        () => true,
        (error: StatusError) => {
          if (!hasReason(error, 'AlreadyExists')) throw error;
          return false;
        },
      ),
    );
    if (isMade) this.#wanted.set(name, kind.rests);
  }

  #killOne(): void {
    const victim = this.#pick(this.#cluster.runtime.runningContainers());
    if (victim === undefined) return;
    if (this.#chaos.unit() < 0.3) this.#cluster.runtime.oomKill(victim.id);
    else this.#cluster.runtime.endContainer(victim.id, 1);
  }

  async #deleteOne(options: DeleteOptions): Promise<void> {
    const name = this.#pick([...this.#wanted.keys()]);
    if (name === undefined) return;
    this.#wanted.delete(name);
    this.#deleted.push(name);
    await this.#delete(name, options);
  }

  /** One that is on its way already, or gone; in half of the cases shorter, and sometimes at once. */
  async #deleteAgain(): Promise<void> {
    const name = this.#pick(this.#deleted);
    if (name === undefined || this.#wanted.has(name)) return;
    await this.#delete(name, { gracePeriodSeconds: this.#pick([0, 1, 3, 10, 60]) ?? 3 });
  }

  async #delete(name: string, options: DeleteOptions): Promise<void> {
    const { clock, client } = this.#cluster;
    if (options.gracePeriodSeconds === 0) {
      this.#checker.onForcedDelete(name);
      this.#hasForced = true;
    }
    const deleting = client.delete(resources.pods, { namespace, name }, options, never);
    await settled(
      clock,
      deleting.catch((error: StatusError) => {
        if (!hasReason(error, 'NotFound')) throw error;
      }),
    );
  }

  /** Its tasks end, its containers do not; then a new one takes over. */
  async #restartKubelet(): Promise<void> {
    const { clock, machine } = this.#cluster;
    if (machine.kubelet !== undefined) await settled(clock, machine.kubelet.scope.close());
    await clock.advance(2_000);
    machine.startKubelet();
  }

  /** It dies in the middle of whatever it was doing. */
  async #crashKubelet(): Promise<void> {
    const { clock, machine } = this.#cluster;
    machine.kubelet?.crash();
    await clock.advance(2_000);
    machine.startKubelet();
  }

  /** A failure of the node's tasks, if there is one. */
  check(): void {
    const { scope, control, machine } = this.#cluster;
    const failure = scope.failure ?? control.failure ?? machine.failure;
    if (failure !== undefined) throw failure;
    const { clock } = this.#cluster;
    if (clock.pendingCount <= timersMax) return;
    const names = clock.pendingNames().slice(-20).join(' ');
    throw new InvariantError(`timers pile up: ${clock.pendingCount}, the last ${names}`);
  }
}

/** What is not as it should be at rest. */
function unrest(pods: readonly Pod[], run: Run, cluster: SimCluster): string[] {
  const found: string[] = [];
  const { wanted } = run;
  for (const [name, rests] of wanted) {
    const pod = pods.find(({ metadata }) => metadata?.name === name);
    if (pod === undefined) found.push(`${name} is missing`);
    else if (pod.spec?.nodeName === undefined) found.push(...(isTooLarge(pod, pods) ? [] : [`${name} has no node`]));
    else if (run.hasForced && pod.status?.reason === 'OutOfcpu') continue; // its predecessor was still on its way out
    else if (!restsAs(pod, rests)) found.push(`${name} is ${pod.status?.phase}, not ${rests}`);
  }
  for (const pod of pods) {
    const name = pod.metadata?.name ?? '';
    if (!wanted.has(name)) found.push(`${name} was deleted and is still there`);
  }
  const uids = new Set(pods.map(({ metadata }) => metadata?.uid));
  for (const { labels, metadata } of cluster.runtime.runningContainers()) {
    const uid = labels[podLabels.podUid];
    if (!uids.has(uid)) found.push(`container ${metadata.name} of pod ${uid} runs, which is not there`);
  }
  for (const file of cluster.files.paths()) {
    const [uid] = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/.exec(file) ?? [];
    if (uid !== undefined && !uids.has(uid)) found.push(`${file} is left of a pod that is not there`);
  }
  return found;
}

function restsAs({ status }: Pod, rests: Rest): boolean {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready')?.status;
  switch (rests) {
    case 'ended':
      return status?.phase === 'Succeeded' || status?.phase === 'Failed';
    case 'pending':
      return status?.phase === 'Pending' && status.startTime !== undefined;
    case 'restarting':
      return status?.phase === 'Running';
    case 'running':
      return status?.phase === 'Running' && ready === 'True';
    default:
      return unreachable(rests);
  }
}

const cpuMilliOfNode = 2_000;

function cpuMilliOf({ spec }: Pod): number {
  return (spec?.containers ?? []).reduce((sum, { resources: wanted }) => {
    return sum + quantityMilliValue(quantityOf(wanted?.requests?.['cpu']));
  }, 0);
}

/** By the pods that have a node and have not ended. */
function cpuMilliInUse(pods: readonly Pod[]): number {
  return pods
    .filter(
      ({ spec, status }) => spec?.nodeName !== undefined && !['Succeeded', 'Failed'].includes(status?.phase ?? ''),
    )
    .reduce((sum, pod) => sum + cpuMilliOf(pod), 0);
}

function isTooLarge(pod: Pod, pods: readonly Pod[]): boolean {
  return cpuMilliInUse(pods) + cpuMilliOf(pod) > cpuMilliOfNode;
}

/** By name; without what an item of a list need not say. */
export function sorted(pods: readonly Pod[]): readonly unknown[] {
  const comparable = pods.map(({ metadata, spec, status }) => ({ metadata, spec, status }));
  return comparable.sort((a, b) => ((a.metadata?.name ?? '') < (b.metadata?.name ?? '') ? -1 : 1));
}

/** At rest, a container that ends is shown as ended at once, not at the next look at everything. */
async function checkDeathIsSeen({ clock, client, runtime }: SimCluster): Promise<void> {
  const [victim] = runtime.runningContainers();
  if (victim === undefined) return;
  runtime.endContainer(victim.id, 1);
  await clock.advance(1_000);
  const list = await settled(clock, client.list(resources.pods, { namespace }, never));
  const pod = list.items.find(({ metadata }) => metadata?.uid === victim.labels[podLabels.podUid]);
  const statuses = [...(pod?.status?.initContainerStatuses ?? []), ...(pod?.status?.containerStatuses ?? [])];
  const shown = statuses.find(({ name }) => name === victim.metadata.name);
  const isStill = shown?.state?.running !== undefined && shown.containerID?.endsWith(victim.id) === true;
  invariant(!isStill, `${pod?.metadata?.name}: ${victim.metadata.name} ended a second ago and is shown as running`);
}

function checkFits(pods: readonly Pod[]): void {
  const usedMilli = cpuMilliInUse(pods);
  invariant(usedMilli <= cpuMilliOfNode, `pods ask for ${usedMilli} milli-CPUs of their node`);
}

/** A cache over a connection that loses things; each object in it only gets newer. */
export function startInformer({
  clock,
  entropy,
  scope,
  clientThrough,
}: Pick<SimCluster, 'clock' | 'entropy' | 'scope' | 'clientThrough'>): ListWatchInformer<Pod> {
  const client = clientThrough('informer');
  const informer = new ListWatchInformer<Pod>({
    client,
    type: resources.pods,
    clock,
    entropy: entropy.fork('informer'),
    log: noLog,
  });
  informer.onChange(({ previous, current }) => {
    if (previous === undefined || current === undefined) return;
    if (previous.metadata?.uid !== current.metadata?.uid) return;
    const [before, now] = [previous, current].map(({ metadata }) => Number(metadata?.resourceVersion));
    invariant((before ?? 0) < (now ?? 0), `the informer went from revision ${before} to ${now}`);
  });
  scope.start((signal) => informer.run(signal));
  return informer;
}

export async function runSeed(seed: string, disarmed: ReadonlySet<string> = new Set()): Promise<SeedResult> {
  const hash = createHash('sha256');
  const entropy = new SeededEntropy(seed);
  const faults = new SeededFaults(entropy.fork('faults'), disarmed);
  const attempts: ProbeAttempt[] = []; // of which the checker has not been told
  const cluster = await startSimCluster(seed, {
    onProbeAttempt: (attempt) => attempts.push(attempt),
    faults,
    rules: seedRules,
    images: seedImages,
    onFire: (name, atMs) => hash.update(`${atMs} ${name}\n`),
  });
  const { clock, client } = cluster;
  const checker = new LifeChecker(() => cluster.runtime.runningContainers());
  const pods = startInformer(cluster);
  const settings = { metadata: { name: configMapName }, data: { color: 'red' } };
  await settled(clock, client.create(resources.configmaps, { namespace }, settings, never));
  cluster.scope.start(async (signal) => {
    for await (const event of client.watch(resources.pods, { namespace }, signal)) {
      hash.update(`${JSON.stringify(event)}\n`);
      if (event.type === 'BOOKMARK') continue;
      for (const attempt of attempts.splice(0)) checker.onAttempt(attempt);
      checker.onEvent(event.type, event.object);
    }
    if (!signal.aborted) throw new InvariantError('the watch of the checker ended');
  });
  const run = new Run(cluster, checker, entropy);
  for (let second = 0; second < safetyMinutes * 60; second++) {
    await clock.advance(1_000);
    run.check();
    checker.check();
    checkFits(pods.list());
    await run.disturb();
  }
  faults.heal();
  const isLong = entropy.fork('longRest').unit() < longRestShare;
  let left: readonly string[] = ['not looked at'];
  let minutes = 0;
  for (; minutes < livenessMinutes && (isLong || left.length > 0); minutes++) {
    for (let step = 0; step < 12; step++) {
      await clock.advance(5_000);
      run.check();
      checker.check();
    }
    const list = await settled(clock, client.list(resources.pods, { namespace }, never));
    left = unrest(list.items, run, cluster);
  }
  invariant(left.length === 0, `not at rest ${minutes} minutes after the faults: ${left.join('; ')}`);
  const { items } = await settled(clock, client.list(resources.pods, { namespace }, never));
  assert.deepEqual(sorted(pods.list()), sorted(items), 'the cache of an informer at rest is not as the store');
  await checkDeathIsSeen(cluster);
  await cluster.close();
  return {
    trace: hash.digest('hex'),
    firedCount: clock.firedCount,
    virtualMinutes: safetyMinutes + minutes,
    armed: faults.sites.filter(({ isArmed }) => isArmed).map(({ site }) => site),
  };
}
