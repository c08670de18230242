/** `livelet drill node --simulate`: the loss of a node of a cluster as it is, in virtual time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '../../src/api/gen/types.ts';
import { resources } from '../../src/api/resources.ts';
import type { ResourceType } from '../../src/api/resources.ts';
import { DrillLog, drillLines } from '../../src/insight/drill.ts';
import { settled, startSimulatedCluster } from '../../src/main/simulated-cluster.ts';
import { readLive, simulateDrill } from '../../src/main/simulated-drill.ts';
import { never } from '../support/sim-cluster.ts';

const namespace = 'shop';
const container = {
  name: 'web',
  image: 'luksa/kubia',
  imagePullPolicy: 'IfNotPresent',
  ports: [{ name: 'http', containerPort: 8080 }],
  readinessProbe: { httpGet: { path: '/', port: 'http' }, periodSeconds: 2 },
};
const template = { metadata: { labels: { app: 'web' } }, spec: { containers: [container] } };

test('the pods of a live cluster are played where they are, and each is told of that was Ready on the node', async () => {
  const nodes = ['n1', 'n2', 'n3'].map((name) => ({ name }));
  const live = await startSimulatedCluster('live', { nodes, failover: 'fast' });
  const { clock, client } = live;
  const make = async (type: ResourceType, object: object): Promise<void> => {
    await settled(clock, client.create(type, type === resources.namespaces ? {} : { namespace }, object, never));
  };
  await make(resources.namespaces, { metadata: { name: namespace } });
  const selector = { matchLabels: { app: 'web' } };
  await make(resources.deployments, { metadata: { name: 'web' }, spec: { replicas: 6, selector, template } });
  const alone = { containers: [{ ...container, name: 'alone' }], nodeName: 'n2' };
  await make(resources.pods, { metadata: { name: 'alone' }, spec: alone });
  await clock.advance(20_000);
  const taken = await settled(clock, readLive(client, never));
  const pods = (await settled(clock, client.list<Pod>(resources.pods, { namespace }, never))).items;
  const onNode = pods.filter(({ spec }) => spec?.nodeName === 'n2').map(({ metadata }) => `shop/${metadata?.name}`);
  await live.close();

  const report = await simulateDrill({ nodeName: 'n2', ...taken, failover: 'fast', loss: 'crash' });
  assert.deepEqual(report.pods.map(({ name }) => name).sort(), onNode.sort());
  assert.ok(report.noticedSeconds !== undefined && report.noticedSeconds > 5 && report.noticedSeconds < 9);
  assert.ok(report.outageSeconds !== undefined && report.outageSeconds < 12, `${report.outageSeconds} s`);
  const left = report.pods.find(({ name }) => name === 'shop/alone');
  assert.deepEqual([left?.stays, left?.replacement], ['nothing controls it', undefined]);
  for (const { name, replacement } of report.pods.filter((pod) => pod !== left)) {
    assert.ok(replacement !== undefined && replacement.nodeName !== 'n2', name);
  }
  const [first, second] = drillLines(report);
  assert.equal(first, `    0.0 s  n2 ends, with ${onNode.length} pods Ready`);
  assert.match(second ?? '', /^ {4}\d\.\d s {2}noticed: n2 is NotReady$/);

  const one = { ...taken, nodes: taken.nodes.slice(0, 1), failover: 'fast', loss: 'crash' } as const;
  await assert.rejects(simulateDrill({ nodeName: 'n1', ...one }), /n1 is the only node/);
  await assert.rejects(simulateDrill({ nodeName: 'n7', ...one }), { reason: 'NotFound' });
});

test('another profile than that of the cluster is played with the patience that its server would give', async () => {
  const nodes = ['n1', 'n2', 'n3'].map((name) => ({ name }));
  const live = await startSimulatedCluster('live', { nodes });
  const { clock, client } = live;
  const spec = { replicas: 3, selector: { app: 'web' }, template };
  const rc = { metadata: { name: 'web' }, spec };
  await settled(clock, client.create(resources.replicationcontrollers, { namespace: 'default' }, rc as object, never));
  await clock.advance(20_000);
  const taken = await settled(clock, readLive(client, never));
  const pods = (await settled(clock, client.list<Pod>(resources.pods, {}, never))).items;
  await live.close();
  const nodeName = pods[0]?.spec?.nodeName ?? '';
  const report = await simulateDrill({ nodeName, ...taken, failover: 'fast', madeUnder: 'default', loss: 'crash' });
  assert.ok(report.outageSeconds !== undefined && report.outageSeconds < 12, `${report.outageSeconds} s`);
});

test('what was not noticed or not replaced is told, and is no success', () => {
  const owner = { apiVersion: 'v1', kind: 'ReplicationController', name: 'rc', uid: 'rc', controller: true };
  const conditions = [{ type: 'Ready', status: 'True' }];
  const pod = (name: string, nodeName: string): Pod => ({
    metadata: { namespace: 'default', name, uid: name, ownerReferences: [owner] },
    spec: { nodeName, containers: [] },
    status: { conditions },
  });
  const log = new DrillLog('n1', [pod('a', 'n1'), pod('b', 'n1'), pod('c', 'n2')]);
  log.begin(1_000);
  assert.deepEqual(drillLines(log.report()).slice(-1), ['the loss of n1 was not noticed']);
  log.onNode({ metadata: { name: 'n1' }, status: { conditions: [{ type: 'Ready', status: 'Unknown' }] } }, 3_000);
  log.onPod('MODIFIED', pod('c', 'n2'), 3_000); // was there before
  log.onPod('ADDED', pod('d', 'n2'), 4_500);
  log.onPod('MODIFIED', pod('d', 'n2'), 5_000); // stands for one already
  assert.equal(log.isOver, false);
  assert.deepEqual(drillLines(log.report()), [
    '    0.0 s  n1 ends, with 2 pods Ready',
    '    2.0 s  noticed: n1 is NotReady',
    '    3.5 s  Ready again: default/d on n2, in place of default/a',
    '           default/b was not replaced',
    'outage: not over yet',
  ]);
  log.onPod('ADDED', pod('e', 'n2'), 9_000);
  assert.equal(log.isOver, true);
  assert.equal(log.report().outageSeconds, 8);
});
