import type { Pod } from '../../api/gen/types.ts';
import { isSidecar } from '../../api/pod-resources.ts';
import { parseTime } from '../../api/time.ts';
import { isPodReady, readySinceWallMs } from './pod-readiness.ts';

const costKey = 'controller.kubernetes.io/pod-deletion-cost';
const phaseOrder = ['Pending', 'Unknown', 'Running'] as const;

/**
 * `pods` in the order in which they go when there are too many. `siblingsOn`: how many pods of the same kind a node
 * runs. Upstream: `ActivePodsWithRanks`.
 */
export function inDeletionOrder(
  pods: readonly Pod[],
  siblingsOn: (nodeName: string) => number,
  nowWallMs: number,
): readonly Pod[] {
  return [...pods].sort((a, b) => comparePods(a, b, siblingsOn, nowWallMs));
}

/** Negative: `a` goes first. */
function comparePods(a: Pod, b: Pod, siblingsOn: (nodeName: string) => number, nowWallMs: number): number {
  const [nodeA, nodeB] = [a.spec?.nodeName ?? '', b.spec?.nodeName ?? ''];
  if (nodeA !== nodeB && (nodeA === '' || nodeB === '')) return nodeA === '' ? -1 : 1;
  const byPhase = phaseRank(a) - phaseRank(b);
  if (byPhase !== 0) return byPhase;
  const [readyA, readyB] = [isPodReady(a), isPodReady(b)];
  if (readyA !== readyB) return readyA ? 1 : -1;
  const byCost = costOf(a) - costOf(b);
  if (byCost !== 0) return byCost;
  const bySiblings = siblingsOn(nodeB) - siblingsOn(nodeA);
  if (bySiblings !== 0) return bySiblings;
  if (readyA && readyB) {
    const byReadyTime = compareTimes(readySinceWallMs(a), readySinceWallMs(b), uidOrder(a, b), nowWallMs);
    if (byReadyTime !== 0) return byReadyTime;
  }
  const byRestarts = compareRestarts(a, b);
  return byRestarts === 0 ? compareTimes(createdMs(a), createdMs(b), uidOrder(a, b), nowWallMs) : byRestarts;
}

function phaseRank({ status }: Pod): number {
  return phaseOrder.findIndex((phase) => phase === status?.phase);
}

function costOf(pod: Pod): number {
  const text = pod.metadata?.annotations?.[costKey];
  return text === undefined ? 0 : Number(text); // validated when it was written
}

function createdMs({ metadata }: Pod): number | undefined {
  return metadata?.creationTimestamp === undefined ? undefined : parseTime(metadata.creationTimestamp);
}

function uidOrder(a: Pod, b: Pod): number {
  return (a.metadata?.uid ?? '') < (b.metadata?.uid ?? '') ? -1 : 1;
}

/**
 * The younger first, none at all before any, but those of about the same age by chance (their UIDs), so that it is not
 * always the pods of the newest node. Ages are about the same if their powers of two are.
 */
function compareTimes(aMs: number | undefined, bMs: number | undefined, byChance: number, nowWallMs: number): number {
  if (aMs === bMs) return 0;
  if (aMs === undefined || bMs === undefined) return aMs === undefined ? -1 : 1;
  const byAge = ageRank(aMs, nowWallMs) - ageRank(bMs, nowWallMs);
  return byAge === 0 ? byChance : byAge;
}

function ageRank(thenMs: number, nowWallMs: number): number {
  const ageNanos = (nowWallMs - thenMs) * 1e6;
  return ageNanos > 0 ? Math.trunc(Math.log2(ageNanos)) : -1;
}

/** More restarts of a container first; then more of a sidecar. */
function compareRestarts(a: Pod, b: Pod): number {
  const [ofA, ofB] = [mostRestarts(a), mostRestarts(b)];
  return ofB.regular - ofA.regular || ofB.sidecar - ofA.sidecar;
}

function mostRestarts({ spec, status }: Pod): { readonly regular: number; readonly sidecar: number } {
  const sidecars = new Set((spec?.initContainers ?? []).filter(isSidecar).map(({ name }) => name));
  const regular = (status?.containerStatuses ?? []).map(({ restartCount }) => restartCount);
  const sidecar = (status?.initContainerStatuses ?? [])
    .filter(({ name }) => sidecars.has(name))
    .map(({ restartCount }) => restartCount);
  return { regular: Math.max(0, ...regular), sidecar: Math.max(0, ...sidecar) };
}
