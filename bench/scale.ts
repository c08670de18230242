/**
 * A whole cluster in one process: the real API server (store in memory), scheduler, controllers, and a real kubelet for
 * each of many nodes, on simulated runtimes, with probes. Time is virtual: three controllers of 100 pods each are made
 * in each virtual second, and the next one comes when all is done that this one asks for. So what is told in virtual
 * time is how a cluster with machines of its own would feel (a runtime's call takes 1 to 5 ms, a probe's request about
 * 1 ms, computing takes none), and what is told in real time is what all of it costs on one core of this computer.
 * `npx tsx bench/scale.ts [NODES [PODS]]`; SCALE_PROGRESS=1 prints a line for each virtual second.
 */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import type { Pod } from '../src/api/gen/types.ts';
import { resources } from '../src/api/resources.ts';
import { startSimulatedCluster } from '../src/main/simulated-cluster.ts';
import type { BenchRow } from './row.ts';

const nodesDefault = 1_000;
const podsDefault = 30_000;
const replicas = 100; // of each replication controller
const controllersAtOnce = 3; // created in each virtual second: 300 pods a second
const image = 'docker.io/luksa/kubia:latest';
const settleSeconds = 20; // until the last pod is Ready: its first probe comes within 10 s
const steadySeconds = 10;
const bytesPerMiB = 1_024 * 1_024;
const giveUpSeconds = 3_600; // of virtual time
/** Of the process that is measured: with 30,000 pods 3.5 GiB of heap are so full that it only collects garbage. */
const nodeFlags = ['--max-old-space-size=6144', '--max-semi-space-size=64'];

interface Times {
  readonly createdMs: number;
  readonly createdVirtualMs: number;
  runningMs?: number;
  runningVirtualMs?: number;
}

export interface ScaleResult {
  readonly nodes: number;
  readonly pods: number;
  /** Real time until all nodes are registered. */
  readonly startSeconds: number;
  /** Real time from the first controller's creation until the last pod runs. */
  readonly podsSeconds: number;
  readonly podsPerSecond: number;
  /** Likewise, by the time that this process computed, which others on the machine change less. */
  readonly podsPerCpuSecond: number;
  /** From when a watch shows a pod until it shows it Running. */
  readonly p99Ms: number;
  readonly p99VirtualMs: number;
  /** Real seconds for a virtual one, with everything running and Ready. */
  readonly steadyCost: number;
  readonly rssMiB: number;
}

function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

async function measureScale(nodeCount: number, podCount: number): Promise<ScaleResult> {
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
  const cpuBefore = process.cpuUsage();
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
  const podsSeconds = (performance.now() - createdMs) / 1_000;
  const cpu = process.cpuUsage(cpuBefore);
  if (runningCount < podCount) throw new Error(`${runningCount} of ${podCount} pods run after ${giveUpSeconds} s`);
  await clock.advance(settleSeconds * 1_000);
  const steadyFromMs = performance.now();
  await clock.advance(steadySeconds * 1_000);
  const steadyCost = (performance.now() - steadyFromMs) / 1_000 / steadySeconds;
  const all = [...times.values()];
  const result = {
    nodes: nodeCount,
    pods: podCount,
    startSeconds,
    podsSeconds,
    podsPerSecond: podCount / podsSeconds,
    podsPerCpuSecond: podCount / ((cpu.user + cpu.system) / 1e6),
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

/** In a process of its own, so that its memory is its own, and with `nodeFlags`. */
async function measureApart(nodes: number, pods: number): Promise<ScaleResult> {
  const args = [...nodeFlags, ...process.execArgv, import.meta.filename, String(nodes), String(pods)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const output = await text(child.stdout);
  // What the lines at the end of this file print.
  return JSON.parse(output) as ScaleResult;
}

export async function benchScale(): Promise<BenchRow[]> {
  const nodes = Number(process.env['SCALE_NODES'] ?? nodesDefault);
  const pods = Number(process.env['SCALE_PODS'] ?? podsDefault);
  const result = await measureApart(nodes, pods);
  const of = `simulated, ${nodes} nodes, ${pods} pods with 2 probes each`;
  // Kubernetes' own promise (sig-scalability, pod startup latency): 99 of 100 pods within 5 s.
  const startup = { unit: 'ms', better: 'lower', target: 5_000 } as const;
  // kwok's README: 1,000 nodes and 100,000 pods, 20 pods a second; its pods have no kubelet, no probes.
  const kwok = { unit: '1/s', better: 'higher', peer: 20, peerName: 'kwok claims', target: 20 } as const;
  return [
    { name: `${of}: created and brought to Running, real time`, ours: result.podsPerSecond, ...kwok },
    { name: `${of}: the same, by CPU time of the process`, ours: result.podsPerCpuSecond, ...kwok },
    { name: `${of}: created to Running, virtual time, p99`, ours: result.p99VirtualMs, ...startup },
    { name: `${of}: created to Running, real time, 300 at once on one core, p99`, ours: result.p99Ms, ...startup },
    {
      name: `${of}: real time for a virtual second, all Ready (below 1: probes keep up)`,
      unit: 's',
      ours: result.steadyCost,
      better: 'lower',
      target: 1,
    },
    { name: `${of}: memory (our own limit)`, unit: 'MiB', ours: result.rssMiB, better: 'lower', target: 4_096 },
  ];
}

if (import.meta.filename === process.argv[1]) {
  const [nodes = nodesDefault, pods = podsDefault] = process.argv.slice(2).map(Number);
  console.log(JSON.stringify(await measureScale(nodes, pods), null, 2));
}
