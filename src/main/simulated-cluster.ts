import { setMaxListeners } from 'node:events';
import type { HttpHandler } from '../base/http.ts';
import { noLog } from '../base/log.ts';
import type { Log } from '../base/log.ts';
import { noMetrics } from '../base/metrics.ts';
import { StatusError } from '../base/status-error.ts';
import { TaskScope } from '../base/task-scope.ts';
import type { ApiClient } from '../client/api-client.ts';
import { inProcessClient } from '../client/in-process-client.ts';
import { applyJsonPatch } from '../host/json-patch.ts';
import type { ProbeAttempt } from '../kubelet/probes/prober.ts';
import type { ScriptRule, SimImage } from '../sim/container-script.ts';
import { noFaults } from '../sim/faults.ts';
import type { Faults } from '../sim/faults.ts';
import { SeededEntropy } from '../sim/seeded-entropy.ts';
import { SimNetwork } from '../sim/sim-network.ts';
import { SimTokenIssuer } from '../sim/sim-token-issuer.ts';
import type { ClockSkew } from '../sim/skewed-clock.ts';
import { tutorialImages, tutorialRules } from '../sim/tutorial-scripts.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { MemoryStore } from '../store/memory-store.ts';
import type { Store } from '../store/store.ts';
import type { FailoverProfile } from './failover-profile.ts';
import { SimulatedControlPlane } from './simulated-control-plane.ts';
import { SimulatedNode } from './simulated-node.ts';
import type { SimulatedNodeDeps } from './simulated-node.ts';

setMaxListeners(0); // one signal ends everything here, so many listen to it

const gateway = '10.244.0.1';
const defaultCapacity = { cpu: '2', memory: '24731708Ki', 'ephemeral-storage': '264212084Ki', pods: '110' };
/** Of virtual time, for one answer. */
const waitMsMax = 60_000;

export interface SimulatedNodeSpec {
  readonly name: string;
  readonly capacity?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly clock?: ClockSkew;
}

export interface SimulatedClusterOptions {
  readonly nodes: readonly SimulatedNodeSpec[];
  /** Default: those of tutorials. */
  readonly images?: readonly SimImage[];
  readonly rules?: readonly ScriptRule[];
  /** Default: nothing goes wrong. */
  readonly faults?: Faults;
  readonly log?: Log;
  /** Default: upstream's numbers. */
  readonly failover?: FailoverProfile;
  /** What nodes get the ranges of their pods from. Default: they get none, and have ranges all the same. */
  readonly clusterCidr?: string;
  /** Asked at each start of the server for what it finds. Default: a new one in memory, which stays. */
  readonly store?: (clock: VirtualClock) => Store;
  /** What lies between a node and the server. Default: nothing. */
  readonly through?: (nodeName: string, server: HttpHandler, clock: VirtualClock) => HttpHandler;
  /** What lies between scheduler and controllers and the server. Default: nothing. */
  readonly controlThrough?: (server: HttpHandler, clock: VirtualClock) => HttpHandler;
  /** What may be on the clock in all of the run. Default 50,000,000. */
  readonly timersMax?: number;
  /** Called as each timer of the virtual clock fires. */
  readonly onFire?: (name: string, atMs: number) => void;
  readonly onProbeAttempt?: (attempt: ProbeAttempt) => void;
}

/** A cluster whose time moves only by `clock.advance`. */
export interface SimulatedCluster {
  readonly clock: VirtualClock;
  readonly entropy: SeededEntropy;
  readonly scope: TaskScope;
  /** The administrator's. */
  readonly client: ApiClient;
  /** The API server itself. */
  readonly server: HttpHandler;
  /** The process of the API server, the scheduler and the controllers. */
  readonly control: SimulatedControlPlane;
  readonly network: SimNetwork;
  readonly nodes: readonly SimulatedNode[];
  /** Fails if there is no such node. */
  node(name: string): SimulatedNode;
  /** Ends everything; fails if a task failed or a timer is left. */
  close(): Promise<void>;
}

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

/**
 * A whole cluster in virtual time: the real code from the API server to the prober, on simulated machines. The same
 * seed gives the same run.
 */
export async function startSimulatedCluster(seed: string, options: SimulatedClusterOptions): Promise<SimulatedCluster> {
  const log = options.log ?? noLog;
  const { onFire, timersMax } = options;
  const clock = new VirtualClock({
    epochMs: Date.UTC(2026, 0, 1),
    ...(timersMax === undefined ? {} : { timersMax }),
    ...(onFire === undefined ? {} : { onFire }),
  });
  const entropy = new SeededEntropy(seed);
  const scope = new TaskScope();
  const nodes = new Map<string, SimulatedNode>();
  const control = newControlPlane({ clock, entropy, log }, options, nodes, { seed, signal: scope.signal });
  await settled(clock, control.start());
  const network = new SimNetwork(clock);
  for (const [index, spec] of options.nodes.entries()) {
    const own = options.nodes.length === 1 ? entropy : entropy.fork(`node ${spec.name}`);
    const server = options.through?.(spec.name, control.handle, clock) ?? control.handle;
    const node = newNode({ clock, entropy: own, log, network, server }, { ...spec, index }, options, scope.signal);
    nodes.set(spec.name, node);
    node.startKubelet();
  }
  await clock.advance(1_000); // registered and Ready, if nothing got lost
  return {
    clock,
    entropy,
    scope,
    client: inProcessClient({
      handle: control.handle,
      user: { name: 'kubernetes-admin', groups: ['system:masters'] },
    }),
    server: control.handle,
    control,
    network,
    nodes: [...nodes.values()],
    node(name) {
      const node = nodes.get(name);
      if (node === undefined) throw new StatusError('NotFound', `no simulated node ${name}`);
      return node;
    },
    async close() {
      for (const node of nodes.values()) {
        node.heal();
        node.resume();
      }
      await settled(clock, Promise.all([scope.close(), control.close()]));
      const left = clock.pendingNames();
      if (left.length > 0) throw new Error(`timers left: ${left.join(', ')}`);
    },
  };
}

function newControlPlane(
  { clock, entropy, log }: { readonly clock: VirtualClock; readonly entropy: SeededEntropy; readonly log: Log },
  { store, controlThrough, failover, clusterCidr }: SimulatedClusterOptions,
  nodes: ReadonlyMap<string, SimulatedNode>,
  { seed, signal }: { readonly seed: string; readonly signal: AbortSignal },
): SimulatedControlPlane {
  const kept = new MemoryStore();
  return new SimulatedControlPlane(
    {
      store: () => store?.(clock) ?? kept,
      clock,
      entropy,
      log,
      metrics: noMetrics,
      jsonPatch: applyJsonPatch,
      tokens: new SimTokenIssuer(seed),
      async nodes(name, request, asking) {
        const node = nodes.get(name);
        if (node !== undefined) return await node.handle(request, asking);
        throw new StatusError('ServiceUnavailable', `no way to the server of node ${name}`);
      },
    },
    {
      hostName: 'sim',
      rootCaPem: 'the certificate of the cluster',
      failover: failover ?? 'default',
      ...(clusterCidr === undefined ? {} : { clusterCidr }),
      ...(controlThrough === undefined ? {} : { through: (server) => controlThrough(server, clock) }),
    },
    signal,
  );
}

function newNode(
  deps: Omit<SimulatedNodeDeps, 'faults' | 'onProbeAttempt'>,
  spec: SimulatedNodeSpec & { readonly index: number },
  { faults, failover, clusterCidr, images, rules, onProbeAttempt }: SimulatedClusterOptions,
  signal: AbortSignal,
): SimulatedNode {
  return new SimulatedNode(
    { ...deps, faults: faults ?? noFaults, ...(onProbeAttempt === undefined ? {} : { onProbeAttempt }) },
    {
      capacity: defaultCapacity,
      ...spec,
      ...addressesOf(spec.index),
      images: images ?? tutorialImages,
      rules: rules ?? tutorialRules(gateway),
      followsSettings: failover !== undefined,
      awaitsPodCidr: clusterCidr !== undefined,
    },
    signal,
  );
}

/** Of the node with this number: at most 65,536 of them. */
function addressesOf(index: number): { readonly ip: string; readonly podSubnet: string } {
  const machine = index + 2;
  return {
    ip: `192.0.${2 + (machine >> 8)}.${machine & 255}`,
    podSubnet: `10.${244 + (index >> 8)}.${index & 255}`,
  };
}
