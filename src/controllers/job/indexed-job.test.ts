import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startJobWorld } from '../../../test/support/job-world.ts';
import type { JobSpec, Pod } from '../../api/gen/types.ts';
import { resources } from '../../api/resources.ts';

const indexed = { completionMode: 'Indexed', completions: 4, parallelism: 2 };

test('each pod has an index: in its name, its hostname, a label, an annotation and a variable', async () => {
  const env = [{ name: 'JOB_COMPLETION_INDEX', value: 'mine' }];
  const template = {
    spec: {
      restartPolicy: 'Never',
      initContainers: [{ name: 'i', image: 'x' }],
      containers: [
        { name: 'c', image: 'succeeds' },
        { name: 'd', image: 'x', env },
      ],
    },
  };
  const world = await startJobWorld('indexed-pod', '', { ...indexed, template });
  const pods = await world.pods();
  assert.deepEqual(world.indexesOf(pods), ['0', '1']);
  const pod = pods.find(({ metadata }) => metadata?.name?.startsWith('task-1-'));
  const key = 'batch.kubernetes.io/job-completion-index';
  assert.deepEqual(
    [pod?.spec?.hostname, pod?.metadata?.labels?.[key], pod?.metadata?.annotations],
    ['task-1', '1', { [key]: '1' }],
  );
  const fromLabel = {
    name: 'JOB_COMPLETION_INDEX',
    valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: `metadata.labels['${key}']` } },
  };
  const { initContainers = [], containers = [] } = pod?.spec ?? {};
  assert.deepEqual(
    [...initContainers, ...containers].map((container) => container.env),
    [[fromLabel], [fromLabel], env],
  );
  await world.close();
});

test('an indexed job is complete when each index has succeeded once', async () => {
  const world = await startJobWorld('indexed-all', 'succeeds', indexed);
  await world.live(1);
  assert.equal((await world.get()).status?.completedIndexes, '0,1');
  await world.live(3);
  const { completedIndexes, succeeded, failedIndexes } = (await world.get()).status ?? {};
  assert.deepEqual([completedIndexes, succeeded, failedIndexes], ['0-3', 4, undefined]);
  assert.deepEqual(world.indexesOf(await world.pods()), ['0', '1', '2', '3']);
  assert.match((await world.conditions())[1] ?? '', /^Complete=True CompletionsReached/);
  await world.close();
});

test('an index that failed is tried again, after the job has waited', async () => {
  const world = await startJobWorld('indexed-again', 'succeeds/fails', {
    ...indexed,
    completions: 2,
    backoffLimit: 1,
  });
  await world.live(5);
  assert.deepEqual([(await world.get()).status?.completedIndexes, (await world.get()).status?.failed], ['0', 1]);
  await world.live(10);
  const { status } = await world.get();
  assert.deepEqual([status?.completedIndexes, status?.failed], ['0', 2]);
  assert.match((await world.conditions())[1] ?? '', /^Failed=True BackoffLimitExceeded/);
  await world.close();
});

test('pods without an index, beyond the end, or of one that another has, go', async () => {
  const world = await startJobWorld('indexed-extra', 'good', { ...indexed, completions: 2 });
  await world.live(1);
  const [pod] = await world.pods();
  const { labels, ownerReferences } = pod?.metadata ?? {};
  const extra = (name: string, annotations: object): Promise<unknown> => {
    const metadata = { name, labels, ownerReferences, annotations };
    return world.client.create(resources.pods, { namespace: 'default' }, { ...pod, metadata } as Pod, world.never);
  };
  const key = 'batch.kubernetes.io/job-completion-index';
  await extra('none', {});
  await extra('beyond', { [key]: '2' });
  await extra('again', { [key]: '1' });
  await world.live(3);
  assert.deepEqual(
    (await world.pods()).map(({ metadata }) => metadata?.name?.slice(0, 7)),
    ['task-0-', 'task-1-'],
  );
  assert.equal((await world.get()).status?.failed, undefined);
  await world.close();
});

test('completions and parallelism grow and shrink together', async () => {
  const world = await startJobWorld('indexed-elastic', 'good', { ...indexed, completions: 2 });
  await world.live(1);
  await world.patch({ spec: { completions: 4, parallelism: 4 } });
  await world.live(1);
  assert.deepEqual(world.indexesOf(await world.livePods()), ['0', '1', '2', '3']);
  const third = (await world.pods()).find(({ spec }) => spec?.hostname === 'task-3');
  await world.setStatus(third?.metadata?.name ?? '', { phase: 'Succeeded' });
  await world.live(1);
  assert.equal((await world.get()).status?.completedIndexes, '3');
  await world.patch({ spec: { completions: 1, parallelism: 1 } });
  await world.live(3);
  const { status } = await world.get();
  assert.deepEqual(
    [world.indexesOf(await world.livePods()), status?.completedIndexes, status?.succeeded, status?.failed],
    [['0', '3'], undefined, undefined, undefined],
  );
  await world.close();
});

test('with a limit per index, the others go on; the failed pod passes on how often its index has failed', async () => {
  const world = await startJobWorld('per-index', 'succeeds/fails', { ...indexed, backoffLimitPerIndex: 1 });
  const key = 'batch.kubernetes.io/job-index-failure-count';
  const counts = async (): Promise<readonly string[]> =>
    (await world.pods()).map(({ metadata, spec }) => `${spec?.hostname ?? ''} ${metadata?.annotations?.[key] ?? ''}`);
  await world.live(8);
  const { status: early } = await world.get();
  assert.deepEqual([early?.completedIndexes, early?.failedIndexes, early?.failed], ['0,2', '', undefined]);
  assert.ok((await world.pods()).some(({ metadata }) => metadata?.finalizers !== undefined));
  await world.live(10);
  const { status } = await world.get();
  const { completedIndexes, failedIndexes, failed, succeeded } = status ?? {};
  assert.deepEqual([completedIndexes, failedIndexes, failed, succeeded], ['0,2', '1,3', 4, 2]);
  assert.deepEqual([...(await counts())].sort(), [
    'task-0 0',
    'task-1 0',
    'task-1 1',
    'task-2 0',
    'task-3 0',
    'task-3 1',
  ]);
  assert.deepEqual(await world.conditions(), [
    'FailureTarget=True FailedIndexes: Job has failed indexes',
    'Failed=True FailedIndexes: Job has failed indexes',
  ]);
  assert.ok((await world.pods()).every(({ metadata }) => metadata?.finalizers === undefined));
  await world.close();
});

test('an index waits for its next pod by the time it failed as it was seen first, not by a clock that is ahead', async () => {
  const world = await startJobWorld('per-index-clock', 'good', {
    ...indexed,
    completions: 1,
    parallelism: 1,
    backoffLimitPerIndex: 2,
  });
  await world.live(1);
  const [pod] = await world.pods();
  const conditions = [{ type: 'Ready', status: 'False', lastTransitionTime: '2026-01-01T05:00:00Z' }];
  await world.setStatus(pod?.metadata?.name ?? '', { phase: 'Failed', conditions });
  await world.live(12);
  assert.equal((await world.pods()).length, 2);
  await world.close();
});

test('more failed indexes than allowed end the job, and what still runs', async () => {
  const limits = { backoffLimitPerIndex: 0, maxFailedIndexes: 0 };
  const world = await startJobWorld('max-failed', 'good/fails', { ...indexed, parallelism: 3, ...limits });
  await world.live(4);
  const { status } = await world.get();
  assert.deepEqual([status?.failedIndexes, status?.failed, status?.active], ['1', 3, undefined]);
  const text = 'MaxFailedIndexesExceeded: Job has exceeded the specified maximal number of failed indexes';
  assert.deepEqual(await world.conditions(), [`FailureTarget=True ${text}`, `Failed=True ${text}`]);
  await world.close();
});

test('a rule can fail an index at once, or not count a failure at all', async () => {
  const rules = [
    { action: 'FailIndex', onExitCodes: { operator: 'In', values: [3] } },
    { action: 'Ignore', onExitCodes: { operator: 'In', values: [4] } },
  ];
  const spec: Partial<JobSpec> = { ...indexed, completions: 2, backoffLimitPerIndex: 5, podFailurePolicy: { rules } };
  const world = await startJobWorld('fail-index', 'good', spec);
  await world.live(1);
  const fail = async (index: number, exitCode: number): Promise<void> => {
    const pods = await world.livePods();
    const pod = pods.find(({ spec: of, status }) => of?.hostname === `task-${index}` && status?.phase === 'Running');
    const state = { terminated: { exitCode, reason: 'Error' } };
    const containerStatuses = [{ name: 'c', image: '', imageID: '', ready: false, restartCount: 0, state }];
    await world.setStatus(pod?.metadata?.name ?? '', { phase: 'Failed', containerStatuses });
    await world.live(12);
  };
  await fail(0, 4);
  const again = (await world.livePods()).find(
    ({ spec: of, status }) => of?.hostname === 'task-0' && status?.phase === 'Running',
  );
  assert.deepEqual(again?.metadata?.annotations, {
    'batch.kubernetes.io/job-completion-index': '0',
    'batch.kubernetes.io/job-index-failure-count': '0',
    'batch.kubernetes.io/job-index-ignored-failure-count': '1',
  });
  assert.deepEqual([(await world.get()).status?.failed, (await world.get()).status?.failedIndexes], [undefined, '']);
  await fail(1, 3);
  assert.deepEqual([(await world.get()).status?.failed, (await world.get()).status?.failedIndexes], [1, '1']);
  assert.equal((await world.livePods()).filter(({ spec: of }) => of?.hostname === 'task-1').length, 1);
  await world.close();
});

test('a success policy ends the job early; pods that it ends have not failed', async () => {
  const rules = [{ succeededIndexes: '1-3', succeededCount: 2 }, { succeededIndexes: '0' }];
  const world = await startJobWorld('success-policy', 'good', { ...indexed, successPolicy: { rules } });
  await world.live(1);
  const succeed = async (index: number): Promise<void> => {
    const pod = (await world.pods()).find(({ spec }) => spec?.hostname === `task-${index}`);
    await world.setStatus(pod?.metadata?.name ?? '', { phase: 'Succeeded' });
    await world.clock.advance(0);
  };
  await succeed(1);
  assert.deepEqual(await world.conditions(), []);
  await world.runPods();
  await succeed(0);
  assert.deepEqual(await world.conditions(), ['SuccessCriteriaMet=True SuccessPolicy: Matched rules at index 1']);
  await world.live(2);
  assert.deepEqual(await world.conditions(), [
    'SuccessCriteriaMet=True SuccessPolicy: Matched rules at index 1',
    'Complete=True SuccessPolicy: Matched rules at index 1',
  ]);
  const { completedIndexes, succeeded, failed, active, ready, terminating } = (await world.get()).status ?? {};
  assert.deepEqual(
    [completedIndexes, succeeded, failed, active, ready, terminating],
    ['0,1', 2, undefined, undefined, 0, 0],
  );
  await world.close();
});

test('a controller that starts again neither counts an index twice nor forgets its failures', async () => {
  const world = await startJobWorld('per-index-restart', 'succeeds/fails', { ...indexed, backoffLimitPerIndex: 1 });
  for (let round = 0; round < 30; round++) {
    await world.runPods();
    await world.restartControllers();
    await world.clock.advance(1_000);
  }
  const { completedIndexes, failedIndexes, failed, succeeded } = (await world.get()).status ?? {};
  assert.deepEqual([completedIndexes, failedIndexes, failed, succeeded], ['0,2', '1,3', 4, 2]);
  assert.equal((await world.pods()).length, 6);
  await world.close();
});

test('a job that names another controller is left alone', async () => {
  const world = await startJobWorld('managed-by', 'succeeds', { managedBy: 'example.com/mine' });
  await world.live(3);
  assert.deepEqual([(await world.get()).status, (await world.pods()).length], [{}, 0]);
  await world.close();
});
