import { parseClusterCidr } from '../api/cluster-cidr.ts';
import { resources } from '../api/resources.ts';
import type { TaskScope } from '../base/task-scope.ts';
import { CorrelatingEventRecorder } from '../client/correlating-event-recorder.ts';
import type { CertificateAuthority } from './certificates/certificate-authority.ts';
import { startCertificateSigning } from './certificates/signing-controller.ts';
import { startTokenCleaner } from './certificates/token-cleaner.ts';
import { startNamespaceController } from './namespace/namespace-controller.ts';
import { nodeLifecycleDefaults, startNodeLifecycle } from './node-lifecycle/node-lifecycle-controller.ts';
import type { NodeLifecycleDeps, NodeLifecycleOptions } from './node-lifecycle/node-lifecycle-controller.ts';
import { startNodeIpam } from './node-ipam/node-ipam-controller.ts';
import { startPodNetworkPublisher } from './node-ipam/pod-network-publisher.ts';
import { startNodeRegistration } from './node-registration/node-registration.ts';
import { startPodGc } from './pod-gc/pod-gc-controller.ts';
import { startRootCaController } from './root-ca/root-ca-controller.ts';
import type { ControllerDeps } from './run-controller.ts';
import { startServiceAccountController } from './service-account/service-account-controller.ts';
import type { SharedInformers } from './shared-informers.ts';
import { startTaintEviction } from './taint-eviction/taint-eviction-controller.ts';
import { startWorkloads } from './workloads.ts';

export interface ControllersDeps {
  /** Run by the caller, after the controllers have started; may be shared with the scheduler. */
  readonly shared: SharedInformers;
  /** Certificate of the authority by which pods check the API server. */
  readonly rootCaPem: string;
  /** Default: upstream's. */
  readonly nodeLifecycle?: NodeLifecycleOptions;
  readonly isNodeAlive?: NodeLifecycleDeps['isAlive'];
  /** What nodes get the ranges of their pods from. Default: they get none. Upstream: `--allocate-node-cidrs`. */
  readonly clusterCidr?: string | undefined;
  /** Signs the certificates of nodes that join. Default: nothing is signed. */
  readonly signing?: { readonly authority: CertificateAuthority; readonly certificateLifeMs: number } | undefined;
}

/**
 * Starts every controller under `scope`. Upstream: kube-controller-manager.
 *
 *     const shared = new SharedInformers({ client, clock, entropy, log });
 *     startControllers(scope, { client, clock, entropy, log, shared, rootCaPem });
 *     shared.run(scope);
 */
export function startControllers(scope: TaskScope, options: ControllerDeps & ControllersDeps): void {
  const { shared } = options;
  const deps = { ...options, pods: shared.of(resources.pods), nodes: shared.of(resources.nodes) };
  const namespaces = shared.of(resources.namespaces);
  startNamespaceController(scope, { ...deps, namespaces });
  const leases = shared.of(resources.leases);
  const events = new CorrelatingEventRecorder({ ...deps, source: { component: 'node-controller' } });
  scope.start((signal) => events.run(signal));
  startNodeRegistration(scope, { ...deps, events });
  if (options.clusterCidr !== undefined) {
    startNodeIpam(scope, deps, parseClusterCidr(options.clusterCidr));
    startPodNetworkPublisher(scope, deps);
  }
  const { isNodeAlive, nodeLifecycle = nodeLifecycleDefaults } = options;
  const asking = isNodeAlive === undefined ? {} : { isAlive: isNodeAlive };
  startNodeLifecycle(scope, { ...deps, leases, events, ...asking }, nodeLifecycle);
  startTaintEviction(scope, deps);
  startPodGc(scope, deps);
  startServiceAccountController(scope, { ...deps, namespaces });
  startTokenCleaner(scope, deps);
  if (deps.signing !== undefined) {
    const requests = shared.of(resources.certificatesigningrequests);
    startCertificateSigning(scope, { ...deps, ...deps.signing, requests, leases });
  }
  startRootCaController(scope, { ...deps, namespaces }, deps.rootCaPem);
  startWorkloads(scope, deps);
}
