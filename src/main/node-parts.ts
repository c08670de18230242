import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { podNetworkAnnotation } from '../api/pod-networks.ts';
import { resources } from '../api/resources.ts';
import { dns1123SubdomainProblems } from '../api/names.ts';
import { StatusError, messageOf } from '../base/status-error.ts';
import { TaskScope } from '../base/task-scope.ts';
import type { Client } from '../client/client.ts';
import { CorrelatingEventRecorder } from '../client/correlating-event-recorder.ts';
import type { HeartbeatSource } from '../client/heartbeat.ts';
import type { EventRecorder } from '../client/event-recorder.ts';
import type { ContainerNotice } from '../cri/process/process-runtime.ts';
import { ManifestDirectory } from '../host/manifest-directory.ts';
import { HostNodeFiles } from '../host/node-files.ts';
import { HostProbeTransport } from '../host/probe-transport.ts';
import { PrometheusMetrics } from '../host/prometheus-metrics.ts';
import { Kubelet } from '../kubelet/kubelet.ts';
import { nodeReference } from '../kubelet/node-registration.ts';
import { containerReference, podReference } from '../kubelet/pod-names.ts';
import type { ProbeAttempt } from '../kubelet/probes/prober.ts';
import { createStreamServer } from '../streaming/stream-server.ts';
import { hostCapacity, hostInfo, hostNodeName } from './host-facts.ts';
import type { HostParts, Opened } from './opened.ts';
import { PodRoutes } from './pod-routes.ts';
import type { RuntimeChoice } from './runtime-choice.ts';
import { openRuntime } from './runtimes.ts';
import type { OpenedRuntime } from './runtimes.ts';

/** How to start a node; every field has a default that suits a test. */
export interface NodeHostOptions {
  /** Name of the node, an RFC 1123 subdomain. Default: this computer's host name. */
  readonly nodeName?: string;
  /** What runs the containers. Default `process`: local processes. Else see `RuntimeChoice`. */
  readonly runtime?: RuntimeChoice;
  /**
   * Directory of manifests, each of a pod that the node runs whatever its server says. Default: none. Upstream:
   * `staticPodPath`.
   */
  readonly manifests?: string;
  /**
   * Whether this computer keeps routes to the pods of other nodes, and they to its own, where they are on one network.
   * Default: yes, with the process runtime as root. Nothing is done while there is no such node.
   */
  readonly podRoutes?: boolean;
  /** Called for every attempt of every probe on this node. Must be quick and must not throw. */
  readonly onProbeAttempt?: (attempt: ProbeAttempt) => void;
}

/** What the runtime does not carry out of a pod's description becomes an event of that pod. */
class ContainerNotices {
  #tell: (notice: ContainerNotice) => void = () => {}; // set before the first pod is seen

  connect(kubelet: Kubelet, recorder: EventRecorder): void {
    this.#tell = ({ podUid, containerName, message }) => {
      const pod = kubelet.pods().find(({ metadata }) => metadata?.uid === podUid);
      if (pod === undefined) return;
      const about = containerName === undefined ? podReference(pod) : containerReference(pod, containerName);
      recorder.event(about, 'Warning', 'NotEnforced', message);
    };
  }

  tell(notice: ContainerNotice): void {
    this.#tell(notice);
  }
}

/** The name that the options give the node. `Invalid`: it can be none. */
export function checkedNodeName({ nodeName = hostNodeName() }: NodeHostOptions): string {
  const [wrong] = dns1123SubdomainProblems(nodeName);
  if (wrong !== undefined) throw new StatusError('Invalid', `node name "${nodeName}": ${wrong}`);
  return nodeName;
}

/** A runtime that is being opened. */
export interface OpeningRuntime {
  readonly opening: Promise<OpenedRuntime>;
  readonly notices: ContainerNotices;
}

/** Begins to open it: the caller goes on with something else until it waits for `opening`. */
export function beginRuntime(
  opened: Opened,
  host: HostParts,
  { runtime = 'process' }: NodeHostOptions,
  hasServer: boolean,
): OpeningRuntime {
  const notices = new ContainerNotices();
  const onNotice = (notice: ContainerNotice): void => notices.tell(notice);
  const opening = openRuntime(
    runtime,
    host,
    { dataDir: host.dataDir, awaitsPodCidr: hasServer, onNotice },
    host.scope.signal,
  );
  opening.catch(() => {}); // told when it is waited for, which may be later than it fails
  opened.add(async () => (await opening).close());
  return { opening, notices };
}

export interface NodeParts {
  readonly nodeName: string;
  /** Its API server, or who takes its events where it has none. */
  readonly server:
    | { readonly client: Client; readonly heartbeat: HeartbeatSource }
    | { readonly client: undefined; readonly recorder: EventRecorder };
  /** The primary one first. */
  readonly nodeIps: readonly string[];
  readonly kubeletPort: number;
  /** Whether the others reach it only through its tunnel. Default: no. */
  readonly isTunnelled?: boolean;
}

/** Starts the kubelet of a node. */
export async function startKubelet(
  host: HostParts,
  { opening, notices }: OpeningRuntime,
  node: NodeParts,
  { onProbeAttempt, manifests, podRoutes = true }: NodeHostOptions,
): Promise<Kubelet> {
  const { scope, clock, entropy, log, dataDir } = host;
  const { runtime, sharesHostNetwork, canRoutePods, mountPid, cgroups } = await opening;
  const isRouted = podRoutes && canRoutePods && isReachable(node);
  const { server, nodeName, nodeIps, kubeletPort } = node;
  const recorder = server.client === undefined ? server.recorder : startRecorder(host, server.client, nodeName);
  const kubelet = new Kubelet(
    {
      client: server.client,
      runtime,
      clock,
      entropy,
      log,
      metrics: new PrometheusMetrics(),
      probeMetrics: new PrometheusMetrics(),
      recorder,
      files: new HostNodeFiles(mountPid),
      ...(manifests === undefined ? {} : { staticPods: manifestsIn(manifests) }),
      transport: new HostProbeTransport(),
      ...(server.client === undefined ? {} : { heartbeat: server.heartbeat }),
      streams: createStreamServer({ clock, log }),
      ...(cgroups === undefined ? {} : { cgroups: cgroups.groups }),
      ...(onProbeAttempt === undefined ? {} : { onProbeAttempt }),
    },
    {
      nodeName,
      hostname: os.hostname(),
      nodeIps,
      kubeletPort,
      capacity: hostCapacity(dataDir),
      hostInfo: hostInfo(),
      // `host`: the scheduler then knows that two pods cannot listen on one port.
      annotations: { [podNetworkAnnotation]: sharesHostNetwork ? 'host' : isRouted ? 'routed' : null },
      rootDir: path.join(dataDir, 'kubelet'),
      podLogsDir: path.join(dataDir, 'pods'),
      ...(cgroups === undefined ? {} : { cgroupRoot: cgroups.root }),
    },
  );
  notices.connect(kubelet, recorder);
  scope.start((signal) => kubelet.run(signal));
  if (isRouted && server.client !== undefined) {
    const deps = { client: server.client, clock, entropy: entropy.fork(), log, recorder };
    const stateFile = path.join(dataDir, 'pod-routes.json');
    const routes = new PodRoutes(deps, { nodeName, node: nodeReference(nodeName), stateFile });
    scope.start((signal) => routes.run(signal));
  }
  return kubelet;
}

/** Whether other machines can send to it by its address. */
function isReachable({ nodeIps, isTunnelled = false }: NodeParts): boolean {
  const [nodeIp = ''] = nodeIps;
  return !isTunnelled && net.isIPv4(nodeIp) && !nodeIp.startsWith('127.');
}

/** A directory that goes later has no manifests; one that was never there is a slip of the pen. */
function manifestsIn(directory: string): ManifestDirectory {
  const stats = fs.statSync(directory, { throwIfNoEntry: false });
  if (stats?.isDirectory() === true) return new ManifestDirectory(directory);
  const what = stats === undefined ? 'there is none' : 'it is no directory';
  throw new StatusError('Invalid', `the directory of manifests ${directory}: ${what}`);
}

function startRecorder({ scope, clock, entropy, log }: HostParts, client: Client, nodeName: string): EventRecorder {
  const source = { component: 'kubelet', host: nodeName };
  const recorder = new CorrelatingEventRecorder({ client, clock, entropy, log, source });
  scope.start((signal) => recorder.run(signal));
  return recorder;
}

/** Resolves when the API says that the node is Ready. `msMax` undefined: however long that takes. */
export async function untilNodeReady(
  client: Client,
  nodeName: string,
  { clock, scope, log }: HostParts,
  msMax?: number,
): Promise<void> {
  const waiting = new TaskScope(scope.signal);
  let why = '';
  if (msMax !== undefined) {
    waiting.start(async (signal) => {
      await clock.sleep(msMax, 'cluster.ready', signal);
      throw new StatusError('Timeout', `node ${nodeName} was not Ready within ${msMax / 1_000} s${why}`);
    });
  }
  const found = new Error('found');
  waiting.start(async (signal) => {
    const options = { fieldSelector: `metadata.name=${nodeName}` };
    for (;;) {
      try {
        for await (const event of client.watch(resources.nodes, options, signal)) {
          if (event.type === 'BOOKMARK') continue;
          const ready = event.object.status?.conditions?.find(({ type }) => type === 'Ready');
          if (ready?.status === 'True') throw found;
          if (ready?.message === undefined || why === `: ${ready.message}`) continue;
          why = `: ${ready.message}`;
          log.info('nodeNotReady', { nodeName, why: ready.message });
        }
      } catch (error) {
        // A server that is away comes back.
        if (msMax !== undefined || signal.aborted || !(error instanceof StatusError)) throw error;
      }
      await clock.sleep(watchRetryMs, 'cluster.ready.retry', signal);
    }
  });
  await new Promise<void>((resolve) => {
    if (waiting.signal.aborted) resolve();
    waiting.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await waiting.close().catch(() => {}); // its failure is looked at below
  if (waiting.failure === found) return;
  throw waiting.failure ?? scope.failure ?? new StatusError('InternalError', messageOf(waiting.signal.reason));
}

const watchRetryMs = 500;
