import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startApi } from '../../test/support/api-calls.ts';
import type { Json } from '../../test/support/api-calls.ts';

const core = '/api/v1/namespaces/default/events';
const v1 = '/apis/events.k8s.io/v1/namespaces/default/events';

const kubeletEvent = {
  metadata: { name: 'web.1', namespace: 'default' },
  involvedObject: { kind: 'Pod', namespace: 'default', name: 'web', uid: 'u', fieldPath: 'spec.containers{main}' },
  reason: 'Unhealthy',
  message: 'Liveness probe failed',
  type: 'Warning',
  source: { component: 'kubelet', host: 'n1' },
  reportingComponent: 'kubelet',
  reportingInstance: 'n1',
  firstTimestamp: '2026-01-01T00:00:00Z',
  lastTimestamp: '2026-01-01T00:00:00Z',
  count: 1,
};

const schedulerEvent = {
  metadata: { name: 'web.2', namespace: 'default' },
  eventTime: '2026-01-01T00:00:00.123456Z',
  reportingController: 'default-scheduler',
  reportingInstance: 'default-scheduler-n1',
  action: 'Binding',
  reason: 'Scheduled',
  regarding: { kind: 'Pod', namespace: 'default', name: 'web', uid: 'u' },
  note: 'Successfully assigned default/web to n1',
  type: 'Normal',
};

test('events of the core group and of events.k8s.io are the same objects', async () => {
  const api = await startApi();
  await api.ok('POST', core, kubeletEvent);
  await api.ok('POST', v1, schedulerEvent);
  const { metadata, ...asCore } = await api.ok('GET', `${core}/web.2`);
  assert.equal(metadata.name, 'web.2');
  assert.deepEqual(asCore, {
    kind: 'Event',
    apiVersion: 'v1',
    involvedObject: schedulerEvent.regarding,
    reason: 'Scheduled',
    message: schedulerEvent.note,
    source: {},
    firstTimestamp: null,
    lastTimestamp: null,
    type: 'Normal',
    eventTime: '2026-01-01T00:00:00.123456Z',
    action: 'Binding',
    reportingComponent: 'default-scheduler',
    reportingInstance: 'default-scheduler-n1',
  });
  const asV1 = await api.ok('GET', `${v1}/web.1`);
  assert.deepEqual(
    [asV1.apiVersion, asV1.regarding, asV1.note, asV1.deprecatedSource, asV1.deprecatedCount, asV1.eventTime],
    ['events.k8s.io/v1', kubeletEvent.involvedObject, 'Liveness probe failed', kubeletEvent.source, 1, null],
  );
  const list = await api.ok('GET', v1);
  assert.deepEqual(
    [list.kind, list.apiVersion, list.items.map((item: Json) => [item.note, item.kind])],
    [
      'EventList',
      'events.k8s.io/v1',
      [
        ['Liveness probe failed', undefined],
        [schedulerEvent.note, undefined],
      ],
    ],
  );
  await api.close();
});

test('a watch of either group sees the events of both', async () => {
  const api = await startApi();
  const watches = [
    await api.watch(`${core}?watch=1&resourceVersion=6`),
    await api.watch(`${v1}?watch=1&resourceVersion=6`),
  ];
  await api.ok('POST', core, kubeletEvent);
  await api.ok('POST', v1, schedulerEvent);
  for (const watch of watches) assert.deepEqual(await watch.summaries(2), ['ADDED web.1', 'ADDED web.2']);
  await Promise.all(watches.map((watch) => watch.close()));
  await api.close();
});

test('they are found by the object that they are about, as kubectl describe does', async () => {
  const api = await startApi();
  await api.ok('POST', core, kubeletEvent);
  const other = { kind: 'Pod', namespace: 'default', name: 'other', uid: 'o' };
  await api.ok('POST', core, { ...kubeletEvent, metadata: { name: 'other.1' }, involvedObject: other });
  const selector = 'involvedObject.name=web,involvedObject.namespace=default,involvedObject.uid=u';
  const found = await api.ok('GET', `${core}?fieldSelector=${encodeURIComponent(selector)}&limit=500`);
  assert.deepEqual(
    found.items.map((item: Json) => item.metadata.name),
    ['web.1'],
  );
  const regarding = await api.ok('GET', `${v1}?fieldSelector=${encodeURIComponent('regarding.name=other')}`);
  assert.equal(regarding.items.length, 1);
  await api.close();
});

test('an event goes an hour after it was seen last', async () => {
  const api = await startApi();
  await api.ok('POST', core, kubeletEvent);
  await api.ok('POST', v1, schedulerEvent);
  await api.clock.advance(1_800_000);
  const patch = { count: 2, lastTimestamp: '2026-01-01T00:30:00Z' };
  const headers = { 'content-type': 'application/merge-patch+json' };
  await api.ok('PATCH', `${core}/web.1`, patch, { headers });
  const names = async () => (await api.ok('GET', core)).items.map((item: Json) => item.metadata.name);
  await api.clock.advance(1_700_000);
  assert.deepEqual(await names(), ['web.1', 'web.2']);
  await api.clock.advance(200_000);
  assert.deepEqual(await names(), ['web.1']);
  await api.clock.advance(1_800_000);
  assert.deepEqual(await names(), []);
  await api.close();
});
