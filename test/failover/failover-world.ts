import type { Pod } from '../../src/api/gen/types.ts';
import { resources } from '../../src/api/resources.ts';
import type { KubernetesObject, ResourceType } from '../../src/api/resources.ts';
import { settled, startSimulatedCluster } from '../../src/main/simulated-cluster.ts';
import type { SimulatedClusterOptions } from '../../src/main/simulated-cluster.ts';
import type { ClockSkew } from '../../src/sim/skewed-clock.ts';
import { never } from '../support/sim-cluster.ts';

const namespace = 'default';

export interface Owner {
  readonly type: ResourceType<KubernetesObject>;
  readonly object: KubernetesObject;
}

export interface FailoverOptions extends Partial<SimulatedClusterOptions> {
  readonly skews?: Readonly<Record<string, ClockSkew>>;
}

/** Three nodes, n1 to n3, with the owner's three replicas Ready on them. */
export async function startFailoverWorld(seed: string, owner: Owner, options: FailoverOptions = {}) {
  const { skews = {}, ...rest } = options;
  const nodes = ['n1', 'n2', 'n3'].map((name) => {
    const clock = skews[name];
    return { name, ...(clock === undefined ? {} : { clock }) };
  });
  const cluster = await startSimulatedCluster(seed, { nodes, ...rest });
  const { clock, client } = cluster;
  const soon = <T>(promise: Promise<T>): Promise<T> => settled(clock, promise);
  await soon(client.create(owner.type, { namespace }, owner.object, never));
  await clock.advance(10_000);
  const pods = async (): Promise<readonly Pod[]> =>
    (await soon(client.list(resources.pods, { namespace }, never))).items;
  const node = (name: string) => soon(client.get(resources.nodes, { name }, never));
  return {
    cluster,
    pods,
    seconds: (count: number): Promise<void> => clock.advance(count * 1_000),
    /** How many pods are Ready on which node; those on their way out do not count. */
    async readyByNode(): Promise<Readonly<Record<string, number>>> {
      const counts: Record<string, number> = {};
      for (const { metadata, spec, status } of await pods()) {
        const isReady = status?.conditions?.some(
          (condition) => condition.type === 'Ready' && condition.status === 'True',
        );
        if (isReady !== true || metadata?.deletionTimestamp !== undefined) continue;
        counts[spec?.nodeName ?? ''] = (counts[spec?.nodeName ?? ''] ?? 0) + 1;
      }
      return Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)));
    },
    sum: (counts: Readonly<Record<string, number>>): number => Object.values(counts).reduce((a, b) => a + b, 0),
    async terminating(): Promise<readonly Pod[]> {
      return (await pods()).filter(({ metadata }) => metadata?.deletionTimestamp !== undefined);
    },
    async uids(): Promise<ReadonlySet<string>> {
      return new Set((await pods()).map(({ metadata }) => metadata?.uid ?? ''));
    },
    async readyStatusOf(name: string): Promise<string | undefined> {
      return (await node(name)).status?.conditions?.find(({ type }) => type === 'Ready')?.status;
    },
    async nodeTaints(name: string): Promise<readonly string[]> {
      return ((await node(name)).spec?.taints ?? []).map(({ key, effect }) => `${key}:${effect}`).sort();
    },
    /** By the clock of the node. */
    async lastHeartbeatMs(name: string): Promise<number> {
      const lease = await soon(client.get(resources.leases, { namespace: 'kube-node-lease', name }, never));
      return Date.parse(lease.spec?.renewTime ?? '');
    },
    async patchSettings(data: Readonly<Record<string, string>>): Promise<void> {
      const ref = { namespace: 'kube-system', name: 'livelet-cluster' };
      await soon(client.patch(resources.configmaps, ref, { type: 'merge', body: { data } }, never));
    },
    /** Seconds until it holds; fails if it takes more than `secondsMax`. */
    async until(what: string, holds: () => Promise<boolean>, secondsMax: number): Promise<number> {
      const startMs = clock.monoMs();
      while (!(await holds())) {
        if (clock.monoMs() - startMs > secondsMax * 1_000) throw new Error(`not ${what} within ${secondsMax} s`);
        await clock.advance(500);
      }
      return (clock.monoMs() - startMs) / 1_000;
    },
    /** Removes the object without waiting for its containers: `kubectl delete pod --force`. */
    async remove(name: string): Promise<void> {
      await soon(client.delete(resources.pods, { namespace, name }, { gracePeriodSeconds: 0 }, never));
    },
    close: () => cluster.close(),
  };
}
