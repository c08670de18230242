import type { Node, Pod } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import type { TaskScope } from '../base/task-scope.ts';
import type { Informer } from '../client/informer.ts';
import { startNamespaceController } from './namespace/namespace-controller.ts';
import { nodeLifecycleDefaults, startNodeLifecycle } from './node-lifecycle/node-lifecycle-controller.ts';
import { startNodeRegistration } from './node-registration/node-registration.ts';
import { startPodGc } from './pod-gc/pod-gc-controller.ts';
import { startRootCaController } from './root-ca/root-ca-controller.ts';
import type { ControllerDeps } from './run-controller.ts';
import { startServiceAccountController } from './service-account/service-account-controller.ts';
import { SharedInformers } from './shared-informers.ts';
import { startTaintEviction } from './taint-eviction/taint-eviction-controller.ts';
import { startWorkloads } from './workloads.ts';

export interface ControllersDeps {
  readonly pods: Informer<Pod>;
  readonly nodes: Informer<Node>;
  /** Certificate of the authority by which pods check the API server. */
  readonly rootCaPem: string;
}

/**
 * Starts every controller under `scope`. Upstream: kube-controller-manager.
 *
 *     const pods = new ListWatchInformer({ client, type: resources.pods, clock, entropy, log });
 *     const nodes = new ListWatchInformer({ client, type: resources.nodes, clock, entropy, log });
 *     startControllers(scope, { client, clock, entropy, log, pods, nodes, rootCaPem }); // before these two run
 *     scope.start((signal) => pods.run(signal));
 *     scope.start((signal) => nodes.run(signal));
 */
export function startControllers(scope: TaskScope, deps: ControllerDeps & ControllersDeps): void {
  const shared = new SharedInformers(deps);
  shared.add(resources.pods, deps.pods);
  shared.add(resources.nodes, deps.nodes);
  const namespaces = shared.of(resources.namespaces);
  startNamespaceController(scope, { ...deps, namespaces });
  const leases = shared.of(resources.leases);
  startNodeRegistration(scope, deps);
  startNodeLifecycle(scope, { ...deps, leases }, nodeLifecycleDefaults);
  startTaintEviction(scope, deps);
  startPodGc(scope, deps);
  startServiceAccountController(scope, { ...deps, namespaces });
  startRootCaController(scope, { ...deps, namespaces }, deps.rootCaPem);
  startWorkloads(scope, { ...deps, shared });
  shared.run(scope);
}
