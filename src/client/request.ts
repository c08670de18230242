import type { DeleteOptions } from '../api/gen/types.ts';
import { apiVersionOf } from '../api/resources.ts';
import type { ResourceType } from '../api/resources.ts';
import { StatusError } from '../base/status-error.ts';
import type { ClientWatchOptions, ListOptions, PatchType, WriteOptions } from './client.ts';

/** A request before it is known who sends it, and how. */
export interface WireRequest {
  /** Upper case. */
  readonly method: string;
  /** Percent-encoded, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Which collection, object or subresource: fields that are absent are left out of the path. */
export interface PathRef {
  readonly namespace?: string;
  readonly name?: string;
  readonly subresource?: string;
}

const jsonHeaders = { accept: 'application/json' } as const;
const jsonBodyHeaders = { accept: 'application/json', 'content-type': 'application/json' } as const;

const contentTypeOfPatch = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
} as const satisfies Record<PatchType, string>;

/** `/api/v1`, `/apis/coordination.k8s.io/v1`. */
export function groupPath(type: Pick<ResourceType, 'group' | 'version'>): string {
  return type.group === '' ? `/api/${type.version}` : `/apis/${apiVersionOf(type)}`;
}

/** `/api/v1/namespaces/default/pods/web/status`. */
export function resourcePath(type: ResourceType, ref: PathRef): string {
  if (ref.name === '') throw new StatusError('BadRequest', 'resource name may not be empty');
  let path = groupPath(type);
  if (type.namespaced && ref.namespace !== undefined && ref.namespace !== '') {
    path += `/namespaces/${encodeURIComponent(ref.namespace)}`;
  } else if (type.namespaced && ref.name !== undefined) {
    throw new StatusError('BadRequest', 'an empty namespace may not be set when a resource name is provided');
  }
  path += `/${type.resource}`;
  if (ref.name !== undefined) path += `/${encodeURIComponent(ref.name)}`;
  if (ref.subresource !== undefined) path += `/${ref.subresource}`;
  return path;
}

export function getRequest(type: ResourceType, ref: PathRef): WireRequest {
  return {
    method: 'GET',
    path: resourcePath(type, ref),
    query: new URLSearchParams(),
    headers: jsonHeaders,
    body: '',
  };
}

export function listRequest(type: ResourceType, options: ListOptions): WireRequest {
  const query = selectorQuery(options);
  if (options.limit !== undefined) query.set('limit', String(options.limit));
  if (options.continueToken !== undefined) query.set('continue', options.continueToken);
  return { method: 'GET', path: resourcePath(type, namespaceOf(options)), query, headers: jsonHeaders, body: '' };
}

export function watchRequest(type: ResourceType, options: ClientWatchOptions): WireRequest {
  const query = selectorQuery(options);
  query.set('watch', 'true');
  if (options.allowWatchBookmarks === true) query.set('allowWatchBookmarks', 'true');
  return { method: 'GET', path: resourcePath(type, namespaceOf(options)), query, headers: jsonHeaders, body: '' };
}

/** The name counts only for a subresource: an object's own name is in its metadata. */
export function createRequest(type: ResourceType, ref: PathRef, object: unknown, options?: WriteOptions): WireRequest {
  const target = ref.subresource === undefined ? namespaceOf(ref) : ref;
  return writeRequest('POST', resourcePath(type, target), jsonBodyHeaders, object, options);
}

export function updateRequest(type: ResourceType, ref: PathRef, object: unknown, options?: WriteOptions): WireRequest {
  return writeRequest('PUT', resourcePath(type, ref), jsonBodyHeaders, object, options);
}

export function patchRequest(
  type: ResourceType,
  ref: PathRef,
  patch: { readonly type: PatchType; readonly body: unknown },
  options?: WriteOptions,
): WireRequest {
  const headers = { accept: 'application/json', 'content-type': contentTypeOfPatch[patch.type] };
  return writeRequest('PATCH', resourcePath(type, ref), headers, patch.body, options);
}

export function deleteRequest(type: ResourceType, ref: PathRef, options: DeleteOptions): WireRequest {
  const body = { apiVersion: 'v1', kind: 'DeleteOptions', ...options };
  return writeRequest('DELETE', resourcePath(type, ref), jsonBodyHeaders, body, undefined);
}

function writeRequest(
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  body: unknown,
  options: WriteOptions | undefined,
): WireRequest {
  const query = new URLSearchParams();
  if (options?.dryRun === true) query.set('dryRun', 'All');
  if (options?.fieldValidation !== undefined) query.set('fieldValidation', options.fieldValidation);
  if (options?.fieldManager !== undefined) query.set('fieldManager', options.fieldManager);
  return { method, path, query, headers, body: JSON.stringify(body) };
}

function namespaceOf(options: { readonly namespace?: string }): PathRef {
  return options.namespace === undefined ? {} : { namespace: options.namespace };
}

function selectorQuery(options: ListOptions | ClientWatchOptions): URLSearchParams {
  const query = new URLSearchParams();
  if (options.labelSelector !== undefined && options.labelSelector !== '') {
    query.set('labelSelector', options.labelSelector);
  }
  if (options.fieldSelector !== undefined && options.fieldSelector !== '') {
    query.set('fieldSelector', options.fieldSelector);
  }
  if (options.resourceVersion !== undefined) query.set('resourceVersion', options.resourceVersion);
  return query;
}
