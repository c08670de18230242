/**
 * A whole cluster in one process: the real API server (store in memory), scheduler, controllers, and a real kubelet for
 * each of many nodes, on simulated runtimes, with probes. Time is virtual and passes as quickly as this computer can;
 * what is told is the host's time, unless it says otherwise. `npx tsx bench/scale.ts [NODES [PODS]]`.
 */
import type { Pod } from '../src/api/gen/types.ts';
import { resources } from '../src/api/resources.ts';
import { startSimulatedCluster } from '../src/main/simulated-cluster.ts';
import type { BenchRow } from './row.ts';

const nodesDefault = 1_000;
const podsDefault = 30_000;
const replicas = 100; // of each replication controller
const controllersAtOnce = 3; // created in each virtual second: 300 pods a second
const image = 'docker.io/luksa/kubia:latest';
const steadySeconds = 30;
const bytesPerMiB = 1_024 * 1_024;
const giveUpSeconds = 3_600; // of virtual time

interface Times {
  readonly createdMs: number;
  readonly createdVirtualMs: number;
  runningMs?: number;
  runningVirtualMs?: number;
}

export interface ScaleResult {
  readonly nodes: number;
  readonly pods: number;
  readonly startSeconds: number;
  readonly podsPerSecond: number;
  readonly p99Ms: number;
  readonly p99VirtualMs: number;
  /** Host seconds for a virtual one, with everything running. */
  readonly steadyCost: number;
  readonly rssMiB: number;
}

function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export async function measureScale(nodeCount: number, podCount: number): Promise<ScaleResult> {
  const capacity = { cpu: '32', memory: '256Gi', 'ephemeral-storage': '100Gi', pods: '110' };
  const startedMs = performance.now();
  const cluster = await startSimulatedCluster('scale', {
    nodes: Array.from({ length: nodeCount }, (_, index) => ({ name: `node-${index}`, capacity })),
  });
  const startSeconds = (performance.now() - startedMs) / 1_000;
  const { clock, client, scope } = cluster;
  const times = new Map<string, Times>(); // by pod uid
  let runningCount = 0;
  scope.start(async (signal) => {
    for await (const event of client.watch(resources.pods, {}, signal)) {
      if (event.type === 'BOOKMARK') continue;
      if (note(times, event.object, clock.monoMs())) runningCount += 1;
    }
  });
  const probe = { httpGet: { path: '/', port: 8080 }, periodSeconds: 10 };
  const spec = { containers: [{ name: 'main', image, livenessProbe: probe, readinessProbe: probe }] };
  const createdMs = performance.now();
  const controllerCount = Math.ceil(podCount / replicas);
  let made = 0;
  let virtualSeconds = 0;
  for (; runningCount < podCount && virtualSeconds < giveUpSeconds; virtualSeconds++) {
    for (let index = 0; index < controllersAtOnce && made < controllerCount; index++, made++) {
      const name = `app-${made}`;
      const template = { metadata: { labels: { app: name } }, spec };
      const size = Math.min(replicas, podCount - made * replicas);
      const object = { metadata: { name }, spec: { replicas: size, selector: { app: name }, template } };
      void client.create(resources.replicationcontrollers, { namespace: 'default' }, object, scope.signal);
    }
    await clock.advance(1_000);
    if (scope.failure !== undefined) throw scope.failure;
    if (process.env['SCALE_PROGRESS'] !== undefined) {
      const seconds = ((performance.now() - createdMs) / 1_000).toFixed(1);
      const rss = Math.round(process.memoryUsage.rss() / bytesPerMiB);
      console.error(`${virtualSeconds + 1} virtual s: ${runningCount} of ${times.size} run; ${seconds} s, ${rss} MiB`);
    }
  }
  const allSeconds = (performance.now() - createdMs) / 1_000;
  if (runningCount < podCount) throw new Error(`${runningCount} of ${podCount} pods run after ${giveUpSeconds} s`);
  const steadyFromMs = performance.now();
  await clock.advance(steadySeconds * 1_000);
  const steadyCost = (performance.now() - steadyFromMs) / 1_000 / steadySeconds;
  const all = [...times.values()];
  const result = {
    nodes: nodeCount,
    pods: podCount,
    startSeconds,
    podsPerSecond: podCount / allSeconds,
    p99Ms: percentile(
      all.map((one) => (one.runningMs ?? Number.NaN) - one.createdMs),
      0.99,
    ),
    p99VirtualMs: percentile(
      all.map((one) => (one.runningVirtualMs ?? Number.NaN) - one.createdVirtualMs),
      0.99,
    ),
    steadyCost,
    rssMiB: process.memoryUsage.rss() / bytesPerMiB,
  };
  await scope.close().catch(() => {});
  return result;
}

/** Whether the pod was seen Running for the first time. */
function note(times: Map<string, Times>, { metadata, status }: Pod, virtualMs: number): boolean {
  const uid = metadata?.uid ?? '';
  const known = times.get(uid);
  if (known === undefined) {
    times.set(uid, { createdMs: performance.now(), createdVirtualMs: virtualMs });
    return false;
  }
  if (status?.phase !== 'Running' || known.runningMs !== undefined) return false;
  known.runningMs = performance.now();
  known.runningVirtualMs = virtualMs;
  return true;
}

export async function benchScale(): Promise<BenchRow[]> {
  const nodes = Number(process.env['SCALE_NODES'] ?? nodesDefault);
  const pods = Number(process.env['SCALE_PODS'] ?? podsDefault);
  const result = await measureScale(nodes, pods);
  const of = `${nodes} nodes, ${pods} pods`;
  return [
    {
      name: `${of}: pods from created to Running`,
      unit: 'pods/s',
      ours: result.podsPerSecond,
      peer: 20,
      peerName: 'kwok claims',
      better: 'higher',
      target: 330,
    },
    { name: `${of}: create to Running, p99`, unit: 'ms', ours: result.p99Ms, better: 'lower', target: 5_000 },
    { name: `${of}: the same in virtual time`, unit: 'ms', ours: result.p99VirtualMs, better: 'lower', target: 5_000 },
    {
      name: `${of}: host time for each virtual second`,
      unit: 's',
      ours: result.steadyCost,
      better: 'lower',
      target: 1,
    },
    { name: `${of}: memory`, unit: 'MiB', ours: result.rssMiB, better: 'lower', target: 4_096 },
  ];
}

if (process.argv[1]?.endsWith('scale.ts') === true) {
  const [nodes = nodesDefault, pods = podsDefault] = process.argv.slice(2).map(Number);
  console.log(await measureScale(nodes, pods));
}
