import type { Counter, Metrics } from '../base/metrics.ts';
import type { ContainerKind } from './pod-names.ts';

/** What the kubelet counts of its own work, under upstream's names. */
export interface KubeletMetrics {
  readonly startedPods: Counter;
  readonly startedPodsErrors: Counter;
  /** Labels: `container_type`. */
  readonly startedContainers: Counter;
  /** Labels: `container_type`, `code` (the waiting reason). */
  readonly startedContainersErrors: Counter;
}

export function makeKubeletMetrics(metrics: Metrics): KubeletMetrics {
  return {
    startedPods: metrics.counter({
      name: 'kubelet_started_pods_total',
      help: 'Cumulative number of pods started',
      labelNames: [],
    }),
    startedPodsErrors: metrics.counter({
      name: 'kubelet_started_pods_errors_total',
      help: 'Cumulative number of errors when starting pods',
      labelNames: [],
    }),
    startedContainers: metrics.counter({
      name: 'kubelet_started_containers_total',
      help: 'Cumulative number of containers started',
      labelNames: ['container_type'],
    }),
    startedContainersErrors: metrics.counter({
      name: 'kubelet_started_containers_errors_total',
      help: 'Cumulative number of errors when starting containers',
      labelNames: ['container_type', 'code'],
    }),
  };
}

/** Upstream's label for the kind of a container. */
export function containerTypeOf(kind: ContainerKind): string {
  if (kind === 'ephemeral') return 'ephemeral_container';
  return kind === 'regular' ? 'container' : 'init_container';
}
