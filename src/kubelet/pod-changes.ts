import type { Pod } from '../api/gen/types.ts';
import { sameValue } from './status-patch.ts';

/** Whether a change of the object asks for a sync; that the kubelet's own status arrived does not. */
export function isWorthSync(previous: Pod, current: Pod): boolean {
  const before = previous.metadata ?? {};
  const after = current.metadata ?? {};
  return (
    before.deletionTimestamp !== after.deletionTimestamp ||
    before.deletionGracePeriodSeconds !== after.deletionGracePeriodSeconds ||
    !sameValue(before.labels, after.labels) ||
    !sameValue(before.annotations, after.annotations) ||
    !sameValue(previous.spec, current.spec) ||
    !sameValue(gateConditions(previous), gateConditions(current))
  );
}

// The Ready condition depends on them.
function gateConditions(pod: Pod): readonly (string | undefined)[] {
  return (pod.spec?.readinessGates ?? []).map(
    ({ conditionType }) => pod.status?.conditions?.find(({ type }) => type === conditionType)?.status,
  );
}
