/**
 * Who may do what. Masters and our own components may do everything; every other authenticated user may only look at
 * discovery, health and versions, and ask what he may do. Rules per user (RBAC) are not served.
 */
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
  if (trustedNames.has(user.name)) return true;
  for (const group of user.groups) {
    if (group === 'system:masters') return true;
    if (group === 'system:nodes' && user.name.startsWith('system:node:')) return true;
  }
  return false;
}

const publicPaths = ['/api', '/apis', '/healthz', '/livez', '/readyz', '/version', '/openapi'];

/** Whether any authenticated user may read this path that is no object. Upstream: `system:discovery`. */
export function isPublicPath(path: string): boolean {
  return publicPaths.some((open) => path === open || path.startsWith(`${open}/`));
}

export function forbidPath(user: UserInfo, method: string, path: string): StatusError {
  return new StatusError('Forbidden', `forbidden: User "${user.name}" cannot ${method.toLowerCase()} path "${path}"`, {
    details: {},
  });
}

export function forbidResource(user: UserInfo, verb: string, route: ResourceRoute): StatusError {
  const { type, namespace, name, subresource } = route;
  const resource = subresource === '' ? type.resource : `${type.resource}/${subresource}`;
  const scope = namespace === '' ? 'at the cluster scope' : `in the namespace "${namespace}"`;
  const what = `User "${user.name}" cannot ${verb} resource "${resource}" in API group "${type.group}" ${scope}`;
  return forbidden(type, name, what);
}

export function unauthorized(): StatusError {
  return new StatusError('Unauthorized', 'Unauthorized');
}
