import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PodStatus } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import { containerOf, startKubeletWorld } from '../../test/support/kubelet-world.ts';

const never = new AbortController().signal;
const crash = { exit: { afterMs: 5, exitCode: 3 } };

function conditionsOf(status: PodStatus | undefined): string[] {
  return (status?.conditions ?? []).map(({ type, status: value, reason }) => [type, value, reason].join(' ').trimEnd());
}

test('a pod bound to the node gets a sandbox and its container, and is Running and Ready', async () => {
  const world = await startKubeletWorld('running');
  await world.create('web');
  await world.clock.advance(0);
  const { status } = await world.pod('web');
  assert.deepEqual(world.noted.take(), ['runPodSandbox web 0', 'createContainer main 0', 'startContainer main']);
  const [container] = status?.containerStatuses ?? [];
  assert.match(container?.containerID ?? '', /^sim:\/\/[0-9a-f]{64}$/);
  const { containerID: _containerID, imageID: _imageID, ...rest } = container ?? {};
  assert.deepEqual(rest, {
    name: 'main',
    image: 'docker.io/library/busybox:1.29',
    state: { running: { startedAt: '2026-01-01T00:00:00Z' } },
    lastState: {},
    ready: true,
    started: true,
    restartCount: 0,
    resources: {},
  });
  assert.deepEqual(conditionsOf(status), [
    'PodReadyToStartContainers True',
    'Initialized True',
    'Ready True',
    'ContainersReady True',
    'PodScheduled True',
  ]);
  assert.deepEqual(
    [status?.phase, status?.qosClass, status?.hostIP, status?.podIP, status?.observedGeneration, status?.startTime],
    ['Running', 'BestEffort', '192.0.2.2', '10.244.0.2', 1, '2026-01-01T00:00:00Z'],
  );
  assert.deepEqual(await world.events('web'), [
    'Normal Pulled x1 Container image "busybox:1.29" already present on machine',
    'Normal Created x1 Created container: main',
    'Normal Started x1 Started container main',
  ]);
  await world.close();
  assert.deepEqual(world.clock.pendingNames(), []);
});

test('a container that crashes is restarted at once, and then after 10, 20, 40, 80, 160 s', async () => {
  const world = await startKubeletWorld('crasher', { scripts: { crash } });
  const restartedAtSeconds: number[] = [];
  await world.create('crasher', { containers: [containerOf('crash', 'crash')] });
  let count = 0;
  for (let second = 0; second < 366; second++) {
    await world.clock.advance(1_000);
    const restarts = (await world.pod('crasher')).status?.containerStatuses?.[0]?.restartCount ?? 0;
    if (restarts > count) restartedAtSeconds.push(second);
    count = restarts;
  }
  const waits = restartedAtSeconds.map((at, index) => at - (restartedAtSeconds[index - 1] ?? 0));
  const delays = [0, 10, 20, 40, 80, 160];
  assert.equal(waits.length, delays.length);
  // A wait may be longer by what is left of a round of retries: 10 to 15 s, on whole seconds.
  for (const [index, delay] of delays.entries())
    assert.ok(waits[index] !== undefined && waits[index] - delay <= 16, `${waits}`);
  for (const [index, delay] of delays.entries()) assert.ok((waits[index] ?? 0) >= delay - 1, `${waits}`);
  const [container] = (await world.pod('crasher')).status?.containerStatuses ?? [];
  assert.equal(container?.lastState?.terminated?.exitCode, 3);
  const events = await world.events('crasher');
  assert.ok(
    events.some(
      (line) =>
        line.startsWith('Warning BackOff x2') &&
        line.includes('Back-off restarting failed container crash in pod crasher_default('),
    ),
    events.join('\n'),
  );
  await world.close();
});

test('after a crash the status shows the end, and CrashLoopBackOff only when the next sync has come', async () => {
  const world = await startKubeletWorld('crasher', { scripts: { crash } });
  await world.create('crasher', { containers: [containerOf('crash', 'crash')] });
  await world.clock.advance(1_000);
  assert.match(await world.row('crasher'), /^0\/1 Error 1 /);
  await world.clock.advance(15_000);
  const rows = [await world.row('crasher')];
  await world.clock.advance(15_000);
  rows.push(await world.row('crasher'));
  assert.ok(
    rows.some((row) => /^0\/1 CrashLoopBackOff [12] /.test(row)),
    rows.join(),
  );
  const { status } = await world.pod('crasher');
  assert.equal(status?.phase, 'Running');
  await world.close();
});

test('a command that does not exist is RunContainerError, then the same back-off', async () => {
  const world = await startKubeletWorld('missing');
  await world.create('missing', { containers: [containerOf('m', 'no-such-binary')] });
  await world.clock.advance(1_000);
  assert.match(await world.row('missing'), /^0\/1 RunContainerError 1 /);
  const [container] = (await world.pod('missing')).status?.containerStatuses ?? [];
  assert.equal(container?.state?.waiting?.reason, 'RunContainerError');
  assert.match(container?.state?.waiting?.message ?? '', /exec: "no-such-binary": executable file not found in \$PATH/);
  const { exitCode, reason, startedAt } = container?.lastState?.terminated ?? {};
  assert.deepEqual([exitCode, reason, startedAt], [128, 'StartError', '1970-01-01T00:00:00Z']);
  await world.close();
});

test('an image that cannot be pulled is tried again with back-off, and says so', async () => {
  const world = await startKubeletWorld('no-image');
  await world.create('no-image', { containers: [{ name: 'nope', image: 'does-not-exist.invalid/nope:1' }] });
  await world.clock.advance(1_000);
  assert.equal(await world.row('no-image'), '0/1 ErrImagePull 0');
  const early = await world.events('no-image');
  await world.clock.advance(16_000);
  assert.match(await world.row('no-image'), /^0\/1 (ImagePullBackOff|ErrImagePull) 0$/);
  const pulls = world.noted.take().filter((call) => call.startsWith('pullImage'));
  assert.ok(pulls.length >= 1 && pulls.length <= 2, pulls.join());
  assert.deepEqual(
    early.map((line) => line.split(' ').slice(0, 2).join(' ')),
    ['Normal Pulling', 'Warning Failed', 'Warning Failed', 'Normal BackOff', 'Warning Failed'],
  );
  const [container] = (await world.pod('no-image')).status?.containerStatuses ?? [];
  assert.deepEqual([container?.containerID, container?.imageID, container?.resources], [undefined, '', undefined]);
  await world.close();
});

test('pull policy Never does not pull; a bad image name is told apart', async () => {
  const world = await startKubeletWorld('never');
  await world.create('never', { containers: [{ name: 'c', image: 'absent:1', imagePullPolicy: 'Never' }] });
  await world.create('bad', { containers: [{ name: 'c', image: 'Bad/Name', imagePullPolicy: 'IfNotPresent' }] });
  await world.clock.advance(1_000);
  assert.deepEqual(
    [await world.row('never'), await world.row('bad')],
    ['0/1 ErrImageNeverPull 0', '0/1 InvalidImageName 0'],
  );
  const waiting = (await world.pod('bad')).status?.containerStatuses?.[0]?.state?.waiting;
  assert.equal(
    waiting?.message,
    'Failed to apply default image tag "Bad/Name": couldn\'t parse image name "Bad/Name": invalid reference format: repository name must be lowercase',
  );
  await world.close();
});

test('a pod that is to run once ends Succeeded or Failed by its exit codes, and keeps its log', async () => {
  const world = await startKubeletWorld('once', {
    scripts: {
      good: { exit: { afterMs: 2_000, exitCode: 0 }, output: [{ atMs: 1, stream: 'stdout', text: 'done' }] },
      bad: { exit: { afterMs: 1_000, exitCode: 4 } },
    },
  });
  await world.create('good', { restartPolicy: 'Never', containers: [containerOf('a', 'good')] });
  await world.create('mixed', {
    restartPolicy: 'Never',
    containers: [containerOf('a', 'good'), containerOf('b', 'bad')],
  });
  await world.clock.advance(5_000);
  assert.deepEqual([await world.row('good'), await world.row('mixed')], ['0/1 Completed 0', '0/2 Completed 0']);
  const [good, mixed] = [await world.pod('good'), await world.pod('mixed')];
  assert.deepEqual([good.status?.phase, mixed.status?.phase], ['Succeeded', 'Failed']);
  assert.deepEqual(conditionsOf(good.status).slice(0, 4), [
    'PodReadyToStartContainers False',
    'Initialized True PodCompleted',
    'Ready False PodCompleted',
    'ContainersReady False PodCompleted',
  ]);
  assert.equal(await world.logs('good', 'a'), '200 done\n');
  await world.clock.advance(120_000);
  assert.equal(world.noted.take().filter((call) => call.startsWith('startContainer')).length, 3);
  await world.close();
});

test('OnFailure restarts what failed, and not what succeeded', async () => {
  const world = await startKubeletWorld('on-failure', {
    scripts: { good: { exit: { afterMs: 100, exitCode: 0 } }, bad: { exit: { afterMs: 100, exitCode: 4 } } },
  });
  await world.create('p', {
    restartPolicy: 'OnFailure',
    containers: [containerOf('a', 'good'), containerOf('b', 'bad')],
  });
  await world.clock.advance(2_000);
  const counts = (await world.pod('p')).status?.containerStatuses?.map(({ restartCount }) => restartCount);
  assert.deepEqual(counts, [0, 1]);
  await world.close();
});

test('init containers run one after the other, a sidecar stays, and then the regular ones start', async () => {
  const world = await startKubeletWorld('init', {
    scripts: { first: { exit: { afterMs: 3_000, exitCode: 0 } }, second: { exit: { afterMs: 1_000, exitCode: 0 } } },
  });
  await world.create('p', {
    initContainers: [
      containerOf('first', 'first'),
      { ...containerOf('side', 'run'), restartPolicy: 'Always' },
      containerOf('second', 'second'),
    ],
  });
  const rows: string[] = [];
  for (const step of [500, 3_000, 1_000]) {
    await world.clock.advance(step);
    rows.push(await world.row('p'));
  }
  assert.deepEqual(rows, ['0/2 Init:0/3 0', '1/2 Init:2/3 0', '2/2 Running 0']);
  assert.deepEqual(
    world.noted.take().filter((call) => call.startsWith('startContainer')),
    ['startContainer first', 'startContainer side', 'startContainer second', 'startContainer main'],
  );
  await world.close();
});

test('an init container that fails is restarted with back-off, and fails the pod where it must not be', async () => {
  const world = await startKubeletWorld('init-fails', { scripts: { crash } });
  await world.create('again', { initContainers: [containerOf('init', 'crash')] });
  await world.create('once', { restartPolicy: 'Never', initContainers: [containerOf('init', 'crash')] });
  await world.clock.advance(1_000);
  assert.deepEqual(
    [await world.row('again').then((row) => row.slice(0, 12)), await world.row('once')],
    ['0/1 Init:Err', '0/1 Init:Error 0'],
  );
  await world.clock.advance(30_000);
  assert.equal((await world.pod('once')).status?.phase, 'Failed');
  assert.equal((await world.pod('again')).status?.phase, 'Pending');
  const init = (await world.pod('again')).status?.initContainerStatuses?.[0];
  assert.ok((init?.restartCount ?? 0) >= 2, JSON.stringify(init));
  await world.close();
});

test('activeDeadlineSeconds ends the pod as Failed with DeadlineExceeded', async () => {
  const world = await startKubeletWorld('deadline');
  await world.create('p', { activeDeadlineSeconds: 20 });
  await world.clock.advance(19_000);
  assert.equal(await world.row('p'), '1/1 Running 0');
  await world.clock.advance(3_000);
  const { status } = await world.pod('p');
  assert.deepEqual(
    [status?.phase, status?.reason, status?.message, status?.containerStatuses?.[0]?.state?.terminated?.exitCode],
    ['Failed', 'DeadlineExceeded', 'Pod was active on the node longer than the specified deadline', 0],
  );
  assert.ok((await world.events('p')).some((line) => line.startsWith('Normal DeadlineExceeded x1')));
  await world.close();
});

test('a label of the node counts as soon as it is there', async () => {
  const world = await startKubeletWorld('label');
  await world.clock.advance(2_000);
  const body = { metadata: { labels: { disk: 'ssd' } } };
  await world.client.patch(resources.nodes, { name: 'node-1' }, { type: 'merge', body }, never);
  await world.create('p', { nodeSelector: { disk: 'ssd' } });
  await world.clock.advance(2_000);
  assert.equal(await world.row('p'), '1/1 Running 0');
  await world.close();
});

test('a pod that does not fit the node is rejected', async () => {
  const world = await startKubeletWorld('rejected');
  const requests = { cpu: '3' };
  await world.create('big', { containers: [{ name: 'c', image: 'busybox:1.29', resources: { requests } }] });
  await world.clock.advance(1_000);
  const { status } = await world.pod('big');
  const message = "Node didn't have enough resource: cpu, requested: 3000, used: 0, capacity: 2000";
  assert.deepEqual(
    [status?.phase, status?.reason, status?.message],
    ['Failed', 'OutOfcpu', `Pod was rejected: ${message}`],
  );
  assert.deepEqual(await world.events('big'), [`Warning OutOfcpu x1 ${message}`]);
  assert.deepEqual(world.noted.take(), []);
  await world.close();
});
