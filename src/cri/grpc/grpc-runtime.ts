import type { MessageInitShape } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import fsp from 'node:fs/promises';
import path from 'node:path';
import type { ByteStream } from '../../base/byte-stream.ts';
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import { StatusError, hasReason, messageOf } from '../../base/status-error.ts';
import { TaskScope } from '../../base/task-scope.ts';
import { dialPortForward, dialRemoteCommand, type RemoteCommandRequest } from '../../streaming/spdy-client.ts';
import { ContainerEvents } from '../container-events.ts';
import {
  ExecTimeoutError,
  execOutputBytesMax,
  type ContainerConfig,
  type ContainerEvent,
  type ContainerRuntime,
  type ExecSyncResult,
  type ImageAuth,
  type ImageFsInfo,
  type PodSandboxConfig,
  type PodSandboxStatus,
  type PulledImage,
  type RemoteStreams,
  type RuntimeCondition,
  type RuntimeContainerStatus,
  type RuntimeImage,
  type RuntimeNetworkConfig,
  type RuntimeVersion,
} from '../runtime.ts';
import { untilAborted } from '../until-aborted.ts';
import { CgroupParents } from './cgroup-parents.ts';
import { callMs, pullMs, runSandboxMs } from './call-deadlines.ts';
import { ContainerReader } from './container-reader.ts';
import { imageOf } from './cri-answers.ts';
import { containerMessage, sandboxMessage } from './cri-requests.ts';
import { EventFeed } from './event-feed.ts';
import type { PodSandboxConfigSchema } from './gen/cri_pb.ts';
import { RpcConnection } from './rpc-connection.ts';
import { RpcError } from './rpc-errors.ts';
import { socketPathOf } from './runtime-endpoint.ts';

export interface GrpcRuntimeDeps {
  readonly clock: Clock;
  readonly log: Log;
}

export interface GrpcRuntimeOptions {
  /** `unix:///PATH` of the runtime's socket. */
  readonly endpoint: string;
  /**
   * Whose sandboxes and containers these are: they bear it as label `livelet.dev/owner`, and only those that do are
   * listed. Others on the same runtime, a real kubelet's too, are let alone. Default: all are ours.
   */
  readonly owner?: string;
}

const ownerLabel = 'livelet.dev/owner';

/** Connects; fails with upstream's words where nobody answers, or not in CRI v1. */
export async function openGrpcRuntime(
  deps: GrpcRuntimeDeps,
  { endpoint, owner }: GrpcRuntimeOptions,
  signal: AbortSignal,
): Promise<GrpcRuntime> {
  const runtime = new GrpcRuntime(deps, socketPathOf(endpoint), owner);
  try {
    await runtime.version(signal);
  } catch (error) {
    await runtime.close();
    if (signal.aborted || !(error instanceof StatusError)) throw error;
    const message = `validate CRI v1 runtime API for endpoint ${JSON.stringify(endpoint)}: ${error.message}`;
    throw new StatusError(error.reason, message, { cause: error });
  }
  return runtime;
}

/** Any runtime that speaks CRI v1 on a Unix socket: containerd from 1.6 on, CRI-O. Containers outlive this process. */
export class GrpcRuntime implements ContainerRuntime {
  readonly #rpc: RpcConnection;
  readonly #ownLabels: Readonly<Record<string, string>>;
  readonly #reader: ContainerReader;
  readonly #cgroupParents: CgroupParents;
  readonly #events = new ContainerEvents();
  readonly #scope = new TaskScope();

  /** See `openGrpcRuntime`. */
  constructor({ clock, log }: GrpcRuntimeDeps, socketPath: string, owner?: string) {
    this.#rpc = new RpcConnection(clock, socketPath);
    this.#ownLabels = owner === undefined ? {} : { [ownerLabel]: owner };
    this.#reader = new ContainerReader(this.#rpc, this.#ownLabels);
    this.#cgroupParents = new CgroupParents(this.#rpc);
    const feed = new EventFeed({ clock, log, rpc: this.#rpc, reader: this.#reader, events: this.#events });
    this.#scope.start((signal) => feed.run(signal));
  }

  /** Ends the connection; sandboxes and containers stay as they are. Idempotent. */
  async close(): Promise<void> {
    const closed = new StatusError('ServiceUnavailable', 'the connection to the container runtime was closed');
    const closing = this.#scope.close(closed);
    this.#rpc.close();
    this.#events.breakOff(closed.message);
    await closing;
  }

  async version(signal: AbortSignal): Promise<RuntimeVersion> {
    const { runtimeName, runtimeVersion } = await this.#rpc.call('version', callMs, signal, (options) =>
      this.#rpc.runtime.version({}, options),
    );
    return { runtimeName, runtimeVersion };
  }

  async status(signal: AbortSignal): Promise<readonly RuntimeCondition[]> {
    const { status } = await this.#rpc.call('status', callMs, signal, (options) =>
      this.#rpc.runtime.status({}, options),
    );
    return (status?.conditions ?? []).map(({ type, status: isTrue, reason, message }) => ({
      type,
      status: isTrue,
      reason,
      message,
    }));
  }

  async updateRuntimeConfig({ podCidr }: RuntimeNetworkConfig, signal: AbortSignal): Promise<void> {
    await this.#rpc.call('updateRuntimeConfig', callMs, signal, (options) =>
      this.#rpc.runtime.updateRuntimeConfig({ runtimeConfig: { networkConfig: { podCidr } } }, options),
    );
  }

  async runPodSandbox(config: PodSandboxConfig, signal: AbortSignal): Promise<string> {
    const message = await this.#sandboxMessage(config, signal);
    const { podSandboxId } = await this.#rpc.call('runPodSandbox', runSandboxMs, signal, (options) =>
      this.#rpc.runtime.runPodSandbox({ config: message, runtimeHandler: config.runtimeHandler ?? '' }, options),
    );
    return podSandboxId;
  }

  async stopPodSandbox(podSandboxId: string, signal: AbortSignal): Promise<void> {
    await unlessGone(
      this.#rpc.call('stopPodSandbox', callMs, signal, (options) =>
        this.#rpc.runtime.stopPodSandbox({ podSandboxId }, options),
      ),
    );
  }

  async removePodSandbox(podSandboxId: string, signal: AbortSignal): Promise<void> {
    await unlessGone(
      this.#rpc.call('removePodSandbox', callMs, signal, (options) =>
        this.#rpc.runtime.removePodSandbox({ podSandboxId }, options),
      ),
    );
    this.#reader.forget(podSandboxId);
  }

  podSandboxStatus(podSandboxId: string, signal: AbortSignal): Promise<PodSandboxStatus> {
    return this.#reader.sandbox(podSandboxId, signal);
  }

  listPodSandboxes(
    { podUid }: { readonly podUid?: string },
    signal: AbortSignal,
  ): Promise<readonly PodSandboxStatus[]> {
    return this.#reader.sandboxes(podUid, signal);
  }

  async createContainer(
    podSandboxId: string,
    config: ContainerConfig,
    sandboxConfig: PodSandboxConfig,
    signal: AbortSignal,
  ): Promise<string> {
    const request = {
      podSandboxId,
      config: containerMessage(this.#owned(config), sandboxConfig),
      sandboxConfig: await this.#sandboxMessage(sandboxConfig, signal),
    };
    await makeLogDirectory(sandboxConfig.logDirectory, config);
    try {
      const { containerId } = await this.#rpc.call('createContainer', callMs, signal, (options) =>
        this.#rpc.runtime.createContainer(request, options),
      );
      this.#reader.made(containerId, podSandboxId);
      if (config.stopSignal !== undefined) await this.#checkStopSignal(containerId, config.stopSignal, signal);
      return containerId;
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      const isStopped = await this.#holds(signal, async () => {
        return (await this.#reader.sandbox(podSandboxId, signal)).state === 'notReady';
      });
      throw withoutCode(error, isStopped);
    }
  }

  /** Runtimes that do not know the field drop it in silence. */
  async #checkStopSignal(containerId: string, stopSignal: string, signal: AbortSignal): Promise<void> {
    const { status } = await this.#rpc.call('containerStatus', callMs, signal, (options) =>
      this.#rpc.runtime.containerStatus({ containerId }, options),
    );
    if (status?.stopSignal !== 0) return;
    await this.removeContainer(containerId, signal);
    const { runtimeName, runtimeVersion } = await this.version(signal);
    const message = `lifecycle.stopSignal: ${stopSignal} is not supported by ${runtimeName} ${runtimeVersion}`;
    throw new StatusError('BadRequest', message);
  }

  async startContainer(containerId: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#rpc.call('startContainer', callMs, signal, (options) =>
        this.#rpc.runtime.startContainer({ containerId }, options),
      );
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      const wasStarted = await this.#holds(signal, async () => {
        const { state, startedWallMs = 0 } = await this.#reader.container(containerId, signal);
        return state === 'running' || (state === 'exited' && startedWallMs > 0);
      });
      throw withoutCode(error, wasStarted);
    }
  }

  async stopContainer(containerId: string, graceMs: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    // Who gives up waiting does not take the SIGKILL back, which a runtime forgets when the call is cancelled.
    const stopped = new Promise<void>((resolve, reject) => {
      this.#scope.start(async (own) => {
        const timeout = BigInt(Math.ceil(graceMs / 1_000));
        await this.#rpc
          .call('stopContainer', graceMs + callMs, own, (options) =>
            this.#rpc.runtime.stopContainer({ containerId, timeout }, options),
          )
          .then(() => resolve(), reject);
      });
    });
    await unlessGone(untilAborted(stopped, signal));
  }

  async removeContainer(containerId: string, signal: AbortSignal): Promise<void> {
    await unlessGone(
      this.#rpc.call('removeContainer', callMs, signal, (options) =>
        this.#rpc.runtime.removeContainer({ containerId }, options),
      ),
    );
    this.#reader.forget(containerId);
  }

  containerStatus(containerId: string, signal: AbortSignal): Promise<RuntimeContainerStatus> {
    return this.#reader.container(containerId, signal);
  }

  listContainers(
    { podUid }: { readonly podUid?: string },
    signal: AbortSignal,
  ): Promise<readonly RuntimeContainerStatus[]> {
    return this.#reader.containers(podUid, signal);
  }

  async reopenContainerLog(containerId: string, signal: AbortSignal): Promise<void> {
    await this.#whileRunning(containerId, signal, () =>
      this.#rpc.call('reopenContainerLog', callMs, signal, (options) =>
        this.#rpc.runtime.reopenContainerLog({ containerId }, options),
      ),
    );
  }

  async execSync(
    containerId: string,
    command: readonly string[],
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<ExecSyncResult> {
    const request = { containerId, cmd: [...command], timeout: BigInt(Math.ceil(timeoutMs / 1_000)) };
    try {
      const { stdout, stderr, exitCode } = await this.#whileRunning(containerId, signal, () =>
        this.#rpc.call('execSync', execDeadlineMs(timeoutMs), signal, (options) =>
          this.#rpc.runtime.execSync(request, options),
        ),
      );
      return {
        stdout: stdout.subarray(0, execOutputBytesMax),
        stderr: stderr.subarray(0, execOutputBytesMax),
        exitCode,
      };
    } catch (error) {
      if (!(error instanceof RpcError) || error.code !== Code.DeadlineExceeded) throw error;
      throw new ExecTimeoutError(error.description, { cause: error });
    }
  }

  async exec(
    containerId: string,
    { command, tty }: { readonly command: readonly string[]; readonly tty: boolean },
    streams: RemoteStreams,
    signal: AbortSignal,
  ): Promise<number> {
    const asked = streamsAskedFor(streams, tty);
    const { url } = await this.#whileRunning(containerId, signal, () =>
      this.#rpc.call('exec', callMs, signal, (options) =>
        this.#rpc.runtime.exec({ containerId, cmd: [...command], ...asked }, options),
      ),
    );
    return await dialRemoteCommand(url, asked, streams, signal);
  }

  async attach(
    containerId: string,
    { tty }: { readonly tty: boolean },
    streams: RemoteStreams,
    signal: AbortSignal,
  ): Promise<void> {
    const asked = streamsAskedFor(streams, tty);
    const { url } = await this.#whileRunning(containerId, signal, () =>
      this.#rpc.call('attach', callMs, signal, (options) =>
        this.#rpc.runtime.attach({ containerId, ...asked }, options),
      ),
    );
    await dialRemoteCommand(url, asked, streams, signal);
  }

  async portForward(podSandboxId: string, port: number, stream: ByteStream, signal: AbortSignal): Promise<void> {
    const { url } = await this.#rpc.call('portForward', callMs, signal, (options) =>
      this.#rpc.runtime.portForward({ podSandboxId, port: [port] }, options),
    );
    await dialPortForward(url, port, stream, signal);
  }

  async listImages(signal: AbortSignal): Promise<readonly RuntimeImage[]> {
    const { images } = await this.#rpc.call('listImages', callMs, signal, (options) =>
      this.#rpc.images.listImages({}, options),
    );
    return images.map((image) => imageOf(image));
  }

  async imageStatus(image: string, signal: AbortSignal): Promise<RuntimeImage | undefined> {
    const { image: found } = await this.#rpc.call('imageStatus', callMs, signal, (options) =>
      this.#rpc.images.imageStatus({ image: { image } }, options),
    );
    return found === undefined ? undefined : imageOf(found);
  }

  async pullImage(image: string, signal: AbortSignal, auth?: ImageAuth): Promise<PulledImage> {
    const request = { image: { image }, ...(auth === undefined ? {} : { auth: { ...auth } }) };
    try {
      const { imageRef } = await this.#rpc.call('pullImage', pullMs, signal, (options) =>
        this.#rpc.images.pullImage(request, options),
      );
      const pulled = await this.imageStatus(imageRef, signal);
      return { id: pulled?.id ?? imageRef, sizeBytes: pulled?.sizeBytes ?? 0 };
    } catch (error) {
      // As upstream: the code is told only where it says something.
      if (!(error instanceof RpcError) || error.code !== Code.Unknown) throw error;
      throw withoutCode(error, false);
    }
  }

  async removeImage(image: string, signal: AbortSignal): Promise<void> {
    await unlessGone(
      this.#rpc.call('removeImage', callMs, signal, (options) =>
        this.#rpc.images.removeImage({ image: { image } }, options),
      ),
    );
  }

  async imageFsInfo(signal: AbortSignal): Promise<ImageFsInfo> {
    const { imageFilesystems } = await this.#rpc.call('imageFsInfo', callMs, signal, (options) =>
      this.#rpc.images.imageFsInfo({}, options),
    );
    const [fileSystem] = imageFilesystems;
    if (fileSystem === undefined) throw new StatusError('InternalError', 'the runtime names no file system of images');
    return {
      mountpoint: fileSystem.fsId?.mountpoint ?? '',
      usedBytes: Number(fileSystem.usedBytes?.value ?? 0n),
    };
  }

  events(signal: AbortSignal): AsyncIterable<ContainerEvent> {
    return this.#events.listen(signal);
  }

  async #sandboxMessage(
    config: PodSandboxConfig,
    signal: AbortSignal,
  ): Promise<MessageInitShape<typeof PodSandboxConfigSchema>> {
    const { cgroupParent } = config;
    const spelt = cgroupParent === undefined ? '' : await this.#cgroupParents.spell(cgroupParent, signal);
    return sandboxMessage(this.#owned(config), spelt);
  }

  #owned<T extends { readonly labels: Readonly<Record<string, string>> }>(config: T): T {
    return { ...config, labels: { ...config.labels, ...this.#ownLabels } };
  }

  /** Runtimes give failures of the container's state no code of their own: Conflict where it does not run. */
  async #whileRunning<T>(containerId: string, signal: AbortSignal, call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof RpcError) || error.code !== Code.Unknown) throw error;
      const isDown = await this.#holds(signal, async () => {
        return (await this.#reader.container(containerId, signal)).state !== 'running';
      });
      throw isDown ? new StatusError('Conflict', error.message, { cause: error }) : error;
    }
  }

  /** What explains a failure. Where that cannot be found out either, the failure itself is what counts. */
  async #holds(signal: AbortSignal, look: () => Promise<boolean>): Promise<boolean> {
    try {
      return await look();
    } catch (error) {
      if (signal.aborted || !(error instanceof StatusError)) throw error;
      return false;
    }
  }
}

/** Events and statuses show what the runtime said without the code. Upstream: `grpcstatus.FromError(err).Message()`. */
function withoutCode(error: RpcError, isConflict: boolean): StatusError {
  return new StatusError(isConflict ? 'Conflict' : error.reason, error.description, { cause: error });
}

/**
 * CRI counts the time of a command in seconds: a part of one is kept here, and the runtime ends the command when the
 * call is given up. Else the runtime gets its time to do so, as upstream.
 */
function execDeadlineMs(timeoutMs: number): number | undefined {
  if (timeoutMs === 0) return undefined;
  return timeoutMs % 1_000 === 0 ? timeoutMs + callMs : timeoutMs;
}

function streamsAskedFor({ stdin, stdout, stderr }: RemoteStreams, tty: boolean): RemoteCommandRequest {
  return { stdin: stdin !== undefined, stdout: stdout !== undefined, stderr: stderr !== undefined && !tty, tty };
}

/** Runtimes make the file, not its directory. */
async function makeLogDirectory(logDirectory: string, { logPath, metadata }: ContainerConfig): Promise<void> {
  if (logDirectory === '') return;
  try {
    await fsp.mkdir(path.dirname(path.join(logDirectory, logPath)), { recursive: true });
  } catch (error) {
    const message = `create container log directory for container ${metadata.name} failed: ${messageOf(error)}`;
    throw new StatusError('InternalError', message, { cause: error });
  }
}

async function unlessGone(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!hasReason(error, 'NotFound')) throw error;
  }
}
