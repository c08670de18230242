import { invalid, required } from '../field-error.ts';
import type { Volume } from '../gen/types.ts';
import { rangeText } from '../names.ts';
import type { Errors } from './metadata.ts';
import { checkDescendingPath } from './paths.ts';

type VolumeSource = Exclude<keyof Volume, 'name'>;

/** Fields that must not be empty, by volume type. None of these types can be mounted here, but the API takes them. */
const requiredBySource: Partial<Record<VolumeSource, readonly string[]>> = {
  gitRepo: ['repository'],
  gcePersistentDisk: ['pdName'],
  awsElasticBlockStore: ['volumeID'],
  nfs: ['server', 'path'],
  iscsi: ['targetPortal', 'iqn'],
  glusterfs: ['endpoints', 'path'],
  rbd: ['monitors', 'image'],
  cinder: ['volumeID'],
  cephfs: ['monitors'],
  quobyte: ['registry', 'volume'],
  flexVolume: ['driver'],
  azureFile: ['secretName', 'shareName'],
  vsphereVolume: ['volumePath'],
  photonPersistentDisk: ['pdID'],
  portworxVolume: ['volumeID'],
  azureDisk: ['diskName', 'diskURI'],
  scaleIO: ['gateway', 'system', 'volumeName'],
  csi: ['driver'],
};

/** Names that upstream's errors use instead of the field's. */
const errorNames: Readonly<Record<string, string>> = { gcePersistentDisk: 'persistentDisk' };

/** The checks of volumes that lie elsewhere: the fields that must be there, and what few rules upstream has beyond. */
export function checkRemoteVolume(errors: Errors, path: string, source: VolumeSource, volume: Volume): void {
  const names = requiredBySource[source];
  if (names === undefined && source !== 'flocker' && source !== 'fc') return;
  const errorName = errorNames[source];
  const at = errorName === undefined ? path : path.replace(/[^.]+$/, errorName);
  // Each source is a record of JSON values; the names above are fields of it.
  const fields = (volume[source] ?? {}) as Readonly<Record<string, unknown>>;
  for (const name of names ?? []) {
    const value = fields[name];
    if (value === undefined || value === '' || (Array.isArray(value) && value.length === 0)) {
      errors.push(required(`${at}.${name}`));
    }
  }
  if (source === 'nfs' && volume.nfs !== undefined && !volume.nfs.path.startsWith('/')) {
    errors.push(invalid(`${at}.path`, volume.nfs.path, 'must be an absolute path'));
  }
  if (source === 'gitRepo') checkDescendingPath(errors, `${at}.directory`, volume.gitRepo?.directory ?? '');
  const partition = fields['partition'];
  if (typeof partition === 'number' && (partition < 0 || partition > 255)) {
    errors.push(invalid(`${at}.partition`, partition, rangeText(1, 255)));
  }
  const lun = fields['lun'];
  if (typeof lun === 'number' && (lun < 0 || lun > 255)) errors.push(invalid(`${at}.lun`, lun, rangeText(0, 255)));
  if (source === 'fc') checkFibreChannel(errors, at, volume);
  if (source === 'flocker') checkFlocker(errors, at, volume);
}

function checkFibreChannel(errors: Errors, path: string, volume: Volume): void {
  const { targetWWNs = [], wwids = [], lun } = volume.fc ?? {};
  if (targetWWNs.length === 0 && wwids.length === 0) {
    errors.push(required(`${path}.targetWWNs`, 'must specify either targetWWNs or wwids, but not both'));
  }
  if (targetWWNs.length > 0 && wwids.length > 0) {
    const text = 'targetWWNs and wwids can not be specified simultaneously';
    errors.push(invalid(`${path}.targetWWNs`, targetWWNs, text));
  }
  if (targetWWNs.length > 0 && lun === undefined) {
    errors.push(required(`${path}.lun`, 'lun is required if targetWWNs is specified'));
  }
}

function checkFlocker(errors: Errors, path: string, volume: Volume): void {
  const { datasetName = '', datasetUUID = '' } = volume.flocker ?? {};
  if (datasetName === '' && datasetUUID === '') {
    errors.push(required(path, 'one of datasetName and datasetUUID is required'));
  }
  if (datasetName !== '' && datasetUUID !== '') {
    errors.push(invalid(path, 'resource', 'datasetName and datasetUUID can not be specified simultaneously'));
  }
  if (datasetName.includes('/')) errors.push(invalid(`${path}.datasetName`, datasetName, "must not contain '/'"));
}
