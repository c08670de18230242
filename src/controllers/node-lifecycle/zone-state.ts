import type { Node } from '../../api/gen/types.ts';

/** `partial`: so many nodes are down that it may be the network; `full`: no node is Ready. */
export type ZoneState = 'normal' | 'partial' | 'full';

const notReadyMin = 3; // fewer are just broken nodes

/** `''` where nodes say nothing of regions and zones. Upstream: `GetZoneKey`. */
export function zoneOf(node: Node): string {
  const labels = node.metadata?.labels ?? {};
  const region = labels['topology.kubernetes.io/region'] ?? labels['failure-domain.beta.kubernetes.io/region'] ?? '';
  const zone = labels['topology.kubernetes.io/zone'] ?? labels['failure-domain.beta.kubernetes.io/zone'] ?? '';
  return region === '' && zone === '' ? '' : `${region}/${zone}`;
}

/** Upstream: `ComputeZoneState`. */
export function zoneStateOf(readyCount: number, notReadyCount: number, unhealthyFraction: number): ZoneState {
  if (readyCount === 0 && notReadyCount > 0) return 'full';
  const isPartial = notReadyCount >= notReadyMin && notReadyCount / (readyCount + notReadyCount) >= unhealthyFraction;
  return isPartial ? 'partial' : 'normal';
}
