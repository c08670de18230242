import type { Container, Pod, Volume } from './gen/types.ts';

/**
 * The first kind of API objects that the pod needs, in upstream's words; `undefined`: none, so that a node can run it
 * without an API server. Upstream: `HasAPIObjectReference`.
 */
export function apiReferenceOf({ spec }: Pod): string | undefined {
  if (spec === undefined) return undefined;
  if ((spec.serviceAccountName ?? '') !== '') return 'serviceaccounts';
  const containers = [...(spec.initContainers ?? []), ...spec.containers];
  const volumes = spec.volumes ?? [];
  const sources = volumes.flatMap(({ projected }) => projected?.sources ?? []);
  const hasSecret =
    (spec.imagePullSecrets ?? []).length > 0 ||
    containers.some((container) => refersTo(container, 'secretRef', 'secretKeyRef')) ||
    volumes.some((volume) => secretOf(volume)) ||
    sources.some(({ secret }) => secret !== undefined);
  if (hasSecret) return 'secrets';
  const hasConfigMap =
    containers.some((container) => refersTo(container, 'configMapRef', 'configMapKeyRef')) ||
    volumes.some(({ configMap }) => configMap !== undefined) ||
    sources.some(({ configMap }) => configMap !== undefined);
  if (hasConfigMap) return 'configmaps';
  if ((spec.resourceClaims ?? []).length > 0) return 'resourceclaims';
  for (const volume of volumes) {
    const kind = volumeReferenceOf(volume);
    if (kind !== undefined) return kind;
  }
  return undefined;
}

function refersTo(
  { env = [], envFrom = [] }: Container,
  source: 'secretRef' | 'configMapRef',
  key: 'secretKeyRef' | 'configMapKeyRef',
): boolean {
  const inEnv = env.some(({ valueFrom }) => valueFrom?.[key] !== undefined);
  return inEnv || envFrom.some((from) => from[source] !== undefined);
}

/** Whether a volume of whatever type names a secret. */
function secretOf(volume: Volume): boolean {
  const { secret, azureFile, cephfs, cinder, csi, flexVolume, iscsi, rbd, scaleIO, storageos } = volume;
  const references = [cephfs, cinder, flexVolume, iscsi, rbd, scaleIO, storageos];
  if (secret !== undefined || azureFile !== undefined || csi?.nodePublishSecretRef !== undefined) return true;
  return references.some((reference) => reference?.secretRef !== undefined);
}

function volumeReferenceOf({
  csi,
  glusterfs,
  persistentVolumeClaim,
  ephemeral,
  projected,
}: Volume): string | undefined {
  if (csi !== undefined) return 'csidrivers (via CSI volumes)';
  if (glusterfs !== undefined) return 'endpoints (via glusterFS volumes)';
  if (persistentVolumeClaim !== undefined) return 'persistentvolumeclaims';
  if (ephemeral !== undefined) return 'persistentvolumeclaims (via ephemeral volumes)';
  for (const source of projected?.sources ?? []) {
    if (source.serviceAccountToken !== undefined) return 'serviceaccounts (via projected volumes)';
    if (source.clusterTrustBundle !== undefined) return 'clustertrustbundles';
    if (source.podCertificate !== undefined) return 'podcertificates';
  }
  return undefined;
}
