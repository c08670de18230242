/** Acting as somebody else: `kubectl --as`, `--as-group`, `--as-uid`. Upstream: `WithImpersonation`. */
import type { UserInfo } from '../base/http.ts';
import { StatusError } from '../base/status-error.ts';
import { isTrusted } from './authorize.ts';
import { forbidden } from './respond.ts';

const prefix = 'impersonate-';
const extraPrefix = 'impersonate-extra-';
const serviceAccount = /^system:serviceaccount:([^:]+):([^:]+)$/;

/**
 * The user whose rights count: `user`, or the one that the headers name. Only who may do everything may act as another;
 * `Forbidden` for the others.
 */
export function actingUser(user: UserInfo, headers: Readonly<Record<string, string>>): UserInfo {
  const asked = Object.keys(headers).filter((name) => name.startsWith(prefix));
  if (asked.length === 0) return user;
  const name = headers['impersonate-user'] ?? '';
  if (name === '') {
    throw new StatusError('InternalError', `requested [${asked.join(', ')}] without impersonating a user`);
  }
  if (!isTrusted(user)) throw forbidImpersonation(user, name);
  const uid = headers['impersonate-uid'];
  const extra = Object.fromEntries(
    asked
      .filter((header) => header.startsWith(extraPrefix))
      .map((header) => [keyOf(header), valuesOf(headers[header])]),
  );
  return {
    name,
    groups: groupsOf(name, valuesOf(headers['impersonate-group'])),
    ...(uid === undefined ? {} : { uid }),
    ...(Object.keys(extra).length === 0 ? {} : { extra }),
  };
}

/** A header that came several times was joined with commas on its way here. */
function valuesOf(header = ''): readonly string[] {
  return header.split(', ').filter((value) => value !== '');
}

function keyOf(header: string): string {
  const escaped = header.slice(extraPrefix.length);
  try {
    return decodeURIComponent(escaped);
  } catch {
    return escaped; // it is not escaped: as upstream takes it
  }
}

function groupsOf(name: string, asked: readonly string[]): readonly string[] {
  const [, namespace] = serviceAccount.exec(name) ?? [];
  const groups =
    namespace === undefined || asked.length > 0
      ? asked
      : ['system:serviceaccounts', `system:serviceaccounts:${namespace}`];
  if (groups.includes('system:authenticated') || groups.includes('system:unauthenticated')) return groups;
  return [...groups, name === 'system:anonymous' ? 'system:unauthenticated' : 'system:authenticated'];
}

function forbidImpersonation(user: UserInfo, name: string): StatusError {
  const [, namespace, account] = serviceAccount.exec(name) ?? [];
  const resource = namespace === undefined ? 'users' : 'serviceaccounts';
  const scope = namespace === undefined ? 'at the cluster scope' : `in the namespace "${namespace}"`;
  const text = `User "${user.name}" cannot impersonate resource "${resource}" in API group "" ${scope}`;
  return forbidden({ group: '', resource }, account ?? name, text);
}
