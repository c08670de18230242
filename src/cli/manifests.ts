import fs from 'node:fs';
import path from 'node:path';
import { decode } from '../api/decode.ts';
import { goJson, goQuote } from '../api/go-text.ts';
import type { ResourceType } from '../api/resources.ts';
import { messageOf } from '../base/status-error.ts';
import { CliError, throwCollected } from './cli-error.ts';
import type { CliIo } from './cli-io.ts';
import { fieldOf, itemsOf, textOf, type ResourceTypes } from './resource-types.ts';
import { decodeDocuments } from './yaml-documents.ts';

/** One object of a manifest and the kind that its words name. */
export interface Manifest {
  /** The file as it was named, or `STDIN`. */
  readonly source: string;
  readonly type: ResourceType;
  readonly object: Readonly<Record<string, unknown>>;
  readonly name: string;
  /** As written; `''` if it names none. */
  readonly namespace: string;
}

const fileExtensions = ['.json', '.yaml', '.yml'];
const stdinName = '-';
const manifestBytesMax = 64 * 1_024 * 1_024;

export interface ReadingOptions {
  readonly recursive: boolean;
  /**
   * A document that lacks a kind or an API version fails as invalid, as kubectl has it before it writes. Default no.
   */
  readonly validates?: boolean;
  readonly onError: (error: unknown) => void;
}

/**
 * Reads all that `-f` names: files, directories (with `recursive` those below too), glob patterns, `-` for stdin. A
 * path that does not exist fails everything; a document that cannot be used is told to `onError`, and the rest goes
 * on.
 */
export async function* readManifests(
  filenames: readonly string[],
  options: ReadingOptions,
  deps: { readonly types: ResourceTypes; readonly io: CliIo },
  signal: AbortSignal,
): AsyncIterable<Manifest> {
  if (filenames.filter((name) => name === stdinName).length > 1) {
    throw new CliError('standard input cannot be used for multiple arguments');
  }
  for (const source of expandAll(filenames, options.recursive)) {
    const text = source === stdinName ? await readStdin(deps.io) : readText(source);
    const shown = source === stdinName ? 'STDIN' : source;
    const { values, failed } = decodeDocuments(text);
    for (const value of values) {
      const problems = options.validates === true ? validationProblems(value) : [];
      if (problems.length === 0) yield* manifestsOf(value, shown, options.onError, deps.types, signal);
      else options.onError(validationError(shown, problems));
    }
    if (failed !== undefined) options.onError(new CliError(`error parsing ${shown}: ${failed}`));
  }
}

function expandAll(filenames: readonly string[], recursive: boolean): string[] {
  const errors: unknown[] = [];
  const files: string[] = [];
  for (const filename of filenames) {
    try {
      files.push(...expand(filename, recursive));
    } catch (error) {
      errors.push(error);
    }
  }
  throwCollected(errors);
  return files;
}

function expand(filename: string, recursive: boolean): string[] {
  if (filename === stdinName) return [filename];
  if (/^https?:\/\//.test(filename)) throw new CliError(`reading manifests from a URL is not supported: ${filename}`);
  const paths = fs.existsSync(filename) ? [filename] : globbed(filename);
  if (paths.length === 0) throw new CliError(`the path ${goQuote(filename)} does not exist`);
  const files = paths.flatMap((name) => filesAt(name, recursive));
  if (files.length > 0) return files;
  throw new CliError(
    `error reading [${paths.join(' ')}]: recognized file extensions are [${fileExtensions.join(' ')}]`,
  );
}

/** Patterns in the last part of the path only: `dir/*.yaml`. */
function globbed(pattern: string): string[] {
  const directory = path.dirname(pattern);
  const last = path.basename(pattern);
  if (!/[*?[]/.test(last) || !fs.existsSync(directory)) return [];
  const expression = last
    .replaceAll(/[.+^${}()|\\]/g, String.raw`\$&`)
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  const isMatch = new RegExp(`^${expression}$`);
  const names = fs.readdirSync(directory).filter((name) => isMatch.test(name));
  return names
    .sort()
    .map((name) => (pattern.startsWith('./') ? `./${path.join(directory, name)}` : path.join(directory, name)));
}

function filesAt(name: string, recursive: boolean): string[] {
  if (!fs.statSync(name).isDirectory()) return [name];
  const entries = fs.readdirSync(name, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  return entries.flatMap((entry) => {
    const inner = path.join(name, entry.name);
    if (entry.isDirectory()) return recursive ? filesAt(inner, recursive) : [];
    return fileExtensions.includes(path.extname(entry.name)) ? [inner] : [];
  });
}

function readText(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (error) {
    throw new CliError(`the path ${goQuote(file)} cannot be accessed: ${messageOf(error)}`, { cause: error });
  }
}

async function readStdin(io: CliIo): Promise<string> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of io.stdin) {
    sizeBytes += chunk.length;
    if (sizeBytes > manifestBytesMax) throw new CliError(`standard input is longer than ${manifestBytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** What kubectl itself looks for, since the server would not know what the object is. */
function validationProblems(value: unknown): string[] {
  if (!isRecord(value)) return ['invalid object to validate'];
  const kind = textOf(value, 'kind');
  return [
    ...(textOf(value, 'apiVersion') === '' ? ['apiVersion not set'] : []),
    ...(kind === '' ? ['kind not set'] : []),
    ...(kind === 'List' ? itemsOf(value, 'items').flatMap(validationProblems) : []),
  ];
}

function validationError(source: string, problems: readonly string[]): CliError {
  const what = problems.length === 1 ? problems[0] : `[${[...new Set(problems)].join(', ')}]`;
  return new CliError(
    `error validating ${goQuote(source)}: error validating data: ${what}; ` +
      'if you choose to ignore these errors, turn validation off with --validate=false',
  );
}

/** The objects in one decoded value: itself, or the items of a list. `source` `''`: it came from no file. */
export async function* manifestsOf(
  value: unknown,
  source: string,
  onError: (error: unknown) => void,
  types: ResourceTypes,
  signal: AbortSignal,
): AsyncIterable<Manifest> {
  if (!isRecord(value)) {
    const kind = Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : typeof value;
    const why = `json: cannot unmarshal ${kind} into Go value of type unstructured.detector`;
    return onError(new CliError(`unable to decode ${goQuote(source)}: ${why}`));
  }
  const kind = textOf(value, 'kind');
  const apiVersion = textOf(value, 'apiVersion');
  if (kind === '' || apiVersion === '') {
    const missing = kind === '' ? 'Kind' : 'apiVersion';
    const why = `Object '${missing}' is missing in '${goJson(value)}'`;
    return onError(new CliError(`unable to decode ${goQuote(source)}: ${why}`));
  }
  if (kind.endsWith('List') && Array.isArray(value['items'])) {
    const itemKind = kind.slice(0, -'List'.length);
    for (const item of itemsOf(value, 'items')) {
      const isNameless = itemKind !== '' && isRecord(item) && textOf(item, 'kind') === '';
      const whole = isNameless ? { ...item, apiVersion, kind: itemKind } : item;
      yield* manifestsOf(whole, source, onError, types, signal);
    }
    return;
  }
  const metadata = fieldOf(value, 'metadata');
  try {
    checkMetadata(metadata);
  } catch (error) {
    return onError(new CliError(`unable to decode ${goQuote(source)}: ${messageOf(error)}`, { cause: error }));
  }
  const name = textOf(metadata, 'name');
  const namespace = textOf(metadata, 'namespace');
  const type = await types.ofKind(apiVersion, kind, signal);
  if (type !== undefined) {
    yield { source, type, object: value, name, namespace };
    return;
  }
  onError(
    new CliError(
      `resource mapping not found for name: ${goQuote(name)} namespace: ${goQuote(namespace)} from ${goQuote(source)}: ` +
        `no matches for kind ${goQuote(kind)} in version ${goQuote(apiVersion)}\nensure CRDs are installed first`,
    ),
  );
}

/** Names and labels are texts; what else the object holds is the server's to judge. */
function checkMetadata(metadata: unknown): void {
  if (metadata === undefined) return;
  if (metadata === null || isRecord(metadata)) return void decode('Namespace', { metadata }, 'Ignore');
  const kind = Array.isArray(metadata) ? 'array' : typeof metadata === 'boolean' ? 'bool' : typeof metadata;
  throw new CliError(
    `json: cannot unmarshal ${kind} into Go struct field metadataOnlyObject.metadata of type v1.ObjectMeta`,
  );
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * The namespace that a manifest's object goes to: its own, else the one of the flags. One that differs from an explicit
 * `--namespace` is refused. `undefined` for cluster-wide kinds.
 */
export function namespaceFor(
  manifest: Manifest,
  scope: { readonly namespace: string; readonly namespaceIsExplicit: boolean },
): string | undefined {
  if (!manifest.type.namespaced) return undefined;
  if (manifest.namespace === '') return scope.namespace;
  if (scope.namespaceIsExplicit && manifest.namespace !== scope.namespace) {
    throw new CliError(
      `the namespace from the provided object ${goQuote(manifest.namespace)} does not match the namespace ` +
        `${goQuote(scope.namespace)}. You must pass '--namespace=${manifest.namespace}' to perform this operation.`,
    );
  }
  return manifest.namespace;
}

/** `-f`, `-R` and what they may not be combined with. */
export function requireFilenames(filenames: readonly string[]): void {
  if (filenames.length === 0) throw new CliError('must specify one of -f and -k');
}
