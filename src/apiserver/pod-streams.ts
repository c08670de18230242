/** `pods/NAME/exec`, `attach` and `portforward`: checks what is asked for, and hands it on to the pod's node. */
import type { Pod } from '../api/gen/types.ts';
import type { HttpRequest, HttpResponse } from '../base/http.ts';
import { StatusError } from '../base/status-error.ts';
import { isUpgrade, passedHeaders } from './node-proxy.ts';
import { chooseContainer } from './pod-log.ts';
import type { NodeTransport } from './pod-log.ts';
import { parseBool } from './query-options.ts';

export type PodStream = 'exec' | 'attach' | 'portforward';

/** The node's answer, which takes the connection over or says why not, is the client's as it is. */
export async function podStream(
  nodes: NodeTransport,
  pod: Pod,
  stream: PodStream,
  request: HttpRequest,
  signal: AbortSignal,
): Promise<HttpResponse> {
  const { name = '', namespace = '' } = pod.metadata ?? {};
  const target = [namespace, name];
  if (stream !== 'portforward') target.push(chooseContainer(pod, request.query.get('container') ?? ''));
  const nodeName = pod.spec?.nodeName ?? '';
  if (nodeName === '') throw new StatusError('BadRequest', `pod ${name} does not have a host assigned`);
  if (!isUpgrade(request)) throw new StatusError('BadRequest', 'Upgrade request required');
  const path = `/${nodePaths[stream]}/${target.map(encodeURIComponent).join('/')}`;
  const query = stream === 'portforward' ? portQuery(request.query) : commandQuery(stream, request.query);
  return nodes(nodeName, { ...request, path, query, headers: passedHeaders(request), body: '' }, signal);
}

const nodePaths = { exec: 'exec', attach: 'attach', portforward: 'portForward' } as const satisfies Record<
  PodStream,
  string
>;

/** The options of the API, and what the node calls them. */
const flags = { stdin: 'input', stdout: 'output', stderr: 'error', tty: 'tty' } as const;

function commandQuery(stream: 'exec' | 'attach', query: URLSearchParams): URLSearchParams {
  const passed = new URLSearchParams();
  for (const [flag, nodeFlag] of Object.entries(flags)) if (parseBool(query.get(flag))) passed.set(nodeFlag, '1');
  if (stream === 'exec') for (const word of query.getAll('command')) passed.append('command', word);
  return passed;
}

/** Only the older WebSocket protocol has its ports here. */
function portQuery(query: URLSearchParams): URLSearchParams {
  const passed = new URLSearchParams();
  for (const port of query.getAll('ports')) passed.append('port', port);
  return passed;
}
