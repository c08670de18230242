import { ApiServer } from '../apiserver/api-server.ts';
import type { ApiServerDeps } from '../apiserver/api-server.ts';
import type { HttpHandler } from '../base/http.ts';
import type { Log } from '../base/log.ts';
import type { TaskScope } from '../base/task-scope.ts';
import type { ApiClient } from '../client/api-client.ts';
import { inProcessClient } from '../client/in-process-client.ts';
import type { ControllersDeps } from '../controllers/controllers.ts';
import { startControllers } from '../controllers/controllers.ts';
import { SharedInformers } from '../controllers/shared-informers.ts';
import { Scheduler } from '../scheduler/scheduler.ts';
import { failoverNumbers, nodeAsker, publishSettings } from './failover.ts';
import type { FailoverProfile } from './failover-profile.ts';

export interface ControlPlaneOptions {
  /** For the scheduler's events: `reportingInstance: default-scheduler-HOST`. */
  readonly hostName: string;
  /** Certificate of the authority by which pods check the API server. */
  readonly rootCaPem: string;
  /** Signs the certificates of nodes that join. Default: nothing is signed. */
  readonly signing?: ControllersDeps['signing'];
  /** As `ControllersDeps`. */
  readonly clusterCidr?: string;
  /** `HOST:PORT` that clients reach the server at; asked at each request. */
  readonly serverAddress?: () => string;
  /** What lies between the scheduler and the controllers and the server: for simulations. Default: nothing. */
  readonly through?: (server: HttpHandler) => HttpHandler;
  /** Default: upstream's numbers. */
  readonly failover?: FailoverProfile;
}

/** API server, scheduler and controllers, in one process, whatever the clock and the store. */
export interface ControlPlane {
  readonly server: ApiServer;
  /** A client in process, as this user. */
  clientOf(name: string, groups: readonly string[]): ApiClient;
}

/**
 * Starts them under `scope` and resolves when the API server answers. The scheduler and the controllers share their
 * caches of pods and nodes.
 */
export async function startControlPlane(
  scope: TaskScope,
  deps: ApiServerDeps,
  options: ControlPlaneOptions,
): Promise<ControlPlane> {
  const { clock, entropy } = deps;
  const failover = options.failover ?? 'default';
  const { nodeLifecycle, evictionSeconds, asksSilentNodes } = failoverNumbers[failover];
  const { serverAddress } = options;
  const serverOptions = { evictionSeconds, ...(serverAddress === undefined ? {} : { serverAddress }) };
  const server = new ApiServer({ ...deps, entropy: entropy.fork('apiserver') }, serverOptions);
  scope.start((signal) => server.run(signal));
  await server.ready(scope.signal);
  const clientOf = (name: string, groups: readonly string[]): ApiClient =>
    inProcessClient({ handle: server.handle, user: { name, groups } });

  const log: Log = deps.log;
  const groups = ['system:authenticated'];
  const handle = options.through?.(server.handle) ?? server.handle;
  const scheduling = inProcessClient({ handle, user: { name: 'system:kube-scheduler', groups } });
  const controlling = inProcessClient({ handle, user: { name: 'system:kube-controller-manager', groups } });
  const shared = new SharedInformers({ client: controlling, clock, entropy: entropy.fork('informers'), log });
  const scheduler = new Scheduler({
    client: scheduling,
    informers: (type) => shared.of(type),
    clock,
    entropy: entropy.fork('scheduler'),
    log,
    hostName: options.hostName,
  });
  const control = { client: controlling, clock, entropy: entropy.fork('controllers'), log };
  startControllers(scope, {
    ...control,
    shared,
    rootCaPem: options.rootCaPem,
    nodeLifecycle,
    ...(asksSilentNodes ? { isNodeAlive: nodeAsker(deps) } : {}),
    signing: options.signing,
    clusterCidr: options.clusterCidr,
  });
  scope.start((signal) => publishSettings(control, failover, signal));
  scope.start((signal) => scheduler.run(signal));
  shared.run(scope);
  return { server, clientOf };
}
