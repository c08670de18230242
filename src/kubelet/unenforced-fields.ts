import type { Pod } from '../api/gen/types.ts';
import type { NodeFiles } from './node-files.ts';
import { containersOf } from './pod-names.ts';

/**
 * What a pod asks for and this kubelet does not see to, though the pod runs as well without: messages of `NotEnforced`
 * events. What the runtime does not carry out it tells by itself.
 */
export function unenforcedFieldsOf(
  pod: Pod,
  { files, podCgroups }: { readonly files: Pick<NodeFiles, 'canMountTmpfs'>; readonly podCgroups: unknown },
): readonly string[] {
  const { spec } = pod;
  const volumes = (spec?.volumes ?? []).flatMap(({ emptyDir }, index) =>
    emptyDir?.medium === 'Memory' && !files.canMountTmpfs
      ? [`spec.volumes[${index}].emptyDir.medium: Memory is not enforced: the volume is on disk`]
      : [],
  );
  const initCount = spec?.initContainers?.length ?? 0;
  const limits = containersOf(pod).flatMap(({ container }, index) => {
    const field = index < initCount ? `initContainers[${index}]` : `containers[${index - initCount}]`;
    const limit = container.resources?.limits?.['ephemeral-storage'];
    return limit === undefined ? [] : [`spec.${field}.resources.limits.ephemeral-storage is not enforced`];
  });
  return [
    ...volumes,
    ...limits,
    ...(spec?.resources?.limits === undefined || podCgroups !== undefined
      ? []
      : ['spec.resources.limits is not enforced']),
  ];
}
