/** `/exec`, `/attach` and `/portForward` of the node's server: finds what is meant and joins it to the client. */
import type { Pod } from '../api/gen/types.ts';
import type { HttpRequest, HttpResponse } from '../base/http.ts';
import { StatusError, messageOf } from '../base/status-error.ts';
import type { ContainerRuntime, RuntimeContainerStatus } from '../cri/runtime.ts';
import { findContainer, podUidOf } from './pod-names.ts';
import type { RemoteCommandOptions, StreamServer } from './stream-server.ts';

export interface NodeStreamsDeps {
  readonly context: {
    readonly runtime: Pick<ContainerRuntime, 'listContainers' | 'listPodSandboxes' | 'exec' | 'attach' | 'portForward'>;
  };
  readonly pods: () => readonly Pod[];
  readonly streams?: StreamServer | undefined;
}

type Endpoint = (
  deps: NodeStreamsDeps,
  request: HttpRequest,
  /** Decoded, what follows the endpoint's name. */
  path: readonly string[],
  signal: AbortSignal,
) => Promise<HttpResponse>;

/** `/exec/NAMESPACE/POD[/UID]/CONTAINER?command=...&input=1&output=1&error=1&tty=1` */
export const exec: Endpoint = async (deps, request, path, signal) => {
  const found = await findRunning(deps, request, path, signal);
  if ('status' in found) return found;
  const { container, containerName, options, streams } = found;
  if (container === undefined) return text(500, `container not found (${JSON.stringify(containerName)})`);
  const command = request.query.getAll('command');
  if (command.length === 0) return text(400, 'you must specify a command');
  const { runtime } = deps.context;
  return streams.remoteCommand(request, options, (remote, inner) =>
    failingAs('error executing command in container', inner, () =>
      runtime.exec(container.id, { command, tty: options.tty }, remote, inner),
    ),
  );
};

/** `/attach/NAMESPACE/POD[/UID]/CONTAINER?input=1&output=1&error=1&tty=1` */
export const attach: Endpoint = async (deps, request, path, signal) => {
  const found = await findRunning(deps, request, path, signal);
  if ('status' in found) return found;
  const { pod, container, containerName, options, streams } = found;
  if (container === undefined) {
    const { namespace = '', name = '' } = pod.metadata ?? {};
    return text(500, `container ${containerName} not found in pod ${name}_${namespace}`);
  }
  // Whether it has a terminal was decided when it was made; what the client has counts for its own side only.
  const tty = findContainer(pod, containerName)?.container.tty === true;
  const { runtime } = deps.context;
  return streams.remoteCommand(request, options, (remote, inner) =>
    failingAs('error attaching to container', inner, async () => {
      await runtime.attach(container.id, { tty }, remote, inner);
      return 0;
    }),
  );
};

/** `/portForward/NAMESPACE/POD[/UID]` */
export const portForward: Endpoint = async (deps, request, path, signal) => {
  const { streams } = deps;
  if (streams === undefined) return notServed();
  const [namespace = '', name = '', uid, ...more] = path;
  if (more.length > 0) return text(404, '404 page not found\n');
  const pod = findPod(deps, namespace, name, uid);
  if (pod === undefined) return text(404, 'pod does not exist');
  const { runtime } = deps.context;
  const podUid = podUidOf(pod);
  const sandboxes = await runtime.listPodSandboxes({ podUid }, signal);
  const [sandbox] = sandboxes
    .filter(({ state }) => state === 'ready')
    .toSorted((a, b) => b.metadata.attempt - a.metadata.attempt);
  if (sandbox === undefined) return text(500, `failed to find sandboxID for pod ${name}_${namespace}(${podUid})`);
  return streams.portForward(request, (port, stream, inner) =>
    failingAs(`error forwarding port ${port} to pod ${name}, uid ${podUid}`, inner, () =>
      runtime.portForward(sandbox.id, port, stream, inner),
    ),
  );
};

interface Found {
  readonly pod: Pod;
  /** `undefined`: it does not run. */
  readonly container: RuntimeContainerStatus | undefined;
  readonly containerName: string;
  readonly options: RemoteCommandOptions;
  readonly streams: StreamServer;
}

/** What a request for a container is about, or the answer to it. */
async function findRunning(
  deps: NodeStreamsDeps,
  request: HttpRequest,
  path: readonly string[],
  signal: AbortSignal,
): Promise<Found | HttpResponse> {
  const { streams } = deps;
  if (streams === undefined) return notServed();
  const [namespace = '', name = '', ...more] = path;
  const [uid, containerName] = more.length === 2 ? more : [undefined, more[0]];
  if (containerName === undefined || more.length > 2) return text(404, '404 page not found\n');
  const flag = (key: string): boolean => request.query.get(key) === '1';
  const tty = flag('tty');
  const options = { stdin: flag('input'), stdout: flag('output'), stderr: flag('error') && !tty, tty };
  if (!options.stdin && !options.stdout && !options.stderr) {
    return text(400, 'you must specify at least 1 of stdin, stdout, stderr');
  }
  const pod = findPod(deps, namespace, name, uid);
  if (pod === undefined) return text(404, 'pod does not exist');
  const containers = await deps.context.runtime.listContainers({ podUid: podUidOf(pod) }, signal);
  const container = containers.find(({ metadata, state }) => metadata.name === containerName && state === 'running');
  return { pod, container, containerName, options, streams };
}

/** `uid`: `undefined` is any. */
export function findPod(
  deps: Pick<NodeStreamsDeps, 'pods'>,
  namespace: string,
  name: string,
  uid: string | undefined,
): Pod | undefined {
  return deps
    .pods()
    .find(
      ({ metadata }) =>
        metadata?.namespace === namespace && metadata.name === name && (uid === undefined || uid === metadata.uid),
    );
}

/** A failure of `work` as the node tells it. */
async function failingAs<T>(prefix: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (signal.aborted || !(error instanceof StatusError)) throw error;
    throw new StatusError(error.reason, `${prefix}: ${messageOf(error)}`, { cause: error });
  }
}

function notServed(): HttpResponse {
  return text(501, 'this node serves no exec, attach and port-forward');
}

function text(status: number, body: string): HttpResponse {
  return { status, headers: { 'content-type': 'text/plain; charset=utf-8' }, body };
}
