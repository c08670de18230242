/** Which nodes run the pods of a daemon set, and which pods go or come. Pure. */
import type { DaemonSet, Node, NodeSelectorTerm, Pod, PodTemplateSpec, Toleration } from '../../api/gen/types.ts';
import { scaledValue } from '../../api/int-or-percent.ts';
import { isSelectedNode, toleratesTaint } from '../../api/node-selection.ts';
import { resources } from '../../api/resources.ts';
import { podFromTemplate } from '../owned-pods/pod-control.ts';
import { availableInMs, hasEnded, isPodReady } from '../owned-pods/pod-readiness.ts';

export const hashLabel = 'controller-revision-hash';
const templateGenerationLabel = 'pod-template-generation';
const templateGenerationAnnotation = 'deprecated.daemonset.template.generation';

/** A daemon stays where other pods would not. */
const ownTolerations: readonly Toleration[] = [
  ...['not-ready', 'unreachable'].map((name) => tolerationOf(name, 'NoExecute')),
  ...['disk-pressure', 'memory-pressure', 'pid-pressure', 'unschedulable'].map((name) =>
    tolerationOf(name, 'NoSchedule'),
  ),
];
const hostNetworkToleration = tolerationOf('network-unavailable', 'NoSchedule');

function tolerationOf(name: string, effect: string): Toleration {
  return { key: `node.kubernetes.io/${name}`, operator: 'Exists', effect };
}

/** The pod for a node, of the template with this hash. Upstream: `CreatePodTemplate` and what is done with it. */
export function podForNode(daemonSet: DaemonSet, nodeName: string, hash: string): Pod {
  const template = daemonSet.spec?.template ?? {};
  const pod = podFromTemplate(resources.daemonsets, daemonSet, template);
  const spec = template.spec ?? { containers: [] };
  const generation = daemonSet.metadata?.annotations?.[templateGenerationAnnotation];
  const { nodeAffinity } = spec.affinity ?? {};
  const onlyThere: NodeSelectorTerm = {
    matchFields: [{ key: 'metadata.name', operator: 'In', values: [nodeName] }],
  };
  return {
    ...pod,
    metadata: {
      ...pod.metadata,
      labels: {
        ...pod.metadata?.labels,
        [hashLabel]: hash,
        ...(generation === undefined ? {} : { [templateGenerationLabel]: generation }),
      },
    },
    spec: {
      ...spec,
      affinity: {
        ...spec.affinity,
        nodeAffinity: {
          ...nodeAffinity,
          requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [onlyThere] },
        },
      },
      tolerations: tolerationsOf(template),
    },
  };
}

function tolerationsOf({ spec }: PodTemplateSpec): readonly Toleration[] {
  const added = spec?.hostNetwork === true ? [...ownTolerations, hostNetworkToleration] : ownTolerations;
  const isAdded = ({ key, effect }: Toleration): boolean =>
    added.some((one) => one.key === key && one.effect === effect);
  return [...(spec?.tolerations ?? []).filter((toleration) => !isAdded(toleration)), ...added];
}

/** The node that a pod runs on, or is made for. Upstream: `GetTargetNodeName`. */
export function targetNodeOf({ spec }: Pod): string | undefined {
  if ((spec?.nodeName ?? '') !== '') return spec?.nodeName;
  const terms = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  for (const { matchFields = [] } of terms) {
    const field = matchFields.find(({ key, operator }) => key === 'metadata.name' && operator === 'In');
    if (field?.values?.length === 1) return field.values[0];
  }
  return undefined;
}

export type NodeDecision = 'runs' | 'staysOnly' | 'leaves';

/** Upstream: `NodeShouldRunDaemonPod`. */
export function decideNode(daemonSet: DaemonSet, node: Node): NodeDecision {
  const template = daemonSet.spec?.template ?? {};
  const { spec } = template;
  const name = node.metadata?.name ?? '';
  if ((spec?.nodeName ?? '') !== '' && spec?.nodeName !== name) return 'leaves';
  const requiredNodes = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  const selection = { nodeSelector: spec?.nodeSelector, requiredNodes };
  if (!isSelectedNode(selection, { name, labels: node.metadata?.labels ?? {} })) return 'leaves';
  const tolerations = tolerationsOf(template);
  const untolerated = (node.spec?.taints ?? []).filter((taint) => !toleratesTaint(tolerations, taint));
  if (untolerated.some(({ effect }) => effect === 'NoExecute')) return 'leaves';
  return untolerated.some(({ effect }) => effect === 'NoSchedule') ? 'staysOnly' : 'runs';
}

export interface DaemonChanges {
  /** Names of nodes, each once for every pod that it is to get. */
  readonly create: readonly string[];
  readonly remove: readonly Pod[];
}

export const noChanges: DaemonChanges = { create: [], remove: [] };

function isGoing({ metadata }: Pod): boolean {
  return metadata?.deletionTimestamp !== undefined;
}

/** What one node needs, apart from updates. Upstream: `podsShouldBeOnNode`. */
export function changesOnNode(
  daemonSet: DaemonSet,
  name: string,
  decision: NodeDecision,
  pods: readonly Pod[],
  hash: string,
  nowWallMs: number,
): DaemonChanges {
  if (decision === 'leaves') return { create: [], remove: pods.filter((pod) => !isGoing(pod)) };
  const create = decision === 'runs' ? [name] : [];
  // One that has ended, and only has finalizers left, takes no place.
  if (pods.every((pod) => isGoing(pod) && hasEnded(pod))) return { create, remove: [] };
  const live = pods.filter((pod) => !isGoing(pod));
  const ended = live.filter(hasEnded);
  const running = live.filter((pod) => !ended.includes(pod)).sort(byAge);
  if (!allowsSurge(daemonSet)) return { create: [], remove: [...ended, ...running.slice(1)] };
  if (running.length === 0) return { create, remove: ended };
  return { create: [], remove: [...ended, ...surplusWithSurge(daemonSet, running, hash, nowWallMs)] };
}

/** While it surges, a node may have a new pod that is not available yet beside an old one that is. */
function surplusWithSurge(
  daemonSet: DaemonSet,
  running: readonly Pod[],
  hash: string,
  nowWallMs: number,
): readonly Pod[] {
  if (running.length <= 1) return [];
  const current = running.find((pod) => isUpdated(pod, hash));
  const old = running.find((pod) => !isUpdated(pod, hash));
  const isOldGood = old !== undefined && isAvailable(daemonSet, old, nowWallMs);
  const isNewGood = current !== undefined && isAvailable(daemonSet, current, nowWallMs);
  const kept = new Set<Pod | undefined>(
    current === undefined ? [old] : isOldGood && !isNewGood ? [current, old] : [current],
  );
  return running.filter((pod) => !kept.has(pod));
}

export function isUpdated({ metadata }: Pod, hash: string): boolean {
  return metadata?.labels?.[hashLabel] === hash;
}

export function isAvailable({ spec }: DaemonSet, pod: Pod, nowWallMs: number): boolean {
  return availableInMs(pod, spec?.minReadySeconds ?? 0, nowWallMs) === 0;
}

/** The one that has a node before any that has none, then the oldest. Upstream: `podByCreationTimestampAndPhase`. */
function byAge(a: Pod, b: Pod): number {
  const [isPlacedA, isPlacedB] = [(a.spec?.nodeName ?? '') !== '', (b.spec?.nodeName ?? '') !== ''];
  if (isPlacedA !== isPlacedB) return isPlacedA ? -1 : 1;
  const orderOf = ({ metadata }: Pod): string => `${metadata?.creationTimestamp ?? ''} ${metadata?.name ?? ''}`;
  const [ofA, ofB] = [orderOf(a), orderOf(b)];
  return ofA === ofB ? 0 : ofA < ofB ? -1 : 1;
}

function surgeOf({ spec }: DaemonSet, nodeCount: number): number {
  const { maxSurge = 0 } = spec?.updateStrategy?.rollingUpdate ?? {};
  return spec?.updateStrategy?.type === 'RollingUpdate' ? scaledValue(maxSurge, nodeCount, 'up') : 0;
}

function allowsSurge(daemonSet: DaemonSet): boolean {
  return surgeOf(daemonSet, 100) > 0;
}

/** Which old pods make room now. `nodeCount`: nodes that are to run it. Upstream: `rollingUpdate`. */
export function updateChanges(
  daemonSet: DaemonSet,
  podsByNode: ReadonlyMap<string, readonly Pod[]>,
  nodeCount: number,
  hash: string,
  nowWallMs: number,
): DaemonChanges {
  const { maxUnavailable = 1 } = daemonSet.spec?.updateStrategy?.rollingUpdate ?? {};
  const surge = surgeOf(daemonSet, nodeCount);
  const unavailableMax = Math.max(surge > 0 ? 0 : 1, scaledValue(maxUnavailable, nodeCount, 'up'));
  const available = (pod: Pod): boolean => isAvailable(daemonSet, pod, nowWallMs);
  let busyCount = 0; // nodes that are without an available pod, or have an extra one
  const remove: Pod[] = [];
  const create: string[] = [];
  const candidates: (readonly [name: string, pod: Pod])[] = [];
  for (const [name, pods] of podsByNode) {
    const live = pods.filter((pod) => !isGoing(pod));
    const updated = live.filter((pod) => isUpdated(pod, hash));
    const old = live.filter((pod) => !isUpdated(pod, hash));
    const [current] = updated;
    const [before] = old;
    if (updated.length > 1 || old.length > 1) busyCount += 1;
    else if (surge > 0) {
      if (before === undefined) continue;
      if (current === undefined) {
        if (available(before)) candidates.push([name, before]);
        else create.push(name);
      } else if (available(current)) remove.push(before);
      else busyCount += 1;
    } else if ((before === undefined) === (current === undefined)) busyCount += 1;
    else if (current !== undefined) busyCount += available(current) ? 0 : 1;
    else if (before !== undefined && available(before)) candidates.push([name, before]);
    else if (before !== undefined) {
      remove.push(before);
      busyCount += 1;
    }
  }
  const room = Math.max(0, (surge > 0 ? surge : unavailableMax) - busyCount);
  for (const [name, pod] of candidates.slice(0, room)) {
    if (surge > 0) create.push(name);
    else remove.push(pod);
  }
  return { create, remove };
}

export interface DaemonCounts {
  readonly desiredNumberScheduled: number;
  readonly currentNumberScheduled: number;
  readonly numberMisscheduled: number;
  readonly numberReady: number;
  readonly updatedNumberScheduled: number;
  readonly numberAvailable: number;
}

/** Upstream: the counts of `updateDaemonSetStatus`. */
export function countDaemons(
  daemonSet: DaemonSet,
  nodes: readonly { readonly decision: NodeDecision; readonly pods: readonly Pod[] }[],
  hash: string,
  nowWallMs: number,
): DaemonCounts {
  const wanted = nodes.filter(({ decision }) => decision === 'runs');
  const firsts = wanted.map(({ pods }) => [...pods].sort(byAge)[0]).filter((pod) => pod !== undefined);
  return {
    desiredNumberScheduled: wanted.length,
    currentNumberScheduled: firsts.length,
    numberMisscheduled: nodes.filter(({ decision, pods }) => decision !== 'runs' && pods.length > 0).length,
    numberReady: firsts.filter(isPodReady).length,
    updatedNumberScheduled: firsts.filter((pod) => isUpdated(pod, hash)).length,
    numberAvailable: firsts.filter((pod) => isPodReady(pod) && isAvailable(daemonSet, pod, nowWallMs)).length,
  };
}
