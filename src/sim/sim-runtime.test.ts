import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerConfig, ContainerRuntime, PodSandboxConfig } from '../cri/runtime.ts';
import { hasReason } from '../base/status-error.ts';
import type { SimInstance } from './container-script.ts';
import { noFaults, type Faults } from './faults.ts';
import { SeededEntropy } from './seeded-entropy.ts';
import { SimNetwork } from './sim-network.ts';
import { SimRuntime } from './sim-runtime.ts';
import { tutorialImages, tutorialRules } from './tutorial-scripts.ts';
import { VirtualClock } from './virtual-clock.ts';

const gateway = '10.244.0.1';

interface World {
  readonly clock: VirtualClock;
  readonly network: SimNetwork;
  readonly runtime: SimRuntime;
  readonly signal: AbortSignal;
  readonly log: string[];
  readonly life: string[];
}

/** Runs `body` in a world of its own, and checks that it leaves no timer behind. */
async function inWorld(body: (world: World) => Promise<void>, faults: Faults = noFaults): Promise<void> {
  const clock = new VirtualClock({ epochMs: Date.UTC(2_026, 0, 1) });
  const network = new SimNetwork(clock, { roundTripMs: 0 });
  const log: string[] = [];
  const life: string[] = [];
  const { signal } = new AbortController();
  const entropy = new SeededEntropy('sim');
  const runtime = new SimRuntime(
    { clock, entropy, faults, network, writeLog: (_, line) => void log.push(line.slice(line.indexOf(' ') + 1, -1)) },
    {
      images: [
        ...tutorialImages,
        { name: 'docker.io/library/slow:1', sizeBytes: 9, mustBePulled: true, pullMs: 5_000 },
      ],
      rules: tutorialRules(gateway),
      latencyMs: [1, 1],
      onStarted: ({ containerName }: SimInstance) => void life.push(`+${containerName}`),
      onExited: ({ containerName }: SimInstance, exitCode) => void life.push(`-${containerName} ${exitCode}`),
    },
    signal,
  );
  await body({ clock, network, runtime, signal, log, life });
  await runtime.close();
  assert.deepEqual(clock.pendingNames(), []);
}

const sandbox: PodSandboxConfig = {
  metadata: { name: 'p', uid: 'u', namespace: 'n', attempt: 0 },
  hostname: 'p',
  logDirectory: '/logs/p',
  dnsConfig: undefined,
  portMappings: [],
  labels: {},
  annotations: {},
  namespaces: { network: 'pod', pid: 'container', ipc: 'pod' },
};

function container(image: string, command: readonly string[]): ContainerConfig {
  return {
    metadata: { name: 'c', attempt: 0 },
    imageRef: '',
    image,
    command,
    args: [],
    workingDir: '',
    envs: [],
    mounts: [],
    labels: {},
    annotations: {},
    logPath: 'c/0.log',
    stdin: false,
    stdinOnce: false,
    tty: false,
    stopSignal: undefined,
    securityContext: {
      privileged: false,
      runAsUser: undefined,
      runAsGroup: undefined,
      supplementalGroups: [],
      readonlyRootfs: false,
      noNewPrivs: false,
      addCapabilities: [],
      dropCapabilities: [],
    },
    resources: {
      cpuShares: undefined,
      cpuQuota: undefined,
      cpuPeriod: undefined,
      memoryLimitBytes: undefined,
      oomScoreAdj: undefined,
    },
  };
}

/** Lets the clock run until `promise` has settled. */
async function settled<T>(clock: VirtualClock, promise: Promise<T>): Promise<T> {
  let isOver = false;
  const end = (): void => void (isOver = true);
  promise.then(end, end);
  while (!isOver) await clock.advance(1);
  return await promise;
}

async function run(world: World, image: string, command: readonly string[] = []): Promise<string> {
  const { clock, runtime, signal } = world;
  const start = async (cri: ContainerRuntime): Promise<string> => {
    const podSandboxId = await cri.runPodSandbox(sandbox, signal);
    const id = await cri.createContainer(podSandboxId, container(image, command), sandbox, signal);
    await cri.startContainer(id, signal);
    return id;
  };
  return await settled(clock, start(runtime));
}

function get(world: World): Promise<unknown> {
  const request = {
    scheme: 'http',
    host: '10.244.0.2',
    port: 8080,
    target: '/',
    headers: [],
    bodyBytesMax: 100,
    timeoutMs: 1_000,
  } as const;
  return world.network.httpGet(request, world.signal).then((reply) => {
    return reply.kind === 'response' ? reply.status : reply.failure.kind;
  });
}

test('kubia-unhealthy is well five times, then sick, and starts over when it starts again', () =>
  inWorld(async (world) => {
    const id = await run(world, 'luksa/kubia-unhealthy');
    assert.equal(await settled(world.clock, get(world)), 'refused', 'it takes a moment to listen');
    await world.clock.advance(100);
    const statuses: unknown[] = [];
    for (let i = 0; i < 7; i++) statuses.push(await settled(world.clock, get(world)));
    assert.deepEqual(statuses, [200, 200, 200, 200, 200, 500, 500]);
    assert.deepEqual(world.log.slice(0, 2), [
      'stdout F Kubia server starting...',
      `stdout F Received request from ::ffff:${gateway}`,
    ]);
    await settled(world.clock, world.runtime.stopContainer(id, 30_000, world.signal));
    const {
      exitCode,
      finishedWallMs = 0,
      startedWallMs = 0,
    } = await settled(world.clock, world.runtime.containerStatus(id, world.signal));
    assert.equal(exitCode, 137);
    assert.ok(finishedWallMs - startedWallMs >= 30_000);
    assert.equal(await settled(world.clock, get(world)), 'refused');
    assert.deepEqual(world.life, ['+c', '-c 137']);
  }));

test('a program that cannot listen says so and ends', () =>
  inWorld(async (world) => {
    const stop = world.network.listen('10.244.0.2', 8080, {});
    const id = await run(world, 'luksa/kubia');
    await world.clock.advance(100);
    const { exitCode } = await settled(world.clock, world.runtime.containerStatus(id, world.signal));
    assert.equal(exitCode, 1);
    assert.match(world.log.at(-1) ?? '', /^stderr F listen 10\.244\.0\.2 8080: address already in use$/);
    stop();
  }));

test('a command’s result changes with time', () =>
  inWorld(async (world) => {
    const id = await run(world, 'busybox', ['sh', '-c', 'sleep 25; touch /tmp/up; sleep 600']);
    const cat = () => settled(world.clock, world.runtime.execSync(id, ['cat', '/tmp/up'], 1_000, world.signal));
    const before = await cat();
    assert.equal(new TextDecoder().decode(before.stderr), "cat: can't open '/tmp/up': No such file or directory\n");
    assert.equal(before.exitCode, 1);
    await world.clock.advance(25_000);
    assert.equal((await cat()).exitCode, 0);
  }));

test('a restart of the runtime fails calls and listeners, and keeps containers', () =>
  inWorld(async (world) => {
    const { clock, runtime, signal } = world;
    const id = await run(world, 'busybox', ['sleep', '600']);
    const listening = runtime.events(signal)[Symbol.asyncIterator]().next();
    const stopping = runtime.stopContainer(id, 60_000, signal);
    const failures = Promise.all([
      assert.rejects(listening, (error) => hasReason(error, 'ServiceUnavailable')),
      assert.rejects(stopping, (error) => hasReason(error, 'ServiceUnavailable')),
    ]);
    await clock.advance(10);
    const restarting = runtime.restart(1_000, signal);
    await failures;
    await assert.rejects(runtime.listContainers({}, signal), (error) => hasReason(error, 'ServiceUnavailable'));
    await settled(clock, restarting);
    const [status] = await settled(clock, runtime.listContainers({}, signal));
    assert.deepEqual([status?.id, status?.state], [id, 'running']);
  }));

test('an OOM kill is an exit by signal 9 with its own reason', () =>
  inWorld(async (world) => {
    const id = await run(world, 'busybox', ['sleep', '600']);
    world.runtime.oomKill(id);
    const { exitCode, reason } = await settled(world.clock, world.runtime.containerStatus(id, world.signal));
    assert.deepEqual([exitCode, reason], [137, 'OOMKilled']);
  }));

test('an image that is not there comes by a pull, and takes its time', () =>
  inWorld(async ({ clock, runtime, signal }) => {
    assert.equal(await settled(clock, runtime.imageStatus('slow:1', signal)), undefined);
    const startedMs = clock.monoMs();
    const pulled = await settled(clock, runtime.pullImage('slow:1', signal));
    assert.ok(clock.monoMs() - startedMs >= 5_000);
    assert.equal((await settled(clock, runtime.imageStatus('slow:1', signal)))?.id, pulled.id);
  }));

test('a lost request does nothing, a lost reply has done it', async () => {
  const sites = new Set<string>();
  const faults: Faults = { hit: (site) => sites.has(site) };
  await inWorld(async ({ clock, runtime, signal }) => {
    const isTimeout = (error: unknown): boolean => hasReason(error, 'Timeout');
    sites.add('cri.runPodSandbox.lostRequest');
    await assert.rejects(settled(clock, runtime.runPodSandbox(sandbox, signal)), isTimeout);
    assert.deepEqual(await settled(clock, runtime.listPodSandboxes({}, signal)), []);
    sites.clear();
    sites.add('cri.runPodSandbox.lostReply');
    await assert.rejects(settled(clock, runtime.runPodSandbox(sandbox, signal)), isTimeout);
    assert.equal((await settled(clock, runtime.listPodSandboxes({}, signal))).length, 1);
  }, faults);
});

test('the same seed gives the same ids', async () => {
  const ids: string[] = [];
  for (let i = 0; i < 2; i++) {
    await inWorld(async (world) => void ids.push(await run(world, 'busybox', ['sleep', '600'])));
  }
  assert.equal(ids[0], ids[1]);
});
