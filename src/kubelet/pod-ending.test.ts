import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resources } from '../api/resources.ts';
import type { ContainerScript } from '../sim/container-script.ts';
import { containerOf, startKubeletWorld } from '../../test/support/kubelet-world.ts';

const stubborn: ContainerScript = { onStop: 'ignore' };
const polite: ContainerScript = { onStop: { afterMs: 500, exitCode: 0 } };

/** What ended when: `NAME +SECONDS`. */
function stops(calls: readonly string[]): string[] {
  return calls.filter((call) => call.startsWith('stop'));
}

test('a deleted pod gets its grace period, is then killed, ends Failed with 137 and disappears', async () => {
  const world = await startKubeletWorld('delete', { scripts: { stubborn } });
  await world.create('p', { containers: [containerOf('c', 'stubborn')] });
  await world.clock.advance(1_000);
  world.noted.take();
  await world.delete('p');
  await world.clock.advance(29_900);
  assert.equal(await world.row('p'), '1/1 Terminating 0');
  const phases: (string | undefined)[] = [];
  world.pods.onChange(({ current }) => phases.push(current?.status?.phase));
  world.scope.start((signal) => world.pods.run(signal));
  await world.clock.advance(1_000);
  assert.deepEqual(stops(world.noted.take()), ['stopContainer c 30000', 'stopPodSandbox p']);
  assert.deepEqual(
    phases.filter((phase, index) => phase !== phases[index - 1]),
    ['Running', 'Failed', undefined],
  );
  await assert.rejects(world.pod('p'), { reason: 'NotFound' });
  assert.deepEqual((await world.events('p')).at(-1), 'Normal Killing x1 Stopping container c');
  await world.clock.advance(1_000);
  assert.deepEqual(world.files.paths(), []);
  assert.deepEqual(world.sim.runningContainers(), []);
  await world.close();
  assert.deepEqual(world.clock.pendingNames(), []);
});

test('a second delete shortens the grace period while the first one runs', async () => {
  const world = await startKubeletWorld('shorter', { scripts: { stubborn } });
  await world.create('p', { containers: [containerOf('c', 'stubborn')] });
  await world.clock.advance(1_000);
  world.noted.take();
  await world.delete('p');
  await world.clock.advance(5_000);
  await world.delete('p', 3);
  await world.clock.advance(3_500);
  assert.deepEqual(stops(world.noted.take()), ['stopContainer c 30000', 'stopContainer c 3000', 'stopPodSandbox p']);
  await assert.rejects(world.pod('p'), { reason: 'NotFound' });
  await world.close();
});

test('a pod of which somebody else says that it has failed is ended, and its status shows it', async () => {
  const world = await startKubeletWorld('given up', { scripts: { polite } });
  await world.create('p', { containers: [containerOf('c', 'polite')] });
  await world.clock.advance(1_000);
  const body = { status: { phase: 'Failed' } };
  const ref = { namespace: 'default', name: 'p', subresource: 'status' };
  await world.client.patch(resources.pods, ref, { type: 'merge', body }, new AbortController().signal);
  await world.clock.advance(1_000);
  assert.deepEqual(world.sim.runningContainers(), []);
  const { phase, conditions, containerStatuses } = (await world.pod('p')).status ?? {};
  const ready = conditions?.find(({ type }) => type === 'Ready');
  assert.deepEqual(
    [phase, ready?.status, ready?.reason, containerStatuses?.[0]?.state?.terminated?.exitCode],
    ['Failed', 'False', 'PodFailed', 0],
  );
  await world.close();
});

test('a pod deleted by force is ended within 2 s', async () => {
  const world = await startKubeletWorld('force', { scripts: { stubborn } });
  await world.create('p', { containers: [containerOf('c', 'stubborn')] });
  await world.clock.advance(1_000);
  await world.delete('p', 0);
  await assert.rejects(world.pod('p'), { reason: 'NotFound' });
  await world.clock.advance(2_100);
  assert.deepEqual(world.sim.runningContainers(), []);
  await world.clock.advance(1_000);
  assert.deepEqual(world.files.paths(), []);
  await world.close();
});

test('a pod deleted before anything of it ran ends Failed and disappears', async () => {
  const world = await startKubeletWorld('early');
  await world.create('p', { containers: [{ name: 'c', image: 'absent:1' }] });
  await world.clock.advance(1_000);
  await world.delete('p');
  await world.clock.advance(100);
  await assert.rejects(world.pod('p'), { reason: 'NotFound' });
  await world.close();
});

test('a delete interrupts the long end of a liveness kill', async () => {
  const world = await startKubeletWorld('interrupt', {
    scripts: { stubborn: { ...stubborn, execs: [{ command: ['ok'], results: [{ exitCode: 1 }] }] } },
  });
  const livenessProbe = { exec: { command: ['ok'] }, periodSeconds: 1, failureThreshold: 1 };
  await world.create('p', {
    terminationGracePeriodSeconds: 600,
    containers: [{ ...containerOf('c', 'stubborn'), livenessProbe }],
  });
  await world.clock.advance(30_000);
  assert.ok(stops(world.noted.take()).includes('stopContainer c 600000'));
  await world.delete('p', 4);
  await world.clock.advance(4_100);
  await assert.rejects(world.pod('p'), { reason: 'NotFound' });
  await world.close();
});

test('preStop runs within the grace period and its time is taken off; its failure does not stop the kill', async () => {
  const world = await startKubeletWorld('hooks', {
    scripts: {
      slow: { ...stubborn, execs: [{ command: ['bye'], results: [{ exitCode: 0, takesMs: 4_200 }] }] },
      bad: { ...stubborn, execs: [{ command: ['bye'], results: [{ exitCode: 1 }] }] },
      hung: { ...stubborn, execs: [{ command: ['bye'], results: [{ exitCode: 0, takesMs: 3_600_000 }] }] },
    },
  });
  const lifecycle = { preStop: { exec: { command: ['bye'] } } };
  const containers = ['slow', 'bad', 'hung'].map((name) => ({ ...containerOf(name, name), lifecycle }));
  await world.create('p', { terminationGracePeriodSeconds: 10, containers });
  await world.clock.advance(1_000);
  world.noted.take();
  await world.delete('p');
  await world.clock.advance(12_500);
  assert.deepEqual(stops(world.noted.take()), [
    'stopContainer bad 10000',
    'stopContainer slow 6000',
    'stopContainer hung 2000',
    'stopPodSandbox p',
  ]);
  const events = await world.events('p');
  assert.equal(events.filter((line) => line === 'Warning FailedPreStopHook x1 PreStopHook failed').length, 1);
  await assert.rejects(world.pod('p'), { reason: 'NotFound' });
  await world.close();
});

test('sidecars end after the regular containers, the last declared first', async () => {
  const world = await startKubeletWorld('order', { scripts: { polite } });
  const sidecar = (name: string) => ({ ...containerOf(name, 'polite'), restartPolicy: 'Always' });
  await world.create('p', {
    initContainers: [sidecar('first'), sidecar('second')],
    containers: [containerOf('main', 'polite')],
  });
  await world.clock.advance(1_000);
  world.noted.take();
  await world.delete('p');
  await world.clock.advance(3_000);
  assert.deepEqual(stops(world.noted.take()), [
    'stopContainer main 30000',
    'stopContainer second 30000',
    'stopContainer first 29000',
    'stopPodSandbox p',
  ]);
  await assert.rejects(world.pod('p'), { reason: 'NotFound' });
  await world.close();
});

test('a sidecar does not wait for an ordinary init container that still runs', async () => {
  const world = await startKubeletWorld('order-init', { scripts: { polite, stubborn } });
  await world.create('p', {
    terminationGracePeriodSeconds: 5,
    initContainers: [{ ...containerOf('side', 'polite'), restartPolicy: 'Always' }, containerOf('init', 'stubborn')],
    containers: [containerOf('main', 'polite')],
  });
  await world.clock.advance(1_000);
  world.noted.take();
  await world.delete('p');
  await world.clock.advance(6_000);
  const calls = stops(world.noted.take());
  assert.deepEqual(calls.toSorted(), ['stopContainer init 5000', 'stopContainer side 5000', 'stopPodSandbox p']);
  await assert.rejects(world.pod('p'), { reason: 'NotFound' });
  await world.close();
});

test('a postStart hook that fails kills the container, which is then started again with back-off', async () => {
  const world = await startKubeletWorld('post-start', {
    scripts: { c: { ...polite, execs: [{ command: ['hello'], results: [{ exitCode: 1, stderr: 'no' }] }] } },
  });
  const lifecycle = { postStart: { exec: { command: ['hello'] } } };
  await world.create('p', { containers: [{ ...containerOf('c', 'c'), lifecycle }] });
  await world.clock.advance(5_000);
  const waiting = (await world.pod('p')).status?.containerStatuses?.[0]?.state?.waiting;
  assert.equal(waiting?.reason, 'PostStartHookError');
  assert.match(
    waiting?.message ?? '',
    /^Exec lifecycle hook \(\[hello\]\) for Container "c" in Pod "p_default\(.*\)" failed - error: command 'hello' exited with 1: no, message: "no"$/,
  );
  const events = await world.events('p');
  for (const line of ['Warning FailedPostStartHook x2 PostStartHook failed', 'Normal Killing x2 FailedPostStartHook']) {
    assert.ok(events.includes(line), events.join('\n'));
  }
  await world.close();
});

test("a probe's own grace period is used for its kill, and the pod's for a delete", async () => {
  const world = await startKubeletWorld('probe-grace', {
    scripts: { stubborn: { ...stubborn, execs: [{ command: ['ok'], results: [{ exitCode: 1 }] }] } },
  });
  const livenessProbe = {
    exec: { command: ['ok'] },
    periodSeconds: 5,
    failureThreshold: 1,
    initialDelaySeconds: 20,
    terminationGracePeriodSeconds: 7,
  };
  await world.create('p', { containers: [{ ...containerOf('c', 'stubborn'), livenessProbe }] });
  await world.clock.advance(40_000);
  assert.deepEqual(stops(world.noted.take()), ['stopContainer c 7000']);
  assert.match(await world.row('p'), /^1\/1 Running 1 /);
  assert.ok(
    (await world.events('p')).includes('Normal Killing x1 Container c failed liveness probe, will be restarted'),
  );
  const last = (await world.pod('p')).status?.containerStatuses?.[0]?.lastState?.terminated;
  assert.deepEqual([last?.exitCode, last?.reason], [137, 'Error']);
  await world.delete('p');
  await world.clock.advance(31_000);
  assert.deepEqual(stops(world.noted.take()), ['stopContainer c 30000', 'stopPodSandbox p']);
  await world.close();
});
