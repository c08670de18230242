import { defaultEvictionSeconds } from '../api/admission.ts';
import type { EvictionSeconds } from '../api/admission.ts';
import { clusterSettingsRef } from '../api/cluster-settings.ts';
import type { ConfigMap } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import { backoffMs } from '../base/backoff.ts';
import type { HttpRequest } from '../base/http.ts';
import { StatusError, hasReason } from '../base/status-error.ts';
import { withDeadline } from '../base/with-deadline.ts';
import type { ApiServerDeps } from '../apiserver/api-server.ts';
import type { Client } from '../client/client.ts';
import { defaultHeartbeat, heartbeatData } from '../client/heartbeat.ts';
import type { Heartbeat } from '../client/heartbeat.ts';
import { nodeLifecycleDefaults } from '../controllers/node-lifecycle/node-lifecycle-controller.ts';
import type {
  NodeLifecycleDeps,
  NodeLifecycleOptions,
} from '../controllers/node-lifecycle/node-lifecycle-controller.ts';
import type { ControllerDeps } from '../controllers/run-controller.ts';
import type { FailoverProfile } from './failover-profile.ts';

interface FailoverNumbers {
  readonly heartbeat: Heartbeat;
  readonly nodeLifecycle: NodeLifecycleOptions;
  /** Of new pods that say nothing themselves. */
  readonly evictionSeconds: EvictionSeconds;
  /** Whether the server asks a silent node itself before it counts as lost. */
  readonly asksSilentNodes: boolean;
}

/**
 * `default`: upstream's, replacements after 50 s + 300 s. `fast`: within 10 s of the last heartbeat. It is seen 0.5 s
 * later at most, as is all else that follows from a look at the nodes; after 4 s of silence the server asks the node
 * itself, and waits 2.5 s; then its pods go at once, and 2 s are left to start the replacements. A node that starves
 * and answers is left alone, up to 50 s (upstream's patience); the pods of one that says itself that it is not Ready go
 * after 30 s. Pods that were made before keep what they tolerate.
 */
export const failoverNumbers: Readonly<Record<FailoverProfile, FailoverNumbers>> = {
  default: {
    heartbeat: defaultHeartbeat,
    nodeLifecycle: nodeLifecycleDefaults,
    evictionSeconds: defaultEvictionSeconds,
    asksSilentNodes: false,
  },
  fast: {
    heartbeat: { renewMs: 1_000, leaseDurationSeconds: 4 },
    nodeLifecycle: {
      ...nodeLifecycleDefaults,
      monitorPeriodMs: 500,
      gracePeriodMs: 4_000,
      startupGracePeriodMs: 15_000,
      answeringGracePeriodMs: nodeLifecycleDefaults.gracePeriodMs,
      perSecond: 100,
      secondaryPerSecond: 1,
    },
    evictionSeconds: { notReady: 30, unreachable: 0 },
    asksSilentNodes: true,
  },
};

const askMs = 2_500;
const adminUser = { name: 'system:apiserver', groups: ['system:masters'] } as const;

/** Asks the server of a node how it is, and waits a little for it. */
export function nodeAsker({ nodes, clock }: ApiServerDeps): NonNullable<NodeLifecycleDeps['isAlive']> {
  const request: HttpRequest = {
    method: 'GET',
    path: '/healthz',
    query: new URLSearchParams(),
    headers: {},
    body: '',
    user: adminUser,
  };
  const limit = { name: 'nodeLifecycle.ask', limitMs: askMs, message: 'the node does not answer' };
  return async (nodeName, signal) => {
    try {
      const { status } = await withDeadline(clock, limit, signal, (own) => nodes(nodeName, request, own));
      return status === 200;
    } catch (error) {
      if (signal.aborted || !(error instanceof StatusError)) throw error;
      return false;
    }
  };
}

const publishLimits = { firstMs: 100, maxMs: 5_000 } as const;

/** Tells the nodes what is expected of them: config map `kube-system/livelet-cluster`. Tries until it succeeds. */
export async function publishSettings(
  { client, clock, entropy, log }: ControllerDeps,
  profile: FailoverProfile,
  signal: AbortSignal,
): Promise<void> {
  const data = { failover: profile, ...heartbeatData(failoverNumbers[profile].heartbeat) };
  for (let failures = 0; ; failures++) {
    try {
      return await put(client, data, signal);
    } catch (error) {
      if (signal.aborted || !(error instanceof StatusError)) throw error;
      if (failures === 0) log.warn('settingsNotPublished', { reason: error.reason, error: error.message });
    }
    await clock.sleep(backoffMs(failures, publishLimits, entropy), 'settings.publish', signal);
  }
}

async function put(client: Client, data: Readonly<Record<string, string>>, signal: AbortSignal): Promise<void> {
  const { namespace, name } = clusterSettingsRef;
  const wanted: ConfigMap = { metadata: { name }, data };
  try {
    await client.create(resources.configmaps, { namespace }, wanted, signal);
  } catch (error) {
    if (!hasReason(error, 'AlreadyExists')) throw error;
    await client.patch(resources.configmaps, { namespace, name }, { type: 'merge', body: { data } }, signal);
  }
}
