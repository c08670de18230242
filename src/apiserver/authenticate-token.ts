/** Finds out who sends a bearer token. Upstream: the service account authenticator (`pkg/serviceaccount`). */
import {
  bootstrapSecretName,
  bootstrapTokenNamespace,
  parseBootstrapToken,
  tokenGroups,
  tokenProblem,
} from '../api/bootstrap-token.ts';
import type { BootstrapToken } from '../api/bootstrap-token.ts';
import type { Secret } from '../api/gen/types.ts';
import type { KubernetesObject } from '../api/resources.ts';
import type { Clock } from '../base/clock.ts';
import type { UserInfo } from '../base/http.ts';
import { parseTime } from '../api/time.ts';
import type { Registry } from './registry.ts';
import { notFound } from './respond.ts';
import { tokenIssuerName } from './token-issuer.ts';
import type { ObjectClaim, TokenClaims, TokenIssuer } from './token-issuer.ts';

/** Clocks may differ so much, and what was deleted is honoured so long. Upstream: `jwt.DefaultLeeway`. */
const leewayMs = 60_000;
const bearer = /^bearer +([^ ]+) *$/i;

export interface TokenAuthenticatorDeps {
  readonly tokens: TokenIssuer;
  readonly clock: Clock;
  /** Of the objects that tokens are bound to. */
  readonly registries: Readonly<Record<'serviceAccounts' | 'pods' | 'secrets' | 'nodes', Registry>>;
}

export type TokenVerdict =
  | {
      readonly kind: 'user';
      readonly user: UserInfo;
      /** Those that were asked for and that the token is for. */
      readonly audiences: readonly string[];
    }
  /** `problem`: upstream's words for it. */
  | { readonly kind: 'refused'; readonly problem: string };

/** The token of an `Authorization` header; `undefined`: there is none in it. */
export function bearerToken(header: string | undefined): string | undefined {
  return header === undefined ? undefined : bearer.exec(header)?.[1];
}

export class TokenAuthenticator {
  readonly #deps: TokenAuthenticatorDeps;

  constructor(deps: TokenAuthenticatorDeps) {
    this.#deps = deps;
  }

  /** `audiences`: one of these the token must be for. Default: this server. */
  async authenticate(
    token: string,
    signal: AbortSignal,
    audiences: readonly string[] = [tokenIssuerName],
  ): Promise<TokenVerdict> {
    const bootstrap = parseBootstrapToken(token);
    if (bootstrap !== undefined) return await this.#bootstrapVerdict(bootstrap, audiences, signal);
    const claims = await this.#deps.tokens.verify(token);
    if (claims === undefined || claims.iss !== tokenIssuerName) return refused('invalid bearer token');
    const common = claims.aud.filter((audience) => audiences.includes(audience));
    if (common.length === 0) {
      return refused(`token audiences ${quoted(claims.aud)} is invalid for the target audiences ${quoted(audiences)}`);
    }
    const problem = this.#timeProblem(claims) ?? (await this.#bindingProblem(claims, signal));
    return problem === undefined ? { kind: 'user', user: userOf(claims), audiences: common } : refused(problem);
  }

  /** Upstream: `TokenAuthenticator` in `plugin/pkg/auth/authenticator/token/bootstrap`. */
  async #bootstrapVerdict(
    token: BootstrapToken,
    audiences: readonly string[],
    signal: AbortSignal,
  ): Promise<TokenVerdict> {
    const { registries, clock } = this.#deps;
    const name = bootstrapSecretName(token.id);
    // It comes from the registry of secrets.
    const secret = (await this.#find(registries.secrets, bootstrapTokenNamespace, { name }, signal)) as
      | Secret
      | undefined;
    if (secret === undefined) return refused(`there is no bootstrap token ${token.id}`);
    const problem = tokenProblem(secret, token, clock.wallMs());
    if (problem !== undefined) return refused(problem);
    const user = { name: `system:bootstrap:${token.id}`, groups: tokenGroups(secret) };
    return { kind: 'user', user, audiences: audiences.filter((audience) => audience === tokenIssuerName) };
  }

  #timeProblem({ exp, nbf }: TokenClaims): string | undefined {
    const nowWallMs = this.#deps.clock.wallMs();
    if (nowWallMs > exp * 1_000 + leewayMs) return 'service account token has expired';
    return nowWallMs < nbf * 1_000 - leewayMs ? 'service account token is not valid yet' : undefined;
  }

  /** What it is bound to must still be there, and be the same. */
  async #bindingProblem(claims: TokenClaims, signal: AbortSignal): Promise<string | undefined> {
    const { namespace, serviceaccount, pod, secret, node } = claims['kubernetes.io'];
    const { serviceAccounts, pods, secrets, nodes } = this.#deps.registries;
    const account = await this.#find(serviceAccounts, namespace, serviceaccount, signal);
    if (account === undefined) return notFound(serviceAccounts.type, serviceaccount.name).message;
    if (this.#isGone(account)) return `service account ${namespace}/${serviceaccount.name} has been deleted`;
    const { uid = '' } = account.metadata ?? {};
    if (uid !== serviceaccount.uid) return `service account UID (${uid}) does not match claim (${serviceaccount.uid})`;
    const invalidated = 'service account token has been invalidated';
    for (const [registry, bound, what] of [
      [secrets, secret, 'secret'],
      [pods, pod, 'pod'],
    ] as const) {
      if (bound === undefined) continue;
      const object = await this.#find(registry, namespace, bound, signal);
      if (object === undefined || this.#isGone(object)) return invalidated;
      if (object.metadata?.uid !== bound.uid) return mismatch(what, object, bound);
    }
    // The node of a pod is only told.
    if (node === undefined || pod !== undefined) return undefined;
    const object = await this.#find(nodes, '', node, signal);
    if (object === undefined) return invalidated;
    return object.metadata?.uid === node.uid ? undefined : mismatch('node', object, node);
  }

  async #find(
    registry: Registry,
    namespace: string,
    { name }: ObjectClaim,
    signal: AbortSignal,
  ): Promise<KubernetesObject | undefined> {
    const cached = registry.cache.get(registry.key(namespace, name));
    if (cached !== undefined) return cached.object;
    const item = await registry.find(namespace, name, signal);
    return item === undefined ? undefined : registry.cache.intern(item).object;
  }

  #isGone({ metadata }: KubernetesObject): boolean {
    const deletedMs = metadata?.deletionTimestamp === undefined ? undefined : parseTime(metadata.deletionTimestamp);
    return deletedMs !== undefined && deletedMs < this.#deps.clock.wallMs() - leewayMs;
  }
}

function refused(problem: string): TokenVerdict {
  return { kind: 'refused', problem };
}

function mismatch(what: string, { metadata }: KubernetesObject, claim: ObjectClaim): string {
  return `${what} UID (${metadata?.uid ?? ''}) does not match service account ${what} ref claim (${claim.uid ?? ''})`;
}

function quoted(audiences: readonly string[]): string {
  return `[${audiences.map((audience) => JSON.stringify(audience)).join(' ')}]`;
}

/** Upstream: `ServiceAccountInfo.UserInfo`. */
function userOf(claims: TokenClaims): UserInfo {
  const { namespace, serviceaccount, pod, node } = claims['kubernetes.io'];
  const extra: Record<string, readonly string[]> = {};
  const tell = (name: string, value: string | undefined): void => {
    if (value !== undefined && value !== '') extra[`authentication.kubernetes.io/${name}`] = [value];
  };
  tell('credential-id', `JTI=${claims.jti}`);
  tell('node-name', node?.name);
  tell('node-uid', node?.uid);
  tell('pod-name', pod?.name);
  tell('pod-uid', pod?.uid);
  return {
    name: claims.sub,
    ...(serviceaccount.uid === undefined ? {} : { uid: serviceaccount.uid }),
    groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
    extra,
  };
}
