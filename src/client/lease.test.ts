import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Lease, OwnerReference } from '../api/gen/types.ts';
import { noLog } from '../base/log.ts';
import { StatusError } from '../base/status-error.ts';
import { TaskScope } from '../base/task-scope.ts';
import { SeededEntropy } from '../sim/seeded-entropy.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import type { Client } from './client.ts';
import { LeaseRenewer } from './lease.ts';

const nodeOwner: OwnerReference = { apiVersion: 'v1', kind: 'Node', name: 'n1', uid: 'uid-n1' };

function setUp(owner: () => OwnerReference | undefined = () => nodeOwner) {
  const clock = new VirtualClock({ epochMs: 1_764_000_000_000 });
  const server: { lease: Lease | undefined; isDown: boolean; version: number } = {
    lease: undefined,
    isDown: false,
    version: 0,
  };
  const requests: string[] = [];
  const ask = (verb: string): void => {
    requests.push(`${Math.floor(clock.monoMs() / 1_000)} ${verb}`);
    if (server.isDown) throw new StatusError('ServiceUnavailable', 'down');
  };
  const put = (lease: Lease): Lease => {
    server.version += 1;
    server.lease = { ...lease, metadata: { ...lease.metadata, resourceVersion: String(server.version) } };
    return server.lease;
  };
  // Only the functions that the renewal uses.
  const client = {
    get: async () => {
      ask('get');
      if (server.lease === undefined) throw new StatusError('NotFound', 'no such lease');
      return server.lease;
    },
    create: async (_type: unknown, _ref: unknown, lease: Lease) => {
      ask('create');
      return put(lease);
    },
    update: async (_type: unknown, _ref: unknown, lease: Lease) => {
      ask('update');
      if (server.lease === undefined) throw new StatusError('NotFound', 'no such lease');
      if (lease.metadata?.resourceVersion !== server.lease.metadata?.resourceVersion) {
        throw new StatusError('Conflict', 'changed');
      }
      return put(lease);
    },
  } as unknown as Client;
  const entropy = new SeededEntropy('lease');
  const deps = { client, clock, entropy, log: noLog, namespace: 'kube-node-lease', name: 'n1', holderIdentity: 'n1' };
  const renewer = new LeaseRenewer({ ...deps, owner });
  const scope = new TaskScope();
  scope.start((signal) => renewer.run(signal));
  return { clock, server, requests, scope, put };
}

test('a lease is created, and renewed every 10 s with at most 4 % jitter', async () => {
  const { clock, server, requests, scope } = setUp();
  await clock.advance(0);
  assert.deepEqual(server.lease, {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { namespace: 'kube-node-lease', name: 'n1', ownerReferences: [nodeOwner], resourceVersion: '1' },
    spec: { holderIdentity: 'n1', leaseDurationSeconds: 40, renewTime: '2025-11-24T16:00:00.000000Z' },
  });
  await clock.advance(104_000);
  const updates = requests.filter((request) => request.endsWith('update'));
  assert(updates.length === 10, updates.join());
  assert.deepEqual(requests.slice(0, 2), ['0 get', '0 create']);
  await scope.close();
  assert.deepEqual(clock.pendingNames(), []);
});

test('a lease is made once its owner is known, and one that is there without an owner gets it', async () => {
  const node: { owner: OwnerReference | undefined } = { owner: undefined };
  const { clock, server, scope, put } = setUp(() => node.owner);
  await clock.advance(0);
  assert.equal(server.version, 0);
  node.owner = nodeOwner;
  await clock.advance(200);
  assert.deepEqual(server.lease?.metadata?.ownerReferences, [nodeOwner]);
  put({ metadata: { namespace: 'kube-node-lease', name: 'n1' } });
  await clock.advance(11_000);
  assert.deepEqual(server.lease?.metadata?.ownerReferences, [nodeOwner]);
  await scope.close();
});

test('a conflict is met by reading the lease again, at once', async () => {
  const { clock, server, requests, scope, put } = setUp();
  await clock.advance(0);
  if (server.lease !== undefined) put(server.lease); // somebody else
  await clock.advance(11_000);
  assert.deepEqual(requests, ['0 get', '0 create', '10 update', '10 get', '10 update']);
  await scope.close();
});

test('a lease that was deleted is made again', async () => {
  const { clock, server, requests, scope } = setUp();
  await clock.advance(0);
  server.lease = undefined;
  await clock.advance(11_000);
  assert.deepEqual(requests, ['0 get', '0 create', '10 update', '10 get', '10 create']);
  await scope.close();
});

test('while the server is down: five updates at once, then reads that back off to 7 s; then it goes on', async () => {
  const { clock, server, requests, scope } = setUp();
  await clock.advance(0);
  server.isDown = true;
  requests.length = 0;
  await clock.advance(120_000);
  assert.deepEqual(requests.slice(0, 5), Array(5).fill('10 update'));
  const reads = requests.slice(5);
  assert(reads.every((request) => request.endsWith('get')));
  assert(reads.length > 15 && reads.length < 35, `${reads.length} reads`);
  server.isDown = false;
  await clock.advance(9_000);
  assert.equal(server.version, 2);
  await scope.close();
});
