/**
 * Who may do what. Masters and our own components may do everything, a node what its kubelet does
 * (`authorize-node.ts`), who joins by a token may ask for certificates; every other authenticated user may only look at
 * discovery, health and versions, and ask what he may do. Rules per user (RBAC) are not served.
 */
import { bootstrappersGroup } from '../api/bootstrap-token.ts';
import { resources } from '../api/resources.ts';
import type { UserInfo } from '../base/http.ts';
import { StatusError } from '../base/status-error.ts';
import { forbidden } from './respond.ts';
import type { ResourceRoute } from './route.ts';

const trustedNames: ReadonlySet<string> = new Set([
  'system:kube-scheduler',
  'system:kube-controller-manager',
  'system:apiserver',
]);

/** May do everything. */
export function isTrusted(user: UserInfo): boolean {
  return trustedNames.has(user.name) || user.groups.includes('system:masters');
}

const nodePrefix = 'system:node:';

/** The node whose kubelet this is; `undefined`: it is somebody else. Upstream: `nodeidentifier`. */
export function nodeNameOf({ name, groups }: UserInfo): string | undefined {
  return groups.includes('system:nodes') && name.startsWith(nodePrefix) ? name.slice(nodePrefix.length) : undefined;
}

const bootstrapVerbs: readonly string[] = ['create', 'get', 'list', 'watch'];

/** Who joins by a token may ask for certificates, and see what became of it. Upstream: `system:node-bootstrapper`. */
export function isBootstrapRequest({ groups }: UserInfo, verb: string, { type, subresource }: ResourceRoute): boolean {
  return (
    groups.includes(bootstrappersGroup) &&
    type === resources.certificatesigningrequests &&
    subresource === '' &&
    bootstrapVerbs.includes(verb)
  );
}

const publicPaths = ['/api', '/apis', '/healthz', '/livez', '/readyz', '/version', '/openapi'];

/** Where whoever gets a token finds the key to check it with. */
export const issuerPaths = { configuration: '/.well-known/openid-configuration', keys: '/openid/v1/jwks' } as const;

/**
 * Whether any authenticated user may read this path that is no object; some only service accounts. Upstream:
 * `system:discovery`, `system:service-account-issuer-discovery`.
 */
export function isPublicPath(user: UserInfo, path: string): boolean {
  if (path === issuerPaths.configuration || path === issuerPaths.keys) {
    return user.groups.includes('system:serviceaccounts');
  }
  return publicPaths.some((open) => path === open || path.startsWith(`${open}/`));
}

export function forbidPath(user: UserInfo, method: string, path: string): StatusError {
  return new StatusError('Forbidden', `forbidden: User "${user.name}" cannot ${method.toLowerCase()} path "${path}"`, {
    details: {},
  });
}

export function forbidResource(user: UserInfo, verb: string, route: ResourceRoute, reason = ''): StatusError {
  const { type, namespace, name, subresource } = route;
  const resource = subresource === '' ? type.resource : `${type.resource}/${subresource}`;
  const scope = namespace === '' ? 'at the cluster scope' : `in the namespace "${namespace}"`;
  const what = `User "${user.name}" cannot ${verb} resource "${resource}" in API group "${type.group}" ${scope}`;
  return forbidden(type, name, reason === '' ? what : `${what}: ${reason}`);
}

export function unauthorized(): StatusError {
  return new StatusError('Unauthorized', 'Unauthorized');
}
