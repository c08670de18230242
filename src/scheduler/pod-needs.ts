import type {
  Container,
  NodeSelector,
  NodeSelectorTerm,
  Pod,
  PodSpec,
  PreferredSchedulingTerm,
  Toleration,
} from '../api/gen/types.ts';
import { effectivePodRequests, isSidecar } from '../api/pod-resources.ts';
import { quantityMilliValue, quantityOf, quantityValue } from '../api/quantity.ts';
import { parseTime } from '../api/time.ts';
import { affinityTermOf, spreadConstraintOf } from './affinity-terms.ts';
import type { AffinityTerm, SelectablePod, SpreadConstraint, WeightedTerm } from './affinity-terms.ts';

/** A port that a pod takes from its node. */
export interface PortClaim {
  readonly protocol: string;
  readonly port: number;
  /** `0.0.0.0`: all addresses. */
  readonly hostIP: string;
}

/** Amounts of resources as upstream counts them: whole numbers, rounded up. */
export interface Amounts {
  readonly cpuMilli: number;
  readonly memoryBytes: number;
  /** By name; only what is not zero. */
  readonly others: ReadonlyMap<string, number>;
}

/** Pods that it wants near or far. */
export interface PodAffinityNeeds {
  readonly near: readonly AffinityTerm[];
  readonly far: readonly AffinityTerm[];
  readonly preferred: readonly WeightedTerm[];
}

/** What counts of a pod for scheduling, worked out once. */
export interface PodNeeds extends SelectablePod {
  readonly uid: string;
  readonly name: string;
  readonly priority: number;
  readonly schedulerName: string;
  /** Equal for pods that every selector takes alike. */
  readonly groupKey: string;
  readonly isTerminating: boolean;
  /** It ends because a pod of higher priority needs its place. */
  readonly isBeingPreempted: boolean;
  /** When it was started, milliseconds since 1970; infinite if not yet. */
  readonly startedMs: number;
  readonly nodeName: string;
  /** Where a pod of lower priority makes room for it. */
  readonly nominatedNodeName: string;
  readonly requests: Amounts;
  /** The same of cpu and memory, but never zero by omission: a pod that asks for nothing is not weightless. */
  readonly weight: { readonly cpuMilli: number; readonly memoryBytes: number };
  /** Taken on any node. */
  readonly hostPorts: readonly PortClaim[];
  /** Taken besides on a node whose pods share its network. */
  readonly containerPorts: readonly PortClaim[];
  readonly tolerations: readonly Toleration[];
  readonly nodeSelector: Readonly<Record<string, string>> | undefined;
  readonly requiredNodes: NodeSelector | undefined;
  /** It takes any node by name and labels. */
  readonly takesAnyNode: boolean;
  /** The only nodes that its required node affinity can mean, by name. */
  readonly onlyNodes: ReadonlySet<string> | undefined;
  readonly preferredNodes: readonly PreferredSchedulingTerm[];
  readonly affinity: PodAffinityNeeds | undefined;
  /** Its own constraints: DoNotSchedule. */
  readonly hardSpread: readonly SpreadConstraint[];
  /** Its own constraints: ScheduleAnyway. */
  readonly softSpread: readonly SpreadConstraint[];
  readonly hasOwnSpread: boolean;
  /** Its controller, which tells what it is to be spread among. */
  readonly owner: { readonly kind: string; readonly name: string } | undefined;
  readonly mayPreempt: boolean;
  /** Why no node can take it, whatever the nodes are like. */
  readonly impossible: string | undefined;
}

// What upstream counts for a container that asks for none.
const defaultRequests = { cpu: '100m', memory: '200Mi' } as const;
const noLabels: Readonly<Record<string, string>> = {};

export function needsOf(pod: Pod): PodNeeds {
  const { metadata = {}, spec = { containers: [] }, status = {} } = pod;
  const { namespace = '', labels = noLabels } = metadata;
  const self = { namespace, labels };
  const long = [...spec.containers, ...(spec.initContainers ?? []).filter(isSidecar)];
  const requests = requestsOf(spec);
  const nodeAffinity = spec.affinity?.nodeAffinity;
  const owner = metadata.ownerReferences?.find((reference) => reference.controller === true);
  const isTerminating = metadata.deletionTimestamp !== undefined;
  return {
    ...self,
    uid: metadata.uid ?? '',
    name: metadata.name ?? '',
    priority: spec.priority ?? 0,
    schedulerName: spec.schedulerName ?? 'default-scheduler',
    groupKey: groupKeyOf(self, isTerminating),
    isTerminating,
    isBeingPreempted: isTerminating && hasPreemptionMark(pod),
    startedMs: parseTime(status.startTime ?? '') ?? Number.POSITIVE_INFINITY,
    nodeName: spec.nodeName ?? '',
    nominatedNodeName: status.nominatedNodeName ?? '',
    requests,
    weight: weightOf(spec, requests),
    hostPorts: long.flatMap((container) => portClaims(container, 'host')),
    containerPorts: long.flatMap((container) => portClaims(container, 'container')),
    tolerations: spec.tolerations ?? [],
    nodeSelector: spec.nodeSelector,
    requiredNodes: nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution,
    takesAnyNode:
      (spec.nodeName ?? '') === '' &&
      spec.nodeSelector === undefined &&
      nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution === undefined,
    onlyNodes: namedNodes(nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms),
    preferredNodes: nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [],
    affinity: podAffinityOf(spec, self),
    hardSpread: spreadOf(spec, 'DoNotSchedule', labels),
    softSpread: spreadOf(spec, 'ScheduleAnyway', labels),
    hasOwnSpread: (spec.topologySpreadConstraints ?? []).length > 0,
    owner: owner === undefined ? undefined : { kind: owner.kind, name: owner.name },
    mayPreempt: spec.preemptionPolicy !== 'Never',
    impossible: impossibleBecause(pod),
  };
}

function groupKeyOf({ namespace, labels }: SelectablePod, isTerminating: boolean): string {
  const sorted = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([namespace, isTerminating, sorted]);
}

function hasPreemptionMark(pod: Pod): boolean {
  const conditions = pod.status?.conditions ?? [];
  return conditions.some(
    ({ type, status, reason }) =>
      type === 'DisruptionTarget' && status === 'True' && reason === 'PreemptionByScheduler',
  );
}

function requestsOf(spec: PodSpec): Amounts {
  let cpuMilli = 0;
  let memoryBytes = 0;
  const others = new Map<string, number>();
  for (const [name, quantity] of effectivePodRequests(spec)) {
    if (name === 'cpu') cpuMilli = quantityMilliValue(quantity);
    else if (name === 'memory') memoryBytes = quantityValue(quantity);
    else if (quantity.nanos !== 0n) others.set(name, quantityValue(quantity));
  }
  return { cpuMilli, memoryBytes, others };
}

function weightOf(spec: PodSpec, requests: Amounts): { readonly cpuMilli: number; readonly memoryBytes: number } {
  const isWhole = ({ resources }: Container): boolean =>
    resources?.requests?.['cpu'] !== undefined && resources.requests['memory'] !== undefined;
  const all = [...spec.containers, ...(spec.initContainers ?? [])];
  if (all.every(isWhole)) return requests;
  const completed = (container: Container): Container => ({
    ...container,
    resources: { ...container.resources, requests: { ...defaultRequests, ...container.resources?.requests } },
  });
  const { containers, initContainers = [] } = spec;
  return requestsOf({
    ...spec,
    containers: containers.map(completed),
    initContainers: initContainers.map(completed),
  });
}

function portClaims(container: Container, from: 'host' | 'container'): PortClaim[] {
  return (container.ports ?? []).flatMap(({ protocol = 'TCP', hostPort = 0, containerPort, hostIP = '' }) => {
    const port = from === 'host' ? hostPort : containerPort;
    if (port === 0) return [];
    return [{ protocol, port, hostIP: from === 'container' || hostIP === '' ? '0.0.0.0' : hostIP }];
  });
}

/** `undefined` if any term leaves the name open. Upstream: `NodeAffinity.PreFilter`. */
function namedNodes(terms: readonly NodeSelectorTerm[] | undefined): ReadonlySet<string> | undefined {
  if (terms === undefined || terms.length === 0) return undefined;
  const all = new Set<string>();
  for (const { matchFields = [] } of terms) {
    const named = matchFields.filter(({ key, operator }) => key === 'metadata.name' && operator === 'In');
    const [first] = named;
    if (first === undefined) return undefined;
    const inAll = (first.values ?? []).filter((name) => named.every(({ values = [] }) => values.includes(name)));
    for (const name of inAll) all.add(name);
  }
  return all;
}

function podAffinityOf(spec: PodSpec, self: SelectablePod): PodAffinityNeeds | undefined {
  const { podAffinity, podAntiAffinity } = spec.affinity ?? {};
  if (podAffinity === undefined && podAntiAffinity === undefined) return undefined;
  const near = podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
  const far = podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
  const preferred = podAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
  const avoided = podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
  const weighted = (sign: 1 | -1) => (term: (typeof preferred)[number]) => ({
    term: affinityTermOf(term.podAffinityTerm, self),
    weight: sign * term.weight,
  });
  return {
    near: near.map((term) => affinityTermOf(term, self)),
    far: far.map((term) => affinityTermOf(term, self)),
    preferred: [...preferred.map(weighted(1)), ...avoided.map(weighted(-1))],
  };
}

function spreadOf(spec: PodSpec, when: string, labels: Readonly<Record<string, string>>): readonly SpreadConstraint[] {
  const ours = (spec.topologySpreadConstraints ?? []).filter((constraint) => constraint.whenUnsatisfiable === when);
  return ours.map((constraint) => spreadConstraintOf(constraint, labels));
}

/** What this scheduler does not know how to honour, it does not pretend to have honoured. */
function impossibleBecause({ spec }: Pod): string | undefined {
  for (const volume of spec?.volumes ?? []) {
    const claim = volume.persistentVolumeClaim?.claimName;
    if (claim !== undefined) return `persistentvolumeclaim "${claim}" not found`; // that kind is not served
  }
  if ((spec?.resourceClaims ?? []).length > 0) return 'resource claims are not supported by this scheduler';
  return undefined;
}

/** The amounts of a node's `allocatable`. */
export function amountsOf(texts: Readonly<Record<string, string>>): Amounts {
  const others = new Map<string, number>();
  for (const [name, text] of Object.entries(texts)) {
    if (name !== 'cpu' && name !== 'memory') others.set(name, quantityValue(quantityOf(text)));
  }
  return {
    cpuMilli: quantityMilliValue(quantityOf(texts['cpu'])),
    memoryBytes: quantityValue(quantityOf(texts['memory'])),
    others,
  };
}
