import { duplicate, forbidden, invalid, notFound, notSupported, required } from '../field-error.ts';
import type { Container, HostPathVolumeSource, Volume, VolumeDevice, VolumeMount } from '../gen/types.ts';
import { dns1123LabelProblems, dns1123SubdomainProblems } from '../names.ts';
import { quantityOf } from '../quantity.ts';
import { addInvalid, type Errors } from './metadata.ts';
import { checkDescendingPath, checkFileMode, checkNoBacksteps } from './paths.ts';
import { checkProjected } from './projected-volume.ts';
import { checkRemoteVolume } from './remote-volumes.ts';
import { checkDownwardFile, checkKeysToPaths } from './volume-files.ts';

/** Valid volumes by name: what mounts and devices may refer to. */
export type Volumes = ReadonlyMap<string, Volume>;

type VolumeSource = Exclude<keyof Volume, 'name'>;

/** In upstream's order: of several sources the later ones are flagged. */
const sources = [
  'emptyDir',
  'hostPath',
  'gitRepo',
  'gcePersistentDisk',
  'awsElasticBlockStore',
  'secret',
  'nfs',
  'iscsi',
  'glusterfs',
  'flocker',
  'persistentVolumeClaim',
  'rbd',
  'cinder',
  'cephfs',
  'quobyte',
  'downwardAPI',
  'fc',
  'flexVolume',
  'configMap',
  'azureFile',
  'vsphereVolume',
  'photonPersistentDisk',
  'portworxVolume',
  'azureDisk',
  'storageos',
  'projected',
  'scaleIO',
  'csi',
  'ephemeral',
  'image',
] as const satisfies readonly VolumeSource[];

const noVolumes: Volumes = new Map();

/** Upstream: `ValidateVolumes`. */
export function checkVolumes(
  errors: Errors,
  path: string,
  volumes: readonly Volume[] | undefined,
  podName: string,
): Volumes {
  if (volumes === undefined || volumes.length === 0) return noVolumes;
  const valid = new Map<string, Volume>();
  const createdClaims = new Set<string>();
  if (podName !== '') {
    for (const { name, ephemeral } of volumes) if (ephemeral !== undefined) createdClaims.add(`${podName}-${name}`);
  }
  volumes.forEach((volume, index) => {
    const at = `${path}[${index}]`;
    const before = errors.length;
    checkVolumeSource(errors, at, volume, podName);
    if (volume.name === '') errors.push(required(`${at}.name`));
    else addInvalid(errors, `${at}.name`, volume.name, dns1123LabelProblems(volume.name));
    if (valid.has(volume.name)) errors.push(duplicate(`${at}.name`, volume.name));
    if (errors.length === before) valid.set(volume.name, volume);
    const claim = volume.persistentVolumeClaim?.claimName;
    if (claim !== undefined && createdClaims.has(claim)) {
      const text = 'must not reference a PVC that gets created for an ephemeral volume';
      errors.push(invalid(`${at}.persistentVolumeClaim.claimName`, claim, text));
    }
  });
  return valid;
}

function checkVolumeSource(errors: Errors, path: string, volume: Volume, podName: string): void {
  let found = 0;
  for (const source of sources) {
    if (volume[source] === undefined) continue;
    found += 1;
    if (found === 1) checkSource(errors, `${path}.${source}`, source, volume, podName);
    else errors.push(forbidden(`${path}.${source}`, 'may not specify more than 1 volume type'));
  }
  if (found === 0) errors.push(required(path, 'must specify a volume type'));
}

function checkSource(errors: Errors, path: string, source: VolumeSource, volume: Volume, podName: string): void {
  if (source === 'emptyDir' && quantityOf(volume.emptyDir?.sizeLimit).nanos < 0n) {
    errors.push(forbidden(`${path}.sizeLimit`, 'SizeLimit field must be a valid resource quantity'));
  }
  if (source === 'hostPath' && volume.hostPath !== undefined) checkHostPath(errors, path, volume.hostPath);
  if (source === 'secret' && volume.secret !== undefined) {
    if ((volume.secret.secretName ?? '') === '') errors.push(required(`${path}.secretName`));
    checkFileMode(errors, `${path}.defaultMode`, volume.secret.defaultMode);
    checkKeysToPaths(errors, `${path}.items`, volume.secret.items);
  }
  if (source === 'configMap' && volume.configMap !== undefined) {
    if ((volume.configMap.name ?? '') === '') errors.push(required(`${path}.name`));
    checkFileMode(errors, `${path}.defaultMode`, volume.configMap.defaultMode);
    checkKeysToPaths(errors, `${path}.items`, volume.configMap.items);
  }
  if (source === 'downwardAPI' && volume.downwardAPI !== undefined) {
    checkFileMode(errors, `${path}.defaultMode`, volume.downwardAPI.defaultMode);
    for (const file of volume.downwardAPI.items ?? []) checkDownwardFile(errors, path, file);
  }
  if (source === 'projected' && volume.projected !== undefined) checkProjected(errors, path, volume.projected);
  if (source === 'persistentVolumeClaim' && volume.persistentVolumeClaim?.claimName === '') {
    errors.push(required(`${path}.claimName`));
  }
  if (source === 'ephemeral') checkEphemeral(errors, path, volume, podName);
  checkRemoteVolume(errors, path, source, volume);
}

const hostPathTypes = [
  '',
  'BlockDevice',
  'CharDevice',
  'Directory',
  'DirectoryOrCreate',
  'File',
  'FileOrCreate',
  'Socket',
] as const;

function checkHostPath(errors: Errors, path: string, source: HostPathVolumeSource): void {
  if (source.path === '') return void errors.push(required(`${path}.path`));
  checkNoBacksteps(errors, `${path}.path`, source.path);
  const { type } = source;
  if (type !== undefined && !hostPathTypes.some((known) => known === type)) {
    errors.push(notSupported(`${path}.type`, type, hostPathTypes));
  }
}

function checkEphemeral(errors: Errors, path: string, volume: Volume, podName: string): void {
  const template = volume.ephemeral?.volumeClaimTemplate;
  if (template === undefined) errors.push(required(`${path}.volumeClaimTemplate`));
  if (podName === '' || volume.name === '') return;
  const claim = `${podName}-${volume.name}`;
  const namePath = path.replace(/\.ephemeral$/, '.name');
  for (const problem of dns1123SubdomainProblems(claim)) {
    errors.push(invalid(namePath, volume.name, `PVC name ${JSON.stringify(claim)}: ${problem}`));
  }
}

const propagations = ['Bidirectional', 'HostToContainer', 'None'] as const;
const readOnlyModes = ['Disabled', 'Enabled', 'IfPossible'] as const;

/** Upstream: `ValidateVolumeMounts`, whose paths of sub-checks have no index. */
export function checkVolumeMounts(
  errors: Errors,
  path: string,
  container: Pick<Container, 'volumeMounts' | 'volumeDevices' | 'securityContext'>,
  volumes: Volumes,
): void {
  const mounts = container.volumeMounts;
  if (mounts === undefined) return;
  const devices = container.volumeDevices ?? [];
  const mountPaths = new Set<string>();
  mounts.forEach((mount, index) => {
    const at = `${path}[${index}]`;
    if (mount.name === '') errors.push(required(`${at}.name`));
    const volume = volumes.get(mount.name);
    if (volume === undefined) errors.push(notFound(`${at}.name`, mount.name));
    if (mount.mountPath === '') errors.push(required(`${at}.mountPath`));
    if (mountPaths.has(mount.mountPath)) errors.push(invalid(`${at}.mountPath`, mount.mountPath, 'must be unique'));
    mountPaths.add(mount.mountPath);
    if (devices.some(({ name }) => name === mount.name)) {
      errors.push(invalid(`${at}.name`, mount.name, 'must not already exist in volumeDevices'));
    }
    if (devices.some(({ devicePath }) => devicePath === mount.mountPath)) {
      const text = 'must not already exist as a path in volumeDevices';
      errors.push(invalid(`${at}.mountPath`, mount.mountPath, text));
    }
    checkSubPaths(errors, path, at, mount, volume?.image !== undefined);
    checkMountModes(errors, path, mount, container.securityContext?.privileged === true);
  });
}

function checkSubPaths(errors: Errors, path: string, at: string, mount: VolumeMount, isImage: boolean): void {
  const { subPath = '', subPathExpr = '' } = mount;
  const text = 'not allowed in image volume sources';
  if (isImage && subPath !== '') errors.push(invalid(`${at}.subPath`, subPath, text));
  if (isImage && subPathExpr !== '') errors.push(invalid(`${at}.subPathExpr`, subPathExpr, text));
  if (subPath !== '') checkDescendingPath(errors, `${path}.subPath`, subPath);
  if (subPathExpr === '') return;
  if (subPath !== '') {
    errors.push(invalid(`${at}.subPathExpr`, subPathExpr, 'subPathExpr and subPath are mutually exclusive'));
  }
  checkDescendingPath(errors, `${path}.subPathExpr`, subPathExpr);
}

function checkMountModes(errors: Errors, path: string, mount: VolumeMount, privileged: boolean): void {
  const { mountPropagation: propagation, recursiveReadOnly: mode } = mount;
  if (propagation !== undefined) {
    const at = `${path}.mountPropagation`;
    if (!propagations.some((known) => known === propagation)) {
      errors.push(notSupported(at, propagation, propagations));
    }
    if (propagation === 'Bidirectional' && !privileged) {
      errors.push(forbidden(at, 'Bidirectional mount propagation is available only to privileged containers'));
    }
  }
  if (mode === undefined || mode === 'Disabled') return;
  const at = `${path}.recursiveReadOnly`;
  if (!readOnlyModes.some((known) => known === mode)) return void errors.push(notSupported(at, mode, readOnlyModes));
  if (mount.readOnly !== true) errors.push(forbidden(at, 'may only be specified when readOnly is true'));
  if (propagation !== undefined && propagation !== 'None') {
    errors.push(forbidden(at, 'may only be specified when mountPropagation is None or not specified'));
  }
}

/** Upstream: `ValidateVolumeDevices`. */
export function checkVolumeDevices(
  errors: Errors,
  path: string,
  container: Pick<Container, 'volumeMounts' | 'volumeDevices'>,
  volumes: Volumes,
): void {
  const names = new Set<string>();
  const devicePaths = new Set<string>();
  container.volumeDevices?.forEach((device, index) => {
    const at = `${path}[${index}]`;
    const { name, devicePath } = device;
    if (name === '') errors.push(required(`${at}.name`));
    if (names.has(name)) errors.push(invalid(`${at}.name`, name, 'must be unique'));
    checkDeviceVolume(errors, `${at}.name`, device, volumes);
    if (devicePath === '') errors.push(required(`${at}.devicePath`));
    if (devicePaths.has(devicePath)) errors.push(invalid(`${at}.devicePath`, devicePath, 'must be unique'));
    if (devicePath.split('/').includes('..')) {
      errors.push(invalid(`${at}.devicePath`, devicePath, "can not contain backsteps ('..')"));
    } else devicePaths.add(devicePath);
    const mounts = container.volumeMounts ?? [];
    if (mounts.some((mount) => mount.name === name)) {
      errors.push(invalid(`${at}.name`, name, 'must not already exist in volumeMounts'));
    }
    if (mounts.some(({ mountPath }) => mountPath === devicePath)) {
      errors.push(invalid(`${at}.devicePath`, devicePath, 'must not already exist as a path in volumeMounts'));
    }
    if (name !== '') names.add(name);
  });
}

function checkDeviceVolume(errors: Errors, path: string, device: VolumeDevice, volumes: Volumes): void {
  const volume = volumes.get(device.name);
  if (volume === undefined) errors.push(notFound(path, device.name));
  else if (volume.persistentVolumeClaim === undefined && volume.ephemeral === undefined) {
    const text = 'can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode';
    errors.push(invalid(path, device.name, text));
  }
}
