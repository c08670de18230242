import { setMaxListeners } from 'node:events';
import type { Event, Node, Pod } from '../../src/api/gen/types.ts';
import { podStatusText } from '../../src/api/pod-status-text.ts';
import { resources } from '../../src/api/resources.ts';
import { noLog } from '../../src/base/log.ts';
import type { HttpHandler } from '../../src/base/http.ts';
import type { Log } from '../../src/base/log.ts';
import { noMetrics } from '../../src/base/metrics.ts';
import { TaskScope } from '../../src/base/task-scope.ts';
import { CorrelatingEventRecorder } from '../../src/client/correlating-event-recorder.ts';
import { inProcessClient } from '../../src/client/in-process-client.ts';
import type { Cgroups } from '../../src/kubelet/cgroups.ts';
import { Kubelet } from '../../src/kubelet/kubelet.ts';
import type { StaticPodSource } from '../../src/kubelet/static-pod-source.ts';
import type { ContainerScript, ScriptRule, SimImage } from '../../src/sim/container-script.ts';
import { SimNetwork } from '../../src/sim/sim-network.ts';
import { SimNodeFiles } from '../../src/sim/sim-node-files.ts';
import { SimRuntime } from '../../src/sim/sim-runtime.ts';
import { startApiWorld } from './api-world.ts';
import { NotingRuntime } from './noting-runtime.ts';

setMaxListeners(0); // one signal ends everything here, so many listen to it
const never = new AbortController().signal;
const busybox: SimImage = { name: 'docker.io/library/busybox:1.29', sizeBytes: 1_000, entrypoint: ['run'] };

export interface KubeletWorldOptions {
  readonly images?: readonly SimImage[];
  readonly rules?: readonly ScriptRule[];
  /** By the one word of a container's command; a container without a command runs `run`. */
  readonly scripts?: Readonly<Record<string, ContainerScript>>;
  /** Of every call of the runtime. Default 0: nothing takes time but what the scripts say. */
  readonly latencyMs?: readonly [min: number, max: number];
  readonly log?: Log;
  readonly cgroups?: Cgroups;
  /** Default: yes. */
  readonly canMountTmpfs?: boolean;
  readonly staticPods?: StaticPodSource;
  /** The kubelet knows of no API server. */
  readonly isAlone?: boolean;
  /** What stands between the kubelet and the API server. */
  readonly way?: (handle: HttpHandler) => HttpHandler;
}

/** One node with a real kubelet, on the real API server, in virtual time. Pods are bound to it by their `nodeName`. */
export async function startKubeletWorld(seed: string, options: KubeletWorldOptions = {}) {
  const log = options.log ?? noLog;
  const api = await startApiWorld(seed, log);
  const { clock, entropy, client } = api;
  // Pods here have no volume that their tests do not ask for.
  const account = { namespace: 'default', name: 'default' };
  const body = { automountServiceAccountToken: false };
  await client.patch(resources.serviceaccounts, account, { type: 'merge', body }, never);
  const files = new SimNodeFiles({ canMountTmpfs: options.canMountTmpfs ?? true });
  const network = new SimNetwork(clock);
  const scripts = { run: { onStop: { afterMs: 10, exitCode: 0 } }, ...options.scripts } as const;
  const rules = Object.entries(scripts).map(([word, script]): ScriptRule => ({ command: [word], script }));
  const sim = new SimRuntime(
    {
      clock,
      entropy: entropy.fork('runtime'),
      network,
      writeLog: (file, line) => files.append(file, line),
    },
    {
      images: options.images ?? [busybox],
      rules: [...rules, ...(options.rules ?? [])],
      latencyMs: options.latencyMs ?? [0, 0],
    },
    api.scope.signal,
  );
  const noted = new NotingRuntime(sim);
  const source = { component: 'kubelet', host: 'node-1' };
  const nodeClient = inProcessClient({
    handle: options.way?.(api.server.handle) ?? api.server.handle,
    user: { name: 'system:node:node-1', groups: ['system:masters'] },
  });
  const recorder = new CorrelatingEventRecorder({ client, clock, entropy: entropy.fork('events'), log, source });
  api.scope.start((signal) => recorder.run(signal));
  const start = () => {
    const scope = new TaskScope();
    const kubelet = new Kubelet(
      {
        client: options.isAlone === true ? undefined : nodeClient,
        ...(options.staticPods === undefined ? {} : { staticPods: options.staticPods }),
        runtime: noted.runtime,
        clock,
        entropy: entropy.fork('node-1'),
        log,
        metrics: noMetrics,
        probeMetrics: noMetrics,
        recorder,
        files,
        transport: network,
        ...(options.cgroups === undefined ? {} : { cgroups: options.cgroups }),
      },
      {
        nodeName: 'node-1',
        hostname: 'node-1',
        nodeIps: ['192.0.2.2'],
        kubeletPort: 10_250,
        capacity: { cpu: '2', memory: '4Gi', 'ephemeral-storage': '10Gi', pods: '110' },
        hostInfo,
        rootDir: '/var/lib/kubelet',
        podLogsDir: '/var/log/pods',
      },
    );
    scope.start((signal) => kubelet.run(signal));
    return { kubelet, scope };
  };
  let node = start();
  await clock.advance(0);
  /** Lets time pass until `task` is done. */
  const during = async <T>(task: Promise<T>): Promise<T> => {
    let isDone = false;
    const done = task.finally(() => (isDone = true));
    while (!isDone) await clock.advance(1);
    return done;
  };
  const pod = (name: string): Promise<Pod> => client.get(resources.pods, { namespace: 'default', name }, never);
  return {
    ...api,
    files,
    sim,
    noted,
    network,
    pod,
    get kubelet() {
      return node.kubelet;
    },
    node: (): Promise<Node> => client.get(resources.nodes, { name: 'node-1' }, never),
    create: (name: string, spec: Partial<Pod['spec']> = {}): Promise<Pod> =>
      client.create<Pod>(resources.pods, { namespace: 'default' }, podOf(name, spec), never),
    delete: (name: string, gracePeriodSeconds?: number) =>
      client.delete(
        resources.pods,
        { namespace: 'default', name },
        gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds },
        never,
      ),
    /** `TYPE REASON xCOUNT MESSAGE`, in the order in which they were last written. */
    async events(name: string): Promise<string[]> {
      const list = await client.list<Event>(resources.events, {}, never);
      return list.items
        .filter(({ involvedObject }) => involvedObject.name === name)
        .sort((a, b) => versionOf(a) - versionOf(b))
        .map(({ type, reason, message, count }) => `${type} ${reason} x${count} ${message}`);
    },
    /** As `kubectl get` shows it: `0/1 CrashLoopBackOff 6`. */
    async row(name: string): Promise<string> {
      const { ready, status, restarts } = podStatusText(await pod(name), clock.wallMs());
      return `${ready} ${status} ${restarts}`;
    },
    /** The answer of the node's own server: `200 TEXT`. */
    async logs(name: string, container: string, query: Record<string, string> = {}, namespace = 'default') {
      const asked = node.kubelet.handle(
        {
          method: 'GET',
          path: `/containerLogs/${namespace}/${name}/${container}`,
          query: new URLSearchParams(query),
          headers: {},
          body: '',
          user: { name: 'apiserver', groups: ['system:masters'] },
        },
        never,
      );
      const answer = await during(asked);
      return `${answer.status} ${await during(textOf(answer.body))}`;
    },
    /** The kubelet dies without a word, and another one starts. */
    async restartKubelet(): Promise<void> {
      await during(node.scope.close());
      node = start();
      await clock.advance(0);
    },
    during,
    async close(): Promise<void> {
      await during(node.scope.close());
      await during(sim.close());
      await api.close();
    },
  };
}

const hostInfo = {
  architecture: 'amd64',
  bootID: 'boot',
  kernelVersion: '6.1',
  machineID: 'machine',
  operatingSystem: 'linux',
  osImage: 'Linux',
  systemUUID: 'system',
} as const;

export type KubeletWorld = Awaited<ReturnType<typeof startKubeletWorld>>;

export function podOf(name: string, spec: Partial<Pod['spec']>): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default' },
    spec: { nodeName: 'node-1', containers: [{ name: 'main', image: 'busybox:1.29' }], ...spec },
  };
}

/** A container that runs the script of this name. */
export function containerOf(name: string, word: string) {
  return { name, image: 'busybox:1.29', command: [word] };
}

function versionOf({ metadata }: Event): number {
  return Number(metadata?.resourceVersion);
}

async function textOf(body: string | Uint8Array | AsyncIterable<string | Uint8Array>): Promise<string> {
  if (typeof body === 'string') return body;
  const decoder = new TextDecoder();
  if (body instanceof Uint8Array) return decoder.decode(body);
  let text = '';
  for await (const piece of body) text += typeof piece === 'string' ? piece : decoder.decode(piece, { stream: true });
  return text;
}
