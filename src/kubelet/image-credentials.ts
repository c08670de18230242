import type { Pod, Secret } from '../api/gen/types.ts';
import { StatusError } from '../base/status-error.ts';
import type { ImageAuth } from '../cri/runtime.ts';
import { decodeBase64 } from './object-reader.ts';
import type { ObjectReader } from './object-reader.ts';

const defaultRegistry = 'index.docker.io';

export interface PullCredentials {
  /** Those that fit the image, the most specific first; empty: none does. */
  readonly auths: readonly ImageAuth[];
  /** Names of secrets that are not there. */
  readonly missing: readonly string[];
}

/**
 * What the pod's `imagePullSecrets` have for an image; `repository` with its registry. Fails if one of them cannot be
 * read as what it says it is. Upstream: `getPullSecretsForPod` and `credentialprovider`.
 */
export async function pullCredentials(
  objects: ObjectReader,
  pod: Pod,
  repository: string,
  signal: AbortSignal,
): Promise<PullCredentials> {
  const byKey = new Map<string, ImageAuth[]>(); // registry, with a path where one is given
  const missing: string[] = [];
  for (const { name = '' } of pod.spec?.imagePullSecrets ?? []) {
    if (name === '') continue;
    const secret = await objects.secret(pod.metadata?.namespace ?? '', name, true, signal);
    if (secret === undefined) {
      missing.push(name);
      continue;
    }
    for (const [key, auth] of registryAuths(secret)) byKey.set(key, [...(byKey.get(key) ?? []), auth]);
  }
  return { auths: authsFor(byKey, repository), missing };
}

/** The registries of a secret of one of the two types that hold some. */
export function registryAuths(secret: Secret): readonly (readonly [key: string, auth: ImageAuth])[] {
  const { data = {}, type, metadata } = secret;
  const current = type === 'kubernetes.io/dockerconfigjson' ? data['.dockerconfigjson'] : undefined;
  const old = type === 'kubernetes.io/dockercfg' ? data['.dockercfg'] : undefined;
  if (current === undefined && old === undefined) return [];
  try {
    const parsed: unknown = JSON.parse(decodeText(current ?? old ?? ''));
    const entries = current === undefined ? parsed : fieldOf(parsed, 'auths');
    return Object.entries(recordOf(entries)).map(([location, entry]) => [registryKey(location), authOf(entry)]);
  } catch (error) {
    const text = `image pull secret "${metadata?.name}" cannot be read`;
    throw new StatusError('BadRequest', text, { cause: error });
  }
}

/** Those whose registry and path the repository has, longer ones first. */
export function authsFor(byKey: ReadonlyMap<string, readonly ImageAuth[]>, repository: string): readonly ImageAuth[] {
  const keys = [...byKey.keys()].sort().reverse();
  const found = keys.filter((key) => isWithin(repository, key)).flatMap((key) => byKey.get(key) ?? []);
  if (found.length > 0 || !isOnDefaultRegistry(repository)) return found;
  return byKey.get(defaultRegistry) ?? [];
}

// `https://index.docker.io/v1/` -> `index.docker.io`; `host/v2/path` -> `host/path`.
function registryKey(location: string): string {
  const [, host = '', path = ''] = /^(?:https?:\/\/)?([^/]*)(.*)$/s.exec(location) ?? [];
  const rest = path.startsWith('/v1/') || path.startsWith('/v2/') ? path.slice(3) : path;
  return rest === '' || rest === '/' ? host : host + rest;
}

function authOf(entry: unknown): ImageAuth {
  const { username, password, auth } = recordOf(entry);
  const given = {
    ...(typeof username === 'string' ? { username } : {}),
    ...(typeof password === 'string' ? { password } : {}),
  };
  if (typeof auth !== 'string' || auth === '') return given;
  const text = decodeText(auth).replaceAll('\0', '');
  const colon = text.indexOf(':');
  if (colon < 0) throw new Error('auth is not USERNAME:PASSWORD');
  return { username: text.slice(0, colon), password: text.slice(colon + 1) };
}

function isWithin(repository: string, key: string): boolean {
  const [host = '', ...path] = repository.split('/');
  const [wantedHost = '', ...wantedPath] = key.split('/');
  return hostMatches(host, wantedHost) && path.join('/').startsWith(wantedPath.join('/'));
}

/** `*` stands for any part of one label of the name; ports have to be the same. */
function hostMatches(host: string, pattern: string): boolean {
  const [name = '', port] = host.split(':');
  const [wantedName = '', wantedPort] = pattern.split(':');
  const labels = name.split('.');
  const wanted = wantedName.split('.');
  return (
    port === wantedPort &&
    labels.length === wanted.length &&
    wanted.every((label, index) => globOf(label).test(labels[index] ?? ''))
  );
}

function globOf(text: string): RegExp {
  const escaped = text.replaceAll(/[\\^$+?.()|[\]{}]/g, String.raw`\$&`).replaceAll('*', '.*');
  return new RegExp(`^${escaped}$`);
}

function isOnDefaultRegistry(repository: string): boolean {
  const [first = '', ...rest] = repository.split('/');
  return rest.length === 0 || first === 'docker.io' || first === defaultRegistry || !/[.:]/.test(first);
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) throw new Error('not an object');
  return { ...value };
}

function fieldOf(value: unknown, name: string): unknown {
  return recordOf(value)[name] ?? {};
}

function decodeText(base64: string): string {
  return new TextDecoder().decode(decodeBase64(base64));
}
