import type { Log } from '../base/log.ts';
import type { Client } from '../client/client.ts';
import { fixedHeartbeat } from '../client/heartbeat.ts';
import { freeClusterCidr } from '../cri/process/pod-network.ts';
import { failoverNumbers } from './failover.ts';
import { hostIp } from './host-facts.ts';
import { beginRuntime, checkedNodeName, startKubelet, untilNodeReady } from './node-parts.ts';
import type { NodeHostOptions } from './node-parts.ts';
import { Opened, openHost } from './opened.ts';
import { endingOf, runningOf } from './running.ts';
import type { Running } from './running.ts';
import { openServer, openStore, preparePki } from './server-parts.ts';
import type { ControlPlaneHostOptions } from './server-parts.ts';

/** How to start a cluster; every field has a default that suits a test. */
export interface ClusterOptions extends ControlPlaneHostOptions, NodeHostOptions {
  /**
   * Where state, certificates and logs are kept, made if absent. Default: a temporary directory, removed by `stop()`.
   * One process at a time may use it.
   */
  readonly dataDir?: string;
  /** Default: silence. */
  readonly log?: Log;
}

/** A running cluster. */
export interface ClusterHandle extends Running {
  /** `https://127.0.0.1:PORT`. */
  readonly url: string;
  /** Full kubeconfig of the administrator, certificates embedded. */
  readonly kubeconfig: string;
  /** The file that has it (mode 0600). */
  readonly kubeconfigPath: string;
  readonly dataDir: string;
  readonly nodeName: string;
  /** What runs the containers: `process`, or the socket `unix:///...`. */
  readonly runtime: string;
  /** Administrator's client, in process. */
  readonly client: Client;
  /** What its user should know once: e.g. that the kernel does not permit PID namespaces. Usually empty. */
  readonly notices: readonly string[];
}

const readyMsMax = 30_000;
const kubeletPort = 10_250; // as upstream reports it; the API server reaches this node in process

/**
 * Starts API server, scheduler, controllers and one node in this process; resolves when the node is Ready and the
 * default service account is there, so that the next request succeeds. Other nodes can join it. Errors: `StatusError`
 * whose message says what to do.
 */
export function startCluster(options: ClusterOptions = {}): Promise<ClusterHandle> {
  return Opened.for((opened) => startClusterIn(opened, options));
}

async function startClusterIn(opened: Opened, options: ClusterOptions): Promise<ClusterHandle> {
  const nodeName = checkedNodeName(options);
  const host = openHost(opened, options);
  const { scope, log, dataDir } = host;
  const starting = beginRuntime(opened, host, options, true);
  const pki = await preparePki(host, options, nodeName);
  const openedRuntime = await starting.opening;
  // After the runtime: the launcher of the containers would inherit LMDB's file, and hand it on to them.
  const store = await openStore(opened, host, options);
  opened.add(() => scope.close());
  const clusterCidr = options.clusterCidr ?? freeClusterCidr();
  const server = await openServer(opened, { ...host, store, pki, nodeName }, { ...options, clusterCidr });
  const client = server.plane.clientOf(`system:node:${nodeName}`, ['system:nodes', 'system:authenticated']);
  const heartbeat = fixedHeartbeat(failoverNumbers[options.failover ?? 'default'].heartbeat);
  const node = { nodeName, server: { client, heartbeat }, nodeIps: [hostIp()], kubeletPort };
  const kubelet = await startKubelet(host, starting, node, options);
  server.nodes.add(nodeName, kubelet.handle);
  await untilNodeReady(server.client, nodeName, host, readyMsMax);
  const { url, kubeconfig, kubeconfigPath } = server;
  log.info('clusterReady', { url, nodeName });
  return {
    ...runningOf(opened, scope, endingOf(openedRuntime, kubelet, host)),
    url,
    kubeconfig,
    kubeconfigPath,
    dataDir,
    nodeName,
    runtime: openedRuntime.name,
    client: server.client,
    notices: openedRuntime.notices,
  };
}
