/** How often the runtime is asked: each call is a round trip that a pod waits for, and CPU time of the runtime. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerRuntime } from '../cri/runtime.ts';
import { containerOf, startKubeletWorld } from '../../test/support/kubelet-world.ts';
import type { KubeletWorld } from '../../test/support/kubelet-world.ts';

const counted = [
  'runPodSandbox',
  'stopPodSandbox',
  'podSandboxStatus',
  'listPodSandboxes',
  'createContainer',
  'startContainer',
  'containerStatus',
  'listContainers',
  'removeContainer',
  'imageStatus',
  'pullImage',
] as const satisfies readonly (keyof ContainerRuntime)[];

/** Counts from now on; the answer gives what was called since, and begins anew. */
function countCalls({ noted }: KubeletWorld): () => Readonly<Record<string, number>> {
  const counts = new Map<string, number>();
  const runtime: Record<string, unknown> = { ...noted.runtime };
  for (const verb of counted) {
    const call = noted.runtime[verb];
    runtime[verb] = (...args: unknown[]): unknown => {
      counts.set(verb, (counts.get(verb) ?? 0) + 1);
      return Reflect.apply(call, noted.runtime, args);
    };
  }
  Object.assign(noted.runtime, runtime);
  return () => {
    const found = Object.fromEntries(counts);
    counts.clear();
    return found;
  };
}

test('the calls that a pod, its restart, and a node at rest cost', async () => {
  const world = await startKubeletWorld('calls', { latencyMs: [5, 5] });
  await world.clock.advance(1_000);
  const take = countCalls(world);
  await world.create('p', { containers: [containerOf('c', 'run')] });
  await world.clock.advance(1_000);
  assert.deepEqual(take(), {
    listPodSandboxes: 2, // before and after
    listContainers: 2,
    runPodSandbox: 1,
    podSandboxStatus: 1, // its address
    imageStatus: 1,
    createContainer: 1,
    startContainer: 1,
  });
  await world.clock.advance(9_500); // past the look at everything
  take();
  world.sim.endContainer(world.sim.runningContainers()[0]?.id ?? '', 1);
  await world.clock.advance(1_000);
  assert.deepEqual(take(), {
    listPodSandboxes: 2,
    listContainers: 2,
    imageStatus: 1,
    createContainer: 1,
    startContainer: 1,
  });
  await world.clock.advance(8_000);
  take();
  await world.clock.advance(30_000);
  assert.deepEqual(take(), { listPodSandboxes: 3, listContainers: 3 }, 'one look at everything in 10 s');
  await world.close();
});

test('a death is followed by the next instance after four round trips, and many pods start side by side', async () => {
  const world = await startKubeletWorld('latency', { latencyMs: [5, 5] });
  const names = Array.from({ length: 20 }, (_, index) => `p-${index}`);
  await world.during(Promise.all(names.map((name) => world.create(name))));
  const begunMs = world.clock.monoMs();
  while (world.sim.runningContainers().length < names.length) await world.clock.advance(1);
  // List, sandbox, its status, image, create, start.
  assert.ok(world.clock.monoMs() - begunMs <= 30, `${world.clock.monoMs() - begunMs}`);
  await world.clock.advance(1_000);
  const [victim] = world.sim.runningContainers();
  world.sim.endContainer(victim?.id ?? '', 1);
  const diedMs = world.clock.monoMs(); // list, image, create, start
  while (world.sim.runningContainers().length < names.length) await world.clock.advance(1);
  assert.ok(world.clock.monoMs() - diedMs <= 20, `${world.clock.monoMs() - diedMs}`);
  await world.close();
});
