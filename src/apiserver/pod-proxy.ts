/** `pods/[SCHEME:]NAME[:PORT]/proxy/PATH`: any HTTP request to what listens in a pod. Upstream: `pod.ResourceLocation`. */
import type { Pod } from '../api/gen/types.ts';
import type { HttpRequest, HttpResponse } from '../base/http.ts';
import { parseIpv4 } from '../base/ipv4-range.ts';
import { StatusError } from '../base/status-error.ts';
import { isUpgrade, passedHeaders } from './node-proxy.ts';

export interface PodAddress {
  readonly scheme: 'http' | 'https';
  readonly host: string;
  readonly port: number;
}

/**
 * Carries a request to an address of a pod and its answer back; `ServiceUnavailable` if nothing answers. It must not
 * trust who answers: nobody knows a pod's certificate.
 */
export type PodTransport = (address: PodAddress, request: HttpRequest, signal: AbortSignal) => Promise<HttpResponse>;

/** The words of a route's name, which also says where in the pod to go. */
export interface PodProxyName {
  readonly scheme: 'http' | 'https';
  readonly name: string;
  /** `''`: the first that the pod declares. */
  readonly port: string;
}

/** Upstream: `SplitSchemeNamePort`. */
export function parsePodProxyName(text: string): PodProxyName {
  const words = text.split(':');
  const [scheme = '', name = '', port = ''] = words.length < 3 ? ['', ...words] : words;
  const isKnown = scheme === '' || scheme === 'http' || scheme === 'https';
  if (!isKnown || name === '' || words.length > 3) {
    throw new StatusError('BadRequest', `invalid pod request ${JSON.stringify(text)}`);
  }
  return { scheme: scheme === 'https' ? 'https' : 'http', name, port };
}

const defaultPorts = { http: 80, https: 443 } as const;

export async function proxyToPod(
  transport: PodTransport,
  pod: Pod,
  { scheme, port }: PodProxyName,
  rest: string,
  request: HttpRequest,
  signal: AbortSignal,
): Promise<HttpResponse> {
  const host = pod.status?.podIPs?.[0]?.ip ?? pod.status?.podIP ?? '';
  if (!mayBeCalled(host)) throw new StatusError('BadRequest', 'address not allowed');
  const declared = pod.spec?.containers.flatMap(({ ports = [] }) => ports.slice(0, 1))[0]?.containerPort;
  const number = port === '' ? (declared ?? defaultPorts[scheme]) : portNumber(port);
  const isRead = request.method === 'GET' || request.method === 'HEAD';
  // Relative links of the pod's pages must stay below it.
  if (rest === '' && !request.path.endsWith('/') && isRead && !isUpgrade(request)) return redirected(request);
  const passed = { ...request, path: `/${rest}`, headers: passedHeaders(request) };
  return await transport({ scheme, host, port: number }, passed, signal);
}

/** Who writes the status of a pod must not make the server call itself or its own network. Upstream: global unicast. */
function mayBeCalled(host: string): boolean {
  const ipv4 = parseIpv4(host);
  if (ipv4 === undefined) return host.includes(':') && !/^(?:::1?$|fe[89ab]|ff|::ffff:)/i.test(host);
  const [first, second] = [ipv4 >>> 24, (ipv4 >>> 16) & 255];
  return first > 0 && first !== 127 && first < 224 && !(first === 169 && second === 254);
}

function portNumber(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port > 0 && port < 65_536) return port;
  throw new StatusError('ServiceUnavailable', `error trying to reach service: invalid port ${JSON.stringify(text)}`);
}

function redirected({ path, query }: HttpRequest): HttpResponse {
  const search = query.toString();
  return { status: 301, headers: { location: `${path}/${search === '' ? '' : `?${search}`}` }, body: '' };
}
