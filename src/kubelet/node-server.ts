import type { Pod, PodStatus } from '../api/gen/types.ts';
import type { HttpHandler, HttpRequest, HttpResponse } from '../base/http.ts';
import type { Metrics } from '../base/metrics.ts';
import { StatusError, hasReason, messageOf } from '../base/status-error.ts';
import { podLabels } from '../cri/runtime.ts';
import { readContainerLog } from './container-logs.ts';
import type { LogOptions } from './container-logs.ts';
import { nanosOf } from './cri-log.ts';
import { logInstanceOf } from './log-instance.ts';
import type { NodeContext } from './node-context.ts';
import { containerLogPath, podLogDirectory } from './node-layout.ts';
import { attach, exec, findPod, portForward } from './node-streams.ts';
import { findContainer, podUidOf } from './pod-names.ts';
import type { StreamServer } from './stream-server.ts';

export interface NodeServerDeps {
  readonly context: NodeContext;
  readonly metrics: Metrics;
  readonly probeMetrics: Metrics;
  /** Those that this node works on. */
  readonly pods: () => readonly Pod[];
  /** The kubelet's own view. */
  readonly statusOf: (podUid: string) => PodStatus | undefined;
  /** Without it, exec, attach and portForward are answered with 501. */
  readonly streams?: StreamServer | undefined;
}

const adminGroup = 'system:masters';
// What is asked of this process while it answers is well; that it answers at all is what they tell.
const healthChecks: readonly string[] = ['ping', 'log', 'syncloop'];
const streamEndpoints = new Map([
  ['exec', exec],
  ['attach', attach],
  ['portForward', portForward],
]);
const plainText = { 'content-type': 'text/plain; charset=utf-8' } as const;
const jsonType = { 'content-type': 'application/json' } as const;
const metricsType = { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' } as const;

/** What the API server and administrators ask of a node (section 9). Everything needs an administrator's identity. */
export function nodeServerHandler(deps: NodeServerDeps): HttpHandler {
  return async (request, signal) => {
    if (request.user === undefined) return text(401, 'Unauthorized');
    if (!request.user.groups.includes(adminGroup)) {
      return text(403, `Forbidden (user=${request.user.name}, verb=${verbOf(request)}, resource=nodes)`);
    }
    try {
      return await route(deps, request, signal);
    } catch (error) {
      if (signal.aborted || !(error instanceof StatusError)) throw error;
      return text(error.httpCode, messageOf(error));
    }
  };
}

function verbOf({ method }: HttpRequest): string {
  return method === 'POST' ? 'create' : 'get';
}

async function route(deps: NodeServerDeps, request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
  const [first = '', ...rest] = request.path.split('/').filter((part) => part !== '');
  if (first === 'run') return run(deps, request, rest, signal);
  const endpoint = streamEndpoints.get(first);
  if (endpoint !== undefined) {
    if (request.method !== 'GET' && request.method !== 'POST') return text(405, 'Method Not Allowed');
    return endpoint(deps, request, rest.map(decoded), signal);
  }
  if (request.method !== 'GET') return text(405, 'Method Not Allowed');
  switch (first) {
    case 'healthz':
      if (rest.length > 1 || !healthChecks.includes(rest[0] ?? 'ping')) break;
      return text(200, 'ok');
    case 'runningpods':
      return json(await runningPods(deps, signal));
    case 'pods':
      return json(deps.pods().map((pod) => ({ ...pod, status: deps.statusOf(podUidOf(pod)) ?? pod.status })));
    case 'metrics':
      if (rest.length === 0) return { status: 200, headers: metricsType, body: await deps.metrics.render() };
      if (rest[0] !== 'probes') break;
      return { status: 200, headers: metricsType, body: await deps.probeMetrics.render() };
    case 'configz':
      return configz(deps);
    case 'containerLogs':
      return containerLogs(deps, request, rest, signal);
  }
  return text(404, '404 page not found\n');
}

function configz({ context }: NodeServerDeps): HttpResponse {
  const kubeletconfig = {
    kind: 'KubeletConfiguration',
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    syncFrequency: '1m0s',
    nodeStatusUpdateFrequency: '10s',
    nodeStatusReportFrequency: '5m0s',
    nodeLeaseDurationSeconds: 40,
    containerLogMaxSize: '10Mi',
    containerLogMaxFiles: 5,
    serializeImagePulls: true,
    maxPods: Number(context.allocatable['pods'] ?? 110),
    podLogsDir: context.layout.podLogsDir,
  };
  return { status: 200, headers: jsonType, body: JSON.stringify({ kubeletconfig }) };
}

/** What the runtime has running, whatever the API says. */
async function runningPods({ context }: NodeServerDeps, signal: AbortSignal): Promise<readonly Pod[]> {
  const pods = new Map<string, Pod>();
  for (const { labels, metadata, image, state } of await context.runtime.listContainers({}, signal)) {
    if (state !== 'running') continue;
    const uid = labels[podLabels.podUid] ?? '';
    const name = labels[podLabels.podName] ?? '';
    const namespace = labels[podLabels.podNamespace] ?? '';
    const containers = [...(pods.get(uid)?.spec?.containers ?? []), { name: metadata.name, image, resources: {} }];
    pods.set(uid, { metadata: { name, namespace, uid }, spec: { containers }, status: {} });
  }
  return [...pods.values()];
}

/** `/run/NAMESPACE/POD[/UID]/CONTAINER?cmd=WORDS`: runs a command, answers what it printed. Takes POST only. */
async function run(
  deps: NodeServerDeps,
  request: HttpRequest,
  path: readonly string[],
  signal: AbortSignal,
): Promise<HttpResponse> {
  const [namespace = '', podName = '', ...more] = path.map(decoded);
  const [uid, containerName] = more.length === 2 ? more : [undefined, more[0]];
  if (containerName === undefined || more.length > 2) return text(404, '404 page not found\n');
  if (request.method !== 'POST') return text(405, 'Method Not Allowed');
  const pod = findPod(deps, namespace, podName, uid);
  if (pod === undefined) return text(404, 'pod does not exist');
  const containers = await deps.context.runtime.listContainers({ podUid: podUidOf(pod) }, signal);
  const running = containers.find(({ metadata, state }) => metadata.name === containerName && state === 'running');
  if (running === undefined) return text(500, `container not found (${JSON.stringify(containerName)})`);
  const command = (request.query.get('cmd') ?? '').split(' ');
  const { stdout, stderr, exitCode } = await deps.context.runtime.execSync(running.id, command, 0, signal);
  if (exitCode !== 0) {
    const words = new TextDecoder().decode(stderr);
    return text(500, `command '${command.join(' ')}' exited with ${exitCode}: ${words}`);
  }
  const decoder = new TextDecoder();
  return { status: 200, headers: jsonType, body: decoder.decode(stdout) + decoder.decode(stderr) };
}

/** `/containerLogs/NAMESPACE/POD/CONTAINER` (section 7.4). */
async function containerLogs(
  deps: NodeServerDeps,
  request: HttpRequest,
  path: readonly string[],
  signal: AbortSignal,
): Promise<HttpResponse> {
  const [namespace = '', podName = '', containerName = ''] = path.map(decoded);
  if (namespace === '') return json400('Missing podNamespace.');
  if (podName === '') return json400('Missing podID.');
  if (containerName === '') return json400('Missing container name.');
  if (!isDecodable(request.query)) return json400('Unable to decode query.');
  const options = parseLogOptions(request.query, deps.context.clock.wallMs());
  if (typeof options === 'string')
    return { status: 422, headers: jsonType, body: JSON.stringify({ message: options }) };
  const pod = findPod(deps, namespace, podName, undefined);
  if (pod === undefined) return text(404, `pod "${podName}" does not exist\n`);
  if (findContainer(pod, containerName) === undefined) {
    return text(404, `container "${containerName}" not found in pod "${podName}"\n`);
  }
  const status = deps.statusOf(podUidOf(pod)) ?? pod.status ?? {};
  const previous = request.query.get('previous') === 'true' || request.query.get('previous') === '1';
  const instance = logInstanceOf(podName, status, containerName, previous);
  if (instance.kind === 'none') return text(400, instance.message);
  return streamLog(deps, pod, instance.containerId, { ...options, follow: options.follow && !previous }, signal);
}

/** As it stands if it is not well-formed: then nothing has that name. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a URIError, the only one there is
  }
}

async function streamLog(
  { context }: NodeServerDeps,
  pod: Pod,
  idText: string,
  options: LogOptions,
  signal: AbortSignal,
): Promise<HttpResponse> {
  const { runtime, files, clock, layout } = context;
  const containerId = idText.slice(idText.indexOf('://') + 3);
  let found;
  try {
    found = await runtime.containerStatus(containerId, signal);
  } catch (error) {
    if (signal.aborted || !hasReason(error, 'NotFound')) throw error;
    return text(400, `unable to retrieve container logs for ${idText}`);
  }
  const { name, attempt } = found.metadata;
  const logPath = found.logPath.startsWith('/')
    ? found.logPath
    : `${podLogDirectory(layout, pod)}/${containerLogPath(name, attempt)}`;
  const isRunning = async (inner: AbortSignal): Promise<boolean> => {
    try {
      return (await runtime.containerStatus(containerId, inner)).state === 'running';
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error;
      return false; // removed meanwhile
    }
  };
  const body = endingOnAbort(readContainerLog({ files, clock, isRunning }, logPath, options, signal), signal);
  return { status: 200, headers: plainText, body };
}

/** That the reader hung up is the normal end of following a log. */
async function* endingOnAbort(pieces: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    yield* pieces;
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** The options of a log request, or what is wrong with them. Spelled as in the API; `tail` as older clients do. */
function parseLogOptions(query: URLSearchParams, nowWallMs: number): LogOptions | string {
  const isSet = (name: string): boolean => ['true', '1'].includes(query.get(name) ?? '');
  const tail = query.get('tailLines') ?? query.get('tail');
  const tailLines = tail === null || tail === 'all' ? undefined : integer(tail, 0);
  const limitBytes = query.has('limitBytes') ? integer(query.get('limitBytes') ?? '', 1) : undefined;
  const sinceSeconds = query.has('sinceSeconds') ? integer(query.get('sinceSeconds') ?? '', 1) : undefined;
  const sinceTime = query.get('sinceTime');
  const sinceTimeNanos = sinceTime === null ? undefined : nanosOf(sinceTime);
  const isBad = [tailLines, limitBytes, sinceSeconds].some((value) => Number.isNaN(value));
  if (isBad || (sinceSeconds !== undefined && sinceTime !== null)) return 'Invalid request.';
  const sinceNanos =
    sinceSeconds === undefined
      ? sinceTimeNanos
      : BigInt(Math.round((nowWallMs - sinceSeconds * 1_000) * 1_000)) * 1_000n;
  return {
    follow: isSet('follow'),
    timestamps: isSet('timestamps'),
    tailLines,
    limitBytes,
    sinceNanos,
  };
}

/** Whether numbers and times are such, whatever their value. */
function isDecodable(query: URLSearchParams): boolean {
  const numbers = [query.get('tailLines'), query.get('limitBytes'), query.get('sinceSeconds')];
  const tail = query.get('tail');
  if (tail !== null && tail !== 'all') numbers.push(tail);
  const time = query.get('sinceTime');
  return (
    numbers.every((value) => value === null || /^[+-]?\d+$/.test(value)) &&
    (time === null || nanosOf(time) !== undefined)
  );
}

/** NaN: less than `min`. */
function integer(text: string, min: number): number {
  const value = Number(text);
  return value >= min ? value : Number.NaN;
}

function text(status: number, body: string): HttpResponse {
  return { status, headers: plainText, body };
}

function json(items: readonly unknown[]): HttpResponse {
  const list = { kind: 'PodList', apiVersion: 'v1', metadata: {}, items };
  return { status: 200, headers: jsonType, body: JSON.stringify(list) };
}

function json400(message: string): HttpResponse {
  return { status: 400, headers: jsonType, body: JSON.stringify({ message }) };
}
