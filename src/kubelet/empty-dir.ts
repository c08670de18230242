import type { EmptyDirVolumeSource, Pod } from '../api/gen/types.ts';
import { podLimitsOf } from '../api/pod-resources.ts';
import { quantityOf, quantityValue } from '../api/quantity.ts';
import { StatusError } from '../base/status-error.ts';
import type { NodeFiles } from './node-files.ts';
import { containersOf } from './pod-names.ts';

export interface EmptyDirPlace {
  readonly hostPath: string;
  /** `spec.volumes[2]`: for what is said about it. */
  readonly field: string;
  readonly mode: number;
  readonly groupId: number | undefined;
  /** Of the node: what memory there is at all. */
  readonly allocatable: Readonly<Record<string, string>>;
}

/**
 * Makes the directory of an emptyDir volume; with medium `Memory` it is a file system in memory where this kubelet may
 * mount one, else it is on disk. One that is there stays as it is.
 */
export async function makeEmptyDir(
  files: NodeFiles,
  pod: Pod,
  { medium = '', sizeLimit }: EmptyDirVolumeSource,
  { hostPath, field, mode, groupId, allocatable }: EmptyDirPlace,
): Promise<void> {
  if (medium.startsWith('HugePages')) {
    throw new StatusError('BadRequest', `${field}.emptyDir.medium: ${medium} is not supported by this node`);
  }
  if (medium !== 'Memory' || !files.canMountTmpfs) return files.makeDirectory(hostPath, mode, groupId);
  return files.mountTmpfs(hostPath, { sizeBytes: memoryBytesOf(pod, sizeLimit, allocatable), mode, groupId });
}

/**
 * The least of the volume's own limit, what all containers together may take, and what the node has. Upstream:
 * `calculateEmptyDirMemorySize`.
 */
function memoryBytesOf(pod: Pod, sizeLimit: string | undefined, allocatable: EmptyDirPlace['allocatable']): number {
  const isLimited = containersOf(pod).every(({ container }) => container.resources?.limits?.['memory'] !== undefined);
  const ofContainers = isLimited ? podLimitsOf(pod.spec ?? { containers: [] }).get('memory') : undefined;
  const limits = [
    quantityValue(quantityOf(allocatable['memory'])),
    ofContainers === undefined ? 0 : quantityValue(ofContainers),
    quantityValue(quantityOf(sizeLimit)),
  ].filter((bytes) => bytes > 0);
  return limits.length === 0 ? 0 : Math.min(...limits);
}
