/** Whether something that happened may help a pod that found no node. Upstream: the plug-ins' `QueueingHintFn`s. */
import { unreachable } from '../base/status-error.ts';
import type { ClusterView } from './cluster-view.ts';
import { couldEverTake } from './filters.ts';
import type { Rejector } from './filters.ts';
import { hasMoreThan } from './node-facts.ts';
import type { NodeFacts } from './node-facts.ts';
import { anyMeans } from './pod-affinity.ts';
import type { PodNeeds } from './pod-needs.ts';
import { countsForSpread } from './topology-spread.ts';

export type ClusterChange =
  /** A node is new, or has changed. */
  | { readonly kind: 'node'; readonly now: NodeFacts; readonly before: NodeFacts | undefined }
  | { readonly kind: 'nodeGone'; readonly before: NodeFacts }
  /** A pod is on a node, or has changed there. */
  | { readonly kind: 'podPlaced'; readonly now: PodNeeds; readonly before: PodNeeds | undefined }
  /** A pod has left its node, or has ended. */
  | { readonly kind: 'podGone'; readonly before: PodNeeds }
  /** The labels of a namespace. */
  | { readonly kind: 'namespace' };

const everything: readonly Rejector[] = [
  'NodeUnschedulable',
  'NodeName',
  'TaintToleration',
  'NodeAffinity',
  'NodePorts',
  'NodeResourcesFit',
  'PodTopologySpread',
  'InterPodAffinity',
];

const concerned: Readonly<Record<ClusterChange['kind'], readonly Rejector[]>> = {
  node: everything,
  nodeGone: ['PodTopologySpread'],
  podPlaced: ['PodTopologySpread', 'InterPodAffinity'],
  podGone: ['NodePorts', 'NodeResourcesFit', 'PodTopologySpread', 'InterPodAffinity'],
  namespace: ['InterPodAffinity'],
};

/** Only pods that were rejected by one of these need to be asked whether the change helps them. */
export function rejectorsConcerned(change: ClusterChange): readonly Rejector[] {
  return concerned[change.kind];
}

/** `rejectedBy`: what of `rejectorsConcerned` the pod was rejected by. */
export function mayHelp(change: ClusterChange, needs: PodNeeds, rejectedBy: Rejector, cluster: ClusterView): boolean {
  switch (change.kind) {
    case 'node':
      return nodeMayHelp(change.now, change.before, needs, rejectedBy);
    case 'nodeGone':
      return needs.hardSpread.some(({ topologyKey }) => change.before.labels[topologyKey] !== undefined);
    case 'podPlaced':
      return placedMayHelp(change.now, change.before, needs, rejectedBy, cluster);
    case 'podGone':
      return goneMayHelp(change.before, needs, rejectedBy, cluster);
    case 'namespace':
      return true;
    default:
      return unreachable(change);
  }
}

function nodeMayHelp(now: NodeFacts, before: NodeFacts | undefined, needs: PodNeeds, rejectedBy: Rejector): boolean {
  if (rejectedBy === 'PodTopologySpread') {
    // Whatever it takes, a domain that comes, goes or is relabelled can change what is too uneven.
    return before === undefined || before.fingerprint !== now.fingerprint;
  }
  if (!couldEverTake(needs, now)) return false;
  if (before === undefined || !couldEverTake(needs, before) || hasMoreThan(now, before)) return true;
  return rejectedBy === 'InterPodAffinity' && before.fingerprint !== now.fingerprint;
}

function placedMayHelp(
  now: PodNeeds,
  before: PodNeeds | undefined,
  needs: PodNeeds,
  rejectedBy: Rejector,
  cluster: ClusterView,
): boolean {
  if (rejectedBy === 'PodTopologySpread') {
    return countsForSpread(now, needs) || (before !== undefined && countsForSpread(before, needs));
  }
  if (before !== undefined && goneMayHelp(before, needs, rejectedBy, cluster)) return true;
  return anyMeans(needs.affinity?.near, now, cluster);
}

function goneMayHelp(before: PodNeeds, needs: PodNeeds, rejectedBy: Rejector, cluster: ClusterView): boolean {
  switch (rejectedBy) {
    case 'NodeResourcesFit':
      return true;
    case 'NodePorts':
      return before.hostPorts.length > 0 || before.containerPorts.length > 0;
    case 'PodTopologySpread':
      return countsForSpread(before, needs);
    case 'InterPodAffinity':
      return anyMeans(needs.affinity?.far, before, cluster) || anyMeans(before.affinity?.far, needs, cluster);
    default:
      return false;
  }
}
