import type { Pod } from '../api/gen/types.ts';
import { containersOf } from './pod-names.ts';

/**
 * What a pod asks for and this kubelet does not see to, though the pod runs as well without: messages of `NotEnforced`
 * events. What the runtime does not carry out it tells by itself.
 */
export function unenforcedFieldsOf(pod: Pod): readonly string[] {
  const { spec } = pod;
  const volumes = (spec?.volumes ?? []).flatMap(({ emptyDir }, index) => [
    ...(emptyDir?.medium === 'Memory'
      ? [`spec.volumes[${index}].emptyDir.medium: Memory is not enforced: the volume is on disk`]
      : []),
    ...(emptyDir?.sizeLimit === undefined ? [] : [`spec.volumes[${index}].emptyDir.sizeLimit is not enforced`]),
  ]);
  const initCount = spec?.initContainers?.length ?? 0;
  const limits = containersOf(pod).flatMap(({ container }, index) => {
    const field = index < initCount ? `initContainers[${index}]` : `containers[${index - initCount}]`;
    const limit = container.resources?.limits?.['ephemeral-storage'];
    return limit === undefined ? [] : [`spec.${field}.resources.limits.ephemeral-storage is not enforced`];
  });
  return [
    ...volumes,
    ...limits,
    ...(spec?.resources?.limits === undefined ? [] : ['spec.resources.limits is not enforced']),
  ];
}
