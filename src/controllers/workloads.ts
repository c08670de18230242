import type { Pod } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import type { TaskScope } from '../base/task-scope.ts';
import type { Informer } from '../client/informer.ts';
import { startDaemonSets } from './daemon-set/daemon-set-controller.ts';
import { startDeployments } from './deployment/deployment-controller.ts';
import { startDisruption } from './disruption/disruption-controller.ts';
import { collectedTypes, startGarbageCollector } from './garbage-collector/garbage-collector.ts';
import { startJobs } from './job/job-controller.ts';
import { ByController } from './owned-pods/by-controller.ts';
import { replicaSetKind, replicationControllerKind } from './replication/replica-kinds.ts';
import { startReplication } from './replication/replication-controller.ts';
import type { ControllerDeps } from './run-controller.ts';
import type { SharedInformers } from './shared-informers.ts';

/** Starts what makes pods, counts how many may be missing, and takes away that which has lost its owner. */
export function startWorkloads(
  scope: TaskScope,
  deps: ControllerDeps & { readonly pods: Informer<Pod>; readonly shared: SharedInformers },
): void {
  const { pods, shared } = deps;
  const podsByController = new ByController(pods);
  const controllers = shared.of(resources.replicationcontrollers);
  const replicaSets = shared.of(resources.replicasets);
  startReplication(
    scope,
    { ...deps, podsByController, owners: controllers, ownersByController: new ByController(controllers) },
    replicationControllerKind,
  );
  const replicaSetsByController = new ByController(replicaSets);
  startReplication(
    scope,
    { ...deps, podsByController, owners: replicaSets, ownersByController: replicaSetsByController },
    replicaSetKind,
  );
  const deployments = shared.of(resources.deployments);
  startDeployments(scope, { ...deps, podsByController, deployments, replicaSets, replicaSetsByController });
  startJobs(scope, { ...deps, podsByController, jobs: shared.of(resources.jobs) });
  const revisions = shared.of(resources.controllerrevisions);
  startDaemonSets(scope, {
    ...deps,
    podsByController,
    daemonSets: shared.of(resources.daemonsets),
    revisions,
    revisionsByController: new ByController(revisions),
    nodes: shared.of(resources.nodes),
  });
  const budgets = shared.of(resources.poddisruptionbudgets);
  startDisruption(scope, { ...deps, budgets, replicationControllers: controllers, replicaSets, deployments });
  const informers = collectedTypes.map((type) => ({ type, informer: shared.of(type) }));
  startGarbageCollector(scope, { ...deps, informers });
}
