/**
 * Pods in real containers, on a containerd of its own (`test/support/containerd.ts`: needs root and the Debian packages
 * named there), beside what the bare CRI calls cost in the same run.
 */
import { setMaxListeners } from 'node:events';
import fs from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pod } from '../src/api/gen/types.ts';
import { resources } from '../src/api/resources.ts';
import { noLog } from '../src/base/log.ts';
import type { HttpClient } from '../src/client/http/http-client.ts';
import { openGrpcRuntime } from '../src/cri/grpc/grpc-runtime.ts';
import type { ContainerRuntime } from '../src/cri/runtime.ts';
import { HostClock } from '../src/host/host-clock.ts';
import { startCluster } from '../src/main/livelet.ts';
import { containerConfig, sandboxConfig } from '../test/contract/runtime-configs.ts';
import { containerdMissing, startContainerd } from '../test/support/containerd.ts';
import type { TestContainerd } from '../test/support/containerd.ts';
import { cpuSeconds, percentile, startLivelet } from './livelet-process.ts';
import { crashToNextLineMs, createToReadyMs, isReady, manifest } from './pods.ts';
import type { BenchRow } from './row.ts';

const image = 'docker.io/library/busybox:1.36';
const podsOneByOne = 12;
const crashes = 8;
const podsAtOnce = 50;
const floorConcurrency = 8;
const execProbes = 15;
const execPeriodMs = 1_000;
const shareWarmUpMs = 20_000;
const shareMeasureMs = 20_000;
const waitMsMax = 120_000;
const { signal } = new AbortController();
setMaxListeners(0, signal); // one for each pod that is removed

export async function benchContainerd(): Promise<BenchRow[]> {
  const missing = containerdMissing();
  if (missing !== '') {
    console.error(`not measured: ${missing}`);
    return [];
  }
  const containerd = await startContainerd();
  try {
    const floors = await measureFloors(containerd);
    return [...(await benchPodsOn(containerd, floors)), ...(await benchExecProbe(containerd, floors))];
  } finally {
    await containerd.stop();
  }
}

interface Floors {
  /** RunPodSandbox, CreateContainer, StartContainer. */
  readonly podMs: number;
  readonly createAndStartMs: number;
  readonly manyPodsMs: number;
  readonly execMs: number;
}

/** The bare calls, through the same client library. */
async function measureFloors(containerd: TestContainerd): Promise<Floors> {
  const runtime = await openGrpcRuntime({ clock: new HostClock(), log: noLog }, containerd, signal);
  const logRoot = await fs.mkdtemp(path.join(containerd.directory, 'bench-'));
  const imageId = (await runtime.imageStatus(image, signal))?.id ?? image;
  const podMs: number[] = [];
  const startMs: number[] = [];
  const sandboxIds: string[] = [];
  const startPod = async (): Promise<string> => {
    const beganMs = performance.now();
    const { containerId, sandboxId, startedMs } = await startBare(runtime, logRoot, imageId);
    sandboxIds.push(sandboxId);
    podMs.push(performance.now() - beganMs);
    startMs.push(startedMs);
    return containerId;
  };
  let containerId = '';
  for (let i = 0; i < podsOneByOne; i++) containerId = await startPod();
  const execMs: number[] = [];
  for (let i = 0; i < execProbes; i++) {
    await sleep(execPeriodMs); // back to back they take less, as everything is warm
    const beganMs = performance.now();
    await runtime.execSync(containerId, ['true'], 10_000, signal);
    execMs.push(performance.now() - beganMs);
  }
  const floors = { podMs: percentile(podMs, 0.5), createAndStartMs: percentile(startMs, 0.5) };
  const beganMs = performance.now();
  let left = podsAtOnce;
  const worker = async (): Promise<void> => {
    while (left-- > 0) await startPod();
  };
  await Promise.all(Array.from({ length: floorConcurrency }, worker));
  const manyPodsMs = performance.now() - beganMs;
  await Promise.all(sandboxIds.map((id) => runtime.removePodSandbox(id, signal)));
  await runtime.close();
  return { ...floors, manyPodsMs, execMs: percentile(execMs, 0.5) };
}

async function startBare(runtime: ContainerRuntime, logRoot: string, imageId: string) {
  const sandbox = sandboxConfig(logRoot);
  await fs.mkdir(path.join(sandbox.logDirectory, 'main'), { recursive: true });
  const sandboxId = await runtime.runPodSandbox(sandbox, signal);
  const beganMs = performance.now();
  const config = containerConfig(sandbox, ['sleep', '600'], { imageRef: imageId, image });
  const containerId = await runtime.createContainer(sandboxId, config, sandbox, signal);
  await runtime.startContainer(containerId, signal);
  return { containerId, sandboxId, startedMs: performance.now() - beganMs };
}

async function benchPodsOn(containerd: TestContainerd, floors: Floors): Promise<BenchRow[]> {
  const dataDir = await fs.mkdtemp(path.join(containerd.directory, 'livelet-'));
  const livelet = await startLivelet({ dataDir, runtime: containerd.endpoint });
  try {
    const readyMs = await createToReadyMs(livelet.client, podsOneByOne);
    const crashMs = await crashToNextLineMs(livelet.client, crashes, image);
    const manyMs = await manyToReadyMs(livelet.client);
    const probing = await probingShare(livelet.client, livelet.pid);
    return [
      {
        name: 'pod create to Ready, containerd, p50',
        unit: 'ms',
        ours: percentile(readyMs, 0.5),
        floor: floors.podMs,
        floorName: 'the three CRI calls',
        recorded: 870,
        target: 200,
        better: 'lower',
      },
      {
        name: `${podsAtOnce} pods to Ready, containerd`,
        unit: 's',
        ours: manyMs / 1_000,
        floor: floors.manyPodsMs / 1_000,
        floorName: `the CRI calls, ${floorConcurrency} at a time`,
        recorded: 14.4,
        target: 6,
        better: 'lower',
      },
      {
        name: 'crash to first line of the next container, containerd, p50',
        unit: 'ms',
        ours: percentile(crashMs, 0.5),
        floor: floors.createAndStartMs,
        floorName: 'create and start',
        recorded: 1_000,
        target: 120,
        better: 'lower',
      },
      {
        name: `CPU of livelet at ${podsAtOnce} pods, ${2 * podsAtOnce} HTTP probes/s`,
        unit: '% of a core',
        ours: probing,
        recorded: 7.9,
        target: 2,
        better: 'lower',
      },
    ];
  } finally {
    for (const { metadata } of (await livelet.client.list(resources.pods, { namespace: 'default' }, signal)).items) {
      const ref = { namespace: 'default', name: metadata?.name ?? '' };
      await livelet.client.delete(resources.pods, ref, { gracePeriodSeconds: 0 }, signal).catch(() => undefined);
    }
    await livelet.stop();
  }
}

/** Until every pod of the namespace whose name begins so is Ready. */
async function allReady(client: HttpClient, prefix: string, count: number): Promise<void> {
  const limit = AbortSignal.timeout(waitMsMax);
  const ready = new Set<string>();
  for await (const event of client.watch(resources.pods, { namespace: 'default' }, limit)) {
    if (event.type === 'BOOKMARK') continue;
    const name = event.object.metadata?.name ?? '';
    if (name.startsWith(prefix) && isReady(event.object)) ready.add(name);
    if (ready.size === count) return;
  }
  throw new Error(`${ready.size} of ${count} pods were Ready after ${waitMsMax} ms`);
}

async function createMany(client: HttpClient, prefix: string, podOf: (name: string) => Pod): Promise<void> {
  const all = allReady(client, prefix, podsAtOnce);
  const names = Array.from({ length: podsAtOnce }, (_, index) => `${prefix}-${index}`);
  await Promise.all(names.map((name) => client.create(resources.pods, { namespace: 'default' }, podOf(name), signal)));
  await all;
}

async function deleteMany(client: HttpClient, prefix: string): Promise<void> {
  for (let i = 0; i < podsAtOnce; i++) {
    const ref = { namespace: 'default', name: `${prefix}-${i}` };
    await client.delete(resources.pods, ref, { gracePeriodSeconds: 0 }, signal);
  }
}

async function manyToReadyMs(client: HttpClient): Promise<number> {
  const beganMs = performance.now();
  await createMany(client, 'many', (name) => manifest(name, ['sleep', '600']));
  const tookMs = performance.now() - beganMs;
  await deleteMany(client, 'many');
  return tookMs;
}

/** What a liveness and a readiness probe a second in each pod take of a core, all of livelet's process counted. */
async function probingShare(client: HttpClient, pid: number): Promise<number> {
  await createMany(client, 'probed', (name) => {
    const pod = manifest(name, ['sh', '-c', 'mkdir -p /w && echo ok > /w/index.html && exec httpd -f -p 8080 -h /w']);
    const probe = { httpGet: { path: '/', port: 8080 }, periodSeconds: 1 };
    const containers = (pod.spec?.containers ?? []).map((container) => ({
      ...container,
      livenessProbe: probe,
      readinessProbe: probe,
    }));
    return { ...pod, spec: { ...pod.spec, containers } };
  });
  await sleep(shareWarmUpMs);
  const before = cpuSeconds(pid);
  await sleep(shareMeasureMs);
  const share = ((cpuSeconds(pid) - before) / (shareMeasureMs / 1_000)) * 100;
  await deleteMany(client, 'probed');
  return share;
}

/** From the tick to the result, as the prober counts it. */
async function benchExecProbe(containerd: TestContainerd, floors: Floors): Promise<BenchRow[]> {
  const dataDir = await fs.mkdtemp(path.join(containerd.directory, 'livelet-'));
  const durationsMs: number[] = [];
  const cluster = await startCluster({
    dataDir,
    runtime: `unix:///${containerd.socket.slice(1)}`,
    onProbeAttempt: ({ durationMs }) => void durationsMs.push(durationMs),
  });
  try {
    const pod = manifest('exec', ['sleep', '600']);
    const probe = { exec: { command: ['true'] }, periodSeconds: execPeriodMs / 1_000 };
    const containers = (pod.spec?.containers ?? []).map((container) => ({ ...container, livenessProbe: probe }));
    const probed: Pod = { ...pod, spec: { ...pod.spec, containers } };
    await cluster.client.create(resources.pods, { namespace: 'default' }, probed, signal);
    const limit = AbortSignal.timeout(waitMsMax);
    while (durationsMs.length < execProbes) await sleep(100, undefined, { signal: limit });
  } finally {
    await cluster.stop();
  }
  return [
    {
      name: 'one exec probe through containerd, p50',
      unit: 'ms',
      ours: percentile(durationsMs, 0.5),
      floor: floors.execMs,
      floorName: 'ExecSync, one a second',
      target: 20,
      better: 'lower',
    },
  ];
}
