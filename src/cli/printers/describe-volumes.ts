import type { EphemeralVolumeSource, ProjectedVolumeSource, Volume, VolumeProjection } from '../../api/gen/types.ts';
import { byKey, type DescribeWriter } from './describe-writer.ts';

type Row = readonly [label: string, value: unknown];

/** The `Volumes:` section. Sources of volumes that nothing here can mount are shown by their fields' names. */
export function describeVolumes(writer: DescribeWriter, volumes: readonly Volume[], isTemplate = false): void {
  const level = isTemplate ? 1 : 0;
  if (volumes.length === 0) {
    writer.line(level, 'Volumes:\t<none>');
    return;
  }
  writer.line(level, 'Volumes:');
  for (const volume of volumes) {
    writer.line(1, `${isTemplate ? ' ' : ''}${volume.name}:`);
    if (volume.downwardAPI) {
      describeDownwardApi(writer, volume.downwardAPI.items ?? []);
      continue;
    }
    const rows = rowsOf(volume);
    if (rows === undefined) writer.line(1, '<unknown>');
    for (const [label, value] of rows ?? []) writer.line(2, `${label}:\t${String(value)}`);
  }
}

function rowsOf(volume: Volume): readonly Row[] | undefined {
  const { hostPath, emptyDir, secret, configMap, nfs, persistentVolumeClaim, ephemeral, projected, csi, image } =
    volume;
  if (hostPath) {
    return [
      ['Type', 'HostPath (bare host directory volume)'],
      ['Path', hostPath.path],
      ['HostPathType', hostPath.type ?? '<none>'],
    ];
  }
  if (emptyDir) {
    return [
      ['Type', "EmptyDir (a temporary directory that shares a pod's lifetime)"],
      ['Medium', emptyDir.medium ?? ''],
      ['SizeLimit', emptyDir.sizeLimit === undefined || emptyDir.sizeLimit === '0' ? '<unset>' : emptyDir.sizeLimit],
    ];
  }
  if (secret) {
    return [
      ['Type', 'Secret (a volume populated by a Secret)'],
      ['SecretName', secret.secretName ?? ''],
      ['Optional', secret.optional ?? false],
    ];
  }
  if (configMap) {
    return [
      ['Type', 'ConfigMap (a volume populated by a ConfigMap)'],
      ['Name', configMap.name ?? ''],
      ['Optional', configMap.optional ?? false],
    ];
  }
  if (nfs) {
    return [
      ['Type', 'NFS (an NFS mount that lasts the lifetime of a pod)'],
      ['Server', nfs.server],
      ['Path', nfs.path],
      ['ReadOnly', nfs.readOnly ?? false],
    ];
  }
  if (persistentVolumeClaim) {
    return [
      ['Type', 'PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)'],
      ['ClaimName', persistentVolumeClaim.claimName],
      ['ReadOnly', persistentVolumeClaim.readOnly ?? false],
    ];
  }
  if (ephemeral) return ephemeralRows(ephemeral);
  if (projected) return projectedRows(projected);
  if (csi) {
    return [
      ['Type', 'CSI (a Container Storage Interface (CSI) volume source)'],
      ['Driver', csi.driver],
      ['FSType', csi.fsType ?? ''],
      ['ReadOnly', csi.readOnly ?? false],
      ['VolumeAttributes', nestedText(csi.volumeAttributes)],
    ];
  }
  if (image) {
    return [
      ['Type', 'Image (a container image or OCI artifact)'],
      ['Reference', image.reference ?? ''],
      ['PullPolicy', image.pullPolicy ?? ''],
    ];
  }
  return otherRows(volume);
}

/** `k=v`, each on a line of its own, four columns in; as upstream's nested writer puts them. */
function nestedText(entries: Readonly<Record<string, string>> | undefined): string {
  const texts = Object.entries(entries ?? {}).sort(byKey);
  return texts.length === 0 ? '<none>' : texts.map(([key, value]) => `    ${key}=${value}`).join('\n        \t');
}

function ephemeralRows({ volumeClaimTemplate: template }: EphemeralVolumeSource): Row[] {
  const what = 'an inline specification for a volume that gets created and deleted with the pod';
  const type: Row = ['Type', `EphemeralVolume (${what})`];
  if (template === undefined) return [type];
  const labels = Object.keys(template.metadata?.labels ?? {}).length;
  const annotations = Object.keys(template.metadata?.annotations ?? {}).length;
  return [
    type,
    ['StorageClass', template.spec.storageClassName ?? ''],
    ['Volume', template.spec.volumeName ?? ''],
    ['Labels', labels === 0 ? '    <none>' : nestedText(template.metadata?.labels)],
    ['Annotations', annotations === 0 ? '    <none>' : nestedText(template.metadata?.annotations)],
    ['Capacity', ''],
    ['Access Modes', ''],
    ...(template.spec.volumeMode === undefined ? [] : [['VolumeMode', template.spec.volumeMode] as const]),
  ];
}

function projectedRows(projected: ProjectedVolumeSource): Row[] {
  const rows: Row[] = [['Type', 'Projected (a volume that contains injected data from multiple sources)']];
  return [...rows, ...(projected.sources ?? []).flatMap(projectionRows)];
}

function projectionRows({ secret, downwardAPI, configMap, serviceAccountToken }: VolumeProjection): Row[] {
  if (secret) return named('SecretName', secret);
  if (downwardAPI) return [['DownwardAPI', true]];
  if (configMap) return named('ConfigMapName', configMap);
  return serviceAccountToken ? [['TokenExpirationSeconds', serviceAccountToken.expirationSeconds ?? 0]] : [];
}

function named(label: string, source: { readonly name?: string; readonly optional?: boolean }): Row[] {
  return [
    [label, source.name ?? ''],
    ['Optional', source.optional ?? false],
  ];
}

function describeDownwardApi(
  writer: DescribeWriter,
  items: NonNullable<NonNullable<Volume['downwardAPI']>['items']>,
): void {
  writer.line(2, 'Type:\tDownwardAPI (a volume populated by information about the pod)');
  writer.line(2, 'Items:');
  for (const { fieldRef, resourceFieldRef, path } of items) {
    if (fieldRef) writer.line(3, `${fieldRef.fieldPath} -> ${path}`);
    if (resourceFieldRef) writer.line(3, `${resourceFieldRef.resource} -> ${path}`);
  }
}

/** A source that has no text of its own: its kind and its plain fields. */
function otherRows(volume: Volume): readonly Row[] | undefined {
  const source = Object.entries(volume).find(([key]) => key !== 'name');
  if (source === undefined) return undefined;
  const [kind, fields]: [string, unknown] = source;
  if (typeof fields !== 'object' || fields === null) return undefined;
  const plain = Object.entries(fields)
    .filter(([, value]) => typeof value !== 'object')
    .map(([key, value]): Row => [capitalised(key), value]);
  return [['Type', capitalised(kind)], ...plain];
}

function capitalised(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
