import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startControlWorld } from '../../../test/support/control-world.ts';
import type { ConfigMap, OwnerReference } from '../../api/gen/types.ts';
import { resources } from '../../api/resources.ts';
import { hasReason } from '../../base/status-error.ts';

async function setUp(seed: string) {
  const world = await startControlWorld(seed);
  const { client, clock, never } = world;
  const type = resources.configmaps;
  const create = async (name: string, owners: readonly (ConfigMap | OwnerReference)[] = []): Promise<ConfigMap> => {
    const ownerReferences = owners.map((owner) => ('kind' in owner && 'uid' in owner ? owner : ownedBy(owner)));
    const metadata = { name, ...(owners.length === 0 ? {} : { ownerReferences }) };
    const created = await client.create<ConfigMap>(type, { namespace: 'default' }, { metadata }, never);
    await clock.advance(0);
    return created;
  };
  const remove = async (name: string, propagationPolicy: string): Promise<void> => {
    await client.delete(type, { namespace: 'default', name }, { propagationPolicy }, never);
    await clock.advance(0);
  };
  const find = async (name: string): Promise<ConfigMap | undefined> => {
    try {
      return await client.get(type, { namespace: 'default', name }, never);
    } catch (error) {
      if (hasReason(error, 'NotFound')) return undefined;
      throw error;
    }
  };
  const patch = async (name: string, metadata: object): Promise<void> => {
    await client.patch(type, { namespace: 'default', name }, { type: 'merge', body: { metadata } }, never);
    await clock.advance(0);
  };
  return { ...world, create, remove, find, patch };
}

function ownedBy(owner: ConfigMap, block = true): OwnerReference {
  const { name = '', uid = '' } = owner.metadata ?? {};
  return { apiVersion: 'v1', kind: 'ConfigMap', name, uid, blockOwnerDeletion: block };
}

test('in the background the owner goes first, then what it owns, and what that owns', async () => {
  const { create, remove, find, close } = await setUp('gc-background');
  const owner = await create('owner');
  const child = await create('child', [owner]);
  await create('grandchild', [child]);
  await remove('owner', 'Background');
  assert.deepEqual(
    [await find('owner'), await find('child'), await find('grandchild')],
    [undefined, undefined, undefined],
  );
  await close();
});

test('in the foreground the owner waits for those that block it, and for what they own', async () => {
  const { create, remove, find, patch, close } = await setUp('gc-foreground');
  const owner = await create('owner');
  const child = await create('child', [owner]);
  await create('free', [ownedBy(owner, false)]);
  await create('grandchild', [child]);
  await patch('grandchild', { finalizers: ['example.com/hold'] });
  await remove('owner', 'Foreground');
  assert.deepEqual((await find('owner'))?.metadata?.finalizers, ['foregroundDeletion']);
  assert.deepEqual((await find('child'))?.metadata?.finalizers, ['foregroundDeletion']);
  assert.notEqual((await find('grandchild'))?.metadata?.deletionTimestamp, undefined);
  assert.equal(await find('free'), undefined);
  await patch('grandchild', { finalizers: null });
  assert.deepEqual(
    [await find('owner'), await find('child'), await find('grandchild')],
    [undefined, undefined, undefined],
  );
  await close();
});

test('objects that own one another in a circle can be deleted in the foreground', async () => {
  const { create, remove, find, patch, close } = await setUp('gc-circle');
  const a = await create('a');
  const b = await create('b', [a]);
  await patch('a', { ownerReferences: [ownedBy(b)] });
  await remove('a', 'Foreground');
  assert.deepEqual([await find('a'), await find('b')], [undefined, undefined]);
  await close();
});

test('orphans lose their owner and stay; one with another owner only loses the one that is gone', async () => {
  const { create, remove, find, close } = await setUp('gc-orphan');
  const owner = await create('owner');
  const other = await create('other');
  await create('orphan', [owner]);
  await remove('owner', 'Orphan');
  assert.equal(await find('owner'), undefined);
  assert.deepEqual((await find('orphan'))?.metadata?.ownerReferences, undefined);
  const second = await create('owner');
  await create('shared', [second, other]);
  await remove('owner', 'Background');
  assert.deepEqual((await find('shared'))?.metadata?.ownerReferences, [ownedBy(other)]);
  await close();
});

test('what has another owner stays when one owner waits for its end, and does not hold that up', async () => {
  const { create, remove, find, close } = await setUp('gc-waiting-and-valid');
  const going = await create('going');
  const staying = await create('staying');
  await create('shared', [going, staying]);
  await create('own', [going]);
  await remove('going', 'Foreground');
  assert.deepEqual([await find('going'), await find('own')], [undefined, undefined]);
  const { ownerReferences, deletionTimestamp } = (await find('shared'))?.metadata ?? {};
  assert.deepEqual([ownerReferences, deletionTimestamp], [[ownedBy(staying)], undefined]);
  await close();
});

test('an owner counts by its UID: what names one that never was, or was replaced, goes', async () => {
  const { create, find, restartControllers, close } = await setUp('gc-absent');
  const owner = await create('owner');
  const wrongUid = { ...ownedBy(owner), uid: '00000000-0000-4000-8000-000000000000' };
  await create('child', [wrongUid]);
  assert.equal(await find('child'), undefined);
  const unknownKind = { apiVersion: 'example.com/v1', kind: 'Thing', name: 't', uid: 'u' };
  await create('unknown', [unknownKind]);
  await restartControllers();
  assert.notEqual(await find('unknown'), undefined);
  await close();
});

test('what went while nobody looked is found at the start', async () => {
  const { create, find, restartControllers, client, clock, never, close } = await setUp('gc-start');
  const owner = await create('owner');
  await create('child', [owner]);
  const before = restartControllers();
  await client.delete(resources.configmaps, { namespace: 'default', name: 'owner' }, {}, never);
  await before;
  await clock.advance(0);
  assert.equal(await find('child'), undefined);
  await close();
});

test('a cluster-wide object cannot be owned by one in a namespace: it stays', async () => {
  const { client, create, clock, never, close } = await setUp('gc-cluster-wide');
  const owner = await create('owner');
  await client.create(resources.nodes, {}, { metadata: { name: 'n', ownerReferences: [ownedBy(owner)] } }, never);
  await client.delete(resources.configmaps, { namespace: 'default', name: 'owner' }, {}, never);
  await clock.advance(1_000);
  assert.equal((await client.get(resources.nodes, { name: 'n' }, never)).metadata?.name, 'n');
  await close();
});

test('an owner in another namespace does not count, and says nothing about those in its own', async () => {
  const { client, create, clock, find, never, close } = await setUp('gc-elsewhere');
  const owner = await create('owner');
  const ownerReferences = [ownedBy(owner)];
  const elsewhere = { metadata: { name: 'child', ownerReferences } };
  await client.create(resources.configmaps, { namespace: 'kube-public' }, elsewhere, never);
  await clock.advance(100);
  const { items } = await client.list(resources.configmaps, { namespace: 'kube-public' }, never);
  assert.deepEqual(
    items.map(({ metadata }) => metadata?.name),
    [],
  );
  await create('child', [{ ...ownedBy(owner) }, { apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: 'other' }]);
  assert.deepEqual((await find('child'))?.metadata?.ownerReferences, [ownedBy(owner)]);
  await close();
});
