import type { Container, EnvFromSource, EnvVar, EnvVarSource } from '../api/gen/types.ts';
import { StatusError } from '../base/status-error.ts';
import { fieldValue, resourceValue } from './downward-api.ts';
import type { DownwardFacts } from './downward-api.ts';
import { decodeBase64 } from './object-reader.ts';
import type { ObjectReader } from './object-reader.ts';

export interface EnvValue {
  readonly key: string;
  readonly value: string;
}

/**
 * The environment of a container: `envFrom` first, then `env` in order, each with `$(NAME)` replaced by what was
 * defined before it or by `links`, then those of `links` whose names are not taken. Fails with upstream's texts when something it refers to is missing. Upstream:
 * `makeEnvironmentVariables`.
 */
export async function containerEnv(
  { objects, facts, container, links }: EnvSources,
  signal: AbortSignal,
): Promise<readonly EnvValue[]> {
  const namespace = facts.pod.metadata?.namespace ?? '';
  const values = new Map<string, string>();
  for (const source of container.envFrom ?? []) {
    for (const [key, value] of await envFromSource(objects, namespace, source, signal)) {
      values.set(`${source.prefix ?? ''}${key}`, value);
    }
  }
  for (const variable of container.env ?? []) {
    const value = await envValue({ objects, facts, container, namespace, values, links }, variable, signal);
    if (value !== undefined) values.set(variable.name, value);
  }
  for (const [key, value] of links) if (!values.has(key)) values.set(key, value);
  return [...values].map(([key, value]) => ({ key, value }));
}

export interface EnvSources {
  readonly objects: ObjectReader;
  readonly facts: DownwardFacts;
  readonly container: Container;
  /** Of services: `serviceEnv`. */
  readonly links: ReadonlyMap<string, string>;
}

interface EnvContext extends EnvSources {
  readonly namespace: string;
  readonly values: ReadonlyMap<string, string>; // defined so far
}

/** `undefined`: an optional reference to nothing; the variable is left out. */
function envValue(context: EnvContext, variable: EnvVar, signal: AbortSignal): Promise<string | undefined> {
  if (variable.valueFrom === undefined) {
    const { values, links } = context;
    return Promise.resolve(expand(variable.value ?? '', { get: (name) => values.get(name) ?? links.get(name) }));
  }
  return sourceValue(context, variable.valueFrom, signal);
}

async function sourceValue(
  { objects, facts, container, namespace }: EnvContext,
  source: EnvVarSource,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef } = source;
  if (fieldRef !== undefined) return fieldValue(facts, fieldRef.fieldPath);
  if (resourceFieldRef !== undefined) {
    const { containerName } = resourceFieldRef;
    const all = [...(facts.pod.spec?.initContainers ?? []), ...(facts.pod.spec?.containers ?? [])];
    const subject = all.find(({ name }) => name === containerName) ?? container;
    return resourceValue(facts, subject, resourceFieldRef);
  }
  if (configMapKeyRef !== undefined) {
    const { name = '', key, optional = false } = configMapKeyRef;
    const found = await objects.configMap(namespace, name, optional, signal);
    const value = found?.data?.[key];
    if (value === undefined && !optional) throw missingKey(key, 'ConfigMap', namespace, name);
    return value;
  }
  if (secretKeyRef !== undefined) {
    const { name = '', key, optional = false } = secretKeyRef;
    const found = await objects.secret(namespace, name, optional, signal);
    const value = found?.data?.[key];
    if (value === undefined && !optional) throw missingKey(key, 'Secret', namespace, name);
    return value === undefined ? undefined : decodeText(value);
  }
  throw new StatusError(
    'BadRequest',
    `unsupported source of an environment variable: ${Object.keys(source).join(' ')}`,
  );
}

function missingKey(key: string, kind: string, namespace: string, name: string): StatusError {
  return new StatusError('NotFound', `couldn't find key ${key} in ${kind} ${namespace}/${name}`);
}

async function envFromSource(
  objects: ObjectReader,
  namespace: string,
  { configMapRef, secretRef }: EnvFromSource,
  signal: AbortSignal,
): Promise<readonly (readonly [key: string, value: string])[]> {
  if (configMapRef !== undefined) {
    const { name = '', optional = false } = configMapRef;
    const found = await objects.configMap(namespace, name, optional, signal);
    return sortedEntries(found?.data ?? {});
  }
  if (secretRef === undefined) return [];
  const { name = '', optional = false } = secretRef;
  const found = await objects.secret(namespace, name, optional, signal);
  return sortedEntries(found?.data ?? {}).map(([key, value]) => [key, decodeText(value)] as const);
}

function sortedEntries(data: Readonly<Record<string, string>>): (readonly [string, string])[] {
  return Object.entries(data).sort(([a], [b]) => (a < b ? -1 : 1));
}

function decodeText(base64: string): string {
  return new TextDecoder().decode(decodeBase64(base64));
}

/** Replaces `$(NAME)` by its value; unknown names stay as written, `$$` is a `$`. Upstream: `expansion.Expand`. */
export function expand(text: string, values: Pick<ReadonlyMap<string, string>, 'get'>): string {
  return text.replace(/\$(?:\$|\(([^)]*)\))/gs, (found, name: string | undefined) => {
    if (name === undefined) return '$';
    return values.get(name) ?? found;
  });
}
