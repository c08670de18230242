import type { Deployment, Pod, ReplicaSet } from '../../api/gen/types.ts';
import { matcherOfSelector } from '../../api/label-selector.ts';
import { resources } from '../../api/resources.ts';
import type { Outcome, Reconciler } from '../../base/run-reconciler.ts';
import { hasReason } from '../../base/status-error.ts';
import type { TaskScope } from '../../base/task-scope.ts';
import { WorkQueue } from '../../base/work-queue.ts';
import { CorrelatingEventRecorder } from '../../client/correlating-event-recorder.ts';
import type { EventRecorder } from '../../client/event-recorder.ts';
import type { Informer } from '../../client/informer.ts';
import type { ByController } from '../owned-pods/by-controller.ts';
import { claimObjects } from '../owned-pods/claim-objects.ts';
import { controllerOf, keyOf, refOf } from '../owned-pods/controller-ref.ts';
import { LastWritten } from '../owned-pods/last-written.ts';
import { startWorkers } from '../run-controller.ts';
import type { ControllerDeps } from '../run-controller.ts';
import { DeploymentSync } from './deployment-sync.ts';

const workers = 5; // upstream: ConcurrentDeploymentSyncs

export interface DeploymentDeps extends ControllerDeps {
  readonly deployments: Informer<Deployment>;
  readonly replicaSets: Informer<ReplicaSet>;
  readonly replicaSetsByController: ByController<ReplicaSet>;
  readonly pods: Informer<Pod>;
  readonly podsByController: ByController<Pod>;
}

/**
 * Moves a deployment's pods from its old templates to its new one, by sizes of replica sets. Upstream:
 * `DeploymentController`.
 */
export function startDeployments(scope: TaskScope, deps: DeploymentDeps): void {
  const { deployments, replicaSets, pods, clock } = deps;
  const events = new CorrelatingEventRecorder({ ...deps, source: { component: 'deployment-controller' } });
  const queue = new WorkQueue<string>({ clock, signal: scope.signal });
  const ownerOf = (replicaSet: ReplicaSet): Deployment | undefined => {
    const controller = controllerOf(replicaSet);
    if (controller?.kind !== resources.deployments.kind) return undefined;
    const owner = deployments.get(replicaSet.metadata?.namespace ?? '', controller.name);
    return owner?.metadata?.uid === controller.uid ? owner : undefined;
  };
  deployments.onChange(({ previous, current }) => queue.add(keyOf(current ?? previous ?? {})));
  replicaSets.onChange(({ previous, current }) => {
    for (const replicaSet of [previous, current]) {
      const owner = replicaSet === undefined ? undefined : ownerOf(replicaSet);
      if (owner !== undefined) queue.add(keyOf(owner));
    }
    if (current === undefined || controllerOf(current) !== undefined) return;
    for (const owner of deployments.list()) {
      const isNear = owner.metadata?.namespace === current.metadata?.namespace;
      if (isNear && matcherOfSelector(owner.spec?.selector).matches(current.metadata?.labels)) queue.add(keyOf(owner));
    }
  });
  // Recreate goes on when the last old pod is gone.
  pods.onChange(({ previous, current }) => {
    if (previous === undefined || current !== undefined) return;
    const controller = controllerOf(previous);
    if (controller?.kind !== resources.replicasets.kind) return;
    const replicaSet = replicaSets.get(previous.metadata?.namespace ?? '', controller.name);
    const owner = replicaSet?.metadata?.uid === controller.uid ? ownerOf(replicaSet) : undefined;
    if (owner?.spec?.strategy?.type === 'Recreate') queue.add(keyOf(owner));
  });
  scope.start((signal) => events.run(signal));
  const reconciler = new DeploymentReconciler(deps, events);
  startWorkers(scope, deps, reconciler, queue, { workers, synced: [deployments, replicaSets, pods] });
}

class DeploymentReconciler implements Reconciler<string> {
  readonly name = 'deployment';
  readonly #deps: DeploymentDeps;
  readonly #events: EventRecorder;
  readonly #written: LastWritten<ReplicaSet>;

  constructor(deps: DeploymentDeps, events: EventRecorder) {
    this.#deps = deps;
    this.#events = events;
    this.#written = new LastWritten(deps.replicaSets);
  }

  async reconcile(key: string, signal: AbortSignal): Promise<Outcome> {
    const { client, deployments, replicaSetsByController, podsByController, clock } = this.#deps;
    const { namespace, name } = refOf(key);
    const deployment = deployments.get(namespace, name);
    if (deployment === undefined) return { kind: 'settled' };
    const { uid = '' } = deployment.metadata ?? {};
    const replicaSets = await claimObjects(
      {
        client,
        ownerType: resources.deployments,
        owner: deployment,
        selector: matcherOfSelector(deployment.spec?.selector),
        type: resources.replicasets,
      },
      [...replicaSetsByController.ownedBy(uid), ...replicaSetsByController.orphansIn(namespace)],
      signal,
    );
    const podsOf = (replicaSet: ReplicaSet): readonly Pod[] => podsByController.ownedBy(replicaSet.metadata?.uid ?? '');
    const newest = replicaSets.map((one) => this.#written.newest(one));
    newest.push(...(await this.#unseen(deployment, replicaSets, signal)));
    const onWritten = (one: ReplicaSet): void => this.#written.note(one);
    const sync = new DeploymentSync({ client, clock, events: this.#events, onWritten, podsOf }, deployment, newest);
    const afterMs = await sync.run(signal);
    return afterMs === undefined ? { kind: 'settled' } : { kind: 'again', afterMs };
  }

  /** Replica sets that it made itself and the cache does not have, as they are on the server. */
  async #unseen(
    deployment: Deployment,
    seen: readonly ReplicaSet[],
    signal: AbortSignal,
  ): Promise<readonly ReplicaSet[]> {
    const seenUids = new Set(seen.map(({ metadata }) => metadata?.uid ?? ''));
    const isOwn = (one: ReplicaSet): boolean => controllerOf(one)?.uid === deployment.metadata?.uid;
    const found: ReplicaSet[] = [];
    for (const one of this.#written.missing((uid) => seenUids.has(uid), isOwn)) {
      const { namespace = '', name = '', uid } = one.metadata ?? {};
      try {
        const live = await this.#deps.client.get<ReplicaSet>(resources.replicasets, { namespace, name }, signal);
        if (live.metadata?.uid === uid) found.push(live);
        else this.#written.forget(one);
      } catch (error) {
        if (!hasReason(error, 'NotFound')) throw error;
        this.#written.forget(one);
      }
    }
    return found;
  }
}
