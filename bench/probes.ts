/**
 * What probing costs and how much of it one event loop can do. The server is a process of its own; what is measured is
 * this process only. Bare `node:net` and `node:http` do the same exchange in the same run, in turns with ours.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import type { Pod, PodStatus } from '../src/api/gen/types.ts';
import { noLog } from '../src/base/log.ts';
import { HostClock } from '../src/host/host-clock.ts';
import { HostEntropy } from '../src/host/host-entropy.ts';
import { HostProbeTransport } from '../src/host/probe-transport.ts';
import { PrometheusMetrics } from '../src/host/prometheus-metrics.ts';
import { planHttpProbe, runHttpProbe } from '../src/kubelet/probes/http-probe.ts';
import { ProbeManager } from '../src/kubelet/probes/probe-manager.ts';
import type { HttpProbeRequest, ProbeTransport } from '../src/kubelet/probes/probe-transport.ts';
import type { BenchRow } from './row.ts';

const address = '127.0.0.1';
const clock = new HostClock();
const roundProbes = 4_000;
const rounds = 6;
const atOnce = 32;
const ratesPerSecond = [2_000, 4_000, 6_000, 8_000, 10_000, 12_000, 14_000, 16_000];
const rateSeconds = 4; // the first of them is for warming up
const latenessMsMax = 10;
const shareWarmUpMs = 15_000; // what runs so rarely takes long to be compiled

export async function benchProbes(): Promise<BenchRow[]> {
  const server = fork(path.join(import.meta.dirname, 'probe-server.mjs'), { silent: true });
  try {
    if (server.stdout === null) throw new Error('the server has no output');
    const [line] = await once(server.stdout, 'data');
    const port = Number(String(line));
    return [...(await benchCost(port)), ...(await benchShare(port)), ...(await benchRate(port))];
  } finally {
    server.kill();
  }
}

async function benchCost(port: number): Promise<BenchRow[]> {
  const plan = planHttpProbe({ path: '/healthz', port }, address, port, 1_000);
  const transport = new HostProbeTransport();
  const { signal } = new AbortController();
  const ours = async (): Promise<void> => {
    const outcome = await runHttpProbe(plan, transport, clock, signal);
    if (outcome.kind !== 'success') throw new Error(JSON.stringify(outcome));
  };
  const costs = new Map<() => Promise<void>, number[]>();
  const ways = [ours, () => bareNet(port), () => bareHttp(port)] as const;
  for (let round = 0; round < rounds; round++) {
    for (const way of ways) costs.set(way, [...(costs.get(way) ?? []), await cpuUsPerProbe(way)]);
  }
  // The least of several rounds: everything else that this machine does only adds to it.
  const [oursUs, netUs, httpUs] = ways.map((way) => Math.min(...(costs.get(way) ?? [])));
  const row = { name: 'CPU for one HTTP probe', unit: 'us', ours: oursUs ?? Number.NaN, better: 'lower' } as const;
  return [
    { ...row, floor: netUs ?? Number.NaN, floorName: 'bare node:net', target: 70 },
    { ...row, floor: httpUs ?? Number.NaN, floorName: 'node:http', target: 70 },
  ];
}

async function cpuUsPerProbe(probe: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  let left = roundProbes;
  const worker = async (): Promise<void> => {
    while (left-- > 0) await probe();
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / roundProbes;
}

function bareNet(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, address);
    socket.on('error', reject);
    socket.on('data', () => undefined);
    socket.on('close', () => resolve());
    socket.write('GET /healthz HTTP/1.1\r\nHost: a\r\nUser-Agent: b\r\nAccept: */*\r\nConnection: close\r\n\r\n');
  });
}

function bareHttp(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    http
      .get({ port, host: address, path: '/healthz', agent: false }, (response) => {
        response.resume();
        response.on('end', resolve);
      })
      .on('error', reject);
  });
}

/** CPU time of one bare exchange when so many a second are begun, evenly: it wakes more often, so it costs more. */
async function pacedNetUs(port: number, ratePerSecond: number): Promise<number> {
  const { signal } = new AbortController();
  const underWay = new Set<Promise<void>>();
  const before = process.cpuUsage();
  const fromMs = performance.now();
  let count = 0;
  for (let nowMs = fromMs; nowMs < fromMs + 2_000; nowMs = performance.now()) {
    for (; count < ((nowMs - fromMs) / 1_000) * ratePerSecond; count++) {
      const exchange = bareNet(port).finally(() => underWay.delete(exchange));
      underWay.add(exchange);
    }
    await clock.sleep(1, 'bench.pace', signal);
  }
  await Promise.all(underWay);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / count;
}

interface RateResult {
  /** Asked for: as many pods, each once a second. */
  readonly ratePerSecond: number;
  readonly probesPerSecond: number;
  readonly latenessMsP99: number;
  readonly cpuUsPerProbe: number;
}

/** What a hundred probes a second take of a core, in the whole prober. */
async function benchShare(port: number): Promise<BenchRow[]> {
  const rate = 100;
  const { cpuUsPerProbe } = await runRate(port, rate, shareWarmUpMs);
  const floorUs = await pacedNetUs(port, rate);
  const share = (us: number): number => (us * rate) / 10_000;
  return [
    {
      name: `CPU for ${rate} HTTP probes/s`,
      unit: '% of a core',
      ours: share(cpuUsPerProbe),
      floor: share(floorUs),
      floorName: 'bare node:net, one by one',
      target: 2,
      better: 'lower',
    },
  ];
}

/** The whole prober, with metrics: more and more pods with a period of one second, until it falls behind. */
async function benchRate(port: number): Promise<BenchRow[]> {
  let best: RateResult | undefined;
  let missedCount = 0;
  let last: RateResult | undefined;
  for (const rate of ratesPerSecond) {
    last = await runRate(port, rate);
    const kept = last.latenessMsP99 <= latenessMsMax && last.probesPerSecond >= 0.98 * rate;
    if (kept) best = last;
    missedCount = kept ? 0 : missedCount + 1;
    if (missedCount === 2) break; // once may be the machine's fault
  }
  const shown = best ?? last;
  const floorUs = await pacedNetUs(port, shown?.ratePerSecond ?? 0);
  const at = `at ${shown?.ratePerSecond ?? 0}/s`;
  return [
    {
      name: `HTTP probes on one event loop, lateness p99 within ${latenessMsMax} ms`,
      unit: '1/s',
      ours: best?.ratePerSecond ?? 0,
      target: 10_000,
      better: 'higher',
    },
    {
      name: `lateness p99 ${at}`,
      unit: 'ms',
      ours: shown?.latenessMsP99 ?? Number.NaN,
      target: latenessMsMax,
      better: 'lower',
    },
    {
      name: `CPU for one HTTP probe in the prober, ${at}`,
      unit: 'us',
      ours: shown?.cpuUsPerProbe ?? Number.NaN,
      floor: floorUs,
      floorName: 'bare node:net at that rate',
      target: 100,
      better: 'lower',
    },
  ];
}

async function runRate(port: number, podCount: number, warmUpMs = 1_500): Promise<RateResult> {
  const host = new HostProbeTransport();
  const startsMs = new Map<HttpProbeRequest, number[]>(); // each pod has a request of its own
  const transport: ProbeTransport = {
    httpGet: (request, signal) => {
      const starts = startsMs.get(request);
      if (starts === undefined) startsMs.set(request, [performance.now()]);
      else starts.push(performance.now());
      return host.httpGet(request, signal);
    },
    tcpConnect: () => Promise.reject(new Error('not asked for')),
    grpcHealth: () => Promise.reject(new Error('not asked for')),
  };
  const started = new Date(clock.wallMs() - 60_000).toISOString();
  const statuses = new Map<string, PodStatus>();
  let failureCount = 0;
  const prober = new ProbeManager(
    {
      clock,
      entropy: new HostEntropy(),
      transport,
      runtime: { execSync: () => Promise.reject(new Error('not asked for')) },
      recorder: {
        event: () => {
          failureCount += 1;
        },
      },
      metrics: new PrometheusMetrics(),
      log: noLog,
      podStatus: (podUid) => statuses.get(podUid),
      onUpdate: () => undefined,
    },
    { startedMonoMs: clock.monoMs() },
    new AbortController().signal,
  );
  for (let index = 0; index < podCount; index++) {
    const pod = podOf(index, port);
    const uid = pod.metadata?.uid ?? '';
    const running = { running: { startedAt: started } };
    const container = { name: 'main', image: 'i', imageID: 'i', ready: true, restartCount: 0, started: true };
    const containerStatuses = [{ ...container, containerID: `sim://${uid}`, state: running }];
    statuses.set(uid, { phase: 'Running', podIP: address, containerStatuses });
    prober.addPod(pod);
  }
  const { signal } = new AbortController();
  await clock.sleep(warmUpMs, 'bench.warmUp', signal); // every worker has begun
  const before = process.cpuUsage();
  const fromMs = performance.now();
  await clock.sleep((rateSeconds - 1) * 1_000, 'bench.measure', signal);
  const untilMs = performance.now();
  const { user, system } = process.cpuUsage(before);
  await prober.close();
  const latenessMs: number[] = [];
  let probeCount = 0;
  for (const starts of startsMs.values()) {
    const offsets = starts.map((startMs, index) => startMs - index * 1_000);
    const tickMs = Math.min(...offsets); // the least late one stands for the tick
    for (const [index, startMs] of starts.entries()) {
      if (startMs < fromMs || startMs > untilMs) continue;
      probeCount += 1;
      latenessMs.push((offsets[index] ?? 0) - tickMs);
    }
  }
  latenessMs.sort((a, b) => a - b);
  return {
    ratePerSecond: podCount,
    probesPerSecond: probeCount / ((untilMs - fromMs) / 1_000),
    // A probe that fails against this server was not served in time: it counts as infinitely late.
    latenessMsP99: latenessMs[Math.floor((latenessMs.length + failureCount) * 0.99)] ?? Number.POSITIVE_INFINITY,
    cpuUsPerProbe: (user + system) / probeCount,
  };
}

function podOf(index: number, port: number): Pod {
  const uid = `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`;
  const livenessProbe = { httpGet: { path: '/healthz', port }, periodSeconds: 1, timeoutSeconds: 1 };
  return {
    metadata: { uid, name: `pod-${index}`, namespace: 'default' },
    spec: { containers: [{ name: 'main', livenessProbe }] },
  };
}
