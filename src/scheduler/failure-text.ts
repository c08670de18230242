/** The words of FailedScheduling. Upstream 1.34: `FitError` and what its post-filters say. */

export const noNodesText = 'no nodes available to schedule pods';

/** `0/3 nodes are available: WHY. AFTER`; `after` is what was tried to make room, `''` if that has worked. */
export function unfitText(nodeCount: number, why: string, after: string): string {
  const tail = after === '' ? '' : ` ${after}`;
  const reasons = why === '' ? '' : ` ${why}.`;
  return `0/${nodeCount} nodes are available:${reasons}${tail}`;
}

/** `1 Insufficient cpu, 2 node(s) were unschedulable`: sorted as text, as upstream does. */
export function histogram(counts: ReadonlyMap<string, number>): string {
  return [...counts]
    .map(([reason, count]) => `${count} ${reason}`)
    .sort()
    .join(', ');
}

export function countReason(counts: Map<string, number>, reason: string, more = 1): void {
  if (more > 0) counts.set(reason, (counts.get(reason) ?? 0) + more);
}

/** Said by dynamic resource allocation about a pod that has no claims, before preemption has its say. */
export function afterPreemption(text: string): string {
  return `no new claims to deallocate, preemption: ${text}`;
}

/** What upstream's post-filters say when the pod was refused before any node was looked at. */
export const afterNoTrialText = 'not found';
