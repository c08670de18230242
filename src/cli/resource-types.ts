import { resources, type ResourceType } from '../api/resources.ts';
import { goQuote } from '../api/go-text.ts';
import { bodyText, parseJson } from '../client/answer.ts';
import type { ApiConnection } from './api-connection.ts';
import { CliError } from './cli-error.ts';
import type { CliIo } from './cli-io.ts';

/** What kinds there are: those of this package, and, when asked for another, those that the server tells of. */
export class ResourceTypes {
  readonly #connection: ApiConnection;
  readonly #warn: (text: string) => void;
  #discovered: readonly ResourceType[] | undefined;

  constructor(connection: ApiConnection, io: Pick<CliIo, 'err'>) {
    this.#connection = connection;
    this.#warn = (text) => io.err(`Warning: ${text}\n`);
  }

  /** By any name that kubectl takes: `pods`, `pod`, `po`, `Pod`, `leases.coordination.k8s.io`, `pods.v1`. */
  async named(name: string, signal: AbortSignal): Promise<ResourceType> {
    for (const other of ownTypes.filter(({ shortNames }) => shortNames.includes(name)).slice(1)) {
      const shown = `${other.resource}.${other.group}`;
      this.#warn(`short name ${goQuote(name)} could also match lower priority resource ${shown}`);
    }
    const found = namedIn(ownTypes, name) ?? namedIn(await this.#fromServer(signal), name);
    if (found !== undefined) return found;
    throw new CliError(`the server doesn't have a resource type ${goQuote(name.split('.')[0] ?? name)}`);
  }

  /** Those in a category, e.g. `all`; `undefined` if it is none. */
  categoryOf(name: string): readonly ResourceType[] | undefined {
    const members = ownTypes.filter((type) => type.categories.includes(name));
    return members.length === 0 ? undefined : members;
  }

  /** By a manifest's words: the kind as it is or all in lower case, as upstream's mapper has it. */
  async ofKind(apiVersion: string, kind: string, signal: AbortSignal): Promise<ResourceType | undefined> {
    return kindIn(ownTypes, apiVersion, kind) ?? kindIn(await this.#fromServer(signal), apiVersion, kind);
  }

  async #fromServer(signal: AbortSignal): Promise<readonly ResourceType[]> {
    this.#discovered ??= [
      ...(await discover(this.#connection, '/api', signal)),
      ...(await discover(this.#connection, '/apis', signal)),
    ];
    return this.#discovered;
  }
}

const ownTypes: readonly ResourceType[] = Object.values(resources).filter((type) => type.verbs.includes('list'));

function namedIn(types: readonly ResourceType[], written: string): ResourceType | undefined {
  const [name = '', ...qualifiers] = written.toLowerCase().split('.');
  const qualifier = qualifiers.join('.');
  const isNamed = (type: ResourceType): boolean =>
    [type.resource, type.singular, type.kind.toLowerCase(), ...type.shortNames].includes(name);
  const fits = (type: ResourceType): boolean =>
    qualifier === '' || qualifier === type.group || qualifier === `${type.version}.${type.group}`;
  return types.find((type) => isNamed(type) && fits(type));
}

function kindIn(types: readonly ResourceType[], apiVersion: string, kind: string): ResourceType | undefined {
  return types.find(
    (type) =>
      apiVersion === (type.group === '' ? type.version : `${type.group}/${type.version}`) &&
      (kind === type.kind || kind === type.kind.toLowerCase()),
  );
}

const discoveryTypes = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json';

/** Aggregated discovery; nothing where the server does not offer it. */
async function discover(connection: ApiConnection, path: string, signal: AbortSignal): Promise<ResourceType[]> {
  const response = await connection.send('GET', path, { headers: { accept: discoveryTypes } }, signal);
  const list = parseJson(await bodyText(response.body));
  return itemsOf(list, 'items').flatMap((group) =>
    itemsOf(group, 'versions').flatMap((version) =>
      itemsOf(version, 'resources').map((resource) =>
        typeOf(textOf(fieldOf(group, 'metadata'), 'name'), textOf(version, 'version'), resource),
      ),
    ),
  );
}

function typeOf(group: string, version: string, resource: unknown): ResourceType {
  const kind = textOf(fieldOf(resource, 'responseKind'), 'kind');
  const texts = (name: string): string[] => itemsOf(resource, name).map(String);
  return {
    group,
    version,
    resource: textOf(resource, 'resource'),
    singular: textOf(resource, 'singularResource'),
    kind,
    model: kind,
    namespaced: textOf(resource, 'scope') === 'Namespaced',
    shortNames: texts('shortNames'),
    categories: texts('categories'),
    verbs: ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'],
    hasStatus: false,
    hasScale: false,
  };
}

/** A field of anything; `undefined` where there is none. */
export function fieldOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  // An object has fields of unknown types, whatever it is.
  return (value as Readonly<Record<string, unknown>>)[name];
}

/** A text field of anything; `''` where there is none. */
export function textOf(value: unknown, name: string): string {
  const field = fieldOf(value, name);
  return typeof field === 'string' ? field : '';
}

/** A list field of anything; empty where there is none. */
export function itemsOf(value: unknown, name: string): readonly unknown[] {
  const field = fieldOf(value, name);
  return Array.isArray(field) ? field : [];
}
