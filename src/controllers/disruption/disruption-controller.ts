import {
  isBudgetOf,
  noBudgetStatus,
  withAllowedCondition,
  withDisruptionAllowed,
} from '../../api/disruption-budget.ts';
import type {
  Deployment,
  ObjectReference,
  OwnerReference,
  Pod,
  PodDisruptionBudget,
  PodDisruptionBudgetStatus,
  ReplicaSet,
  ReplicationController,
} from '../../api/gen/types.ts';
import { formatSelector, matcherOfSelector } from '../../api/label-selector.ts';
import { apiVersionOf, resources } from '../../api/resources.ts';
import type { KubernetesObject, ResourceType } from '../../api/resources.ts';
import { formatTime } from '../../api/time.ts';
import { sameValue } from '../../api/validation/same-value.ts';
import type { Outcome, Reconciler } from '../../base/run-reconciler.ts';
import type { TaskScope } from '../../base/task-scope.ts';
import { WorkQueue } from '../../base/work-queue.ts';
import { CorrelatingEventRecorder } from '../../client/correlating-event-recorder.ts';
import type { EventRecorder } from '../../client/event-recorder.ts';
import type { Informer } from '../../client/informer.ts';
import { controllerOf, keyOf, refOf } from '../owned-pods/controller-ref.ts';
import { startWorkers } from '../run-controller.ts';
import type { ControllerDeps } from '../run-controller.ts';
import { countHealthy, disruptedOf, wantedBy } from './budget-count.ts';
import type { Scale } from './budget-count.ts';

const workers = 1;
const recountMs = 30_000; // after it could not be told how many pods there are to be: who makes them may come yet

export interface DisruptionDeps extends ControllerDeps {
  readonly pods: Informer<Pod>;
  readonly budgets: Informer<PodDisruptionBudget>;
  readonly replicationControllers: Informer<ReplicationController>;
  readonly replicaSets: Informer<ReplicaSet>;
  readonly deployments: Informer<Deployment>;
}

/** Says of each PodDisruptionBudget how many evictions it can bear now. Upstream: the disruption controller. */
export function startDisruption(scope: TaskScope, deps: DisruptionDeps): void {
  const { pods, budgets, clock } = deps;
  const events = new CorrelatingEventRecorder({ ...deps, source: { component: 'controllermanager' } });
  const queue = new WorkQueue<string>({ clock, signal: scope.signal });
  budgets.onChange(({ previous, current }) => {
    const budget = current ?? previous;
    if (budget !== undefined) queue.add(keyOf(budget));
  });
  pods.onChange(({ previous, current }) => {
    for (const budget of budgets.list()) {
      const isConcerned = [previous, current].some(
        (pod) => pod !== undefined && isBudgetOf(budget, pod.metadata?.namespace ?? '', pod.metadata?.labels),
      );
      if (isConcerned) queue.add(keyOf(budget));
    }
  });
  scope.start((signal) => events.run(signal));
  const synced = [pods, budgets, deps.replicationControllers, deps.replicaSets, deps.deployments];
  startWorkers(scope, deps, new Disruption(deps, events), queue, { workers, synced });
}

class Disruption implements Reconciler<string> {
  readonly name = 'disruption';
  readonly #deps: DisruptionDeps;
  readonly #events: EventRecorder;

  constructor(deps: DisruptionDeps, events: EventRecorder) {
    this.#deps = deps;
    this.#events = events;
  }

  async reconcile(key: string, signal: AbortSignal): Promise<Outcome> {
    const { namespace, name } = refOf(key);
    const budget = this.#deps.budgets.get(namespace, name);
    if (budget === undefined) return { kind: 'settled' };
    try {
      return await this.#count(budget, signal);
    } catch (error) {
      // A conflict, or no answer, is no fault of the budget's: it is counted again at once.
      if (!(error instanceof CannotCount)) throw error;
      await this.#fail(budget, error.message, signal);
      return { kind: 'again', afterMs: recountMs };
    }
  }

  async #count(budget: PodDisruptionBudget, signal: AbortSignal): Promise<Outcome> {
    const { pods, clock } = this.#deps;
    const { namespace = '', generation = 0 } = budget.metadata ?? {};
    const matcher = matcherOfSelector(budget.spec?.selector);
    const own = pods
      .list()
      .filter(({ metadata }) => metadata?.namespace === namespace && matcher.matches(metadata.labels));
    if (own.length === 0) this.#say(budget, 'Normal', 'NoPods', 'No matching pods found');
    const { expectedPods, desiredHealthy, unmanagedCount } = this.#wanted(budget, own);
    if (unmanagedCount > 0) this.#say(budget, 'Warning', 'UnmanagedPods', unmanagedText(budget));
    const nowWallMs = clock.wallMs();
    const disrupted = disruptedOf(budget, own, nowWallMs);
    for (const pod of disrupted.notDeleted) {
      const text = `Pod was expected by PDB ${namespace}/${budget.metadata?.name} to be deleted but it wasn't`;
      this.#events.event(referenceTo(resources.pods, pod), 'Warning', 'NotDeleted', text);
    }
    const currentHealthy = countHealthy(own, disrupted);
    const { disruptedPods: _, ...before } = budget.status ?? noBudgetStatus;
    const counted: PodDisruptionBudgetStatus = {
      ...before,
      currentHealthy,
      desiredHealthy,
      expectedPods,
      // A budget without pods must be safe when its first ones appear.
      disruptionsAllowed: expectedPods <= 0 ? 0 : Math.max(0, currentHealthy - desiredHealthy),
      ...(Object.keys(disrupted.pending).length === 0 ? {} : { disruptedPods: disrupted.pending }),
      observedGeneration: generation,
    };
    await this.#write(budget, withDisruptionAllowed(counted, formatTime(nowWallMs)), signal);
    const { recheckInMs } = disrupted;
    return recheckInMs === undefined ? { kind: 'settled' } : { kind: 'again', afterMs: recheckInMs };
  }

  #wanted(budget: PodDisruptionBudget, own: readonly Pod[]): ReturnType<typeof wantedBy> {
    try {
      return wantedBy(budget, own.length, () => this.#scaleOf(own));
    } catch (error) {
      if (error instanceof CannotCount) {
        const text = `Failed to calculate the number of expected pods: ${error.message}`;
        this.#say(budget, 'Warning', 'CalculateExpectedPodCountFailed', text);
      }
      throw error;
    }
  }

  /** Nobody may be evicted while it is not known how many there are to be. Upstream: `failSafe`. */
  async #fail(budget: PodDisruptionBudget, message: string, signal: AbortSignal): Promise<void> {
    const { generation = 0 } = budget.metadata ?? {};
    const status = { ...(budget.status ?? noBudgetStatus), disruptionsAllowed: 0, observedGeneration: generation };
    const said = { status: 'False', reason: 'SyncFailed', message };
    await this.#write(budget, withAllowedCondition(status, said, formatTime(this.#deps.clock.wallMs())), signal);
  }

  async #write(budget: PodDisruptionBudget, status: PodDisruptionBudgetStatus, signal: AbortSignal): Promise<void> {
    if (sameValue(status, budget.status)) return;
    const { namespace = '', name = '' } = budget.metadata ?? {};
    const ref = { namespace, name, subresource: 'status' };
    await this.#deps.client.update(resources.poddisruptionbudgets, ref, { ...budget, status }, signal);
  }

  /** Upstream: `getExpectedScale`. */
  #scaleOf(own: readonly Pod[]): Scale {
    const replicasByUid = new Map<string, number>(); // of those who make them; the sets of a deployment count once
    let unmanagedCount = 0;
    for (const pod of own) {
      const owner = controllerOf(pod);
      if (owner === undefined) {
        unmanagedCount += 1;
        continue;
      }
      const { uid, replicas } = this.#scaleOfOwner(pod, owner);
      replicasByUid.set(uid, replicas);
    }
    return { count: [...replicasByUid.values()].reduce((sum, replicas) => sum + replicas, 0), unmanagedCount };
  }

  #scaleOfOwner(pod: Pod, { kind, name, uid }: OwnerReference): { readonly uid: string; readonly replicas: number } {
    const { replicationControllers, replicaSets, deployments } = this.#deps;
    const { namespace = '' } = pod.metadata ?? {};
    const notScalable = notScalableKinds[kind];
    if (notScalable !== undefined) throw new CannotCount(`${notScalable} does not implement the scale subresource`);
    const informer = kind === 'ReplicationController' ? replicationControllers : replicaSets;
    const isKnownKind = kind === 'ReplicationController' || kind === 'ReplicaSet';
    const found: ReplicationController | ReplicaSet | undefined = isKnownKind
      ? informer.get(namespace, name)
      : undefined;
    if (found === undefined || found.metadata?.uid !== uid) {
      throw new CannotCount(`found no controllers for pod "${pod.metadata?.name}"`);
    }
    const above = controllerOf(found);
    const deployment = above?.kind === 'Deployment' ? deployments.get(namespace, above.name) : undefined;
    if (deployment !== undefined && deployment.metadata?.uid === above?.uid) {
      return { uid: above?.uid ?? '', replicas: deployment.spec?.replicas ?? 1 };
    }
    return { uid, replicas: found.spec?.replicas ?? 1 };
  }

  #say(budget: PodDisruptionBudget, type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.#events.event(referenceTo(resources.poddisruptionbudgets, budget), type, reason, message);
  }
}

/** How many pods there are to be cannot be told. */
class CannotCount extends Error {}

const notScalableKinds: Readonly<Record<string, string>> = { Job: 'jobs.batch', DaemonSet: 'daemonsets.apps' };

function unmanagedText({ spec }: PodDisruptionBudget): string {
  return (
    `Pods selected by this PodDisruptionBudget (selector: ${formatSelector(spec?.selector)}) were found to be ` +
    'unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in undefined ' +
    'behavior. To account for these pods please set ".spec.minAvailable" field of the PDB to an integer value.'
  );
}

function referenceTo(type: ResourceType, { metadata }: KubernetesObject): ObjectReference {
  const { namespace = '', name = '', uid = '' } = metadata ?? {};
  return { apiVersion: apiVersionOf(type), kind: type.kind, namespace, name, uid };
}
