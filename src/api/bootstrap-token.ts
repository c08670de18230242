/** Tokens by which new nodes join: secrets of one type in kube-system. Upstream: `cluster-bootstrap/token`. */
import type { Secret } from './gen/types.ts';
import { parseTime } from './time.ts';

export const bootstrapTokenType = 'bootstrap.kubernetes.io/token';
export const bootstrapTokenNamespace = 'kube-system';
export const bootstrappersGroup = 'system:bootstrappers';
export const bootstrapTokenIdLength = 6;
export const bootstrapTokenSecretLength = 16;
const tokenPattern = /^([a-z0-9]{6})\.([a-z0-9]{16})$/;
const extraGroupPattern = /^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/;

export interface BootstrapToken {
  readonly id: string;
  readonly secret: string;
}

/** `undefined`: it does not look like one. */
export function parseBootstrapToken(text: string): BootstrapToken | undefined {
  const [, id, secret] = tokenPattern.exec(text) ?? [];
  return id === undefined || secret === undefined ? undefined : { id, secret };
}

export function bootstrapSecretName(id: string): string {
  return `bootstrap-token-${id}`;
}

/** A field of the secret as text; `''` if it has none. */
export function tokenField({ data }: Secret, name: string): string {
  try {
    return atob(data?.[name] ?? '');
  } catch {
    return ''; // no base64: as good as none
  }
}

/** Milliseconds since 1970; `undefined`: never. One that cannot be read has passed. */
export function expiryOf(secret: Secret): number | undefined {
  const text = tokenField(secret, 'expiration');
  return text === '' ? undefined : (parseTime(text) ?? 0);
}

/** Why nobody may come in by this secret with this token at `nowWallMs`; `undefined`: he may. */
export function tokenProblem(secret: Secret, token: BootstrapToken, nowWallMs: number): string | undefined {
  const name = secret.metadata?.name ?? '';
  if (secret.type !== bootstrapTokenType) return `secret ${name} is no bootstrap token`;
  if (secret.metadata?.deletionTimestamp !== undefined) return `bootstrap token ${token.id} is being deleted`;
  // Both are compared whole, however much of them is right.
  const isRight = isSameText(tokenField(secret, 'token-secret'), token.secret);
  if (tokenField(secret, 'token-id') !== token.id || !isRight) return `bootstrap token ${token.id} has another secret`;
  const expiry = expiryOf(secret);
  if (expiry !== undefined && expiry <= nowWallMs) return `bootstrap token ${token.id} has expired`;
  if (tokenField(secret, 'usage-bootstrap-authentication') === 'true') return undefined;
  return `bootstrap token ${token.id} is not for authentication`;
}

/** Takes as long for a right text as for a wrong one. */
function isSameText(a: string, b: string): boolean {
  let difference = a.length ^ b.length;
  for (let at = 0; at < b.length; at++) difference |= a.charCodeAt(at) ^ b.charCodeAt(at);
  return difference === 0;
}

/** Groups of who comes in by it. */
export function tokenGroups(secret: Secret): string[] {
  const extra = tokenField(secret, 'auth-extra-groups')
    .split(',')
    .filter((group) => extraGroupPattern.test(group));
  return [bootstrappersGroup, ...extra, 'system:authenticated'];
}
