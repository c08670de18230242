import type { Node, Pod } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import type { TaskScope } from '../base/task-scope.ts';
import type { Informer } from '../client/informer.ts';
import { ListWatchInformer } from '../client/list-watch-informer.ts';
import { startNamespaceController } from './namespace/namespace-controller.ts';
import { startNodeRegistration } from './node-registration/node-registration.ts';
import type { ControllerDeps } from './run-controller.ts';

/**
 * Starts every controller under `scope`. Upstream: kube-controller-manager.
 *
 *     const pods = new ListWatchInformer({ client, type: resources.pods, clock, entropy, log });
 *     const nodes = new ListWatchInformer({ client, type: resources.nodes, clock, entropy, log });
 *     startControllers(scope, { client, clock, entropy, log, pods, nodes }); // before these two run
 *     scope.start((signal) => pods.run(signal));
 *     scope.start((signal) => nodes.run(signal));
 */
export function startControllers(
  scope: TaskScope,
  deps: ControllerDeps & { readonly pods: Informer<Pod>; readonly nodes: Informer<Node> },
): void {
  const namespaces = new ListWatchInformer({ ...deps, type: resources.namespaces });
  startNamespaceController(scope, { ...deps, namespaces });
  startNodeRegistration(scope, deps);
  scope.start((signal) => namespaces.run(signal));
}
