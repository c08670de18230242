/** Answers what is about who somebody is: tokens of service accounts, whose a token is, who am I. */
import { applyDefaults } from '../api/defaulting.ts';
import type { Draft } from '../api/draft.ts';
import { invalid, invalidError, joinErrorTexts } from '../api/field-error.ts';
import type {
  BoundObjectReference,
  Pod,
  SelfSubjectReview,
  TokenRequest,
  TokenReview,
  TokenReviewStatus,
} from '../api/gen/types.ts';
import { encodeProtobuf } from '../api/protobuf/encode.ts';
import { apiVersionOf, resources, tokenRequests } from '../api/resources.ts';
import type { ResourceType } from '../api/resources.ts';
import { formatTime } from '../api/time.ts';
import { validateCreate } from '../api/validation/validate.ts';
import { randomUuid } from '../base/entropy.ts';
import type { Entropy } from '../base/entropy.ts';
import type { HttpRequest, HttpResponse, UserInfo } from '../base/http.ts';
import { StatusError } from '../base/status-error.ts';
import type { TokenAuthenticator, TokenAuthenticatorDeps } from './authenticate-token.ts';
import { checkNodeToken, otherUid } from './node-token.ts';
import { mediaTypeOf, negotiate } from './negotiate.ts';
import { parseWriteQuery } from './query-options.ts';
import type { BodyReader, YamlCodec } from './request-body.ts';
import { conflict } from './respond.ts';
import type { ResourceRoute } from './route.ts';
import type { FullObject } from './stored-object.ts';
import { tokenIssuerName } from './token-issuer.ts';
import type { ObjectClaim, TokenClaims } from './token-issuer.ts';

/** Tokens of volumes live so long by name, and in truth longer: upstream tells by it who does not read them anew. */
const warnedTokenSeconds = 3_607;
const extendedTokenSeconds = 365 * 24 * 3_600;

export interface AuthenticationRequestsDeps extends TokenAuthenticatorDeps {
  readonly authenticator: TokenAuthenticator;
  readonly entropy: Entropy;
  readonly reader: BodyReader;
  readonly yaml?: YamlCodec | undefined;
}

interface Bound {
  readonly kind: 'pod' | 'secret' | 'node';
  readonly claim: ObjectClaim;
  /** Of a pod that is bound to one. */
  readonly node?: ObjectClaim;
}

export class AuthenticationRequests {
  readonly #deps: AuthenticationRequestsDeps;

  constructor(deps: AuthenticationRequestsDeps) {
    this.#deps = deps;
  }

  /** POST to the subresource `token` of a service account. Upstream: `TokenREST`. */
  async token(request: HttpRequest, route: ResourceRoute, user: UserInfo, signal: AbortSignal): Promise<HttpResponse> {
    const { reader, clock, entropy, tokens, registries } = this.#deps;
    const { fieldValidation } = parseWriteQuery(request.query, 'CreateOptions');
    const read = reader.readObject(tokenRequests, request, fieldValidation);
    // It was decoded as one.
    const asked = applyDefaults(tokenRequests, read.object as Draft<FullObject & TokenRequest>);
    matchAccount(asked, route);
    const account = (await registries.serviceAccounts.get(route.namespace, route.name, signal)).object;
    const errors = validateCreate(tokenRequests, asked);
    if (errors.length > 0) throw invalidError(tokenRequests, '', errors);
    const { boundObjectRef, expirationSeconds = 0 } = asked.spec;
    const pods = registries.pods;
    await checkNodeToken({ user, account: route.name, spec: asked.spec, namespace: route.namespace, pods }, signal);
    const bound = boundObjectRef === undefined ? undefined : await this.#bound(boundObjectRef, route, signal);
    const nowSeconds = Math.floor(clock.wallMs() / 1_000);
    const audiences = asked.spec.audiences.length === 0 ? [tokenIssuerName] : asked.spec.audiences;
    const isWarned =
      bound?.kind === 'pod' &&
      expirationSeconds === warnedTokenSeconds &&
      audiences.every((audience) => audience === tokenIssuerName);
    const { uid = '' } = account.metadata;
    const claims: TokenClaims = {
      aud: audiences,
      exp: nowSeconds + (isWarned ? extendedTokenSeconds : expirationSeconds),
      iat: nowSeconds,
      iss: tokenIssuerName,
      jti: randomUuid(entropy),
      'kubernetes.io': {
        namespace: route.namespace,
        ...(bound?.node === undefined ? {} : { node: bound.node }),
        ...(bound === undefined ? {} : { [bound.kind]: bound.claim }),
        serviceaccount: { name: route.name, uid },
        ...(isWarned ? { warnafter: nowSeconds + expirationSeconds } : {}),
      },
      nbf: nowSeconds,
      sub: `system:serviceaccount:${route.namespace}:${route.name}`,
    };
    const { name, namespace } = route;
    return this.#answer<TokenRequest>(request, tokenRequests, {
      metadata: { name, namespace, creationTimestamp: formatTime(clock.wallMs()) },
      spec: { ...asked.spec, audiences },
      status: {
        token: await tokens.issue(claims),
        expirationTimestamp: formatTime((nowSeconds + expirationSeconds) * 1_000),
      },
    });
  }

  async #bound(ref: BoundObjectReference, route: ResourceRoute, signal: AbortSignal): Promise<Bound> {
    const { kind = '', name = '', apiVersion = '' } = ref;
    const { registries } = this.#deps;
    const isCore = !apiVersion.includes('/');
    const found: { kind: Bound['kind']; object: FullObject } | undefined =
      isCore && kind === 'Pod'
        ? { kind: 'pod', object: (await registries.pods.get(route.namespace, name, signal)).object }
        : isCore && kind === 'Secret'
          ? { kind: 'secret', object: (await registries.secrets.get(route.namespace, name, signal)).object }
          : isCore && kind === 'Node'
            ? { kind: 'node', object: (await registries.nodes.get('', name, signal)).object }
            : undefined;
    if (found === undefined) {
      const [group, version] = isCore ? ['', apiVersion] : apiVersion.split('/', 2);
      const text = `cannot bind token to object of type ${group}/${version}, Kind=${kind}`;
      throw new StatusError('BadRequest', text);
    }
    const { uid = '' } = found.object.metadata;
    // It comes from the registry of pods if it is one.
    const spec = found.kind === 'pod' ? (found.object as Pod).spec : undefined;
    if (found.kind === 'pod' && spec?.serviceAccountName !== route.name) {
      const account = JSON.stringify(route.name);
      const text = `cannot bind token for serviceaccount ${account} to pod running with different serviceaccount name.`;
      throw new StatusError('BadRequest', text);
    }
    if (ref.uid !== undefined && ref.uid !== uid)
      throw conflict({ group: '', resource: kind }, name, otherUid(ref.uid));
    const node = spec?.nodeName === undefined ? undefined : await this.#nodeOf(spec.nodeName, signal);
    return { kind: found.kind, claim: { name, uid }, ...(node === undefined ? {} : { node }) };
  }

  async #nodeOf(name: string, signal: AbortSignal): Promise<ObjectClaim> {
    const { nodes } = this.#deps.registries;
    const item = await nodes.find('', name, signal);
    const uid = item === undefined ? undefined : nodes.cache.intern(item).object.metadata.uid;
    return uid === undefined ? { name } : { name, uid };
  }

  /** POST to `tokenreviews` or `selfsubjectreviews`. */
  async review(
    request: HttpRequest,
    { type }: ResourceRoute,
    user: UserInfo,
    signal: AbortSignal,
  ): Promise<HttpResponse> {
    const { fieldValidation } = parseWriteQuery(request.query, 'CreateOptions');
    const { object } = this.#deps.reader.readObject(type, request, fieldValidation);
    const metadata = { creationTimestamp: formatTime(this.#deps.clock.wallMs()) };
    if (type === resources.selfsubjectreviews) {
      const status = { userInfo: userObject(user) };
      return this.#answer<SelfSubjectReview>(request, resources.selfsubjectreviews, { metadata, status });
    }
    // Only these two kinds come here, and it was decoded as the other one.
    const { spec } = object as unknown as TokenReview;
    const status = await this.#reviewToken(spec, signal);
    return this.#answer<TokenReview>(request, resources.tokenreviews, { metadata: {}, spec, status });
  }

  /** Upstream: `tokenreview.REST`. */
  async #reviewToken(spec: TokenReview['spec'] | undefined, signal: AbortSignal): Promise<TokenReviewStatus> {
    const { token = '', audiences = [] } = spec ?? {};
    if (token === '') throw new StatusError('BadRequest', 'token is required for TokenReview in authentication');
    const asked = audiences.length === 0 ? undefined : audiences;
    const verdict = await this.#deps.authenticator.authenticate(token, signal, asked);
    if (verdict.kind === 'user') {
      return { authenticated: true, user: userObject(verdict.user), audiences: verdict.audiences };
    }
    // Upstream asks a second authenticator before, which does not know the token either.
    return { user: {}, error: joinErrorTexts(['invalid bearer token', verdict.problem]) };
  }

  #answer<T extends object>(request: HttpRequest, type: ResourceType, fields: T): HttpResponse {
    const { encoding } = negotiate(request.headers['accept'], { views: false, encodings: this.#deps.reader.encodings });
    const object = { kind: type.kind, apiVersion: apiVersionOf(type), ...fields };
    const headers = { 'content-type': mediaTypeOf(encoding), 'cache-control': 'no-cache, private' };
    switch (encoding) {
      case 'protobuf':
        return { status: 201, headers, body: encodeProtobuf(type.model, object) };
      case 'yaml':
        return { status: 201, headers, body: this.#deps.yaml?.stringify(object) ?? '' };
      default:
        return { status: 201, headers, body: JSON.stringify(object) };
    }
  }
}

/** A name or namespace in the body must be that of the path. */
function matchAccount({ metadata }: Draft<TokenRequest>, route: ResourceRoute): void {
  const { name = '', namespace = '' } = metadata ?? {};
  if (name !== '' && name !== route.name) {
    const error = invalid('metadata.name', name, 'must match the service account name if specified');
    throw invalidError(tokenRequests, route.name, [error]);
  }
  if (namespace !== '' && namespace !== route.namespace) {
    const error = invalid('metadata.namespace', namespace, 'must match the service account namespace if specified');
    throw invalidError(tokenRequests, route.name, [error]);
  }
}

function userObject(user: UserInfo): NonNullable<TokenReviewStatus['user']> {
  const { name, uid, groups, extra } = user;
  return {
    username: name,
    ...(uid === undefined ? {} : { uid }),
    groups: groups.includes('system:authenticated') ? groups : [...groups, 'system:authenticated'],
    ...(extra === undefined ? {} : { extra }),
  };
}
