/**
 * A Kubernetes API server without sockets: `handle` answers requests, `run` does what must go on in between.
 *
 *     const server = new ApiServer({ store, clock, entropy, log, metrics, nodes, jsonPatch }, {});
 *     scope.start((signal) => server.run(signal));   // namespaces, watch caches, event expiry, compaction
 *     await server.ready(signal);
 *     const client = inProcessClient({ handle: server.handle, user });
 *
 * `http/` puts it on the network.
 */
import type { EvictionSeconds } from '../api/admission.ts';
import { resources } from '../api/resources.ts';
import { apiVersionOf } from '../api/resources.ts';
import type { ResourceType } from '../api/resources.ts';
import type { Clock } from '../base/clock.ts';
import type { Entropy } from '../base/entropy.ts';
import type { HttpHandler, HttpRequest, HttpResponse, UserInfo } from '../base/http.ts';
import type { Log } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import { InvariantError, StatusError, hasReason, messageOf } from '../base/status-error.ts';
import { TaskScope } from '../base/task-scope.ts';
import type { Store } from '../store/store.ts';
import { TokenAuthenticator, bearerToken } from './authenticate-token.ts';
import { AuthenticationRequests } from './authentication-requests.ts';
import { NodeAuthorizer } from './authorize-node.ts';
import {
  forbidPath,
  forbidResource,
  isBootstrapRequest,
  isPublicPath,
  isTrusted,
  nodeNameOf,
  unauthorized,
} from './authorize.ts';
import { createSystemObjects } from './bootstrap.ts';
import { runCompaction } from './compaction.ts';
import { ObjectCreator } from './create-object.ts';
import { Discovery } from './discovery.ts';
import { eventTtlMs, runEventExpiry } from './event-expiry.ts';
import { actingUser } from './impersonate.ts';
import { OpenApi } from './openapi.ts';
import type { JsonPatch } from './patch.ts';
import type { PodTransport } from './pod-proxy.ts';
import { PathRequests } from './path-requests.ts';
import type { HealthCheck } from './path-requests.ts';
import type { NodeTransport } from './pod-log.ts';
import { Registry, storagePrefix } from './registry.ts';
import { prettyJson } from './representation.ts';
import { BodyReader } from './request-body.ts';
import type { YamlCodec } from './request-body.ts';
import { RequestMetrics } from './request-metrics.ts';
import { ResourceRequests, verbOf } from './resource-requests.ts';
import type { RequestVerb } from './resource-requests.ts';
import { errorResponse, noSuchPath, wrongMethod } from './respond.ts';
import { answerReview } from './review-requests.ts';
import { Router } from './route.ts';
import type { ResourceRoute, Route } from './route.ts';
import { servedOf, servedResources, servedTypes, storedTypes } from './served.ts';
import type { Served } from './served.ts';
import type { TokenIssuer } from './token-issuer.ts';
import { WatchCache } from './watch-cache.ts';
import { publishServer } from './kubernetes-service.ts';
import type { ServerEndpoint } from './kubernetes-service.ts';
import { WatchFeed, registryPrefix } from './watch-feed.ts';

export interface ApiServerDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
  readonly metrics: Metrics;
  /** To the servers of the nodes: for logs and `nodes/proxy`. */
  readonly nodes: NodeTransport;
  /** To what listens in pods: for `pods/proxy`. Absent: there is no way to them. */
  readonly pods?: PodTransport | undefined;
  /** Signs and verifies the tokens of service accounts. */
  readonly tokens: TokenIssuer;
  /** RFC 6902: `applyJsonPatch` of `host/json-patch.ts`. */
  readonly jsonPatch: JsonPatch;
  /** Without it, YAML bodies are answered with 415, and YAML answers with 406. */
  readonly yaml?: YamlCodec | undefined;
}

export interface ApiServerOptions {
  /** `HOST:PORT` that clients reach us at, for `/api`. Default `127.0.0.1:6443`. */
  readonly serverAddress?: () => string;
  /** Of new pods. Default: upstream's 300 s. */
  readonly evictionSeconds?: EvictionSeconds;
  /** Default an hour. */
  readonly eventTtlMs?: number;
  /** Shown by `kubectl version`. Default `v1.34.2+livelet`. */
  readonly gitVersion?: string;
}

export class ApiServer {
  /** Does not depend on `this`. */
  readonly handle: HttpHandler;
  readonly #deps: ApiServerDeps;
  readonly #options: ApiServerOptions;
  readonly #router = new Router(servedTypes());
  readonly #servedByType = new Map<ResourceType, Served>();
  readonly #creator: ObjectCreator;
  readonly #reader: BodyReader;
  readonly #feed: WatchFeed;
  readonly #objects: ResourceRequests;
  readonly #paths: PathRequests;
  readonly #authenticator: TokenAuthenticator;
  readonly #authentication: AuthenticationRequests;
  readonly #nodeAuthorizer: NodeAuthorizer;
  readonly #metrics: RequestMetrics;
  readonly #whenReady: Promise<void>;
  #markReady: () => void = () => {};
  #isReady = false;
  #wasReady = false; // who asks before gets 503; who asks after run() has ended is still answered from the store

  constructor(deps: ApiServerDeps, options: ApiServerOptions = {}) {
    this.#deps = deps;
    this.#options = options;
    this.#metrics = new RequestMetrics(deps.metrics);
    this.#whenReady = new Promise((resolve) => (this.#markReady = resolve));
    const caches = this.#createRegistries();
    this.#feed = new WatchFeed(deps, caches);
    const namespaces = this.#servedOf(resources.namespaces).registry;
    const serviceAccounts = this.#servedOf(resources.serviceaccounts).registry;
    const priorityClasses = this.#servedOf(resources.priorityclasses).registry;
    const runtimeClasses = this.#servedOf(resources.runtimeclasses).registry;
    this.#creator = new ObjectCreator({ ...deps, namespaces, serviceAccounts, priorityClasses, runtimeClasses });
    this.#reader = new BodyReader(deps.yaml);
    this.#objects = new ResourceRequests({
      ...deps,
      reader: this.#reader,
      creator: this.#creator,
      servedOf: (type) => this.#servedOf(type),
    });
    this.#paths = this.#createPaths();
    const registries = {
      serviceAccounts,
      pods: this.#servedOf(resources.pods).registry,
      secrets: this.#servedOf(resources.secrets).registry,
      nodes: this.#servedOf(resources.nodes).registry,
    };
    this.#nodeAuthorizer = new NodeAuthorizer(registries);
    this.#authenticator = new TokenAuthenticator({ ...deps, registries });
    const authenticating = { ...deps, registries, authenticator: this.#authenticator, reader: this.#reader };
    this.#authentication = new AuthenticationRequests(authenticating);
    this.handle = (request, signal) => this.#handle(request, signal);
  }

  #createRegistries(): WatchCache[] {
    const { store, clock } = this.#deps;
    const registryByPrefix = new Map<string, Registry>();
    for (const type of storedTypes()) {
      const prefix = storagePrefix(type);
      const cache = new WatchCache(clock, { prefix, kind: type.kind, apiVersion: apiVersionOf(type) });
      registryByPrefix.set(prefix, new Registry({ store, cache }, type));
    }
    for (const type of servedTypes()) {
      const registry = registryByPrefix.get(storagePrefix(type));
      if (registry !== undefined)
        this.#servedByType.set(
          type,
          servedOf(type, () => registry, this.#options.evictionSeconds),
        );
    }
    return [...registryByPrefix.values()].map((registry) => registry.cache);
  }

  #createPaths(): PathRequests {
    const { store, metrics, tokens } = this.#deps;
    const live: HealthCheck[] = [
      { name: 'ping', check: () => Promise.resolve(undefined) },
      { name: 'log', check: () => Promise.resolve(undefined) },
      {
        name: 'etcd',
        check: (signal) =>
          store.get(registryPrefix, signal).then(
            () => undefined,
            (error: unknown) => messageOf(error),
          ),
      },
    ];
    const ready: HealthCheck = {
      name: 'informer-sync',
      check: () => Promise.resolve(this.#isReady ? undefined : 'the server is starting'),
    };
    const serverAddress = this.#options.serverAddress ?? (() => '127.0.0.1:6443');
    const discovery = new Discovery(servedResources(), serverAddress);
    const gitVersion = this.#options.gitVersion ?? 'v1.34.2+livelet';
    return new PathRequests({
      discovery,
      openApi: new OpenApi(discovery, gitVersion),
      metrics,
      tokens,
      serverAddress,
      version: versionInfo(gitVersion),
      liveChecks: live,
      readyChecks: [...live, ready],
    });
  }

  #namespaceCache(): WatchCache {
    return this.#servedOf(resources.namespaces).registry.cache;
  }

  #servedOf(type: ResourceType): Served {
    const served = this.#servedByType.get(type);
    if (served === undefined) throw noSuchPath();
    return served;
  }

  /** Resolves when everything is there that clients may expect; rejects with `signal.reason` if aborted first. */
  async ready(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    let stop: () => void = () => {};
    const stopped = new Promise<never>((_resolve, reject) => (stop = () => reject(signal.reason)));
    signal.addEventListener('abort', stop, { once: true });
    try {
      await Promise.race([this.#whenReady, stopped]);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  /** Tells pods where they reach this server, in the Service `kubernetes` and so in their environment. */
  publish(endpoint: ServerEndpoint, signal: AbortSignal): Promise<void> {
    return publishServer(this.#servedOf(resources.services), this.#creator, endpoint, signal);
  }

  /** Background work until `signal` aborts. Call it once. */
  async run(signal: AbortSignal): Promise<void> {
    const scope = new TaskScope(signal);
    try {
      const { store, clock, log } = this.#deps;
      const namespaces = this.#servedOf(resources.namespaces);
      const priorityClasses = this.#servedOf(resources.priorityclasses);
      await createSystemObjects(this.#creator, { namespaces, priorityClasses }, scope.signal);
      const { revision } = await store.get(registryPrefix, scope.signal);
      scope.start((taskSignal) => this.#feed.run(taskSignal));
      const isFilled = await namespaces.registry.cache.reaches(revision, fillPatienceMs, scope.signal);
      if (!isFilled) throw new StatusError('ServiceUnavailable', 'the watch cache was not filled in time');
      const { cache } = this.#servedOf(resources.events).registry;
      const ttlMs = this.#options.eventTtlMs ?? eventTtlMs;
      scope.start((taskSignal) => runEventExpiry({ store, clock, log, cache }, ttlMs, taskSignal));
      scope.start((taskSignal) => runCompaction({ store, clock, log }, taskSignal));
      this.#isReady = true;
      this.#wasReady = true;
      this.#markReady();
      await aborted(scope.signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      this.#isReady = false;
      await scope.close(signal.aborted ? signal.reason : undefined);
    }
  }

  async #handle(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    const startedMs = this.#deps.clock.monoMs();
    const route = this.#router.route(request.path);
    const verb = route.kind === 'resource' ? verbOf(request, route) : undefined;
    const labels = this.#metrics.labelsOf(route, verb ?? '', request.method);
    let response: HttpResponse;
    try {
      const user = request.user ?? (await this.#bearerOf(request, signal));
      response = await this.#answer(request, actingUser(user, request.headers), route, verb, signal);
      if (wantsPretty(request)) response = prettyJson(response);
    } catch (error) {
      response = errorResponse(this.#statusError(error, request));
    }
    const seconds = (this.#deps.clock.monoMs() - startedMs) / 1_000;
    this.#metrics.finished(labels, response.status, request.query.has('dryRun'), seconds);
    const { body } = response;
    if (typeof body === 'string' || body instanceof Uint8Array) return response;
    return { ...response, body: this.#metrics.counted(labels, body) };
  }

  /** Who sends this request, by its token. */
  async #bearerOf(request: HttpRequest, signal: AbortSignal): Promise<UserInfo> {
    const token = bearerToken(request.headers['authorization']);
    if (token === undefined) throw unauthorized();
    const verdict = await this.#authenticator.authenticate(token, signal);
    if (verdict.kind === 'user') return verdict.user;
    this.#deps.log.warn('tokenRefused', { path: request.path, problem: verdict.problem });
    throw unauthorized();
  }

  #answer(
    request: HttpRequest,
    user: UserInfo,
    route: Route,
    verb: ReturnType<typeof verbOf>,
    signal: AbortSignal,
  ): Promise<HttpResponse> | HttpResponse {
    if (route.kind === 'path') {
      if (!isTrusted(user) && !isPublicPath(user, route.path)) throw forbidPath(user, request.method, route.path);
      return this.#paths.handle(request, route.path, signal);
    }
    if (route.kind === 'unknown') {
      const review = answerReview(this.#reader, request, user, () => this.#namespaceCache().revision);
      if (review === undefined) throw noSuchPath();
      return review;
    }
    if (verb === undefined) throw wrongMethod();
    this.#authorize(request, user, route, verb);
    if (!this.#wasReady) throw starting();
    const isToken = route.type === resources.serviceaccounts && route.subresource === 'token';
    if (isToken || authenticationReviews.has(route.type)) return this.#authenticate(request, user, route, verb, signal);
    return this.#objects.handle(request.user === user ? request : { ...request, user }, route, verb, signal);
  }

  /** Throws `Forbidden` if the user may not do this. */
  #authorize(request: HttpRequest, user: UserInfo, route: ResourceRoute, verb: RequestVerb): void {
    if (isTrusted(user)) return;
    const node = nodeNameOf(user);
    if (node !== undefined) {
      const verdict = this.#nodeAuthorizer.judge(node, verb, route, request);
      if (!verdict.allowed) throw forbidResource(user, verb, route, verdict.reason);
      return;
    }
    if (route.type === resources.selfsubjectreviews && verb === 'create') return;
    if (!isBootstrapRequest(user, verb, route)) throw forbidResource(user, verb, route);
  }

  #authenticate(
    request: HttpRequest,
    user: UserInfo,
    route: ResourceRoute,
    verb: ReturnType<typeof verbOf>,
    signal: AbortSignal,
  ): Promise<HttpResponse> {
    if (route.type === resources.serviceaccounts) {
      if (verb !== 'create') throw wrongMethod();
      return this.#authentication.token(request, route, user, signal);
    }
    if (route.name !== '') throw noSuchPath();
    if (verb !== 'create') throw wrongMethod();
    return this.#authentication.review(request, route, user, signal);
  }

  /** What a failure is on the wire. A bug in plain request code is a 500, a line in the log, and a count. */
  #statusError(error: unknown, request: HttpRequest): StatusError {
    if (error instanceof InvariantError) throw error;
    if (error instanceof StatusError && !hasReason(error, 'InternalError')) return error;
    const { method, path } = request;
    const text = messageOf(error);
    this.#deps.log.error('requestFailed', {
      method,
      path,
      error: error instanceof Error ? (error.stack ?? text) : text,
    });
    if (error instanceof StatusError) return error;
    return new StatusError('InternalError', `Internal error occurred: ${text}`, {
      cause: error,
      details: { causes: [{ message: text }] },
    });
  }
}

const authenticationReviews: ReadonlySet<ResourceType> = new Set<ResourceType>([
  resources.tokenreviews,
  resources.selfsubjectreviews,
]);

const fillPatienceMs = 60_000;

function starting(): StatusError {
  return new StatusError('ServiceUnavailable', 'the server is starting', { details: { retryAfterSeconds: 1 } });
}

function wantsPretty(request: HttpRequest): boolean {
  const pretty = request.query.get('pretty');
  return pretty === '1' || pretty === 'true';
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function versionInfo(gitVersion: string): object {
  return {
    major: '1',
    minor: '34',
    emulationMajor: '1',
    emulationMinor: '34',
    minCompatibilityMajor: '1',
    minCompatibilityMinor: '33',
    gitVersion,
    gitCommit: '',
    gitTreeState: '',
    buildDate: '1970-01-01T00:00:00Z',
    goVersion: '',
    compiler: '',
    platform: 'linux/amd64',
  };
}

export type { NodeTransport };
