/** What a disruption budget allows, from its pods. Pure. Upstream: the disruption controller. */
import { evictionPendingMs } from '../../api/disruption-budget.ts';
import type { Pod, PodDisruptionBudget } from '../../api/gen/types.ts';
import { scaledValue } from '../../api/int-or-percent.ts';
import { parseTime } from '../../api/time.ts';
import { isPodReady } from '../owned-pods/pod-readiness.ts';

/** How many pods there are to be, as those say who make them; `unmanagedCount`: of pods that nobody keeps. */
export interface Scale {
  readonly count: number;
  readonly unmanagedCount: number;
}

export interface Wanted {
  readonly expectedPods: number;
  readonly desiredHealthy: number;
  readonly unmanagedCount: number;
}

/** `scaleOf` is asked only where a share of the pods, or what may be missing, is to be worked out; it may throw. */
export function wantedBy({ spec = {} }: PodDisruptionBudget, podCount: number, scaleOf: () => Scale): Wanted {
  const { minAvailable, maxUnavailable } = spec;
  if (maxUnavailable !== undefined) {
    const { count, unmanagedCount } = scaleOf();
    const desiredHealthy = Math.max(0, count - scaledValue(maxUnavailable, count, 'up'));
    return { expectedPods: count, desiredHealthy, unmanagedCount };
  }
  if (typeof minAvailable === 'string') {
    const { count, unmanagedCount } = scaleOf();
    return { expectedPods: count, desiredHealthy: scaledValue(minAvailable, count, 'up'), unmanagedCount };
  }
  // Upstream counts nothing where the budget asks for nothing.
  const expectedPods = minAvailable === undefined ? 0 : podCount;
  return { expectedPods, desiredHealthy: minAvailable ?? 0, unmanagedCount: 0 };
}

export interface Disrupted {
  /** Pods whose eviction was granted and that are not being deleted yet: when, by name. */
  readonly pending: Readonly<Record<string, string>>;
  /** Pods that were to go long ago, and did not. */
  readonly notDeleted: readonly Pod[];
  /** When the first of `pending` counts no more. */
  readonly recheckInMs: number | undefined;
}

export function disruptedOf({ status }: PodDisruptionBudget, pods: readonly Pod[], nowWallMs: number): Disrupted {
  const pending: Record<string, string> = {};
  const notDeleted: Pod[] = [];
  let recheckInMs: number | undefined;
  for (const pod of pods) {
    const name = pod.metadata?.name ?? '';
    const granted = status?.disruptedPods?.[name];
    if (granted === undefined || pod.metadata?.deletionTimestamp !== undefined) continue;
    const leftMs = (parseTime(granted) ?? nowWallMs) + evictionPendingMs - nowWallMs;
    if (leftMs <= 0) {
      notDeleted.push(pod);
      continue;
    }
    pending[name] = granted;
    recheckInMs = Math.min(recheckInMs ?? leftMs, leftMs);
  }
  return { pending, notDeleted, recheckInMs };
}

export function countHealthy(pods: readonly Pod[], { pending }: Disrupted): number {
  return pods.filter(
    (pod) =>
      isPodReady(pod) &&
      pod.metadata?.deletionTimestamp === undefined &&
      pending[pod.metadata?.name ?? ''] === undefined,
  ).length;
}
