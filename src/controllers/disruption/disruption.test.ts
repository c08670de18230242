/** A PodDisruptionBudget is counted, and refuses the eviction that would be one too many. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startApiWorld } from '../../../test/support/api-world.ts';
import type { Pod, PodDisruptionBudget, PodDisruptionBudgetSpec, ReplicaSet } from '../../api/gen/types.ts';
import type { KubernetesObject, ResourceType } from '../../api/resources.ts';
import { evictions, resources } from '../../api/resources.ts';
import { StatusError } from '../../base/status-error.ts';
import { ListWatchInformer } from '../../client/list-watch-informer.ts';
import { controllerRefOf } from '../owned-pods/controller-ref.ts';
import { startDisruption } from './disruption-controller.ts';

const never = new AbortController().signal;
const namespace = 'default';
const labels = { app: 'web' };

async function setUp(spec: PodDisruptionBudgetSpec) {
  const world = await startApiWorld('disruption');
  const { client, clock, scope, log, entropy, pods } = world;
  const informer = <T extends KubernetesObject>(type: ResourceType<T>): ListWatchInformer<T> =>
    new ListWatchInformer<T>({ client, clock, log, entropy, type });
  const budgets = informer(resources.poddisruptionbudgets);
  const replicationControllers = informer(resources.replicationcontrollers);
  const replicaSets = informer(resources.replicasets);
  const deployments = informer(resources.deployments);
  const owners = { replicationControllers, replicaSets, deployments };
  startDisruption(scope, { client, clock, log, entropy, pods, budgets, ...owners });
  for (const one of [pods, budgets, replicationControllers, replicaSets, deployments]) {
    scope.start((signal) => one.run(signal));
  }
  const selector = { matchLabels: labels };
  const wanted: PodDisruptionBudget = { metadata: { name: 'b' }, spec: { selector, ...spec } };
  await client.create(resources.poddisruptionbudgets, { namespace }, wanted, never);
  await clock.advance(0);
  return {
    ...world,
    /** A running pod. */
    pod: async (name: string, isReady = true, owner?: ReplicaSet): Promise<void> => {
      const ownerReferences = owner === undefined ? [] : [controllerRefOf(resources.replicasets, owner)];
      const containers = [{ name: 'c', image: 'i' }];
      const body: Pod = { metadata: { name, labels, ownerReferences }, spec: { containers, nodeName: 'n1' } };
      await client.create(resources.pods, { namespace }, body, never);
      const conditions = [{ type: 'Ready', status: isReady ? 'True' : 'False' }];
      const patch = { type: 'strategic', body: { status: { phase: 'Running', conditions } } } as const;
      await client.patch(resources.pods, { namespace, name, subresource: 'status' }, patch, never);
      await clock.advance(0);
    },
    /** `done`, or why not: the first cause, else the message. */
    evict: async (name: string): Promise<string> => {
      try {
        const ref = { namespace, name, subresource: 'eviction' };
        await client.create(resources.pods, ref, { ...eviction, metadata: { name, namespace } } as Pod, never);
        await clock.advance(0);
        return 'done';
      } catch (error) {
        if (!(error instanceof StatusError)) throw error;
        return `${error.httpCode} ${error.message} ${error.details?.causes?.[0]?.message ?? ''}`;
      }
    },
    counts: async (): Promise<string> => {
      const { status } = await client.get(resources.poddisruptionbudgets, { namespace, name: 'b' }, never);
      const [condition] = status?.conditions ?? [];
      const numbers = [
        status?.expectedPods,
        status?.currentHealthy,
        status?.desiredHealthy,
        status?.disruptionsAllowed,
      ];
      const waiting = Object.keys(status?.disruptedPods ?? {}).join();
      return `${numbers.join(' ')} ${condition?.status} ${condition?.reason} ${condition?.message}${waiting}`;
    },
  };
}

// An eviction is sent to a subresource of pods.
const eviction = { apiVersion: `${evictions.group}/${evictions.version}`, kind: evictions.kind } as const;
const refused = "429 Cannot evict pod as it would violate the pod's disruption budget. The disruption budget b";

test('a pod more than the budget needs may go, one for one, and no more until it is replaced', async () => {
  const world = await setUp({ minAvailable: 2 });
  assert.equal(await world.counts(), '0 0 2 0 False InsufficientPods ');
  for (const name of ['a', 'b', 'c']) await world.pod(name);
  assert.equal(await world.counts(), '3 3 2 1 True SufficientPods ');
  assert.equal(await world.evict('a'), 'done');
  assert.equal(await world.counts(), '3 2 2 0 False InsufficientPods ');
  assert.equal(await world.evict('b'), `${refused} needs 2 healthy pods and has 2 currently`);
  await world.pod('d');
  assert.equal(await world.evict('b'), 'done');
  await world.close();
});

test('a pod that is not ready goes if the budget has all it needs, or if it does not care', async () => {
  const world = await setUp({ minAvailable: 1 });
  await world.pod('sick', false);
  assert.equal(await world.evict('sick'), `${refused} needs 1 healthy pods and has 0 currently`);
  await world.pod('well');
  assert.equal(await world.evict('sick'), 'done');
  const body = { spec: { unhealthyPodEvictionPolicy: 'AlwaysAllow', minAvailable: 5 } };
  const ref = { namespace, name: 'b' };
  await world.client.patch(resources.poddisruptionbudgets, ref, { type: 'merge', body }, never);
  await world.clock.advance(0);
  await world.pod('ill', false);
  assert.equal(await world.evict('ill'), 'done');
  assert.equal(await world.evict('well'), `${refused} needs 5 healthy pods and has 1 currently`);
  await world.close();
});

test('a share is one of the replicas that are wanted, and without that nobody may go', async () => {
  const world = await setUp({ maxUnavailable: '50%' });
  const template = { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i' }] } };
  const spec = { replicas: 4, selector: { matchLabels: labels }, template };
  const wanted: ReplicaSet = { metadata: { name: 's' }, spec };
  const set = await world.client.create(resources.replicasets, { namespace }, wanted, never);
  await world.clock.advance(0);
  for (const name of ['a', 'b', 'c']) await world.pod(name, true, set);
  assert.equal(await world.counts(), '4 3 2 1 True SufficientPods ');
  await world.client.delete(resources.replicasets, { namespace, name: 's' }, {}, never);
  await world.pod('d', true, set);
  assert.match(await world.counts(), /^4 3 2 0 False SyncFailed found no controllers for pod "\w"$/);
  await world.close();
});
