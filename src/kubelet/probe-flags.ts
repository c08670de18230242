import type { ContainerStatus, Pod, PodStatus } from '../api/gen/types.ts';
import { podConditionsOf } from './pod-conditions.ts';
import type { ProbeUpdate } from './probes/prober.ts';

/**
 * The status with what a readiness or startup result says about one container, and the conditions that follow from it:
 * shown at once, before the sync that the result causes. The same status if it is about another instance.
 */
export function withProbeResult(pod: Pod, status: PodStatus, update: ProbeUpdate): PodStatus {
  const { phase } = status;
  if (phase !== 'Pending' && phase !== 'Running') return status;
  const isHere = (container: ContainerStatus): boolean =>
    container.name === update.containerName && container.containerID === update.containerId;
  const amended = (list: readonly ContainerStatus[]): ContainerStatus[] =>
    list.map((container) => (isHere(container) ? withFlags(container, update) : container));
  const initStatuses = amended(status.initContainerStatuses ?? []);
  const regularStatuses = amended(status.containerStatuses ?? []);
  if (![...initStatuses, ...regularStatuses].some(isHere)) return status;
  const hasSandbox = (status.conditions ?? []).some(
    (condition) => condition.type === 'PodReadyToStartContainers' && condition.status === 'True',
  );
  return {
    ...status,
    ...(initStatuses.length === 0 ? {} : { initContainerStatuses: initStatuses }),
    containerStatuses: regularStatuses,
    conditions: podConditionsOf({ pod, phase, statuses: [...initStatuses, ...regularStatuses], hasSandbox }),
  };
}

// What has not started is not ready, whatever an attempt says that began before.
function withFlags(container: ContainerStatus, { probeType, result }: ProbeUpdate): ContainerStatus {
  const isSuccess = result === 'success';
  if (probeType !== 'Startup') return { ...container, ready: isSuccess && container.started === true };
  return isSuccess ? { ...container, started: true } : { ...container, started: false, ready: false };
}
