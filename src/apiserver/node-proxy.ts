/** `nodes/NAME/proxy/PATH`: any request to the server of a node. */
import type { HttpRequest, HttpResponse } from '../base/http.ts';
import type { NodeTransport } from './pod-log.ts';

/** Headers that are about the connection to us and not for the node. */
const hopHeaders: ReadonlySet<string> = new Set([
  'connection',
  'host',
  'keep-alive',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'authorization',
  'content-length',
  'accept-encoding',
]);

export function proxyToNode(
  nodes: NodeTransport,
  nodeName: string,
  rest: string,
  request: HttpRequest,
  signal: AbortSignal,
): Promise<HttpResponse> {
  return nodes(nodeName, { ...request, path: `/${rest}`, headers: passedHeaders(request) }, signal);
}

/** Whether the client wants to go on with another protocol on this connection. */
export function isUpgrade({ headers }: HttpRequest): boolean {
  return headers['upgrade'] !== undefined && /(?:^|,)\s*upgrade\s*(?:,|$)/i.test(headers['connection'] ?? '');
}

/** The request's headers that are for the node; those of an upgrade are. */
export function passedHeaders(request: HttpRequest): Record<string, string> {
  const { headers } = request;
  const passed = Object.fromEntries(Object.entries(headers).filter(([name]) => !hopHeaders.has(name)));
  if (!isUpgrade(request)) return passed;
  return { ...passed, connection: 'Upgrade', upgrade: headers['upgrade'] ?? '' };
}
