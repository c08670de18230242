import type { Draft } from './draft.ts';
import type { Container, EnvFromSource, EnvVar, Pod, ServiceAccount, Volume } from './gen/types.ts';

const volumePrefix = 'kube-api-access-';
const tokenMountPath = '/var/run/secrets/kubernetes.io/serviceaccount';
const tokenSeconds = 3_607;
const fileMode = 0o644;
const mountableAnnotation = 'kubernetes.io/enforce-mountable-secrets';

/**
 * What a new pod gets from its service account, in place: the volume with a token and where it is mounted, and pull
 * secrets. Nothing is added twice. Returns why the account does not allow the pod; `undefined`: it does. `suffix` makes
 * five random characters. Upstream: the admission plug-in `ServiceAccount`.
 */
export function admitServiceAccount(
  pod: Draft<Pod>,
  account: ServiceAccount,
  suffix: () => string,
): string | undefined {
  const { spec } = pod;
  if (spec === undefined) return undefined;
  if (account.metadata?.annotations?.[mountableAnnotation]?.toLowerCase() === 'true') {
    const problem = secretProblem(pod, account);
    if (problem !== undefined) return problem;
  }
  if (spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true) mountToken(pod, suffix);
  if ((spec.imagePullSecrets ?? []).length === 0 && (account.imagePullSecrets ?? []).length > 0) {
    spec.imagePullSecrets = (account.imagePullSecrets ?? []).map((reference) => ({ ...reference }));
  }
  return undefined;
}

/** What a pod that mirrors a static one has and may not have; `undefined`: nothing. */
export function mirrorPodProblem({ spec }: Pod): string | undefined {
  if ((spec?.serviceAccountName ?? '') !== '') return 'a mirror pod may not reference service accounts';
  const volumes = spec?.volumes ?? [];
  const hasToken = volumes.some(({ projected }) =>
    projected?.sources?.some(({ serviceAccountToken }) => serviceAccountToken !== undefined),
  );
  return hasToken ? 'a mirror pod may not use ServiceAccountToken volume projections' : undefined;
}

function mountToken({ spec }: Draft<Pod>, suffix: () => string): void {
  if (spec === undefined) return;
  const existing = spec.volumes?.find(({ name }) => name.startsWith(volumePrefix));
  const name = existing?.name ?? volumePrefix + suffix();
  let isNeeded = false;
  for (const container of [...(spec.initContainers ?? []), ...spec.containers]) {
    // Who mounts something there has it their way.
    if (container.volumeMounts?.some(({ mountPath }) => mountPath === tokenMountPath) === true) continue;
    container.volumeMounts ??= [];
    container.volumeMounts.push({ mountPath: tokenMountPath, name, readOnly: true });
    isNeeded = true;
  }
  if (existing !== undefined || !isNeeded) return;
  spec.volumes ??= [];
  spec.volumes.push(tokenVolume(name));
}

function tokenVolume(name: string): Draft<Volume> {
  return {
    name,
    projected: {
      defaultMode: fileMode,
      sources: [
        { serviceAccountToken: { expirationSeconds: tokenSeconds, path: 'token' } },
        { configMap: { items: [{ key: 'ca.crt', path: 'ca.crt' }], name: 'kube-root-ca.crt' } },
        {
          downwardAPI: {
            items: [{ fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' }, path: 'namespace' }],
          },
        },
      ],
    },
  };
}

/** An account that says so lets its pods use only the secrets that it names. Upstream: `limitSecretReferences`. */
function secretProblem({ spec }: Pod, account: ServiceAccount): string | undefined {
  const allowed = new Set((account.secrets ?? []).map(({ name }) => name));
  const accountName = account.metadata?.name ?? '';
  const refusal = (what: string, secret: string): string =>
    `${what}secret.secretName="${secret}" is not allowed because service account ${accountName} does not reference ` +
    'that secret';
  for (const { secret } of spec?.volumes ?? []) {
    if (secret !== undefined && !allowed.has(secret.secretName ?? '')) {
      return refusal('volume with ', secret.secretName ?? '');
    }
  }
  for (const [word, containers] of [
    ['init container', spec?.initContainers ?? []],
    ['container', spec?.containers ?? []],
  ] as const) {
    for (const container of containers) {
      for (const [what, secret] of secretsOf(container)) {
        if (!allowed.has(secret)) return refusal(`${word} ${container.name} with ${what} referencing `, secret);
      }
    }
  }
  const pulling = new Set((account.imagePullSecrets ?? []).map(({ name }) => name));
  for (const [index, { name }] of (spec?.imagePullSecrets ?? []).entries()) {
    if (pulling.has(name)) continue;
    const what = `imagePullSecrets[${index}].name="${name ?? ''}"`;
    return `${what} is not allowed because service account ${accountName} does not reference that imagePullSecret`;
  }
  return undefined;
}

function secretsOf({ env = [], envFrom = [] }: Container): (readonly [what: string, secret: string])[] {
  const ofVariable = ({ name, valueFrom }: EnvVar): (readonly [string, string])[] =>
    valueFrom?.secretKeyRef === undefined ? [] : [[`envVar ${name}`, valueFrom.secretKeyRef.name ?? '']];
  const ofSource = ({ secretRef }: EnvFromSource): (readonly [string, string])[] =>
    secretRef === undefined ? [] : [['envFrom', secretRef.name ?? '']];
  return [...env.flatMap(ofVariable), ...envFrom.flatMap(ofSource)];
}
