import { forbidden, invalid, notSupported, required, tooLong } from '../field-error.ts';
import type { Binding, ConfigMap, Lease, Namespace, Secret, ServiceAccount, TokenRequest } from '../gen/types.ts';
import { byteLength, configMapKeyProblems, qualifiedNameProblems } from '../names.ts';
import { addInvalid, checkImmutable, checkMetadata, checkMetadataUpdate, type Errors } from './metadata.ts';
import { checkTokenSeconds } from './projected-volume.ts';
import { sameValue } from './same-value.ts';

const dataBytesMax = 1024 * 1024;
const immutableSetText = 'field is immutable when `immutable` is set';

/** Upstream: `ValidateNamespace`. */
export function checkNamespace(errors: Errors, namespace: Namespace): void {
  checkMetadata(errors, namespace.metadata ?? {}, false, 'label');
  for (const finalizer of namespace.spec?.finalizers ?? []) {
    addInvalid(errors, 'spec.finalizers', finalizer, qualifiedNameProblems(finalizer));
    if (finalizer.includes('/') || finalizer === 'kubernetes') continue;
    const text = 'name is neither a standard finalizer name nor is it fully qualified';
    errors.push(invalid('spec.finalizers', finalizer, text));
  }
}

export function checkNamespaceStatusUpdate(errors: Errors, next: Namespace, current: Namespace): void {
  checkMetadataUpdate(errors, next.metadata ?? {}, current.metadata ?? {});
  const phase = next.status?.phase;
  const isGoing = (next.metadata?.deletionTimestamp ?? current.metadata?.deletionTimestamp) !== undefined;
  if (isGoing && phase !== 'Terminating') {
    errors.push(invalid('status.phase', phase ?? '', "may only be 'Terminating' if `deletionTimestamp` is not empty"));
  }
  if (!isGoing && phase !== 'Active') {
    errors.push(invalid('status.phase', phase ?? '', "may only be 'Active' if `deletionTimestamp` is empty"));
  }
}

export function checkServiceAccount(errors: Errors, account: ServiceAccount): void {
  checkMetadata(errors, account.metadata ?? {}, true, 'subdomain');
}

/** Upstream: `ValidateConfigMap`. */
export function checkConfigMap(errors: Errors, configMap: ConfigMap): void {
  checkMetadata(errors, configMap.metadata ?? {}, true, 'subdomain');
  const { data = {}, binaryData = {} } = configMap;
  let bytes = 0;
  for (const [key, value] of Object.entries(data)) {
    addInvalid(errors, `data[${key}]`, key, configMapKeyProblems(key));
    if (Object.hasOwn(binaryData, key)) {
      errors.push(invalid(`data[${key}]`, key, 'duplicate of key present in binaryData'));
    }
    bytes += byteLength(value);
  }
  for (const [key, value] of Object.entries(binaryData)) {
    addInvalid(errors, `binaryData[${key}]`, key, configMapKeyProblems(key));
    bytes += decodedLength(value);
  }
  if (bytes > dataBytesMax) errors.push(tooLong('[]', dataBytesMax)); // how upstream prints an empty path
}

/** Bytes that a base64 text stands for. */
function decodedLength(base64: string): number {
  const padding = base64.endsWith('==') ? 2 : base64.endsWith('=') ? 1 : 0;
  return (base64.length / 4) * 3 - padding;
}

export function checkConfigMapUpdate(errors: Errors, next: ConfigMap, current: ConfigMap): void {
  checkMetadataUpdate(errors, next.metadata ?? {}, current.metadata ?? {});
  if (current.immutable === true) {
    if (next.immutable !== true) errors.push(forbidden('immutable', immutableSetText));
    if (!sameValue(next.data, current.data)) errors.push(forbidden('data', immutableSetText));
    if (!sameValue(next.binaryData, current.binaryData)) errors.push(forbidden('binaryData', immutableSetText));
  }
  checkConfigMap(errors, next);
}

const accountNameKey = 'kubernetes.io/service-account.name';
/** Keys that a secret of the type must have. */
const requiredKeysByType: Readonly<Record<string, readonly string[]>> = {
  'kubernetes.io/dockercfg': ['.dockercfg'],
  'kubernetes.io/dockerconfigjson': ['.dockerconfigjson'],
  'kubernetes.io/ssh-auth': ['ssh-privatekey'],
  'kubernetes.io/tls': ['tls.crt', 'tls.key'],
};

/** Upstream: `ValidateSecret`. */
export function checkSecret(errors: Errors, secret: Secret): void {
  const meta = secret.metadata ?? {};
  checkMetadata(errors, meta, true, 'subdomain');
  const data = secret.data ?? {};
  let bytes = 0;
  for (const [key, value] of Object.entries(data)) {
    addInvalid(errors, `data[${key}]`, key, configMapKeyProblems(key));
    bytes += decodedLength(value);
  }
  if (bytes > dataBytesMax) errors.push(tooLong('data', dataBytesMax));
  const type = secret.type ?? '';
  if (type === 'kubernetes.io/service-account-token' && (meta.annotations?.[accountNameKey] ?? '') === '') {
    errors.push(required(`metadata.annotations[${accountNameKey}]`));
  }
  if (type === 'kubernetes.io/basic-auth' && data['username'] === undefined && data['password'] === undefined) {
    errors.push(required('data[username]'), required('data[password]'));
  }
  for (const key of requiredKeysByType[type] ?? []) {
    const value = data[key];
    const isConfig = key.startsWith('.docker');
    if (value === undefined) errors.push(required(`data[${key}]`));
    else if (isConfig && !isBase64Json(value)) {
      errors.push(invalid(`data[${key}]`, '<secret contents redacted>', 'invalid JSON'));
    }
  }
}

function isBase64Json(value: string): boolean {
  try {
    const parsed: unknown = JSON.parse(atob(value));
    return typeof parsed === 'object';
  } catch {
    return false; // not JSON: that is the answer
  }
}

export function checkSecretUpdate(errors: Errors, next: Secret, current: Secret): void {
  checkMetadataUpdate(errors, next.metadata ?? {}, current.metadata ?? {});
  checkImmutable(errors, 'type', next.type ?? '', current.type ?? '');
  if (current.immutable === true) {
    if (next.immutable !== true) errors.push(forbidden('immutable', immutableSetText));
    if (!sameValue(next.data, current.data)) errors.push(forbidden('data', immutableSetText));
  }
  checkSecret(errors, next);
}

/** Upstream: `ValidateLease`. */
export function checkLease(errors: Errors, lease: Lease): void {
  checkMetadata(errors, lease.metadata ?? {}, true, 'subdomain');
  checkLeaseSpec(errors, lease);
}

export function checkLeaseUpdate(errors: Errors, next: Lease, current: Lease): void {
  checkMetadataUpdate(errors, next.metadata ?? {}, current.metadata ?? {});
  checkLeaseSpec(errors, next);
}

function checkLeaseSpec(errors: Errors, lease: Lease): void {
  const { leaseDurationSeconds: seconds, leaseTransitions: transitions } = lease.spec ?? {};
  if (seconds !== undefined && seconds <= 0) {
    errors.push(invalid('spec.leaseDurationSeconds', seconds, 'must be greater than 0'));
  }
  if (transitions !== undefined && transitions < 0) {
    errors.push(invalid('spec.leaseTransitions', transitions, 'must be greater than or equal to 0'));
  }
}

/** Upstream: `ValidatePodBinding`. */
export function checkBinding(errors: Errors, binding: Binding): void {
  const { kind = '', name = '' } = binding.target;
  if (kind !== '' && kind !== 'Node') errors.push(notSupported('target.kind', kind, ['Node', '<empty>']));
  if (name === '') errors.push(required('target.name'));
}

/** Upstream: `ValidateTokenRequest`. */
export function checkTokenRequest(errors: Errors, { spec }: TokenRequest): void {
  checkTokenSeconds(errors, 'spec.expirationSeconds', spec.expirationSeconds);
}
