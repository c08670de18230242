/** Which resource, object and subresource a path names. Upstream: `RequestInfo`. */
import type { ResourceType } from '../api/resources.ts';

export interface ResourceRoute {
  readonly kind: 'resource';
  readonly type: ResourceType;
  /** `''`: cluster-wide, or all namespaces. */
  readonly namespace: string;
  /** `''`: the collection. */
  readonly name: string;
  /** `''`: the object itself. */
  readonly subresource: string;
  /** What follows the subresource, still encoded, without a leading slash: `metrics` of `nodes/a/proxy/metrics`. */
  readonly rest: string;
  /** The path had the old `/watch/` prefix. */
  readonly watchPrefix: boolean;
}

export type Route =
  | ResourceRoute
  /** Discovery, health, OpenAPI, ... `path` has no trailing slash, but for `/`. */
  | { readonly kind: 'path'; readonly path: string }
  /** A group, version or resource that is not served, or a path that cannot be decoded. */
  | { readonly kind: 'unknown' };

const unknown = { kind: 'unknown' } as const;

/** Finds served resources by group, version and plural name. */
export class Router {
  readonly #typesByGroupVersion = new Map<string, Map<string, ResourceType>>(); // 'v1' or 'group/v1' -> plural -> type

  constructor(types: Iterable<ResourceType>) {
    for (const type of types) {
      const groupVersion = `${type.group}/${type.version}`;
      let byName = this.#typesByGroupVersion.get(groupVersion);
      if (byName === undefined) this.#typesByGroupVersion.set(groupVersion, (byName = new Map()));
      byName.set(type.resource, type);
    }
  }

  /** `path`: percent-encoded, without query. */
  route(path: string): Route {
    const encoded = path.split('/'); // [0] is ''
    const parts = path.includes('%') ? decodeParts(encoded) : encoded;
    if (parts === undefined) return unknown;
    const rest = (from: number): string => encoded.slice(from).join('/');
    if (parts[1] === 'api' && parts.length > 3 && parts[3] !== '') return this.#resource('', parts, 2, rest);
    if (parts[1] === 'apis' && parts.length > 4 && parts[4] !== '') {
      return this.#resource(parts[2] ?? '', parts, 3, rest);
    }
    const trimmed = path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
    return { kind: 'path', path: trimmed };
  }

  #resource(group: string, parts: readonly string[], versionIndex: number, rest: (from: number) => string): Route {
    const byName = this.#typesByGroupVersion.get(`${group}/${parts[versionIndex] ?? ''}`);
    if (byName === undefined) return unknown;
    let at = versionIndex + 1;
    const watchPrefix = parts[at] === 'watch';
    if (watchPrefix) at += 1;
    let namespace = '';
    const inNamespace = parts[at] === 'namespaces' && parts.length > at + 2 && !isNamespaceSubresource(parts, at);
    if (inNamespace) {
      namespace = parts[at + 1] ?? '';
      if (namespace === '') return unknown;
      at += 2;
    }
    const type = byName.get(parts[at] ?? '');
    if (type === undefined || (inNamespace && !type.namespaced)) return unknown;
    const name = parts[at + 1] ?? '';
    if (name === '' && parts.length > at + 2) return unknown;
    if (name !== '' && type.namespaced && namespace === '') return unknown;
    return {
      kind: 'resource',
      type,
      namespace,
      name,
      subresource: parts[at + 2] ?? '',
      rest: rest(at + 3),
      watchPrefix,
    };
  }
}

/**
 * `/namespaces/NAME/status` and `/finalize` are about the namespace; all other third parts are a resource inside it.
 */
function isNamespaceSubresource(parts: readonly string[], at: number): boolean {
  const third = parts[at + 2];
  return third === 'status' || third === 'finalize' || third === '';
}

/** `undefined`: not valid percent-encoding. */
function decodeParts(parts: readonly string[]): string[] | undefined {
  try {
    return parts.map(decodeURIComponent);
  } catch {
    return undefined;
  }
}
