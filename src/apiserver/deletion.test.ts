import assert from 'node:assert/strict';
import { test } from 'node:test';
import { podOf, podsPath, startApi } from '../../test/support/api-calls.ts';
import type { Api, Json } from '../../test/support/api-calls.ts';
import { decideDeletion } from './deletion.ts';

const json = { headers: { 'content-type': 'application/merge-patch+json' } };

async function boundPod(api: Api, name: string, spec: Json = {}): Promise<Json> {
  await api.ok('POST', podsPath, podOf(name, { spec }));
  await api.ok('POST', `${podsPath}/${name}/binding`, { metadata: { name }, target: { name: 'n1' } });
  return api.ok('GET', `${podsPath}/${name}`);
}

function marks(pod: Json): unknown[] {
  const { deletionTimestamp, deletionGracePeriodSeconds, generation } = pod.metadata;
  return [deletionTimestamp, deletionGracePeriodSeconds, generation];
}

test('a bound pod is first marked with its grace period, and stays', async () => {
  const api = await startApi();
  await boundPod(api, 'web');
  const { status, json: pod } = await api.call('DELETE', `${podsPath}/web`);
  assert.deepEqual([status, ...marks(pod)], [200, '2026-01-01T00:00:30Z', 30, 2]);
  assert.deepEqual(await api.ok('GET', `${podsPath}/web`), pod);
  await api.close();
});

test('a second delete may shorten the grace period, never lengthen it', async () => {
  const api = await startApi();
  await boundPod(api, 'web');
  await api.ok('DELETE', `${podsPath}/web`);
  await api.clock.advance(3_000);
  const longer = await api.ok('DELETE', `${podsPath}/web?gracePeriodSeconds=60`);
  assert.deepEqual(marks(longer), ['2026-01-01T00:00:30Z', 30, 2]);
  const shorter = await api.ok('DELETE', `${podsPath}/web`, { kind: 'DeleteOptions', gracePeriodSeconds: 10 });
  assert.deepEqual(marks(shorter), ['2026-01-01T00:00:10Z', 10, 2]);
  const tooLate = await api.ok('DELETE', `${podsPath}/web?gracePeriodSeconds=1`);
  assert.deepEqual(marks(tooLate), ['2026-01-01T00:00:04Z', 1, 2]); // never into the past
  await api.close();
});

test('grace 0 shows the pod with grace 0, and then takes it away', async () => {
  const api = await startApi();
  const pod = await boundPod(api, 'web');
  const watch = await api.watch(`${podsPath}?watch=1&resourceVersion=${pod.metadata.resourceVersion}`);
  const answer = await api.ok('DELETE', `${podsPath}/web?gracePeriodSeconds=0`);
  assert.equal(answer.metadata.deletionGracePeriodSeconds, 0);
  const [modified, deleted] = [await watch.next(), await watch.next()];
  assert.deepEqual([modified.type, deleted.type], ['MODIFIED', 'DELETED']);
  assert.equal(modified.object.metadata.deletionGracePeriodSeconds, 0);
  assert.ok(Number(deleted.object.metadata.resourceVersion) > Number(modified.object.metadata.resourceVersion));
  assert.match(await api.fails('GET', `${podsPath}/web`), /^404/);
  await watch.close();
  await api.close();
});

test('a pod without node, or at its end, goes at once; a negative grace means a second', async () => {
  const api = await startApi();
  await api.ok('POST', podsPath, podOf('unbound'));
  await api.ok('DELETE', `${podsPath}/unbound`);
  assert.match(await api.fails('GET', `${podsPath}/unbound`), /^404/);
  await boundPod(api, 'done');
  await api.ok('PATCH', `${podsPath}/done/status`, { status: { phase: 'Succeeded' } }, json);
  await api.ok('DELETE', `${podsPath}/done`);
  assert.match(await api.fails('GET', `${podsPath}/done`), /^404/);
  await boundPod(api, 'web');
  assert.deepEqual(marks(await api.ok('DELETE', `${podsPath}/web?gracePeriodSeconds=-1`)).slice(0, 2), [
    '2026-01-01T00:00:01Z',
    1,
  ]);
  await api.close();
});

test('preconditions on UID and resourceVersion must hold', async () => {
  const api = await startApi();
  const pod = await boundPod(api, 'web');
  const { uid, resourceVersion } = pod.metadata;
  assert.equal(
    await api.fails('DELETE', `${podsPath}/web`, { preconditions: { uid: 'x' } }),
    '409 Conflict: Operation cannot be fulfilled on Pod "web": the UID in the precondition (x) does not match the ' +
      `UID in record (${uid}). The object might have been deleted and then recreated`,
  );
  assert.match(
    await api.fails('DELETE', `${podsPath}/web`, { preconditions: { resourceVersion: '1' } }),
    /^409 Conflict: .*The object might have been modified$/,
  );
  await api.ok('DELETE', `${podsPath}/web`, { preconditions: { uid, resourceVersion } });
  await api.close();
});

test('finalizers hold an object until the last one is taken away', async () => {
  const api = await startApi();
  const path = '/api/v1/namespaces/default/configmaps';
  await api.ok('POST', path, { metadata: { name: 'c', finalizers: ['example.com/a', 'example.com/b'] } });
  const marked = await api.ok('DELETE', `${path}/c`);
  assert.deepEqual(marks(marked).slice(0, 2), ['2026-01-01T00:00:00Z', 0]);
  await api.ok('PATCH', `${path}/c`, { metadata: { finalizers: ['example.com/b'] } }, json);
  await api.ok('GET', `${path}/c`);
  await api.ok('PATCH', `${path}/c`, { metadata: { finalizers: [] } }, json);
  assert.match(await api.fails('GET', `${path}/c`), /^404/);
  await boundPod(api, 'web');
  await api.ok('PATCH', `${podsPath}/web`, { metadata: { finalizers: ['example.com/a'] } }, json);
  await api.ok('DELETE', `${podsPath}/web?gracePeriodSeconds=0`);
  assert.equal((await api.ok('GET', `${podsPath}/web`)).metadata.deletionGracePeriodSeconds, 0);
  await api.ok('PATCH', `${podsPath}/web`, { metadata: { finalizers: null } }, json);
  assert.match(await api.fails('GET', `${podsPath}/web`), /^404/);
  await api.close();
});

test('what is deleted at once is answered by a Status; pods and service accounts by themselves', async () => {
  const api = await startApi();
  const path = '/api/v1/namespaces/default/configmaps';
  const { metadata } = await api.ok('POST', path, { metadata: { name: 'c' } });
  assert.deepEqual(await api.ok('DELETE', `${path}/c`, { propagationPolicy: 'Background' }), {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: { name: 'c', kind: 'configmaps', uid: metadata.uid },
  });
  assert.match(
    await api.fails('DELETE', `${path}/c`, { propagationPolicy: 'Sideways' }),
    /^422 Invalid: DeleteOptions.*Unsupported value: "Sideways"/,
  );
  await api.close();
});

test('a collection is deleted by selector', async () => {
  const api = await startApi();
  for (const name of ['a', 'b', 'c']) {
    await api.ok('POST', podsPath, podOf(name, { metadata: { labels: { keep: name === 'b' ? 'yes' : 'no' } } }));
  }
  const deleted = await api.ok('DELETE', `${podsPath}?labelSelector=keep%3Dno`);
  assert.deepEqual([deleted.kind, deleted.items.map((pod: Json) => pod.metadata.name)], ['PodList', ['a', 'c']]);
  assert.deepEqual(
    (await api.ok('GET', podsPath)).items.map((pod: Json) => pod.metadata.name),
    ['b'],
  );
  await api.close();
});

test('the grace that is decided never exceeds the one before', () => {
  const grace = (asked: number | undefined) => asked ?? 30;
  const pod = { metadata: { name: 'x', generation: 1 } };
  for (let first = 0; first <= 6; first++) {
    for (let second = -1; second <= 8; second++) {
      for (let waitedSeconds = 0; waitedSeconds <= 8; waitedSeconds++) {
        const one = decideDeletion(pod, { gracePeriodSeconds: first, finalizers: [], nowMs: 0 }, (_object, asked) =>
          grace(asked),
        );
        assert.ok(one.kind === 'mark');
        if (one.thenRemove) continue;
        const request = { gracePeriodSeconds: second, finalizers: [], nowMs: waitedSeconds * 1_000 };
        const two = decideDeletion(one.object, request, (_object, asked) => grace(asked));
        const context = `first ${first}, second ${second}, after ${waitedSeconds} s: ${JSON.stringify(two)}`;
        if (two.kind === 'pending') assert.ok(Math.abs(second) >= first, context);
        else {
          assert.ok(two.kind === 'mark', context);
          const seconds = two.object.metadata.deletionGracePeriodSeconds ?? -1;
          assert.ok(seconds < first && seconds >= 0 && two.thenRemove === (second === 0), context);
          assert.ok(
            Date.parse(two.object.metadata.deletionTimestamp ?? '') >= (second === 0 ? 0 : request.nowMs),
            context,
          );
        }
      }
    }
  }
});

test('whoever takes the last finalizer away is answered with what he asked for; watchers see what was there', async () => {
  const api = await startApi();
  const maps = '/api/v1/namespaces/default/configmaps';
  const { metadata } = await api.ok('POST', maps, { metadata: { name: 'c', finalizers: ['a/b'] } });
  const foreground = await api.call('DELETE', `${maps}/c?propagationPolicy=Foreground`);
  assert.deepEqual([foreground.status, foreground.json.metadata.finalizers], [202, ['a/b', 'foregroundDeletion']]);
  assert.equal((await api.call('DELETE', `${maps}/c?orphanDependents=false`)).status, 202);
  assert.equal((await api.call('DELETE', `${maps}/c?propagationPolicy=Background`)).status, 200);
  const watch = await api.watch(`${maps}?watch=1&resourceVersion=${metadata.resourceVersion}`);
  const headers = { 'content-type': 'application/merge-patch+json' };
  const patched = await api.ok('PATCH', `${maps}/c`, { metadata: { finalizers: null } }, { headers });
  assert.equal(patched.metadata.finalizers, undefined);
  assert.deepEqual(await watch.summaries(2), ['MODIFIED c', 'MODIFIED c']);
  const gone = await watch.next();
  assert.deepEqual([gone.type, gone.object.metadata.finalizers], ['DELETED', ['a/b']]);
  await watch.close();
  await api.close();
});
