import type { Job, Node, Pod } from '../../../src/api/gen/types.ts';
import { resources } from '../../../src/api/resources.ts';
import { podLabels } from '../../../src/cri/runtime.ts';
import type { SimulatedNode } from '../../../src/main/simulated-node.ts';
import { never, settled } from '../../support/sim-cluster.ts';
import { namespace } from './cluster-run.ts';
import type { SimCluster } from './cluster-run.ts';

export interface Wanted {
  readonly wanted: ReadonlyMap<string, number>;
  readonly fillers: ReadonlySet<string>;
}

/** What is not as it should be at rest. `wanted`: how many pods of each workload; `fillers` take what room is left. */
export async function unrest(cluster: SimCluster, { wanted, fillers }: Wanted): Promise<readonly string[]> {
  const { clock, client, nodes } = cluster;
  const list = <T>(asking: Promise<{ readonly items: readonly T[] }>): Promise<{ readonly items: readonly T[] }> =>
    settled(clock, asking);
  const pods = (await list<Pod>(client.list(resources.pods, { namespace }, never))).items;
  const found = (await list<Node>(client.list(resources.nodes, {}, never))).items.flatMap(
    ({ metadata, spec, status }) => {
      const ready = status?.conditions?.find(({ type }) => type === 'Ready')?.status;
      const taints = (spec?.taints ?? []).map(({ key }) => key).join(' ');
      return ready === 'True' && taints === '' ? [] : [`${metadata?.name} is Ready ${ready}, with taints ${taints}`];
    },
  );
  const readyOf = (app: string): number =>
    pods.filter(
      ({ metadata, status }) =>
        metadata?.labels?.['app'] === app &&
        metadata.deletionTimestamp === undefined &&
        status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True'),
    ).length;
  for (const [app, replicas] of [...wanted, ['daemons', nodes.length] as const]) {
    if (!fillers.has(app) && readyOf(app) !== replicas)
      found.push(`${readyOf(app)} of ${replicas} pods of ${app} are Ready`);
  }
  const [job] = (await list<Job>(client.list(resources.jobs, { namespace }, never))).items;
  const isOver = job?.status?.conditions?.some(({ type, status }) => type === 'Complete' && status === 'True');
  const isWhole = job?.spec?.completionMode !== 'Indexed' || job.status?.completedIndexes === '0-4';
  if (isOver !== true || !isWhole) found.push(`the job is not complete: ${JSON.stringify(job?.status)}`);
  for (const { metadata } of pods) {
    if (metadata?.deletionTimestamp !== undefined) found.push(`${metadata.name} is still on its way out`);
  }
  found.push(...leaks(pods, nodes));
  return found;
}

function leaks(pods: readonly Pod[], nodes: readonly SimulatedNode[]): readonly string[] {
  return nodes.flatMap((node) => {
    const own = new Set(pods.filter(({ spec }) => spec?.nodeName === node.name).map(({ metadata }) => metadata?.uid));
    const strays = node.runtime
      .runningContainers()
      .filter(({ labels }) => !own.has(labels[podLabels.podUid]))
      .map(({ labels }) => `${node.name} runs a container of ${labels[podLabels.podName]}, which is not there`);
    const files = node.files.paths().filter((file) => {
      const [uid] = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/.exec(file) ?? [];
      return uid !== undefined && !own.has(uid);
    });
    return [...strays, ...files.map((file) => `${node.name} keeps ${file} of a pod that is not there`)];
  });
}
