import { setMaxListeners } from 'node:events';
import type { Pod } from '../../src/api/gen/types.ts';
import { resources } from '../../src/api/resources.ts';
import type { HttpHandler } from '../../src/base/http.ts';
import { noLog } from '../../src/base/log.ts';
import type { Log } from '../../src/base/log.ts';
import { noMetrics } from '../../src/base/metrics.ts';
import { StatusError } from '../../src/base/status-error.ts';
import { TaskScope } from '../../src/base/task-scope.ts';
import type { ApiClient } from '../../src/client/api-client.ts';
import { bodyText } from '../../src/client/answer.ts';
import { CorrelatingEventRecorder } from '../../src/client/correlating-event-recorder.ts';
import { inProcessClient } from '../../src/client/in-process-client.ts';
import { applyJsonPatch } from '../../src/host/json-patch.ts';
import { Kubelet } from '../../src/kubelet/kubelet.ts';
import type { ProbeAttempt } from '../../src/kubelet/probes/prober.ts';
import { startControlPlane } from '../../src/main/control-plane.ts';
import type { ScriptRule, SimImage } from '../../src/sim/container-script.ts';
import { noFaults } from '../../src/sim/faults.ts';
import type { Faults } from '../../src/sim/faults.ts';
import { SeededEntropy } from '../../src/sim/seeded-entropy.ts';
import { SimNetwork } from '../../src/sim/sim-network.ts';
import { SimNodeFiles } from '../../src/sim/sim-node-files.ts';
import { SimRuntime } from '../../src/sim/sim-runtime.ts';
import { SimTokenIssuer } from '../../src/sim/sim-token-issuer.ts';
import { tutorialImages, tutorialRules } from '../../src/sim/tutorial-scripts.ts';
import { VirtualClock } from '../../src/sim/virtual-clock.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { Lifeline } from './crashable.ts';
import { lossyHandler } from './lossy-handler.ts';

setMaxListeners(0); // one signal ends everything here, so many listen to it
export const never = new AbortController().signal;
export const simNodeName = 'worker002';
const gateway = '10.244.0.1';

export interface SimClusterOptions {
  readonly images?: readonly SimImage[];
  readonly rules?: readonly ScriptRule[];
  readonly faults?: Faults;
  readonly log?: Log;
  /** Called as each timer of the virtual clock fires. */
  readonly onFire?: (name: string, atMs: number) => void;
  readonly onProbeAttempt?: (attempt: ProbeAttempt) => void;
}

const waitMsMax = 60_000;

/** Lets virtual time pass until `promise` settles. */
export async function settled<T>(clock: VirtualClock, promise: Promise<T>): Promise<T> {
  let isSettled = false;
  const note = (): void => {
    isSettled = true;
  };
  promise.then(note, note);
  await clock.advance(0);
  for (let waitedMs = 0; !isSettled; waitedMs += 10) {
    if (waitedMs >= waitMsMax) throw new Error(`not settled after ${waitMsMax} ms of virtual time`);
    await clock.advance(10);
  }
  return promise;
}

/** A whole cluster with one node in virtual time: the real code from the API server to the prober. */
export async function startSimCluster(seed: string, options: SimClusterOptions = {}) {
  const log = options.log ?? noLog;
  const clock = new VirtualClock({
    epochMs: Date.UTC(2026, 0, 1),
    timersMax: 50_000, // ten times what a run needs
    ...(options.onFire === undefined ? {} : { onFire: options.onFire }),
  });
  const entropy = new SeededEntropy(seed);
  const faults = options.faults ?? noFaults;
  const scope = new TaskScope();
  const nodeHandlers = new Map<string, HttpHandler>();
  const starting = startControlPlane(
    scope,
    {
      store: new MemoryStore(),
      clock,
      entropy,
      log,
      metrics: noMetrics,
      jsonPatch: applyJsonPatch,
      tokens: new SimTokenIssuer(seed),
      nodes(name, request, signal) {
        const handle = nodeHandlers.get(name);
        if (handle !== undefined) return handle(request, signal);
        throw new StatusError('ServiceUnavailable', `no way to the server of node ${name}`);
      },
    },
    { hostName: 'sim', rootCaPem: 'the certificate of the cluster' },
  );
  const plane = await settled(clock, starting);
  const files = new SimNodeFiles();
  const network = new SimNetwork(clock);
  const runtime = new SimRuntime(
    {
      clock,
      entropy: entropy.fork('runtime'),
      network,
      faults,
      writeLog: (file, line) => files.append(file, line),
    },
    { images: options.images ?? tutorialImages, rules: options.rules ?? tutorialRules(gateway) },
    scope.signal,
  );
  const startKubelet = () => {
    const nodeScope = new TaskScope(scope.signal);
    const lifeline = new Lifeline();
    const ownClock = lifeline.view(clock);
    const user = { name: `system:node:${simNodeName}`, groups: ['system:nodes'] };
    const client = inProcessClient({
      handle: crashable(lifeline, lossyHandler('kubelet', plane.server.handle, faults, clock)),
      user,
    });
    const source = { component: 'kubelet', host: simNodeName };
    const events = { client, clock: ownClock, entropy: entropy.fork('events'), log, source };
    const recorder = new CorrelatingEventRecorder(events);
    const { onProbeAttempt } = options;
    const kubelet = new Kubelet(
      {
        client,
        runtime: lifeline.view(runtime),
        clock: ownClock,
        entropy,
        log,
        metrics: noMetrics,
        probeMetrics: noMetrics,
        recorder,
        files: lifeline.view(files),
        transport: lifeline.view(network),
        ...(onProbeAttempt === undefined ? {} : { onProbeAttempt }),
      },
      {
        nodeName: simNodeName,
        hostname: simNodeName,
        nodeIps: ['192.0.2.2'],
        kubeletPort: 10_250,
        capacity: { cpu: '2', memory: '24731708Ki', 'ephemeral-storage': '264212084Ki', pods: '110' },
        hostInfo: {
          architecture: 'amd64',
          bootID: 'boot',
          kernelVersion: '6.0',
          machineID: 'machine',
          operatingSystem: 'linux',
          osImage: 'Simulated',
          systemUUID: 'machine',
        },
        rootDir: '/var/lib/kubelet',
        podLogsDir: '/var/log/pods',
      },
    );
    nodeHandlers.set(simNodeName, kubelet.handle);
    nodeScope.start((signal) => recorder.run(signal));
    nodeScope.start((signal) => kubelet.run(signal));
    return {
      kubelet,
      scope: nodeScope,
      /** It dies between two instructions: nothing that it waits for comes, and no clean-up reaches anything. */
      crash(): void {
        lifeline.cut();
        nodeScope.close(new Error('crashed')).catch(() => {}); // takes its timers away; never settles otherwise
      },
    };
  };
  const node = startKubelet();
  await clock.advance(1_000); // registered and Ready, if nothing got lost
  const client: ApiClient = plane.clientOf('kubernetes-admin', ['system:masters']);
  return {
    clock,
    entropy,
    scope,
    client,
    runtime,
    network,
    files,
    /** The server as one client sees it, with what gets lost on the way. */
    clientThrough: (name: string): ApiClient =>
      inProcessClient({
        handle: lossyHandler(name, plane.server.handle, faults, clock),
        user: { name, groups: ['system:masters'] },
      }),
    node,
    startKubelet,
    /** `kubectl logs` as one text, an error as its message. */
    logs(namespace: string, pod: string, query: Readonly<Record<string, string>> = {}): Promise<string> {
      const path = `/api/v1/namespaces/${namespace}/pods/${pod}/log`;
      const answer = client.request('GET', path, { query: new URLSearchParams(query) }, never);
      return settled(
        clock,
        answer.then(({ body }) => bodyText(body)),
      );
    },
    /** A pod as it is now. */
    pod(namespace: string, name: string): Promise<Pod> {
      return settled(clock, client.get(resources.pods, { namespace, name }, never));
    },
    /** Ends everything; fails if a task failed or a timer is left. */
    async close(): Promise<void> {
      const closing = scope.close();
      await settled(clock, closing);
      const left = clock.pendingNames();
      if (left.length > 0) throw new Error(`timers left: ${left.join(', ')}`);
    },
  };
}

function crashable(lifeline: Lifeline, handle: HttpHandler): HttpHandler {
  return lifeline.call(async (request, signal) => {
    const response = await handle(request, signal);
    const { body } = response;
    if (typeof body === 'string' || body instanceof Uint8Array) return response;
    return { ...response, body: lifeline.stream(body) };
  });
}
