/** Answers requests about the server itself: discovery, version, health, metrics, OpenAPI. */
import type { HttpRequest, HttpResponse } from '../base/http.ts';
import type { Metrics } from '../base/metrics.ts';
import { issuerPaths } from './authorize.ts';
import { hashOf } from './content-hash.ts';
import type { Discovery } from './discovery.ts';
import type { OpenApi } from './openapi.ts';
import { jsonResponse, noSuchPath, textResponse, wrongMethod } from './respond.ts';
import { tokenIssuerName } from './token-issuer.ts';
import type { TokenIssuer } from './token-issuer.ts';

export interface HealthCheck {
  readonly name: string;
  /** `undefined`: well. Else why not. */
  check(signal: AbortSignal): Promise<string | undefined>;
}

export interface PathRequestsDeps {
  readonly discovery: Discovery;
  readonly openApi: OpenApi;
  readonly metrics: Metrics;
  readonly tokens: TokenIssuer;
  /** `HOST:PORT` that clients reach us at. */
  readonly serverAddress: () => string;
  readonly version: object;
  readonly liveChecks: readonly HealthCheck[];
  /** The live checks, and whether it is ready to serve. */
  readonly readyChecks: readonly HealthCheck[];
}

export class PathRequests {
  readonly #deps: PathRequestsDeps;

  constructor(deps: PathRequestsDeps) {
    this.#deps = deps;
  }

  /** Every path there is, for `/`. */
  #paths(): string[] {
    const groups = this.#deps.discovery.groupVersionNames().filter((name) => name.includes('/'));
    const apis = groups.flatMap((name) => [`/apis/${name.slice(0, name.indexOf('/'))}`, `/apis/${name}`]);
    return ['/api', '/api/v1', '/apis', ...apis, '/healthz', '/livez', '/metrics', '/openapi/v2', '/openapi/v3']
      .concat(['/readyz', '/version', issuerPaths.configuration, issuerPaths.keys])
      .sort();
  }

  async handle(request: HttpRequest, path: string, signal: AbortSignal): Promise<HttpResponse> {
    if (request.method !== 'GET' && request.method !== 'HEAD') throw wrongMethod();
    const [, first = '', ...rest] = path.split('/');
    switch (first) {
      case '':
        if (rest.length > 0) throw noSuchPath();
        return json({ paths: this.#paths() });
      case 'api':
      case 'apis':
        return this.#discover(request, first, rest);
      case 'version':
        if (rest.length > 0) throw noSuchPath();
        return json(this.#deps.version);
      case 'healthz':
      case 'livez':
        return health(this.#deps.liveChecks, first, rest, request.query, signal);
      case 'readyz':
        return health(this.#deps.readyChecks, first, rest, request.query, signal);
      case 'metrics':
        if (rest.length > 0) throw noSuchPath();
        return this.#metrics();
      case 'openapi':
        return this.#deps.openApi.handle(request, rest);
      case 'openid':
      case '.well-known':
        return this.#issuer(path);
      default:
        throw noSuchPath();
    }
  }

  /** Upstream: `OpenIDMetadataServer`. */
  async #issuer(path: string): Promise<HttpResponse> {
    const { tokens, serverAddress } = this.#deps;
    const { keySet, algorithm } = await tokens.publicKeys();
    const headers = { 'cache-control': 'public, max-age=3600' };
    if (path === issuerPaths.keys) {
      return {
        status: 200,
        headers: { ...headers, 'content-type': 'application/jwk-set+json' },
        body: JSON.stringify(keySet),
      };
    }
    if (path !== issuerPaths.configuration) throw noSuchPath();
    const body = JSON.stringify({
      issuer: tokenIssuerName,
      jwks_uri: `https://${serverAddress()}${issuerPaths.keys}`,
      response_types_supported: ['id_token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: [algorithm],
    });
    return { status: 200, headers: { ...headers, 'content-type': 'application/json' }, body };
  }

  async #metrics(): Promise<HttpResponse> {
    const body = await this.#deps.metrics.render();
    return { ...textResponse(200, body), headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' } };
  }

  #discover(request: HttpRequest, first: 'api' | 'apis', rest: readonly string[]): HttpResponse {
    const { discovery } = this.#deps;
    const [group = '', version = ''] = first === 'api' ? ['', ...rest] : rest;
    if (rest.length === 0) {
      const aggregated = aggregatedVersion(request.headers['accept']);
      if (aggregated !== undefined) {
        const contentType = `application/json;g=apidiscovery.k8s.io;v=${aggregated};as=APIGroupDiscoveryList`;
        const body = JSON.stringify(discovery.aggregated(first === 'api', aggregated));
        const headers = { 'content-type': contentType, etag: `"${hashOf(body)}"`, vary: 'Accept' };
        if (request.headers['if-none-match'] === headers.etag) return { status: 304, headers, body: '' };
        return { status: 200, headers, body };
      }
      return json(first === 'api' ? discovery.apiVersions() : discovery.groupList());
    }
    const found =
      first === 'apis' && rest.length === 1 ? discovery.group(group) : discovery.resourceList(group, version);
    if (found === undefined || rest.length > (first === 'api' ? 1 : 2)) throw noSuchPath();
    return json(found);
  }
}

function json(body: object): HttpResponse {
  return jsonResponse(200, JSON.stringify(body));
}

/** Whether the client prefers to get everything at once, and in which version. */
function aggregatedVersion(accept: string | undefined): 'v2' | 'v2beta1' | undefined {
  for (const range of (accept ?? '').split(',')) {
    const parts = range.split(';').map((part) => part.trim());
    if (parts[0] !== 'application/json') continue;
    if (!parts.includes('as=APIGroupDiscoveryList') || !parts.includes('g=apidiscovery.k8s.io')) return undefined;
    if (parts.includes('v=v2')) return 'v2';
    if (parts.includes('v=v2beta1')) return 'v2beta1';
  }
  return undefined;
}

async function health(
  all: readonly HealthCheck[],
  what: string,
  rest: readonly string[],
  query: URLSearchParams,
  signal: AbortSignal,
): Promise<HttpResponse> {
  if (rest.length > 1) throw noSuchPath();
  const [only] = rest;
  const excluded = new Set(query.getAll('exclude'));
  const checks = only === undefined ? all : all.filter(({ name }) => name === only);
  if (checks.length === 0) throw noSuchPath();
  let lines = '';
  let isWell = true;
  for (const { name, check } of checks) {
    if (excluded.delete(name)) {
      lines += `[+]${name} excluded: ok\n`;
      continue;
    }
    const problem = await check(signal);
    if (problem !== undefined) isWell = false;
    lines += problem === undefined ? `[+]${name} ok\n` : `[-]${name} failed: ${problem}\n`;
  }
  if (excluded.size > 0) {
    const names = [...excluded].sort().map((name) => JSON.stringify(name));
    lines += `warn: some health checks cannot be excluded: no matches for ${names.join(', ')}\n`;
  }
  if (!isWell) return textResponse(500, `${lines}${what} check failed\n`);
  if (query.has('verbose')) return textResponse(200, `${lines}${what} check passed\n`);
  return textResponse(200, 'ok');
}
