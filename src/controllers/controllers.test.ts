import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Namespace, Pod } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import { hasReason } from '../base/status-error.ts';
import { startApiWorld } from '../../test/support/api-world.ts';
import { startControllers } from './controllers.ts';
import { SharedInformers } from './shared-informers.ts';

const never = new AbortController().signal;

async function setUp(seed: string) {
  const world = await startApiWorld(seed);
  const { clock, scope, log } = world;
  const entropy = world.entropy.fork('controllers');
  const client = world.clientOf('system:kube-controller-manager');
  const shared = new SharedInformers({ client, clock, entropy, log });
  startControllers(scope, { client, clock, entropy, log, shared, rootCaPem: 'the certificate' });
  shared.run(scope);
  await clock.advance(0);
  const getNamespace = async (name: string): Promise<Namespace | undefined> => {
    try {
      return await world.client.get(resources.namespaces, { name }, never);
    } catch (error) {
      if (hasReason(error, 'NotFound')) return undefined;
      throw error;
    }
  };
  const createNamespace = async (name: string): Promise<void> => {
    await world.client.create(resources.namespaces, {}, { metadata: { name } }, never);
    await clock.advance(0);
  };
  const deleteNamespace = async (name: string): Promise<void> => {
    await world.client.delete(resources.namespaces, { name }, {}, never);
    await clock.advance(0);
  };
  return { ...world, getNamespace, createNamespace, deleteNamespace };
}

const pod: Pod = { metadata: { name: 'web' }, spec: { containers: [{ name: 'c', image: 'i' }] } };

test('an empty namespace goes at once', async () => {
  const { createNamespace, deleteNamespace, getNamespace, close } = await setUp('empty');
  await createNamespace('x');
  assert.equal((await getNamespace('x'))?.status?.phase, 'Active');
  await deleteNamespace('x');
  assert.equal(await getNamespace('x'), undefined);
  await close();
});

test('everything in it goes too, and other namespaces keep theirs', async () => {
  const { client, clock, createNamespace, deleteNamespace, getNamespace, close } = await setUp('contents');
  for (const namespace of ['x', 'y']) {
    await createNamespace(namespace);
    await client.create(resources.pods, { namespace }, pod, never);
    await client.create(resources.configmaps, { namespace }, { metadata: { name: 'c' } }, never);
    await client.create(resources.secrets, { namespace }, { metadata: { name: 's' } }, never);
    await client.create(resources.leases, { namespace }, { metadata: { name: 'l' } }, never);
  }
  await deleteNamespace('x');
  await clock.advance(10_000);
  assert.equal(await getNamespace('x'), undefined);
  const counts = await Promise.all(
    ['x', 'y'].flatMap((namespace) =>
      [resources.pods, resources.configmaps, resources.secrets, resources.leases, resources.serviceaccounts].map(
        async (type) => (await client.list(type, { namespace }, never)).items.length,
      ),
    ),
  );
  assert.deepEqual(counts, [0, 0, 0, 0, 0, 1, 2, 1, 1, 1]); // of config maps, one is the certificate
  await close();
});

test('pods end gracefully first; until then the rest stays, and the conditions say what remains', async () => {
  const { client, clock, createNamespace, deleteNamespace, getNamespace, close } = await setUp('graceful');
  await createNamespace('x');
  await client.create(resources.configmaps, { namespace: 'x' }, { metadata: { name: 'c' } }, never);
  await client.create(resources.pods, { namespace: 'x' }, pod, never);
  await client.create(resources.nodes, {}, { metadata: { name: 'n1' } }, never);
  const binding = { metadata: { name: 'web' }, target: { kind: 'Node', name: 'n1' } };
  const bindingRef = { namespace: 'x', name: 'web', subresource: 'binding' };
  await client.create(resources.pods, bindingRef, binding, never);
  await deleteNamespace('x');
  await clock.advance(35_000); // not so long that the pod is removed because it has no node
  const dying = await client.get(resources.pods, { namespace: 'x', name: 'web' }, never);
  assert.equal(dying.metadata?.deletionGracePeriodSeconds, 30);
  const namespace = await getNamespace('x');
  assert.equal(namespace?.status?.phase, 'Terminating');
  assert.deepEqual(
    namespace?.status?.conditions?.map((condition) => `${condition.type}=${condition.status} ${condition.message}`),
    [
      'NamespaceDeletionDiscoveryFailure=False All resources successfully discovered',
      'NamespaceDeletionGroupVersionParsingFailure=False All legacy kube types successfully parsed',
      'NamespaceDeletionContentFailure=False All content successfully deleted, may be waiting on finalization',
      'NamespaceContentRemaining=True Some resources are remaining: pods. has 1 resource instances',
      'NamespaceFinalizersRemaining=False All content-preserving finalizers finished',
    ],
  );
  assert.equal((await client.list(resources.configmaps, { namespace: 'x' }, never)).items.length, 2);
  // The kubelet has ended it.
  await client.delete(resources.pods, { namespace: 'x', name: 'web' }, { gracePeriodSeconds: 0 }, never);
  await clock.advance(0);
  assert.equal(await getNamespace('x'), undefined);
  await close();
});

test('an object with a finalizer holds the namespace until the finalizer is taken away', async () => {
  const { client, clock, createNamespace, deleteNamespace, getNamespace, close } = await setUp('finalizer');
  await createNamespace('x');
  const metadata = { name: 'c', finalizers: ['example.com/hold'] };
  await client.create(resources.configmaps, { namespace: 'x' }, { metadata }, never);
  await deleteNamespace('x');
  await clock.advance(30_000);
  const messages = (await getNamespace('x'))?.status?.conditions?.map((condition) => condition.message);
  assert.deepEqual(messages?.slice(3), [
    'Some resources are remaining: configmaps. has 1 resource instances',
    'Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances',
  ]);
  const body = { metadata: { finalizers: null } };
  await client.patch(resources.configmaps, { namespace: 'x', name: 'c' }, { type: 'merge', body }, never);
  await clock.advance(5_000);
  assert.equal(await getNamespace('x'), undefined);
  await close();
});

test('a node is registered once, also when it changes, and again when it comes back under its name', async () => {
  const { client, clock, close } = await setUp('nodes');
  const messages = async () => {
    const { items } = await client.list(resources.events, { namespace: 'default' }, never);
    return items.map((event) => `${event.source?.component} ${event.reason} ${event.message} x${event.count}`);
  };
  const create = async (): Promise<void> => {
    await client.create(resources.nodes, {}, { metadata: { name: 'n1' } }, never);
    await clock.advance(0);
  };
  await create();
  const body = { metadata: { labels: { a: 'b' } } };
  await client.patch(resources.nodes, { name: 'n1' }, { type: 'merge', body }, never);
  await clock.advance(0);
  const registered = 'node-controller RegisteredNode Node n1 event: Registered Node n1 in Controller x1';
  assert.deepEqual(await messages(), [registered]);
  await client.delete(resources.nodes, { name: 'n1' }, {}, never);
  await clock.advance(0);
  await create();
  const removed = 'node-controller RemovingNode Node n1 event: Removing Node n1 from Controller x1';
  assert.deepEqual((await messages()).sort(), [registered, registered, removed]);
  await close();
});

test('every namespace has the certificate of the cluster and its service account, whatever becomes of them', async () => {
  const { client, clock, createNamespace, close } = await setUp('one-per-namespace');
  await createNamespace('x');
  for (const namespace of ['default', 'kube-system', 'kube-public', 'kube-node-lease', 'x']) {
    const ref = { namespace, name: 'kube-root-ca.crt' };
    const { data, metadata } = await client.get(resources.configmaps, ref, never);
    assert.deepEqual(data, { 'ca.crt': 'the certificate' });
    assert.match(metadata?.annotations?.['kubernetes.io/description'] ?? '', /^Contains a CA bundle /);
  }
  const certificate = { namespace: 'x', name: 'kube-root-ca.crt' };
  const wrong = { data: { 'ca.crt': 'another', more: '' }, metadata: { annotations: { mine: 'too' } } };
  await client.patch(resources.configmaps, certificate, { type: 'merge', body: wrong }, never);
  await clock.advance(10);
  const mended = await client.get(resources.configmaps, certificate, never);
  assert.deepEqual(mended.data, { 'ca.crt': 'the certificate' });
  assert.equal(mended.metadata?.annotations?.['mine'], 'too');
  const account = { namespace: 'x', name: 'default' };
  const before = await client.get(resources.serviceaccounts, account, never);
  await client.delete(resources.serviceaccounts, account, {}, never);
  await client.delete(resources.configmaps, certificate, {}, never);
  await clock.advance(10);
  assert.notEqual((await client.get(resources.serviceaccounts, account, never)).metadata?.uid, before.metadata?.uid);
  assert.deepEqual((await client.get(resources.configmaps, certificate, never)).data, mended.data);
  await close();
});
