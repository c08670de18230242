import type { Draft } from './draft.ts';
import type { DownwardAPIVolumeFile, ObjectFieldSelector, Volume, VolumeProjection } from './gen/types.ts';
import { defaultPullPolicy } from './image-name.ts';

const fileMode = 0o644;
const tokenSeconds = 3_600;

export function defaultFieldRef(fieldRef: Draft<ObjectFieldSelector>): void {
  fieldRef.apiVersion ??= 'v1';
}

/** The defaults of a pod's volumes; one without any source is an `emptyDir`. */
export function defaultVolumes(volumes: readonly Draft<Volume>[]): void {
  for (const volume of volumes) {
    if (Object.keys(volume).every((key) => key === 'name')) volume.emptyDir = {};
    if (volume.secret !== undefined) volume.secret.defaultMode ??= fileMode;
    if (volume.configMap !== undefined) volume.configMap.defaultMode ??= fileMode;
    if (volume.hostPath !== undefined) volume.hostPath.type ??= '';
    if (volume.downwardAPI !== undefined) {
      volume.downwardAPI.defaultMode ??= fileMode;
      defaultDownwardFiles(volume.downwardAPI.items);
    }
    if (volume.projected !== undefined) {
      volume.projected.defaultMode ??= fileMode;
      for (const source of volume.projected.sources ?? []) defaultProjection(source);
    }
    if (volume.image !== undefined) volume.image.pullPolicy ??= defaultPullPolicy(volume.image.reference ?? '');
    const claim = volume.ephemeral?.volumeClaimTemplate;
    if (claim !== undefined) claim.spec.volumeMode ??= 'Filesystem';
    defaultNetworkVolume(volume);
  }
}

function defaultDownwardFiles(files: readonly Draft<DownwardAPIVolumeFile>[] | undefined): void {
  for (const file of files ?? []) if (file.fieldRef !== undefined) defaultFieldRef(file.fieldRef);
}

function defaultProjection(source: Draft<VolumeProjection>): void {
  if (source.serviceAccountToken !== undefined) source.serviceAccountToken.expirationSeconds ??= tokenSeconds;
  defaultDownwardFiles(source.downwardAPI?.items);
}

function defaultNetworkVolume(volume: Draft<Volume>): void {
  if (volume.iscsi !== undefined) volume.iscsi.iscsiInterface ??= 'default';
  if (volume.rbd !== undefined) {
    volume.rbd.pool ??= 'rbd';
    volume.rbd.user ??= 'admin';
    volume.rbd.keyring ??= '/etc/ceph/keyring';
  }
  if (volume.azureDisk !== undefined) {
    volume.azureDisk.cachingMode ??= 'ReadWrite';
    volume.azureDisk.kind ??= 'Shared';
    volume.azureDisk.fsType ??= 'ext4';
    volume.azureDisk.readOnly ??= false;
  }
  if (volume.scaleIO !== undefined) {
    volume.scaleIO.storageMode ??= 'ThinProvisioned';
    volume.scaleIO.fsType ??= 'xfs';
  }
}
