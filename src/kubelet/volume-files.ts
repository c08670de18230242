import type {
  ConfigMap,
  Container,
  DownwardAPIVolumeFile,
  KeyToPath,
  Pod,
  Secret,
  Volume,
  VolumeProjection,
} from '../api/gen/types.ts';
import { joinErrorTexts } from '../api/field-error.ts';
import { StatusError, messageOf } from '../base/status-error.ts';
import { fieldValue, resourceValue } from './downward-api.ts';
import type { DownwardFacts } from './downward-api.ts';
import { decodeBase64 } from './object-reader.ts';
import type { ObjectReader } from './object-reader.ts';
import type { ServiceAccountTokens } from './service-account-tokens.ts';

/** One file of a volume that is made from API objects. */
export interface VolumeFile {
  /** Relative to the volume, without `..`. */
  readonly path: string;
  readonly content: Uint8Array;
  readonly mode: number;
  /** Of its owner; absent: root. */
  readonly userId?: number;
}

const encoder = new TextEncoder();
const defaultFileMode = 0o644;
export const volumeBytesMax = 4 * 1_024 * 1_024; // a config map has at most 1 MiB; a projected volume has several

/** The kinds of volumes that are files made from API objects, by the name of upstream's plugin. */
export const apiVolumeTypes = {
  configMap: 'configmap',
  secret: 'secret',
  downwardAPI: 'downward-api',
  projected: 'projected',
} as const satisfies Partial<Record<keyof Volume, string>>;

/** Where the contents of volumes come from. */
export interface VolumeContents {
  readonly objects: ObjectReader;
  readonly tokens: ServiceAccountTokens;
  /** Objects that were read so lately need not be read again. */
  readonly ageMsMax: number;
}

/** The files of a volume of one of `apiVolumeTypes`; fails with the text that the FailedMount event shows. */
export async function volumeFilesOf(
  contents: VolumeContents,
  facts: DownwardFacts,
  volume: Volume,
  signal: AbortSignal,
): Promise<readonly VolumeFile[]> {
  const { configMap, secret, downwardAPI, projected } = volume;
  const sources: VolumeProjection[] = [
    ...(configMap === undefined ? [] : [{ configMap }]),
    ...(secret === undefined ? [] : [{ secret: { ...secret, name: secret.secretName ?? '' } }]),
    ...(downwardAPI === undefined ? [] : [{ downwardAPI }]),
    ...(projected?.sources ?? []),
  ];
  const mode = (configMap ?? secret ?? downwardAPI ?? projected)?.defaultMode ?? defaultFileMode;
  const byPath = new Map<string, VolumeFile>(); // a later source wins
  const problems: StatusError[] = [];
  for (const source of sources) {
    try {
      for (const file of await sourceFiles(contents, facts, source, mode, signal)) byPath.set(file.path, file);
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      problems.push(error);
    }
  }
  const [first] = problems;
  if (first !== undefined)
    throw new StatusError(first.reason, joinErrorTexts(problems.map(messageOf)), { cause: first });
  const files = [...byPath.values()];
  const bytes = files.reduce((sum, file) => sum + file.content.length, 0);
  if (bytes > volumeBytesMax) throw new StatusError('RequestEntityTooLarge', `more than ${volumeBytesMax} bytes`);
  return files;
}

async function sourceFiles(
  { objects, tokens, ageMsMax }: VolumeContents,
  facts: DownwardFacts,
  source: VolumeProjection,
  mode: number,
  signal: AbortSignal,
): Promise<readonly VolumeFile[]> {
  const namespace = facts.pod.metadata?.namespace ?? '';
  const { configMap, secret, downwardAPI, serviceAccountToken } = source;
  if (serviceAccountToken !== undefined) {
    const content = encoder.encode(await tokens.get(facts.pod, serviceAccountToken, signal));
    return [{ path: safePath(serviceAccountToken.path), content, ...tokenOwner(facts, mode) }];
  }
  if (configMap !== undefined) {
    const { name = '', optional = false, items } = configMap;
    return configMapFiles(await objects.configMap(namespace, name, optional, signal, ageMsMax), items, optional, mode);
  }
  if (secret !== undefined) {
    const { name = '', optional = false, items } = secret;
    return secretFiles(await objects.secret(namespace, name, optional, signal, ageMsMax), items, optional, mode);
  }
  if (downwardAPI !== undefined) return (downwardAPI.items ?? []).map((item) => downwardFile(facts, item, mode));
  const [field = 'source'] = Object.keys(source);
  throw new StatusError('BadRequest', `projected source ${field} is not supported by this node`);
}

/** Who runs as somebody, or for a group, has it to himself. Upstream: `projectedVolumeMounter.collectData`. */
function tokenOwner({ pod }: DownwardFacts, mode: number): Pick<VolumeFile, 'mode' | 'userId'> {
  const userId = fsUserOf(pod);
  const isOwned = userId !== undefined || pod.spec?.securityContext?.fsGroup !== undefined;
  return { mode: isOwned ? 0o600 : mode, ...(userId === undefined ? {} : { userId }) };
}

/** The one user that all containers run as; `undefined`: they differ, or do not say. Upstream: `FsUserFrom`. */
function fsUserOf({ spec }: Pod): number | undefined {
  const containers: readonly Container[] = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])];
  const users = new Set(
    containers.map(({ securityContext }) => securityContext?.runAsUser ?? spec?.securityContext?.runAsUser),
  );
  return users.size === 1 ? [...users][0] : undefined;
}

function configMapFiles(
  object: ConfigMap | undefined,
  items: readonly KeyToPath[] | undefined,
  optional: boolean,
  mode: number,
): readonly VolumeFile[] {
  const contents = new Map<string, Uint8Array>();
  for (const [key, text] of Object.entries(object?.data ?? {})) contents.set(key, encoder.encode(text));
  for (const [key, base64] of Object.entries(object?.binaryData ?? {})) contents.set(key, decodeBase64(base64));
  return selectItems(contents, items, optional, mode, 'config');
}

function secretFiles(
  object: Secret | undefined,
  items: readonly KeyToPath[] | undefined,
  optional: boolean,
  mode: number,
): readonly VolumeFile[] {
  const contents = new Map(Object.entries(object?.data ?? {}).map(([key, value]) => [key, decodeBase64(value)]));
  return selectItems(contents, items, optional, mode, 'secret');
}

function selectItems(
  contents: ReadonlyMap<string, Uint8Array>,
  items: readonly KeyToPath[] | undefined,
  optional: boolean,
  mode: number,
  word: string,
): readonly VolumeFile[] {
  if (items === undefined || items.length === 0) {
    return [...contents].map(([path, content]) => ({ path, content, mode }));
  }
  return items.flatMap((item) => {
    const content = contents.get(item.key);
    if (content !== undefined) return [{ path: safePath(item.path), content, mode: item.mode ?? mode }];
    if (optional) return [];
    throw new StatusError('NotFound', `references non-existent ${word} key: ${item.key}`);
  });
}

function downwardFile(facts: DownwardFacts, item: DownwardAPIVolumeFile, mode: number): VolumeFile {
  const text = downwardText(facts, item);
  return { path: safePath(item.path), content: encoder.encode(text), mode: item.mode ?? mode };
}

function downwardText(facts: DownwardFacts, { fieldRef, resourceFieldRef, path }: DownwardAPIVolumeFile): string {
  if (fieldRef !== undefined) return fieldValue(facts, fieldRef.fieldPath);
  if (resourceFieldRef === undefined) throw new StatusError('BadRequest', `no field for ${path}`);
  const containers: readonly Container[] = facts.pod.spec?.containers ?? [];
  const subject = containers.find(({ name }) => name === resourceFieldRef.containerName);
  if (subject === undefined) {
    throw new StatusError('BadRequest', `container ${resourceFieldRef.containerName ?? ''} not found`);
  }
  return resourceValue(facts, subject, resourceFieldRef);
}

// The API server has checked it; a path out of the volume would write anywhere on the node.
function safePath(path: string): string {
  const isUnsafe = path === '' || path.startsWith('/') || path.split('/').includes('..');
  if (isUnsafe) throw new StatusError('BadRequest', `invalid path ${JSON.stringify(path)}`);
  return path;
}
