import { setMaxListeners } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { applyJsonPatch } from '../host/json-patch.ts';
import { HostClock } from '../host/host-clock.ts';
import { HostEntropy } from '../host/host-entropy.ts';
import { HostNodeFiles } from '../host/node-files.ts';
import { ensurePki } from '../host/pki.ts';
import type { Pki } from '../host/pki.ts';
import { HostProbeTransport } from '../host/probe-transport.ts';
import { renderKubeconfig } from '../host/render-kubeconfig.ts';
import { openTokenIssuer } from '../host/token-issuer.ts';
import { yamlCodec } from '../host/yaml-codec.ts';
import { PrometheusMetrics } from '../host/prometheus-metrics.ts';
import { HttpsListener } from '../apiserver/http/https-listener.ts';
import { dns1123SubdomainProblems } from '../api/names.ts';
import { resources } from '../api/resources.ts';
import type { HttpHandler } from '../base/http.ts';
import type { Log } from '../base/log.ts';
import { noLog } from '../base/log.ts';
import { StatusError, messageOf } from '../base/status-error.ts';
import { TaskScope, prepareScopeSignals } from '../base/task-scope.ts';
import type { Client } from '../client/client.ts';
import type { EventRecorder } from '../client/event-recorder.ts';
import { CorrelatingEventRecorder } from '../client/correlating-event-recorder.ts';
import { fixedHeartbeat } from '../client/heartbeat.ts';
import type { ContainerNotice } from '../cri/process/process-runtime.ts';
import { Kubelet } from '../kubelet/kubelet.ts';
import { containerReference, podReference } from '../kubelet/pod-names.ts';
import type { ProbeAttempt } from '../kubelet/probes/prober.ts';
import { lockDirectory } from '../store/lmdb/directory-lock.ts';
import { openLmdbStore } from '../store/lmdb/lmdb-store.ts';
import { MemoryStore } from '../store/memory-store.ts';
import { createStreamServer } from '../streaming/stream-server.ts';
import type { Store } from '../store/store.ts';
import { startControlPlane } from './control-plane.ts';
import type { ControlPlane } from './control-plane.ts';
import { failoverNumbers } from './failover.ts';
import type { FailoverProfile } from './failover-profile.ts';
import { hostCapacity, hostInfo, hostIp, hostNodeName } from './host-facts.ts';
import type { RuntimeChoice } from './runtime-choice.ts';
import { openRuntime } from './runtimes.ts';
import type { OpenedRuntime } from './runtimes.ts';

/** How to start a cluster; every field has a default that suits a test. */
export interface ClusterOptions {
  /**
   * Where state, certificates and logs are kept, made if absent. Default: a temporary directory, removed by `stop()`.
   * One process at a time may use it.
   */
  readonly dataDir?: string;
  /** What keeps the objects. Default: `lmdb` with a `dataDir`, else `memory` (gone with the process). */
  readonly store?: 'lmdb' | 'memory';
  /** TCP port of the API server on 127.0.0.1. Default 0: any free one. A taken one is an error. */
  readonly port?: number;
  /** Name of the one node, an RFC 1123 subdomain. Default: this computer's host name. */
  readonly nodeName?: string;
  /** What runs the containers. Default `process`: local processes. Else see `RuntimeChoice`. */
  readonly runtime?: RuntimeChoice;
  /**
   * How soon pods of a lost node are replaced. `default`: upstream's 50 s until it counts as lost, and 300 s more.
   * `fast`: within 10 s of its last heartbeat, without giving up a node that answers. The numbers: `failoverNumbers`.
   */
  readonly failover?: FailoverProfile;
  /** Default: silence. */
  readonly log?: Log;
  /** Called for every attempt of every probe on this node. Must be quick and must not throw. */
  readonly onProbeAttempt?: (attempt: ProbeAttempt) => void;
}

/** A running cluster. */
export interface ClusterHandle {
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
  /** Settles when the cluster has stopped; rejects if it broke down by itself. */
  readonly stopped: Promise<void>;
  /**
   * Ends the containers gracefully (at most `graceMs`, default 5,000, then SIGKILL), then everything else. The objects
   * stay in `dataDir`, and a later start runs their pods again. Idempotent.
   */
  stop(graceMs?: number): Promise<void>;
  /**
   * Ends everything but the containers; resolves to how many run on, as far as the runtime tells. The next start with
   * this `dataDir` takes them over as they are, as it does after this process was killed. Where they cannot outlive it
   * (`runtime: 'process'`, or no `dataDir` to come back to) this is `stop()`. Upstream: a kubelet that is stopped.
   */
  leave(): Promise<number>;
  [Symbol.asyncDispose](): Promise<void>;
}

const host = '127.0.0.1';
const readyMsMax = 30_000;
const stopGraceMsDefault = 5_000;
const kubeletPort = 10_250; // as upstream reports it; the API server reaches this node in process
prepareScopeSignals((signal) => setMaxListeners(0, signal));

/**
 * Starts API server, scheduler, controllers and one node in this process; resolves when the node is Ready and the
 * default
 * service account is there, so that the next request succeeds. Errors: `StatusError` whose message says what to do.
 */
export async function startCluster(options: ClusterOptions = {}): Promise<ClusterHandle> {
  const opened = new Opened();
  try {
    return await startClusterIn(opened, options);
  } catch (error) {
    await opened.close();
    throw error;
  }
}

/** What was opened so far, to be closed in reverse order. */
class Opened {
  readonly #closers: (() => Promise<void> | void)[] = [];

  add(close: () => Promise<void> | void): void {
    this.#closers.push(close);
  }

  /** Closes everything, whatever fails on the way; throws the first failure at the end. */
  async close(): Promise<void> {
    let failure: unknown;
    for (let close = this.#closers.pop(); close !== undefined; close = this.#closers.pop()) {
      try {
        await close();
      } catch (error) {
        failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
  }
}

interface Parts {
  readonly scope: TaskScope;
  readonly clock: HostClock;
  readonly entropy: HostEntropy;
  readonly log: Log;
  readonly dataDir: string;
  readonly nodeName: string;
  readonly store: Store;
  readonly pki: Pki;
  readonly openedRuntime: OpenedRuntime;
  readonly notices: ContainerNotices;
}

/** What the runtime does not carry out of a pod's description becomes an event of that pod. */
class ContainerNotices {
  #tell: (notice: ContainerNotice) => void = () => {}; // set before the first pod is seen

  connect(client: Client, recorder: EventRecorder, { scope, log }: Pick<Parts, 'scope' | 'log'>): void {
    this.#tell = ({ podNamespace: namespace, podName: name, podUid, containerName, message }) =>
      scope.start(async (signal) => {
        try {
          const pod = await client.get(resources.pods, { namespace, name }, signal);
          if (pod.metadata?.uid !== podUid) return;
          const about = containerName === undefined ? podReference(pod) : containerReference(pod, containerName);
          recorder.event(about, 'Warning', 'NotEnforced', message);
        } catch (error) {
          if (signal.aborted || !(error instanceof StatusError)) throw error;
          log.warn('noticeLost', { namespace, name, message, error: error.message }); // or the pod is gone
        }
      });
  }

  tell(notice: ContainerNotice): void {
    this.#tell(notice);
  }
}

async function startClusterIn(opened: Opened, options: ClusterOptions): Promise<ClusterHandle> {
  const parts = await openParts(opened, options);
  const { scope, log, dataDir, nodeName, pki } = parts;
  const nodeHandlers = new Map<string, HttpHandler>();
  let address = '';
  const metrics = new PrometheusMetrics();
  const plane = await startControlPlane(
    scope,
    {
      ...parts,
      metrics,
      jsonPatch: applyJsonPatch,
      tokens: openTokenIssuer(dataDir, { log }),
      yaml: yamlCodec,
      async nodes(name, request, signal) {
        const handle = nodeHandlers.get(name);
        if (handle !== undefined) return await handle(request, signal);
        throw new StatusError('ServiceUnavailable', `no way to the server of node ${name}`);
      },
    },
    {
      hostName: hostNodeName(),
      rootCaPem: pki.caPem,
      serverAddress: () => address,
      failover: options.failover ?? 'default',
    },
  );
  const listener = new HttpsListener(
    { handle: plane.server.handle, log },
    { host, certificate: pki.serverCertPem, key: pki.serverKeyPem, clientCa: pki.caPem },
  );
  const { port } = await listener.listen(options.port ?? 0);
  opened.add(() => listener.close());
  scope.start(() => listener.done());
  address = `${host}:${port}`;
  const kubelet = startKubelet(parts, plane, options);
  nodeHandlers.set(nodeName, kubelet.handle);

  const kubeconfig = renderKubeconfig({
    server: `https://${address}`,
    clusterName: 'livelet',
    userName: 'kubernetes-admin',
    caPem: pki.caPem,
    clientCertPem: pki.adminCertPem,
    clientKeyPem: pki.adminKeyPem,
  });
  const kubeconfigPath = path.join(dataDir, 'kubeconfig');
  writeSecret(kubeconfigPath, kubeconfig);
  const client = plane.clientOf('kubernetes-admin', ['system:masters', 'system:authenticated']);
  await untilNodeReady(client, nodeName, parts);
  log.info('clusterReady', { url: `https://${address}`, nodeName });

  return clusterHandle(
    opened,
    scope,
    {
      url: `https://${address}`,
      kubeconfig,
      kubeconfigPath,
      dataDir,
      nodeName,
      runtime: parts.openedRuntime.name,
      client,
      notices: parts.openedRuntime.notices,
    },
    endingOf(parts, kubelet, options),
  );
}

/** What becomes of the containers. */
interface Ending {
  /** Ends them all, gracefully. */
  end(graceMs: number): Promise<void>;
  /** How many will run on; `undefined`: they cannot. */
  leave(): Promise<number | undefined>;
}

function endingOf({ openedRuntime, scope }: Parts, kubelet: Kubelet, { dataDir }: ClusterOptions): Ending {
  const { runtime, containersOutlive, cgroups } = openedRuntime;
  return {
    async end(graceMs) {
      const { signal } = new AbortController();
      await kubelet.shutdown(graceMs, signal);
      if (!containersOutlive || dataDir !== undefined) return;
      // Nobody will come back for what is left of them.
      const sandboxes = await runtime.listPodSandboxes({}, signal);
      await Promise.all(sandboxes.map(({ id }) => runtime.removePodSandbox(id, signal)));
      await cgroups?.groups.remove(cgroups.root);
    },
    async leave() {
      if (!containersOutlive || dataDir === undefined) return undefined;
      try {
        const containers = await runtime.listContainers({}, scope.signal);
        return containers.filter(({ state }) => state === 'running').length;
      } catch (error) {
        if (error instanceof StatusError) return 0; // it does not answer: no reason to stay
        throw error;
      }
    },
  };
}

type HandleFacts = Omit<ClusterHandle, 'stopped' | 'stop' | 'leave' | typeof Symbol.asyncDispose>;

function clusterHandle(opened: Opened, scope: TaskScope, facts: HandleFacts, ending: Ending): ClusterHandle {
  let closing: Promise<number> | undefined;
  const close = (first: () => Promise<number>): Promise<number> => {
    closing ??= (async () => {
      try {
        return scope.failure === undefined ? await first() : 0;
      } finally {
        await opened.close();
      }
    })();
    return closing;
  };
  const end = async (graceMs: number): Promise<number> => {
    await ending.end(graceMs);
    return 0;
  };
  const stop = async (graceMs = stopGraceMsDefault): Promise<void> => {
    await close(() => end(graceMs));
  };
  const leave = (): Promise<number> => close(async () => (await ending.leave()) ?? (await end(stopGraceMsDefault)));
  const stopped = new Promise<void>((resolve, reject) => {
    const onAbort = (): void => {
      stop().then(resolve, reject);
    };
    scope.signal.addEventListener('abort', onAbort, { once: true });
  });
  stopped.catch(() => {}); // also told by stop(); nobody need listen here
  return { ...facts, stopped, stop, leave, [Symbol.asyncDispose]: () => stop() };
}

/** Directory, runtime, certificates and store. */
async function openParts(opened: Opened, options: ClusterOptions): Promise<Parts> {
  const clock = new HostClock();
  const entropy = new HostEntropy();
  const log = options.log ?? noLog;
  const nodeName = options.nodeName ?? hostNodeName();
  const [wrong] = dns1123SubdomainProblems(nodeName);
  if (wrong !== undefined) throw new StatusError('Invalid', `node name "${nodeName}": ${wrong}`);
  const dataDir = options.dataDir ?? fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-'));
  // With what is mounted below it: volumes in memory.
  if (options.dataDir === undefined) opened.add(() => new HostNodeFiles().remove(dataDir));
  const lock = lockDirectory(dataDir);
  opened.add(() => lock.release());
  const scope = new TaskScope();
  const notices = new ContainerNotices();
  const onNotice = (notice: ContainerNotice): void => notices.tell(notice);
  const runtime = options.runtime ?? 'process';
  const opening = openRuntime(runtime, { clock, entropy, log }, { dataDir, onNotice }, scope.signal);
  opening.catch(() => {}); // told below; nobody may wait for it yet when it fails
  opened.add(async () => (await opening).close());
  const pki = await ensurePki(dataDir, { nodeName, ipAddresses: [] }, { clock, log });
  const openedRuntime = await opening;
  // Last: the launcher of the containers would inherit LMDB's file, and hand it on to them.
  const wantsLmdb = (options.store ?? (options.dataDir === undefined ? 'memory' : 'lmdb')) === 'lmdb';
  const store = wantsLmdb ? await openLmdbStore({ directory: dataDir, log, lock }) : new MemoryStore();
  opened.add(() => store.close());
  opened.add(() => scope.close());
  return { scope, clock, entropy, log, dataDir, nodeName, store, pki, openedRuntime, notices };
}

function startKubelet(parts: Parts, plane: ControlPlane, options: ClusterOptions): Kubelet {
  const { scope, clock, entropy, log, dataDir, nodeName, notices } = parts;
  const { runtime, sharesHostNetwork, cgroups } = parts.openedRuntime;
  const client = plane.clientOf(`system:node:${nodeName}`, ['system:nodes', 'system:authenticated']);
  const recorder = new CorrelatingEventRecorder({
    client,
    clock,
    entropy,
    log,
    source: { component: 'kubelet', host: nodeName },
  });
  notices.connect(client, recorder, parts);
  const transport = new HostProbeTransport();
  const { onProbeAttempt } = options;
  const kubelet = new Kubelet(
    {
      client,
      runtime,
      clock,
      entropy,
      log,
      metrics: new PrometheusMetrics(),
      probeMetrics: new PrometheusMetrics(),
      recorder,
      files: new HostNodeFiles(),
      transport,
      heartbeat: fixedHeartbeat(failoverNumbers[options.failover ?? 'default'].heartbeat),
      streams: createStreamServer({ clock, log }),
      ...(cgroups === undefined ? {} : { cgroups: cgroups.groups }),
      ...(onProbeAttempt === undefined ? {} : { onProbeAttempt }),
    },
    {
      nodeName,
      hostname: os.hostname(),
      nodeIps: [hostIp()],
      kubeletPort,
      capacity: hostCapacity(dataDir),
      hostInfo: hostInfo(),
      // The scheduler then knows that two pods cannot listen on one port.
      annotations: sharesHostNetwork ? { 'livelet.dev/pod-network': 'host' } : {},
      rootDir: path.join(dataDir, 'kubelet'),
      podLogsDir: path.join(dataDir, 'pods'),
      ...(cgroups === undefined ? {} : { cgroupRoot: cgroups.root }),
    },
  );
  scope.start((signal) => recorder.run(signal));
  scope.start((signal) => kubelet.run(signal));
  return kubelet;
}

async function untilNodeReady(client: Client, nodeName: string, { clock, scope }: Parts): Promise<void> {
  const waiting = new TaskScope(scope.signal);
  let why = '';
  waiting.start(async (signal) => {
    await clock.sleep(readyMsMax, 'cluster.ready', signal);
    throw new StatusError('Timeout', `node ${nodeName} was not Ready within ${readyMsMax / 1_000} s${why}`);
  });
  const found = new Error('found');
  waiting.start(async (signal) => {
    const options = { fieldSelector: `metadata.name=${nodeName}` };
    for await (const event of client.watch(resources.nodes, options, signal)) {
      if (event.type === 'BOOKMARK') continue;
      const ready = event.object.status?.conditions?.find(({ type }) => type === 'Ready');
      if (ready?.status === 'True') throw found;
      if (ready?.message !== undefined) why = `: ${ready.message}`;
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

/** In one step, readable by its owner only. */
function writeSecret(file: string, text: string): void {
  const temporary = `${file}.new`;
  fs.writeFileSync(temporary, text, { mode: 0o600 });
  fs.renameSync(temporary, file);
}
