import type { Container, NodeSelector, Pod, PreferredSchedulingTerm, Toleration } from '../api/gen/types.ts';
import { effectivePodRequests, isSidecar } from '../api/pod-resources.ts';

/** A port that a pod takes from its node. */
export interface PortClaim {
  readonly protocol: string;
  readonly port: number;
  /** `0.0.0.0`: all addresses. */
  readonly hostIP: string;
}

/** What counts of a pod for scheduling, worked out once. */
export interface PodNeeds {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly priority: number;
  readonly nodeName: string;
  /** By resource name, in billionths; only what is not zero. */
  readonly requests: ReadonlyMap<string, bigint>;
  /** The same of cpu and memory, but never zero: a pod that asks for nothing is not weightless. */
  readonly weight: { readonly cpu: bigint; readonly memory: bigint };
  /** Taken on any node. */
  readonly hostPorts: readonly PortClaim[];
  /** Taken besides on a node whose pods share its network. */
  readonly containerPorts: readonly PortClaim[];
  readonly tolerations: readonly Toleration[];
  readonly nodeSelector: Readonly<Record<string, string>> | undefined;
  readonly requiredNodes: NodeSelector | undefined;
  readonly preferredNodes: readonly PreferredSchedulingTerm[];
  readonly mayPreempt: boolean;
  /** Equal for pods that had better not share a node; `undefined` if there is nothing to go by. */
  readonly spreadKey: string | undefined;
  /** Why no node can take it, whatever the nodes are like. */
  readonly impossible: string | undefined;
}

// What upstream counts for a container that asks for none: 100m and 200 MiB.
const defaultWeight = { cpu: 100_000_000n, memory: 209_715_200_000_000_000n } as const;

export function needsOf(pod: Pod): PodNeeds {
  const { metadata = {}, spec = { containers: [] } } = pod;
  const requests = new Map<string, bigint>();
  for (const [name, quantity] of effectivePodRequests(spec)) {
    if (quantity.nanos !== 0n) requests.set(name, quantity.nanos);
  }
  const long = longRunning(pod);
  const affinity = spec.affinity?.nodeAffinity;
  return {
    uid: metadata.uid ?? '',
    namespace: metadata.namespace ?? '',
    name: metadata.name ?? '',
    priority: spec.priority ?? 0,
    nodeName: spec.nodeName ?? '',
    requests,
    weight: {
      cpu: requests.get('cpu') ?? defaultWeight.cpu * BigInt(spec.containers.length),
      memory: requests.get('memory') ?? defaultWeight.memory * BigInt(spec.containers.length),
    },
    hostPorts: long.flatMap((container) => portClaims(container, 'host')),
    containerPorts: long.flatMap((container) => portClaims(container, 'container')),
    tolerations: spec.tolerations ?? [],
    nodeSelector: spec.nodeSelector,
    requiredNodes: affinity?.requiredDuringSchedulingIgnoredDuringExecution,
    preferredNodes: affinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [],
    mayPreempt: spec.preemptionPolicy !== 'Never',
    spreadKey: spreadKeyOf(pod),
    impossible: impossibleBecause(pod),
  };
}

function longRunning(pod: Pod): readonly Container[] {
  return [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? []).filter(isSidecar)];
}

function portClaims(container: Container, from: 'host' | 'container'): PortClaim[] {
  return (container.ports ?? []).flatMap(({ protocol = 'TCP', hostPort = 0, containerPort, hostIP = '' }) => {
    const port = from === 'host' ? hostPort : containerPort;
    if (port === 0) return [];
    return [{ protocol, port, hostIP: from === 'container' || hostIP === '' ? '0.0.0.0' : hostIP }];
  });
}

/** The controller that made it, or else its labels: pods of one group are alike in either. */
function spreadKeyOf(pod: Pod): string | undefined {
  const controller = pod.metadata?.ownerReferences?.find((owner) => owner.controller === true);
  if (controller !== undefined) return controller.uid;
  const labels = Object.entries(pod.metadata?.labels ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return labels.length === 0 ? undefined : JSON.stringify([pod.metadata?.namespace, labels]);
}

/** What this scheduler does not know how to honour, it does not pretend to have honoured. */
function impossibleBecause(pod: Pod): string | undefined {
  const { spec } = pod;
  for (const volume of spec?.volumes ?? []) {
    const claim = volume.persistentVolumeClaim?.claimName;
    if (claim !== undefined) return `persistentvolumeclaim "${claim}" not found`; // that kind is not served
  }
  const { podAffinity, podAntiAffinity } = spec?.affinity ?? {};
  for (const affinity of [podAffinity, podAntiAffinity]) {
    if ((affinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []).length > 0) {
      return 'required pod affinity and anti-affinity are not supported by this scheduler';
    }
  }
  if (
    spec?.topologySpreadConstraints?.some((constraint) => constraint.whenUnsatisfiable === 'DoNotSchedule') === true
  ) {
    return 'topology spread constraints with DoNotSchedule are not supported by this scheduler';
  }
  if ((spec?.resourceClaims ?? []).length > 0) return 'resource claims are not supported by this scheduler';
  return undefined;
}
