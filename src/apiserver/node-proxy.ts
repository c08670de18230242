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
  const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !hopHeaders.has(name)));
  return nodes(nodeName, { ...request, path: `/${rest}`, headers }, signal);
}
