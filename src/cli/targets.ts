import { goQuote } from '../api/go-text.ts';
import type { ResourceType } from '../api/resources.ts';
import type { ApiConnection } from './api-connection.ts';
import { CliError } from './cli-error.ts';
import type { CliIo } from './cli-io.ts';
import { namespaceFor, readManifests } from './manifests.ts';
import type { ResourceTypes } from './resource-types.ts';

/**
 * What a command line points at: one object, or all of a kind that fit the selectors. `namespace` absent: all, or
 * none.
 */
export type Target =
  | {
      readonly kind: 'object';
      readonly type: ResourceType;
      readonly namespace?: string;
      readonly name: string;
      /** The file that named it. */
      readonly source?: string;
    }
  | { readonly kind: 'list'; readonly type: ResourceType; readonly namespace?: string };

export interface TargetOptions {
  readonly args: readonly string[];
  readonly filenames: readonly string[];
  readonly recursive: boolean;
  readonly allNamespaces: boolean;
  /** A label or field selector was given. */
  readonly hasSelector: boolean;
  /** `--all`. */
  readonly all: boolean;
  /** A kind without a name means all of it. */
  readonly kindAloneMeansAll: boolean;
  /** What is done to the objects, as an error about one of a file says it: `deleting`. */
  readonly doing?: string;
}

export interface Targets {
  readonly targets: readonly Target[];
  /** The words can only mean one object: it is printed bare and not as a list. */
  readonly isSingle: boolean;
  /** What in the files could not be read; the rest is in `targets`. */
  readonly errors: readonly unknown[];
}

export interface TargetDeps {
  readonly connection: ApiConnection;
  readonly types: ResourceTypes;
  readonly io: CliIo;
}

const missingResource = `You must provide one or more resources by argument or filename.
Example resource specifications include:
   '-f rsrc.yaml'
   '--filename=rsrc.json'
   '<resource> <name>'
   '<resource>'`;

/**
 * Reads `TYPE NAME...`, `TYPE/NAME...`, `TYPE,TYPE`, `all`, or the objects named in files. Upstream:
 * `resource.Builder`.
 */
export async function resolveTargets(options: TargetOptions, deps: TargetDeps, signal: AbortSignal): Promise<Targets> {
  if (options.filenames.length > 0) return await targetsOfFiles(options, deps, signal);
  const args = multiplied(options.args);
  const selects = options.hasSelector || options.all;
  if (args.some((arg) => arg.includes('/'))) {
    const pairs = args.map((arg) => splitPair(arg, args));
    if (selects) throw new CliError('selectors and the all flag cannot be used when passing resource/name arguments');
    return await objectsOf(pairs, options, deps, signal);
  }
  const [kinds = '', ...names] = args;
  if (kinds === '')
    throw new CliError(selects ? 'at least one resource must be specified to use a selector' : missingResource);
  if (names.length > 0) {
    if (selects) throw new CliError('name cannot be provided when a selector is specified');
    return await objectsOf(
      names.map((name) => [kinds, name] as const),
      options,
      deps,
      signal,
    );
  }
  const types = await typesOf(kinds, deps, signal);
  if (!selects && !options.kindAloneMeansAll) {
    throw new CliError('resource(s) were provided, but no name was specified');
  }
  const targets = types.map((type): Target => {
    const namespace = options.allNamespaces || !type.namespaced ? undefined : deps.connection.namespace;
    return namespace === undefined ? { kind: 'list', type } : { kind: 'list', type, namespace };
  });
  return { targets, isSingle: false, errors: [] };
}

/** `pods,nodes a b` means each kind with each name. */
function multiplied(args: readonly string[]): readonly string[] {
  const [kinds = '', ...names] = args;
  if (names.length === 0 || !kinds.includes(',')) return args;
  return splitKinds(kinds).flatMap((kind) => names.map((name) => `${kind}/${name}`));
}

function splitKinds(text: string): string[] {
  return [...new Set(text.split(','))];
}

function splitPair(arg: string, args: readonly string[]): readonly [kind: string, name: string] {
  const parts = arg.split('/');
  if (args.length > 1 && args.some((other) => !other.includes('/'))) {
    throw new CliError(
      'there is no need to specify a resource type as a separate argument when passing arguments in resource/name form ' +
        "(e.g. 'livelet get resource/<resource_name>' instead of 'livelet get resource resource/<resource_name>'",
    );
  }
  if (parts.length > 2) throw new CliError('arguments in resource/name form may not have more than one slash');
  const [kind = '', name = ''] = parts;
  if (kind === '' || name === '' || kind.includes(',')) {
    throw new CliError('arguments in resource/name form must have a single resource and name');
  }
  return [kind, name];
}

async function typesOf(kinds: string, deps: TargetDeps, signal: AbortSignal): Promise<ResourceType[]> {
  const types: ResourceType[] = [];
  for (const kind of splitKinds(kinds)) {
    const found = deps.types.categoryOf(kind) ?? [await deps.types.named(kind, signal)];
    for (const type of found) if (!types.includes(type)) types.push(type);
  }
  return types;
}

async function objectsOf(
  pairs: readonly (readonly [kind: string, name: string])[],
  options: TargetOptions,
  deps: TargetDeps,
  signal: AbortSignal,
): Promise<Targets> {
  const targets: Target[] = [];
  for (const [kind, name] of pairs) {
    const type = await deps.types.named(kind, signal);
    if (type.namespaced && options.allNamespaces) {
      throw new CliError('a resource cannot be retrieved by name across all namespaces');
    }
    targets.push(
      type.namespaced
        ? { kind: 'object', type, name, namespace: deps.connection.namespace }
        : { kind: 'object', type, name },
    );
  }
  return { targets, isSingle: targets.length === 1, errors: [] };
}

async function targetsOfFiles(options: TargetOptions, deps: TargetDeps, signal: AbortSignal): Promise<Targets> {
  const [first] = options.args;
  if (first !== undefined) {
    const what = first.includes('/') ? 'resource/name arguments' : 'resource arguments';
    const tail = first.includes('/') ? 'cannot be provided when a path is specified' : 'as well';
    throw new CliError(
      first.includes('/')
        ? `${what} ${tail}`
        : `when paths, URLs, or stdin is provided as input, you may not specify ${what} ${tail}`,
    );
  }
  const errors: unknown[] = [];
  const targets: Target[] = [];
  const reading = { recursive: options.recursive, onError: (error: unknown) => errors.push(error) };
  for await (const manifest of readManifests(options.filenames, reading, deps, signal)) {
    const namespace = namespaceFor(manifest, deps.connection);
    const { type, name, source } = manifest;
    if (name === '') {
      const doing = options.doing === undefined ? '' : `error when ${options.doing} ${goQuote(source)}: `;
      errors.push(new CliError(`${doing}resource name may not be empty`));
      continue;
    }
    targets.push(
      namespace === undefined
        ? { kind: 'object', type, name, source }
        : { kind: 'object', type, name, namespace, source },
    );
  }
  return { targets, isSingle: targets.length === 1 && errors.length === 0, errors };
}
