import type { Deployment, DeploymentCondition, DeploymentStatus, Pod, ReplicaSet } from '../../api/gen/types.ts';
import { resources } from '../../api/resources.ts';
import { sameValue } from '../../api/validation/same-value.ts';
import type { Clock } from '../../base/clock.ts';
import { StatusError, hasReason } from '../../base/status-error.ts';
import type { Client } from '../../client/client.ts';
import type { EventRecorder } from '../../client/event-recorder.ts';
import { controllerOf } from '../owned-pods/controller-ref.ts';
import { referenceOf } from '../owned-pods/pod-control.ts';
import { hasEnded } from '../owned-pods/pod-readiness.ts';
import {
  conditionIn,
  conditionOf,
  countStatus,
  hasHistoryLimit,
  hasProgressDeadline,
  isComplete,
  progressDeadlineInMs,
  rolloutStatus,
  withCondition,
} from './deployment-status.ts';
import {
  isRolling,
  isSaturated,
  maxSurge,
  newReplicaSetSize,
  proportionalSizes,
  shrinkOld,
  sizeOf,
  sum,
  wantedReplicas,
} from './replica-set-math.ts';
import type { Resize } from './replica-set-math.ts';
import {
  byCreation,
  byRevision,
  desiredAnnotation,
  findNewReplicaSet,
  hasTemplate,
  makeReplicaSet,
  maxAnnotation,
  maxRevision,
  newAnnotations,
  revisionAnnotation,
  templateHash,
} from './revisions.ts';

export interface DeploymentSyncDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly events: EventRecorder;
  /** Told of each replica set that was made or changed. */
  readonly onWritten: (replicaSet: ReplicaSet) => void;
  /** Pods of a replica set, ended ones too. */
  readonly podsOf: (replicaSet: ReplicaSet) => readonly Pod[];
}

/** Nothing more can be done before the template changes, or what stands in the way goes. */
const stuck = 'stuck';

/** One look at one deployment and its replica sets. Every write is refused if its object has changed since. */
export class DeploymentSync {
  readonly #deps: DeploymentSyncDeps;
  #deployment: Deployment; // as the server answered last
  #replicaSets: readonly ReplicaSet[]; // the same

  constructor(deps: DeploymentSyncDeps, deployment: Deployment, replicaSets: readonly ReplicaSet[]) {
    this.#deps = deps;
    this.#deployment = deployment;
    this.#replicaSets = replicaSets;
  }

  /** When to look again, in ms, if nothing happens before. Upstream: `syncDeployment`. */
  async run(signal: AbortSignal): Promise<number | undefined> {
    if (this.#deployment.metadata?.deletionTimestamp !== undefined) {
      await this.#writeStatus(this.#counts(this.#newest()), signal);
      return undefined;
    }
    await this.#notePause(signal);
    if (this.#deployment.spec?.paused === true || this.#isScaled()) return this.#scale(signal);
    return isRolling(this.#deployment) ? this.#roll(signal) : this.#recreate(signal);
  }

  get #nowWallMs(): number {
    return this.#deps.clock.wallMs();
  }

  #newest(): ReplicaSet | undefined {
    return findNewReplicaSet(this.#deployment, this.#replicaSets);
  }

  #others(newest: ReplicaSet | undefined): readonly ReplicaSet[] {
    return this.#replicaSets.filter((one) => one !== newest);
  }

  #counts(newest: ReplicaSet | undefined): DeploymentStatus {
    return countStatus(this.#deployment, this.#replicaSets, newest, this.#nowWallMs);
  }

  /** The progress deadline counts neither while it is paused nor from before. */
  async #notePause(signal: AbortSignal): Promise<void> {
    const { status = {}, spec } = this.#deployment;
    if (!hasProgressDeadline(this.#deployment)) return;
    const reason = conditionIn(status.conditions, 'Progressing')?.reason;
    if (reason === 'ProgressDeadlineExceeded') return;
    const isPaused = spec?.paused === true;
    if (isPaused === (reason === 'DeploymentPaused')) return;
    const [next, message] = isPaused
      ? (['DeploymentPaused', 'Deployment is paused'] as const)
      : (['DeploymentResumed', 'Deployment is resumed'] as const);
    await this.#writeCondition(conditionOf('Progressing', 'Unknown', next, message, this.#nowWallMs), signal);
  }

  /** Whether its own size has changed since the sizes of its replica sets were decided. */
  #isScaled(): boolean {
    return this.#replicaSets.some((one) => {
      const desired = one.metadata?.annotations?.[desiredAnnotation];
      return sizeOf(one) > 0 && desired !== undefined && Number(desired) !== wantedReplicas(this.#deployment);
    });
  }

  /** Paused or scaled: sizes change, templates do not. Upstream: `sync`. */
  async #scale(signal: AbortSignal): Promise<undefined> {
    const newest = await this.#syncNewest(false, signal);
    if (newest === stuck) return;
    for (const resize of this.#scaledSizes(newest)) await this.#resize(resize, signal);
    if (this.#deployment.spec?.paused === true) await this.#cleanUp(this.#newest(), signal);
    await this.#writeStatus(this.#counts(this.#newest()), signal);
  }

  #scaledSizes(newest: ReplicaSet | undefined): readonly Resize[] {
    const replicas = wantedReplicas(this.#deployment);
    const active = this.#replicaSets.filter((one) => sizeOf(one) > 0);
    const newestOld = [...this.#others(newest)].sort(byCreation).at(-1);
    const only = active.length === 0 ? (newest ?? newestOld) : active.length === 1 ? active[0] : undefined;
    // Also one that has the size already: while its annotation says another, the deployment would count as scaled for
    // ever, and never roll (as upstream's does).
    if (only !== undefined) return [{ replicaSet: only, replicas }];
    if (active.length === 0) return [];
    if (isSaturated(this.#deployment, newest)) {
      return active.filter((one) => one !== newest).map((replicaSet) => ({ replicaSet, replicas: 0 }));
    }
    return isRolling(this.#deployment) ? proportionalSizes(this.#deployment, active) : [];
  }

  /** Upstream: `rolloutRolling`. */
  async #roll(signal: AbortSignal): Promise<number | undefined> {
    const newest = await this.#syncNewest(true, signal);
    if (newest === stuck || newest === undefined) return undefined;
    const replicas = wantedReplicas(this.#deployment);
    const wanted =
      sizeOf(newest) >= replicas ? replicas : newReplicaSetSize(this.#deployment, this.#replicaSets, newest);
    if (wanted !== sizeOf(newest)) {
      await this.#resize({ replicaSet: newest, replicas: wanted }, signal);
      return this.#writeRollout(signal);
    }
    const active = this.#others(newest).filter((one) => sizeOf(one) > 0);
    const shrinking = active.length === 0 ? [] : shrinkOld(this.#deployment, newest, active);
    for (const resize of shrinking) await this.#resize(resize, signal);
    if (shrinking.length === 0) await this.#cleanUpIfComplete(newest, signal);
    return this.#writeRollout(signal);
  }

  /** All old pods go before the first new one comes. Upstream: `rolloutRecreate`. */
  async #recreate(signal: AbortSignal): Promise<number | undefined> {
    const existing = await this.#syncNewest(false, signal);
    if (existing === stuck) return undefined;
    const active = this.#others(existing).filter((one) => sizeOf(one) > 0);
    for (const replicaSet of active) await this.#resize({ replicaSet, replicas: 0 }, signal);
    if (active.length > 0 || this.#hasOldPods(existing)) return this.#writeRollout(signal);
    const newest = existing ?? (await this.#syncNewest(true, signal));
    if (newest === stuck || newest === undefined) return undefined;
    await this.#resize({ replicaSet: newest, replicas: wantedReplicas(this.#deployment) }, signal);
    await this.#cleanUpIfComplete(this.#newest(), signal);
    return this.#writeRollout(signal);
  }

  /** Those that are still ending count: they may hold what the new ones need. */
  #hasOldPods(newest: ReplicaSet | undefined): boolean {
    const old = this.#others(newest);
    if (sum(old, ({ status }) => status?.replicas ?? 0) > 0) return true;
    return old.some((one) => this.#deps.podsOf(one).some((pod) => !hasEnded(pod)));
  }

  async #writeRollout(signal: AbortSignal): Promise<number | undefined> {
    const status = rolloutStatus(this.#deployment, this.#replicaSets, this.#newest(), this.#nowWallMs);
    await this.#writeStatus(status, signal);
    if (isComplete(this.#deployment, status)) return undefined;
    const leftMs = progressDeadlineInMs(this.#deployment, status.conditions, this.#nowWallMs);
    return leftMs === undefined ? undefined : Math.max(leftMs, 0) + 1_000; // times are written in whole seconds
  }

  /** The replica set for the template, with its revision; made if it `mayMake` one. Upstream: `getNewReplicaSet`. */
  async #syncNewest(mayMake: boolean, signal: AbortSignal): Promise<ReplicaSet | undefined | typeof stuck> {
    const newest = this.#newest();
    const revision = maxRevision(this.#others(newest)) + 1n;
    if (newest === undefined) return mayMake ? this.#makeNewest(revision, signal) : undefined;
    const annotations = newAnnotations(this.#deployment, newest, revision);
    const { minReadySeconds } = this.#deployment.spec ?? {};
    if (
      !sameValue(annotations, newest.metadata?.annotations ?? {}) ||
      (newest.spec?.minReadySeconds ?? 0) !== (minReadySeconds ?? 0)
    ) {
      const { minReadySeconds: _before, ...spec } = newest.spec ?? { selector: {} };
      await this.#updateReplicaSet(
        newest,
        {
          ...newest,
          metadata: { ...newest.metadata, annotations },
          spec: minReadySeconds === undefined ? spec : { ...spec, minReadySeconds },
        },
        signal,
      );
      return this.#newest();
    }
    const isFirstLook =
      hasProgressDeadline(this.#deployment) &&
      conditionIn(this.#deployment.status?.conditions, 'Progressing') === undefined;
    const message = `Found new replica set "${newest.metadata?.name ?? ''}"`;
    const found = conditionOf('Progressing', 'True', 'FoundNewReplicaSet', message, this.#nowWallMs);
    await this.#noteRevision(annotations[revisionAnnotation] ?? '', isFirstLook ? found : undefined, signal);
    return newest;
  }

  async #makeNewest(revision: bigint, signal: AbortSignal): Promise<ReplicaSet | typeof stuck> {
    const template = this.#deployment.spec?.template ?? {};
    const hash = templateHash(template, this.#deployment.status?.collisionCount);
    const empty = makeReplicaSet(this.#deployment, hash);
    const replicas = newReplicaSetSize(this.#deployment, this.#replicaSets, undefined);
    const annotations = { ...newAnnotations(this.#deployment, empty, revision), ...this.#sizeAnnotations() };
    const wanted: ReplicaSet = {
      ...empty,
      metadata: { ...empty.metadata, annotations },
      spec: { ...empty.spec, selector: empty.spec?.selector ?? {}, replicas },
    };
    const made = await this.#createOrFind(wanted, signal);
    if (made === stuck) return stuck;
    const { replicaSet, isNew } = made;
    const name = replicaSet.metadata?.name ?? '';
    this.#deps.onWritten(replicaSet);
    this.#replicaSets = [...this.#replicaSets, replicaSet];
    if (isNew && replicas > 0)
      this.#say('Normal', 'ScalingReplicaSet', `Scaled up replica set ${name} from 0 to ${replicas}`);
    const created = conditionOf(
      'Progressing',
      'True',
      'NewReplicaSetCreated',
      `Created new replica set "${name}"`,
      this.#nowWallMs,
    );
    const isNoted = isNew && hasProgressDeadline(this.#deployment);
    await this.#noteRevision(String(revision), isNoted ? created : undefined, signal);
    return replicaSet;
  }

  async #createOrFind(
    wanted: ReplicaSet,
    signal: AbortSignal,
  ): Promise<{ readonly replicaSet: ReplicaSet; readonly isNew: boolean } | typeof stuck> {
    const { namespace = '', name = '' } = wanted.metadata ?? {};
    const { client } = this.#deps;
    try {
      const replicaSet = await client.create<ReplicaSet>(resources.replicasets, { namespace }, wanted, signal);
      return { replicaSet, isNew: true };
    } catch (error) {
      if (!(error instanceof StatusError) || signal.aborted) throw error;
      if (error.details?.causes?.some(({ reason }) => reason === 'NamespaceTerminating') === true) return stuck;
      if (error.reason !== 'AlreadyExists') {
        const message = `Failed to create new replica set "${name}": ${error.message}`;
        this.#say('Warning', 'ReplicaSetCreateError', message);
        const failed = conditionOf('Progressing', 'False', 'ReplicaSetCreateError', message, this.#nowWallMs);
        if (hasProgressDeadline(this.#deployment)) await this.#writeCondition(failed, signal);
        throw error;
      }
    }
    const found = await client.get<ReplicaSet>(resources.replicasets, { namespace, name }, signal);
    const isOwn = controllerOf(found)?.uid === this.#deployment.metadata?.uid;
    if (isOwn && hasTemplate(found, this.#deployment.spec?.template)) return { replicaSet: found, isNew: false };
    // Another template has the same hash: the next one is made with the count of such cases in it.
    const { status = {} } = this.#deployment;
    await this.#writeStatus({ ...status, collisionCount: (status.collisionCount ?? 0) + 1 }, signal);
    return stuck;
  }

  /** The deployment has the revision of its newest replica set. */
  async #noteRevision(
    revision: string,
    condition: DeploymentCondition | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { metadata, status = {} } = this.#deployment;
    const conditions = status.conditions ?? [];
    const next = condition === undefined ? conditions : withCondition(conditions, condition);
    if (metadata?.annotations?.[revisionAnnotation] === revision && next === conditions) return;
    const annotations = { ...metadata?.annotations, [revisionAnnotation]: revision };
    const noted = { ...this.#deployment, metadata: { ...metadata, annotations } };
    await this.#updateStatus(noted, { ...status, conditions: next }, signal);
  }

  #sizeAnnotations(): Readonly<Record<string, string>> {
    const replicas = wantedReplicas(this.#deployment);
    return {
      [desiredAnnotation]: String(replicas),
      [maxAnnotation]: String(replicas + maxSurge(this.#deployment)),
    };
  }

  async #resize({ replicaSet, replicas }: Resize, signal: AbortSignal): Promise<void> {
    const before = sizeOf(replicaSet);
    const annotations = { ...replicaSet.metadata?.annotations, ...this.#sizeAnnotations() };
    if (before === replicas && sameValue(annotations, replicaSet.metadata?.annotations)) return;
    const next: ReplicaSet = {
      ...replicaSet,
      metadata: { ...replicaSet.metadata, annotations },
      spec: { selector: {}, ...replicaSet.spec, replicas },
    };
    await this.#updateReplicaSet(replicaSet, next, signal);
    if (before === replicas) return;
    const direction = before < replicas ? 'up' : 'down';
    const name = replicaSet.metadata?.name ?? '';
    this.#say('Normal', 'ScalingReplicaSet', `Scaled ${direction} replica set ${name} from ${before} to ${replicas}`);
  }

  async #updateReplicaSet(before: ReplicaSet, next: ReplicaSet, signal: AbortSignal): Promise<void> {
    const { namespace = '', name = '' } = next.metadata ?? {};
    const updated = await this.#deps.client.update(resources.replicasets, { namespace, name }, next, signal);
    this.#deps.onWritten(updated);
    this.#replicaSets = this.#replicaSets.map((one) => (one === before ? updated : one));
  }

  async #cleanUpIfComplete(newest: ReplicaSet | undefined, signal: AbortSignal): Promise<void> {
    if (isComplete(this.#deployment, this.#deployment.status ?? {})) await this.#cleanUp(newest, signal);
  }

  /** Deletes the oldest replica sets beyond the limit, if they have no pods. */
  async #cleanUp(newest: ReplicaSet | undefined, signal: AbortSignal): Promise<void> {
    if (!hasHistoryLimit(this.#deployment)) return;
    const old = this.#others(newest).filter(({ metadata }) => metadata?.deletionTimestamp === undefined);
    const surplus = old.length - (this.#deployment.spec?.revisionHistoryLimit ?? 0);
    if (surplus <= 0) return;
    for (const { metadata, spec, status } of [...old].sort(byRevision).slice(0, surplus)) {
      const isSeen = (metadata?.generation ?? 0) <= (status?.observedGeneration ?? 0);
      if (!isSeen || (status?.replicas ?? 0) > 0 || (spec?.replicas ?? 0) > 0) continue;
      const { namespace = '', name = '', uid = '' } = metadata ?? {};
      try {
        const options = { preconditions: { uid } };
        await this.#deps.client.delete(resources.replicasets, { namespace, name }, options, signal);
      } catch (error) {
        if (!hasReason(error, 'NotFound', 'Conflict')) throw error;
      }
    }
  }

  #writeCondition(condition: DeploymentCondition, signal: AbortSignal): Promise<void> {
    const { status = {} } = this.#deployment;
    return this.#writeStatus({ ...status, conditions: withCondition(status.conditions ?? [], condition) }, signal);
  }

  async #writeStatus(status: DeploymentStatus, signal: AbortSignal): Promise<void> {
    if (sameValue(status, this.#deployment.status ?? {})) return;
    await this.#updateStatus(this.#deployment, status, signal);
  }

  async #updateStatus(deployment: Deployment, status: DeploymentStatus, signal: AbortSignal): Promise<void> {
    const { namespace = '', name = '' } = deployment.metadata ?? {};
    const ref = { namespace, name, subresource: 'status' };
    this.#deployment = await this.#deps.client.update(resources.deployments, ref, { ...deployment, status }, signal);
  }

  #say(type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.#deps.events.event(referenceOf(resources.deployments, this.#deployment), type, reason, message);
  }
}
