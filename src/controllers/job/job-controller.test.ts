import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startJobWorld } from '../../../test/support/job-world.ts';
import { resources } from '../../api/resources.ts';
import { hasReason } from '../../base/status-error.ts';

test('a job is complete when its pod has succeeded; the pod stays, and is free to go', async () => {
  const world = await startJobWorld('job-one', 'succeeds');
  const [pod] = await world.pods();
  const { metadata, spec } = await world.get();
  assert.deepEqual(pod?.metadata?.finalizers, ['batch.kubernetes.io/job-tracking']);
  const labels = {
    'job-name': 'task',
    'batch.kubernetes.io/job-name': 'task',
    'controller-uid': metadata?.uid,
    'batch.kubernetes.io/controller-uid': metadata?.uid,
  };
  assert.deepEqual(pod.metadata.labels, labels);
  assert.deepEqual(spec?.selector, { matchLabels: { 'batch.kubernetes.io/controller-uid': metadata?.uid } });
  await world.live(2);
  const { status } = await world.get();
  const { conditions: _conditions, startTime, completionTime, ...counts } = status ?? {};
  assert.deepEqual(counts, { succeeded: 1, ready: 0, terminating: 0, uncountedTerminatedPods: {} });
  assert.deepEqual([startTime, completionTime], ['2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z']);
  assert.deepEqual(await world.conditions(), [
    'SuccessCriteriaMet=True CompletionsReached: Reached expected number of succeeded pods',
    'Complete=True CompletionsReached: Reached expected number of succeeded pods',
  ]);
  const [done] = await world.pods();
  assert.deepEqual([done?.metadata?.finalizers, done?.status?.phase], [undefined, 'Succeeded']);
  const name = pod.metadata.name ?? '';
  assert.deepEqual(await world.eventsOf('task'), [`SuccessfulCreate Created pod: ${name}`, 'Completed Job completed']);
  await world.close();
});

test('no more pods at once than parallelism says, nor more than completions are left', async () => {
  const world = await startJobWorld('job-parallel', 'succeeds', { completions: 5, parallelism: 2 });
  const active: number[] = [];
  for (let second = 0; second < 6; second++) {
    active.push((await world.get()).status?.active ?? 0);
    await world.live(1);
  }
  assert.deepEqual(active, [2, 2, 1, 0, 0, 0]);
  assert.equal((await world.get()).status?.succeeded, 5);
  await world.close();
});

test('after each failure it waits longer, and gives up after the backoff limit', async () => {
  const world = await startJobWorld('job-backoff', 'fails', { backoffLimit: 3 });
  const atSeconds: number[] = [];
  let known = 0;
  for (let second = 0; second < 120; second++) {
    const { length } = await world.pods();
    if (length > known) atSeconds.push(second);
    known = length;
    await world.live(1);
  }
  assert.deepEqual(atSeconds, [0, 10, 30, 70]); // 10, 20 and 40 s after the one before
  const { status } = await world.get();
  assert.deepEqual([status?.failed, status?.active, status?.completionTime], [4, undefined, undefined]);
  const reached = 'BackoffLimitExceeded: Job has reached the specified backoff limit';
  assert.deepEqual(await world.conditions(), [`FailureTarget=True ${reached}`, `Failed=True ${reached}`]);
  assert.ok(
    (await world.eventsOf('task')).includes('BackoffLimitExceeded Job has reached the specified backoff limit'),
  );
  await world.close();
});

test('past its deadline the job ends its pods, and has failed when they have ended', async () => {
  const world = await startJobWorld('job-deadline', 'good', { activeDeadlineSeconds: 30 });
  await world.live(29);
  assert.deepEqual(await world.conditions(), []);
  await world.runPods();
  await world.clock.advance(1_000);
  const late = 'DeadlineExceeded: Job was active longer than specified deadline';
  assert.deepEqual(await world.conditions(), [`FailureTarget=True ${late}`]);
  await world.live(2);
  assert.deepEqual(await world.conditions(), [`FailureTarget=True ${late}`, `Failed=True ${late}`]);
  assert.equal((await world.pods()).length, 0);
  assert.equal((await world.get()).status?.failed, 1);
  await world.close();
});

test('restarts within a pod count against the limit, too', async () => {
  const world = await startJobWorld('job-restarts', 'good', { backoffLimit: 2 }, { restartPolicy: 'OnFailure' });
  await world.live(1);
  const [pod] = await world.pods();
  const container = { name: 'c', image: '', imageID: '', ready: false, restartCount: 1 };
  const name = pod?.metadata?.name ?? '';
  await world.setStatus(name, { containerStatuses: [container] });
  await world.live(1);
  assert.deepEqual(await world.conditions(), []);
  await world.setStatus(name, { containerStatuses: [{ ...container, restartCount: 2 }] });
  await world.live(3);
  assert.match((await world.conditions())[1] ?? '', /^Failed=True BackoffLimitExceeded/);
  await world.close();
});

test('the failure policy decides by exit code and condition', async () => {
  const rules = [
    { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
    { action: 'FailJob', onExitCodes: { operator: 'In', values: [42], containerName: 'c' } },
  ];
  const world = await startJobWorld('job-policy', 'good', { backoffLimit: 1, podFailurePolicy: { rules } });
  await world.live(1);
  const fail = async (status: object): Promise<string> => {
    const active = (await world.livePods()).find((pod) => pod.status?.phase === 'Running');
    const name = active?.metadata?.name ?? '';
    await world.setStatus(name, { phase: 'Failed', ...status });
    await world.live(15);
    return name;
  };
  await fail({ conditions: [{ type: 'DisruptionTarget', status: 'True' }] });
  await fail({ conditions: [{ type: 'DisruptionTarget', status: 'True' }] });
  assert.equal((await world.get()).status?.failed, undefined);
  const terminated = { exitCode: 42, reason: 'Error' };
  const containerStatuses = [
    { name: 'c', image: '', imageID: '', ready: false, restartCount: 0, state: { terminated } },
  ];
  const name = await fail({ containerStatuses });
  const text = `Container c for pod default/${name} failed with exit code 42 matching FailJob rule at index 1`;
  assert.equal((await world.conditions())[1], `Failed=True PodFailurePolicy: ${text}`);
  await world.close();
});

test('suspended, it has no pods and no time runs; resumed, it starts anew', async () => {
  const world = await startJobWorld('job-suspend', 'good', { suspend: true });
  await world.live(5);
  assert.deepEqual([(await world.pods()).length, (await world.get()).status?.startTime], [0, undefined]);
  assert.deepEqual(await world.conditions(), ['Suspended=True JobSuspended: Job suspended']);
  await world.patch({ spec: { suspend: false } });
  await world.live(1);
  assert.equal((await world.get()).status?.startTime, '2026-01-01T00:00:05Z');
  assert.deepEqual(await world.conditions(), ['Suspended=False JobResumed: Job resumed']);
  await world.patch({ spec: { suspend: true } });
  await world.live(2);
  // What it ended itself has not failed.
  assert.deepEqual([(await world.pods()).length, (await world.get()).status?.failed], [0, undefined]);
  await world.close();
});

test('a finished job is deleted after its time to live, with its pods', async () => {
  const world = await startJobWorld('job-ttl', 'succeeds', { ttlSecondsAfterFinished: 20 });
  await world.live(15);
  assert.equal((await world.get()).status?.succeeded, 1);
  await world.live(10);
  await assert.rejects(world.get(), (error) => hasReason(error, 'NotFound'));
  assert.equal((await world.pods()).length, 0);
  await world.close();
});

test('pods of a job that is deleted can go, also those that nobody counts any more', async () => {
  const world = await startJobWorld('job-delete', 'good', { parallelism: 2, completions: 2 });
  await world.live(1);
  await world.client.delete(resources.jobs, world.ref, { propagationPolicy: 'Background' }, world.never);
  await world.live(3);
  assert.equal((await world.pods()).length, 0);
  await world.close();
});

test('a controller that starts again counts each pod once', async () => {
  const world = await startJobWorld('job-restart', 'succeeds', { completions: 6, parallelism: 3 });
  for (let round = 0; round < 6; round++) {
    await world.runPods();
    await world.restartControllers();
  }
  await world.live(3);
  const { status } = await world.get();
  assert.deepEqual([status?.succeeded, status?.failed, (await world.pods()).length], [6, undefined, 6]);
  await world.close();
});

test('a controller whose view of the pods is late counts each pod once', async () => {
  const late: string[] = [];
  const world = await startJobWorld(
    'job-late',
    'succeeds',
    { completions: 3 },
    {
      through: (client, clock) => ({
        ...client,
        async *watch(type, options, signal) {
          for await (const event of client.watch(type, options, signal)) {
            if (type.resource === 'pods' && event.type !== 'BOOKMARK') {
              late.push(event.type);
              await clock.sleep(1_500, 'late', signal);
            }
            // The same events, later.
            yield event as never;
          }
        },
      }),
    },
  );
  await world.live(40);
  const { status } = await world.get();
  assert.deepEqual([status?.succeeded, status?.failed, (await world.pods()).length], [3, undefined, 3]);
  assert.ok(late.length >= 9, `it saw ${late.length} late events`);
  await world.close();
});

test('a pod that has lost its owner is adopted again, but not by a job that is gone and not seen to be', async () => {
  let isHeld = false;
  const world = await startJobWorld(
    'job-adopts',
    'good',
    {},
    {
      through: (client) => ({
        ...client,
        async *watch(type, options, signal) {
          for await (const event of client.watch(type, options, signal)) {
            // The same events, but for those that are held back.
            if (!isHeld || type.resource !== 'jobs') yield event as never;
          }
        },
      }),
    },
  );
  await world.live(1);
  const patchFirst = async (metadata: object): Promise<void> => {
    const [pod] = await world.pods();
    const podRef = { namespace: 'default', name: pod?.metadata?.name ?? '' };
    await world.client.patch(resources.pods, podRef, { type: 'merge', body: { metadata } }, world.never);
    await world.clock.advance(0);
  };
  const first = async (): Promise<unknown> => {
    const [pod] = await world.pods();
    return [pod?.metadata?.ownerReferences?.[0]?.name, pod?.metadata?.finalizers];
  };
  const tracked = ['batch.kubernetes.io/job-tracking'];
  await patchFirst({ ownerReferences: null });
  assert.deepEqual(await first(), ['task', tracked]);
  isHeld = true;
  await world.client.delete(resources.jobs, world.ref, { propagationPolicy: 'Background' }, world.never);
  await patchFirst({ ownerReferences: null });
  await world.live(2);
  assert.deepEqual([(await world.pods()).length, await first()], [1, [undefined, undefined]]);
  await world.close();
});

test('a pod that its labels no longer tie to the job is let go, and replaced', async () => {
  const world = await startJobWorld('job-releases', 'good');
  await world.live(1);
  const [pod] = await world.pods();
  const podRef = { namespace: 'default', name: pod?.metadata?.name ?? '' };
  const body = { metadata: { labels: null } };
  await world.client.patch(resources.pods, podRef, { type: 'merge', body }, world.never);
  await world.live(2);
  const released = await world.client.get(resources.pods, podRef, world.never);
  assert.deepEqual([released.metadata?.ownerReferences, released.metadata?.finalizers], [undefined, undefined]);
  assert.equal((await world.pods()).length, 2);
  await world.close();
});

test('its status can be written by others as the e2e tests of upstream do', async () => {
  const world = await startJobWorld('job-status', 'good');
  await world.live(1);
  const status = { conditions: [{ type: 'Custom', status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' }] };
  const body = { metadata: { annotations: { patched: 'true' } }, status };
  const ref = { ...world.ref, subresource: 'status' };
  await world.client.patch(resources.jobs, ref, { type: 'merge', body }, world.never);
  await world.live(2);
  const job = await world.get();
  assert.deepEqual(
    [job.metadata?.annotations?.['patched'], await world.conditions(), job.status?.ready],
    ['true', ['Custom=True : '], 1],
  );
  await world.close();
});
