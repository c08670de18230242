import type { Taint, Toleration } from '../../api/gen/types.ts';
import { toleratesTaint } from '../../api/node-selection.ts';

/**
 * How long a pod may stay on a node with these taints (those of effect NoExecute count): milliseconds, `Infinity`: for
 * ever, 0: it goes now. Upstream: `getMinTolerationTime` after `GetMatchingTolerations`.
 */
export function toleratedMs(taints: readonly Taint[], tolerations: readonly Toleration[]): number {
  let shortestMs = Number.POSITIVE_INFINITY;
  for (const taint of taints.filter(({ effect }) => effect === 'NoExecute')) {
    const matching = tolerations.filter((toleration) => toleratesTaint([toleration], taint));
    if (matching.length === 0) return 0;
    for (const { tolerationSeconds } of matching) {
      if (tolerationSeconds !== undefined) shortestMs = Math.min(shortestMs, Math.max(0, tolerationSeconds * 1_000));
    }
  }
  return shortestMs;
}
