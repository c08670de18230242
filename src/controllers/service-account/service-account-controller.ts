import type { ServiceAccount } from '../../api/gen/types.ts';
import { resources } from '../../api/resources.ts';
import type { TaskScope } from '../../base/task-scope.ts';
import { startOnePerNamespace } from '../one-per-namespace.ts';
import type { OnePerNamespaceDeps } from '../one-per-namespace.ts';

const name = 'default';

/**
 * Gives each namespace its service account `default` again when somebody deletes it. (The API server makes it with the
 * namespace, so that no pod has to wait for it.) Upstream: the service account controller.
 */
export function startServiceAccountController(scope: TaskScope, deps: OnePerNamespaceDeps): void {
  startOnePerNamespace<ServiceAccount>(scope, deps, {
    controller: 'serviceAccount',
    type: resources.serviceaccounts,
    name,
    make: () => ({ metadata: { name } }),
    corrected: () => undefined, // whatever is in it, it is the user's
  });
}
