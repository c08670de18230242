import type { ConfigMap } from '../../api/gen/types.ts';
import { resources } from '../../api/resources.ts';
import type { TaskScope } from '../../base/task-scope.ts';
import { startOnePerNamespace } from '../one-per-namespace.ts';
import type { OnePerNamespaceDeps } from '../one-per-namespace.ts';

const name = 'kube-root-ca.crt';
const descriptionKey = 'kubernetes.io/description';
const description =
  'Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the ' +
  'internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes ' +
  'clusters.';

/**
 * Keeps a config map with the certificate of the cluster's authority in each namespace: pods check the API server by
 * it. Upstream: the root CA certificate publisher.
 */
export function startRootCaController(scope: TaskScope, deps: OnePerNamespaceDeps, rootCaPem: string): void {
  const data = { 'ca.crt': rootCaPem };
  startOnePerNamespace<ConfigMap>(scope, deps, {
    controller: 'rootCa',
    type: resources.configmaps,
    name,
    make: () => ({ metadata: { name, annotations: { [descriptionKey]: description } }, data }),
    corrected(found) {
      const annotations = found.metadata?.annotations ?? {};
      const isRight = Object.keys(found.data ?? {}).length === 1 && found.data?.['ca.crt'] === rootCaPem;
      if (isRight && (annotations[descriptionKey] ?? '') !== '') return undefined;
      return {
        ...found,
        metadata: { ...found.metadata, annotations: { ...annotations, [descriptionKey]: description } },
        data,
      };
    },
  });
}
