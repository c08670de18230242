import type { Pod } from '../../src/api/gen/types.ts';
import { resources } from '../../src/api/resources.ts';
import { bodyText } from '../../src/client/answer.ts';
import type { ApiClient } from '../../src/client/api-client.ts';
import { inProcessClient } from '../../src/client/in-process-client.ts';
import { settled, startSimulatedCluster } from '../../src/main/simulated-cluster.ts';
import type { SimulatedClusterOptions } from '../../src/main/simulated-cluster.ts';
import { noFaults } from '../../src/sim/faults.ts';
import { lossyHandler } from './lossy-handler.ts';

export { settled } from '../../src/main/simulated-cluster.ts';
export const never = new AbortController().signal;
export const simNodeName = 'worker002';

export type SimClusterOptions = Omit<SimulatedClusterOptions, 'nodes'> & Partial<SimulatedClusterOptions>;

/**
 * A whole cluster in virtual time, whose nodes reach the server through what gets lost on the way; with one node, unless
 * told otherwise.
 */
export async function startSimCluster(seed: string, options: SimClusterOptions = {}) {
  const faults = options.faults ?? noFaults;
  const cluster = await startSimulatedCluster(seed, {
    nodes: [{ name: simNodeName }],
    timersMax: 50_000, // ten times what a run needs
    through: (_name, server, clock) => lossyHandler('kubelet', server, faults, clock),
    ...options,
  });
  const { client, clock, server } = cluster;
  const [machine] = cluster.nodes;
  if (machine === undefined) throw new Error('a cluster needs a node');
  return {
    ...cluster,
    /** The first one, which is the only one unless there are to be more; and what is on it. */
    machine,
    runtime: machine.runtime,
    files: machine.files,
    /** The server as one client sees it, with what gets lost on the way. */
    clientThrough: (name: string): ApiClient =>
      inProcessClient({
        handle: lossyHandler(name, server, faults, clock),
        user: { name, groups: ['system:masters'] },
      }),
    /** `kubectl logs` as one text, an error as its message. */
    logs(namespace: string, pod: string, query: Readonly<Record<string, string>> = {}): Promise<string> {
      const path = `/api/v1/namespaces/${namespace}/pods/${pod}/log`;
      const answer = client.request('GET', path, { query: new URLSearchParams(query) }, never);
      return settled(
        clock,
        answer.then(({ body }) => bodyText(body)),
      );
    },
    /** A pod as it is now. */
    pod(namespace: string, name: string): Promise<Pod> {
      return settled(clock, client.get(resources.pods, { namespace, name }, never));
    },
  };
}
