import type { Event, Node, Pod } from '../../src/api/gen/types.ts';
import { resources } from '../../src/api/resources.ts';
import { noLog } from '../../src/base/log.ts';
import type { Log } from '../../src/base/log.ts';
import { noMetrics } from '../../src/base/metrics.ts';
import { TaskScope } from '../../src/base/task-scope.ts';
import { CorrelatingEventRecorder } from '../../src/client/correlating-event-recorder.ts';
import { Kubelet } from '../../src/kubelet/kubelet.ts';
import { SimNetwork } from '../../src/sim/sim-network.ts';
import { SimNodeFiles } from '../../src/sim/sim-node-files.ts';
import { startApiWorld } from './api-world.ts';
import { ScriptedRuntime } from './scripted-runtime.ts';

const never = new AbortController().signal;

/** One node with a real kubelet, on the real API server, in virtual time. Pods are bound to it by their `nodeName`. */
export async function startKubeletWorld(seed: string, log: Log = noLog) {
  const api = await startApiWorld(seed, log);
  const { clock, entropy, client } = api;
  const files = new SimNodeFiles();
  const runtime = new ScriptedRuntime({ clock, files });
  runtime.images.set('busybox:1.29', { id: 'sha256:busybox', repoTags: ['busybox:1.29'], sizeBytes: 1_000 });
  const network = new SimNetwork(clock);
  const source = { component: 'kubelet', host: 'node-1' };
  const recorder = new CorrelatingEventRecorder({ client, clock, entropy: entropy.fork('events'), log, source });
  api.scope.start((signal) => recorder.run(signal));
  const start = () => {
    const scope = new TaskScope();
    const kubelet = new Kubelet(
      {
        client: api.clientOf('system:node:node-1'),
        runtime,
        clock,
        entropy: entropy.fork('node-1'),
        log,
        metrics: noMetrics,
        probeMetrics: noMetrics,
        recorder,
        files,
        transport: network,
      },
      {
        nodeName: 'node-1',
        hostname: 'node-1',
        nodeIps: ['192.0.2.2'],
        kubeletPort: 10_250,
        capacity: { cpu: '2', memory: '4Gi', 'ephemeral-storage': '10Gi', pods: '110' },
        hostInfo: {
          architecture: 'amd64',
          bootID: 'boot',
          kernelVersion: '6.1',
          machineID: 'machine',
          operatingSystem: 'linux',
          osImage: 'Linux',
          systemUUID: 'system',
        },
        rootDir: '/var/lib/kubelet',
        podLogsDir: '/var/log/pods',
      },
    );
    scope.start((signal) => kubelet.run(signal));
    return { kubelet, scope };
  };
  let node = start();
  await clock.advance(0);
  const pod = (name: string): Promise<Pod> => client.get(resources.pods, { namespace: 'default', name }, never);
  return {
    ...api,
    files,
    runtime,
    network,
    pod,
    get kubelet() {
      return node.kubelet;
    },
    node: (): Promise<Node> => client.get(resources.nodes, { name: 'node-1' }, never),
    create: (name: string, spec: Partial<Pod['spec']>): Promise<Pod> =>
      client.create<Pod>(resources.pods, { namespace: 'default' }, podOf(name, spec), never),
    delete: (name: string, gracePeriodSeconds?: number) =>
      client.delete(
        resources.pods,
        { namespace: 'default', name },
        gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds },
        never,
      ),
    async events(name: string): Promise<string[]> {
      const list = await client.list<Event>(resources.events, { namespace: 'default' }, never);
      return list.items
        .filter(({ involvedObject }) => involvedObject.name === name)
        .map(({ type, reason, message, count }) => `${type} ${reason} x${count} ${message}`);
    },
    /** `logs NAME?...`, asked from the node's own server. */
    async logs(name: string, container: string, query: Record<string, string> = {}) {
      const answer = await node.kubelet.handle(
        {
          method: 'GET',
          path: `/containerLogs/default/${name}/${container}`,
          query: new URLSearchParams(query),
          headers: {},
          body: '',
          user: { name: 'apiserver', groups: ['system:masters'] },
        },
        never,
      );
      let text = '';
      if (typeof answer.body === 'string') text += answer.body;
      else if (!(answer.body instanceof Uint8Array))
        for await (const piece of answer.body)
          text += typeof piece === 'string' ? piece : new TextDecoder().decode(piece);
      return `${answer.status} ${text}`;
    },
    /** The kubelet dies without a word, and another one starts. */
    async restartKubelet(): Promise<void> {
      await node.scope.close();
      node = start();
      await clock.advance(0);
    },
    async close(): Promise<void> {
      await node.scope.close();
      await api.close();
    },
  };
}

export type KubeletWorld = Awaited<ReturnType<typeof startKubeletWorld>>;

export function podOf(name: string, spec: Partial<Pod['spec']>): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default' },
    spec: { nodeName: 'node-1', containers: [{ name: 'main', image: 'busybox:1.29' }], ...spec },
  };
}
