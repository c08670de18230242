/**
 * OpenAPI descriptions of what is served: from them kubectl knows that the server checks fields itself, computes its
 * patches, and explains kinds. Version 3 has a document for each group version, version 2 one for all.
 */
import { apiVersionOf, scaleType } from '../api/resources.ts';
import { hashOf } from './content-hash.ts';
import type { ResourceType, Verb } from '../api/resources.ts';
import type { HttpRequest, HttpResponse } from '../base/http.ts';
import type { Discovery, ServedResource } from './discovery.ts';
import { encodeOpenApiV2 } from './openapi-v2-protobuf.ts';
import { collectSchemas, listSchema, schemaName } from './openapi-schemas.ts';
import type { GroupVersionKind, JsonSchema, SchemaDialect } from './openapi-schemas.ts';
import { noSuchPath } from './respond.ts';

const v3: SchemaDialect = { refPrefix: '#/components/schemas/', hasOneOf: true };
const v2: SchemaDialect = { refPrefix: '#/definitions/', hasOneOf: false };

/** Clients ask for it with an `@`, which no media type may have; answers have a dot there. */
const protobufV2Accept = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf';
const protobufV2Type = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';

interface Document {
  readonly body: string | Uint8Array;
  readonly contentType: string;
  readonly etag: string;
}

export class OpenApi {
  readonly #discovery: Discovery;
  readonly #version: string;
  readonly #documents = new Map<string, Document>(); // one for each group version, and two of version 2

  /** `version`: of the server, for the documents' heads. */
  constructor(discovery: Discovery, version: string) {
    this.#discovery = discovery;
    this.#version = version;
  }

  /** `rest`: the parts of the path after `/openapi`. */
  handle(request: HttpRequest, rest: readonly string[]): HttpResponse {
    const [version, ...path] = rest;
    if (version === 'v2' && path.length === 0) return answer(request, this.#v2(request.headers['accept'] ?? ''));
    if (version !== 'v3') throw noSuchPath();
    if (path.length === 0) return answer(request, this.#v3Index());
    const name = path.join('/');
    if (!this.#v3Names().includes(name)) throw noSuchPath();
    return answer(request, this.#v3(name));
  }

  /** `api/v1`, `apis/GROUP/VERSION`. */
  #v3Names(): string[] {
    return this.#discovery
      .groupVersionNames()
      .map((groupVersion) => (groupVersion.includes('/') ? `apis/${groupVersion}` : `api/${groupVersion}`));
  }

  #v3Index(): Document {
    const paths: Record<string, object> = {};
    for (const name of this.#v3Names()) {
      paths[name] = { serverRelativeURL: `/openapi/v3/${name}?hash=${this.#v3(name).etag}` };
    }
    return jsonDocument({ paths });
  }

  #v3(name: string): Document {
    const known = this.#documents.get(name);
    if (known !== undefined) return known;
    const parts = name.split('/');
    const [group = '', version = ''] = parts[0] === 'api' ? ['', parts[1]] : [parts[1], parts[2]];
    const served = this.#discovery.resourcesOf(group, version);
    const document = jsonDocument({
      openapi: '3.0.0',
      info: { title: 'Kubernetes', version: this.#version },
      paths: Object.fromEntries(served.flatMap((resource) => pathsOf(resource, v3Operations))),
      components: { schemas: schemasOf(served, v3) },
    });
    this.#documents.set(name, document);
    return document;
  }

  #v2(accept: string): Document {
    const wantsProtobuf = accept
      .split(',')
      .map((range) => range.split(';')[0]?.trim())
      .some((type) => type === protobufV2Accept || type === protobufV2Type);
    const key = wantsProtobuf ? 'v2.protobuf' : 'v2.json';
    let document = this.#documents.get(key);
    if (document !== undefined) return document;
    const served = this.#discovery
      .groupVersionNames()
      .flatMap((name) =>
        this.#discovery.resourcesOf(
          name.includes('/') ? name.slice(0, name.indexOf('/')) : '',
          name.slice(name.indexOf('/') + 1),
        ),
      );
    const content = {
      swagger: '2.0',
      info: { title: 'Kubernetes', version: this.#version },
      paths: Object.fromEntries(served.flatMap((resource) => pathsOf(resource, v2Operations))),
      definitions: schemasOf(served, v2),
    };
    document = wantsProtobuf ? protobufDocument(encodeOpenApiV2(content)) : jsonDocument(content);
    this.#documents.set(key, document);
    return document;
  }
}

function answer(request: HttpRequest, document: Document): HttpResponse {
  const headers = { 'content-type': document.contentType, etag: `"${document.etag}"`, vary: 'Accept' };
  const hash = request.query.get('hash');
  if (hash !== null && hash !== document.etag) {
    // The client has an old index; upstream leads it to the document of today, too.
    return { status: 301, headers: { location: `${request.path}?hash=${document.etag}` }, body: '' };
  }
  if (request.headers['if-none-match'] === headers.etag) return { status: 304, headers, body: '' };
  // An address with a hash always means the same document.
  const caching = hash === null ? 'no-cache, private' : 'public, immutable, max-age=31536000';
  return { status: 200, headers: { ...headers, 'cache-control': caching }, body: document.body };
}

function jsonDocument(content: object): Document {
  const body = JSON.stringify(content);
  return { body, contentType: 'application/json', etag: hashOf(body) };
}

function protobufDocument(body: Uint8Array): Document {
  let text = '';
  for (const byte of body) text += String.fromCharCode(byte);
  return { body, contentType: protobufV2Type, etag: hashOf(text) };
}

function gvkOf(type: ResourceType): GroupVersionKind {
  return { group: type.group, kind: type.kind, version: type.version };
}

const optionsModels = ['DeleteOptions', 'ListMeta', 'Status'];

function schemasOf(served: readonly ServedResource[], dialect: SchemaDialect): Record<string, JsonSchema> {
  const hasScale = served.some(({ type }) => type.hasScale);
  const roots = [...served.map(({ type }) => type.model), ...(hasScale ? [scaleType.model] : []), ...optionsModels];
  const schemas = collectSchemas(roots, dialect);
  for (const type of [...served.map((one) => one.type), ...(hasScale ? [scaleType] : [])]) {
    const name = schemaName(type.model);
    const schema = schemas.get(name);
    if (schema === undefined) continue;
    schemas.set(name, { ...schema, 'x-kubernetes-group-version-kind': [gvkOf(type)] });
    if (type.verbs.includes('list')) schemas.set(`${name}List`, listSchema(name, gvkOf(type), dialect));
  }
  return Object.fromEntries([...schemas].sort(([a], [b]) => (a < b ? -1 : 1)));
}

interface OperationSpec {
  readonly action: string;
  readonly gvk: GroupVersionKind;
  readonly parameters: readonly string[];
  /** Model of the body. */
  readonly body: string | undefined;
  readonly answer: string;
}

/** Writes operations in the words of one version of OpenAPI. */
interface OperationDialect {
  operation(spec: OperationSpec): object;
  pathParameter(name: string): object;
}

const booleanParameters: ReadonlySet<string> = new Set(['watch', 'allowWatchBookmarks', 'sendInitialEvents']);
const integerParameters: ReadonlySet<string> = new Set(['limit', 'timeoutSeconds', 'gracePeriodSeconds']);

function parameterType(name: string): 'boolean' | 'integer' | 'string' {
  return booleanParameters.has(name) ? 'boolean' : integerParameters.has(name) ? 'integer' : 'string';
}

const v3Operations: OperationDialect = {
  operation: ({ action, gvk, parameters, body, answer: answered }) => ({
    ...(body === undefined
      ? {}
      : {
          requestBody: { content: { '*/*': { schema: { $ref: v3.refPrefix + body } } }, required: action !== 'delete' },
        }),
    parameters: parameters.map((name) => ({
      name,
      in: 'query',
      schema: { type: parameterType(name), uniqueItems: true },
    })),
    responses: {
      '200': { description: 'OK', content: { 'application/json': { schema: { $ref: v3.refPrefix + answered } } } },
    },
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': gvk,
  }),
  pathParameter: (name) => ({ name, in: 'path', required: true, schema: { type: 'string', uniqueItems: true } }),
};

const v2Operations: OperationDialect = {
  operation: ({ action, gvk, parameters, body, answer: answered }) => ({
    consumes: ['*/*'],
    produces: ['application/json'],
    parameters: [
      ...(body === undefined
        ? []
        : [{ name: 'body', in: 'body', required: action !== 'delete', schema: { $ref: v2.refPrefix + body } }]),
      ...parameters.map((name) => ({ name, in: 'query', type: parameterType(name), uniqueItems: true })),
    ],
    responses: { '200': { description: 'OK', schema: { $ref: v2.refPrefix + answered } } },
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': gvk,
  }),
  pathParameter: (name) => ({ name, in: 'path', required: true, type: 'string', uniqueItems: true }),
};

const listParameters = [
  'allowWatchBookmarks',
  'continue',
  'fieldSelector',
  'labelSelector',
  'limit',
  'resourceVersion',
  'resourceVersionMatch',
  'sendInitialEvents',
  'timeoutSeconds',
  'watch',
];
const writeParameters = ['dryRun', 'fieldManager', 'fieldValidation'];
const deleteParameters = ['dryRun', 'gracePeriodSeconds', 'propagationPolicy'];

function pathsOf({ type, subresources }: ServedResource, dialect: OperationDialect): [string, object][] {
  const base = type.group === '' ? '/api/v1' : `/apis/${apiVersionOf(type)}`;
  const collection = type.namespaced ? `${base}/namespaces/{namespace}/${type.resource}` : `${base}/${type.resource}`;
  const inNamespace = type.namespaced ? [dialect.pathParameter('namespace')] : [];
  const name = schemaName(type.model);
  const gvk = gvkOf(type);
  const can = (verb: Verb): boolean => type.verbs.includes(verb);
  const operation = (action: string, parameters: readonly string[], body?: string, answered = name): object =>
    dialect.operation({ action, gvk, parameters, body, answer: answered });
  const status = schemaName('Status');
  const deleteOptions = schemaName('DeleteOptions');
  const list = operation('list', listParameters, undefined, `${name}List`);
  const paths: [string, object][] = [
    [
      collection,
      {
        ...(can('list') ? { get: list } : {}),
        ...(can('create') ? { post: operation('post', writeParameters, name) } : {}),
        ...(can('deletecollection')
          ? { delete: operation('deletecollection', [...listParameters, ...deleteParameters], deleteOptions, status) }
          : {}),
        parameters: inNamespace,
      },
    ],
  ];
  if (type.namespaced && can('list')) paths.push([`${base}/${type.resource}`, { get: list }]);
  if (!can('get')) return paths;
  const onObject = [dialect.pathParameter('name'), ...inNamespace];
  const patch = schemaName('Status'); // any body: upstream's Patch is an empty object
  paths.push([
    `${collection}/{name}`,
    {
      get: operation('get', []),
      put: operation('put', writeParameters, name),
      patch: operation('patch', [...writeParameters, 'force'], patch),
      delete: operation('delete', deleteParameters, deleteOptions, status),
      parameters: onObject,
    },
  ]);
  for (const subresource of subresources) {
    if (subresource.name !== 'status' && subresource.name !== 'scale') continue;
    const shown = subresource.name === 'status' ? name : schemaName(subresource.kind);
    paths.push([
      `${collection}/{name}/${subresource.name}`,
      {
        get: operation('get', [], undefined, shown),
        put: operation('put', writeParameters, shown, shown),
        patch: operation('patch', [...writeParameters, 'force'], patch, shown),
        parameters: onObject,
      },
    ]);
  }
  return paths;
}
