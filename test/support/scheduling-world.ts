import type { Node, Pod, PodSpec, PodDisruptionBudget } from '../../src/api/gen/types.ts';
import type { SpreadConstraint } from '../../src/scheduler/affinity-terms.ts';
import { ClusterView } from '../../src/scheduler/cluster-view.ts';
import { podNetworkAnnotation } from '../../src/api/pod-networks.ts';
import { needsOf } from '../../src/scheduler/pod-needs.ts';
import { schedulePod } from '../../src/scheduler/schedule-pod.ts';
import type { Placement } from '../../src/scheduler/schedule-pod.ts';
import { SeededEntropy } from '../../src/sim/seeded-entropy.ts';

export interface NodeOptions {
  readonly labels?: Readonly<Record<string, string>>;
  readonly allocatable?: Readonly<Record<string, string>>;
  readonly taints?: readonly { readonly key: string; readonly value?: string; readonly effect: string }[];
  readonly unschedulable?: boolean;
  readonly ready?: string;
  readonly sharesNetwork?: boolean;
}

/** 2 CPUs, 4 GiB, 110 pods; labelled with its name. */
export function nodeOf(name: string, options: NodeOptions = {}): Node {
  const { labels = {}, taints = [], unschedulable = false, ready = 'True', sharesNetwork = false } = options;
  return {
    metadata: {
      name,
      labels: { 'kubernetes.io/hostname': name, ...labels },
      annotations: sharesNetwork ? { [podNetworkAnnotation]: 'host' } : {},
    },
    spec: { taints, unschedulable },
    status: {
      allocatable: { cpu: '2', memory: '4Gi', pods: '110', ...options.allocatable },
      conditions: [{ type: 'Ready', status: ready }],
    },
  };
}

let podCount = 0;

/** A new one each time, in namespace `d`. */
export function podOf(spec: Partial<PodSpec> = {}, metadata: Pod['metadata'] = {}): Pod {
  podCount += 1;
  return {
    metadata: { namespace: 'd', name: `p${podCount}`, uid: `u${podCount}`, ...metadata },
    spec: { containers: [{ name: 'c', image: 'i' }], ...spec },
  };
}

export function asking(requests: Readonly<Record<string, string>>): Partial<PodSpec> {
  return { containers: [{ name: 'c', image: 'i', resources: { requests } }] };
}

export function clusterOf(
  nodes: readonly Node[],
  placed: readonly (readonly [string, Pod])[] = [],
  budgets: readonly PodDisruptionBudget[] = [],
): ClusterView {
  const cluster = new ClusterView(() => budgets);
  for (const node of nodes) cluster.setNode(node);
  for (const [nodeName, pod] of placed) cluster.place(needsOf(pod), nodeName);
  return cluster;
}

export function placementOf(pod: Pod, cluster: ClusterView, spread?: readonly SpreadConstraint[]): Placement {
  return schedulePod(needsOf(pod), cluster, new SeededEntropy('schedule'), spread);
}

/** The node's name, or why there is none. */
export function answer(pod: Pod, cluster: ClusterView, spread?: readonly SpreadConstraint[]): string {
  const placement = placementOf(pod, cluster, spread);
  return placement.kind === 'node' ? placement.nodeName : placement.message;
}
