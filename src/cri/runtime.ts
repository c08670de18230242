/**
 * The container runtime as the kubelet sees it: the verbs and words of CRI v1 (in camel case), plus `events()`. All
 * implementations pass `test/contract/runtime-suite.ts`: `process/` (local processes), `grpc/` (containerd, CRI-O),
 * `sim/sim-runtime.ts` (scripted containers on the virtual clock).
 *
 * Promised: every id is unique for ever; verbs on an unknown id fail with `NotFound`, except Stop*, Remove*, which
 * succeed;
 * at most one call per id changes its state at a time; a container's death is on `events()` without polling.
 * Failures are `StatusError`s whose message is the text that events and statuses show.
 */

import type { ByteStream } from '../base/byte-stream.ts';

export interface PodSandboxMetadata {
  readonly name: string;
  readonly uid: string;
  readonly namespace: string;
  /** 0 for the first sandbox of the pod, +1 for each later one. */
  readonly attempt: number;
}

export type PortProtocol = 'TCP' | 'UDP' | 'SCTP';

export interface PortMapping {
  readonly protocol: PortProtocol;
  readonly containerPort: number;
  readonly hostPort: number;
  readonly hostIp: string;
}

export interface DnsConfig {
  readonly servers: readonly string[];
  readonly searches: readonly string[];
  readonly options: readonly string[];
}

/** `pod`: its own. `node`: the machine's (hostNetwork, hostPID, hostIPC). `container`: one per container (PID only). */
export type NamespaceMode = 'pod' | 'container' | 'node';

export interface PodSandboxConfig {
  readonly metadata: PodSandboxMetadata;
  readonly hostname: string;
  /** Directory of the pod's container logs: `.../NAMESPACE_NAME_UID`. */
  readonly logDirectory: string;
  readonly dnsConfig: DnsConfig | undefined;
  readonly portMappings: readonly PortMapping[];
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly namespaces: { readonly network: NamespaceMode; readonly pid: NamespaceMode; readonly ipc: NamespaceMode };
  /**
   * The pod's control group, below which those of its containers are made: `/kubepods/burstable/podUID`. The kubelet has
   * made it. Absent: the runtime's own.
   */
  readonly cgroupParent?: string;
  /** Whether one of its containers will be privileged: without it containerd refuses that one. Default: no. */
  readonly privileged?: boolean;
  readonly sysctls?: Readonly<Record<string, string>>;
  /** Which of the runtime's handlers takes it, from its RuntimeClass. Absent: the default one. */
  readonly runtimeHandler?: string;
}

export interface PodSandboxStatus {
  readonly id: string;
  readonly metadata: PodSandboxMetadata;
  readonly state: 'ready' | 'notReady';
  readonly createdWallMs: number;
  /**
   * The pod's addresses, the primary one first; empty with the machine's network (the kubelet then uses the host IP).
   */
  readonly ips: readonly string[];
  /** What the pod got: `node` also where the runtime has no networks of pods, whatever was asked for. */
  readonly networkMode: NamespaceMode;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface ContainerMetadata {
  readonly name: string;
  /** The restart count of this instance. */
  readonly attempt: number;
}

export interface Mount {
  readonly containerPath: string;
  readonly hostPath: string;
  readonly readonly: boolean;
  /** Whether mounts made below it later are seen on the other side. Default `private`: no. */
  readonly propagation?: 'private' | 'hostToContainer' | 'bidirectional';
}

export interface ContainerSecurityContext {
  readonly privileged: boolean;
  readonly runAsUser: number | undefined;
  readonly runAsGroup: number | undefined;
  readonly supplementalGroups: readonly number[];
  readonly readonlyRootfs: boolean;
  readonly noNewPrivs: boolean;
  readonly addCapabilities: readonly string[];
  readonly dropCapabilities: readonly string[];
  /** `RuntimeDefault`, `Unconfined` or `Localhost`; absent: unconfined. */
  readonly seccompProfile?: string;
  /** Of `Localhost`: the file with the profile. */
  readonly seccompLocalhostPath?: string;
  /** `RuntimeDefault`, `Unconfined` or `Localhost`; absent: the runtime's default, where the machine has AppArmor. */
  readonly appArmorProfile?: string;
  /** Of `Localhost`: the name of a loaded profile. */
  readonly appArmorLocalhostName?: string;
  /** Absent: the runtime's own. */
  readonly seLinuxOptions?: Readonly<Record<string, string | undefined>>;
  /** `Unmasked`; absent: what the runtime hides of /proc. */
  readonly procMount?: string;
}

export interface LinuxContainerResources {
  readonly cpuShares: number | undefined;
  readonly cpuQuota: number | undefined;
  readonly cpuPeriod: number | undefined;
  readonly memoryLimitBytes: number | undefined;
  readonly oomScoreAdj: number | undefined;
  /** Files of cgroup v2 and what is written to them: `memory.min`. Ignored where the machine has cgroup v1. */
  readonly unified?: Readonly<Record<string, string>>;
}

export interface ContainerConfig {
  readonly metadata: ContainerMetadata;
  /** The image's id, as ImageStatus or PullImage gave it. */
  readonly imageRef: string;
  /** The image as the user wrote it. */
  readonly image: string;
  /** Overrides the image's ENTRYPOINT when not empty. */
  readonly command: readonly string[];
  /** Overrides the image's CMD when not empty, or when `command` is given. */
  readonly args: readonly string[];
  /** Empty: the image's. */
  readonly workingDir: string;
  /** In order; a later one of the same name wins. Added to the image's. */
  readonly envs: readonly { readonly key: string; readonly value: string }[];
  readonly mounts: readonly Mount[];
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Relative to the sandbox's logDirectory: `NAME/ATTEMPT.log`. */
  readonly logPath: string;
  readonly stdin: boolean;
  readonly stdinOnce: boolean;
  readonly tty: boolean;
  /** E.g. `SIGUSR1`; `undefined`: the image's, else SIGTERM. */
  readonly stopSignal: string | undefined;
  readonly securityContext: ContainerSecurityContext;
  readonly resources: LinuxContainerResources;
  /** Id of the container whose PID namespace it joins; absent: as the sandbox says. */
  readonly targetId?: string;
}

export type ContainerRuntimeState = 'created' | 'running' | 'exited' | 'unknown';

export interface RuntimeContainerStatus {
  readonly id: string;
  readonly podSandboxId: string;
  readonly metadata: ContainerMetadata;
  readonly state: ContainerRuntimeState;
  readonly createdWallMs: number;
  /** `undefined` until it was started. */
  readonly startedWallMs: number | undefined;
  /** These three: only when exited. */
  readonly finishedWallMs: number | undefined;
  readonly exitCode: number | undefined;
  /** `Completed` (0), `Error` (other), `OOMKilled`, `StartError` (exit code 128; never ran). */
  readonly reason: string;
  readonly message: string;
  /** As the runtime names it: `docker.io/library/busybox:1.29`. */
  readonly image: string;
  readonly imageRef: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly logPath: string;
}

export interface RuntimeImage {
  /** `sha256:...` */
  readonly id: string;
  /** E.g. `docker.io/library/busybox:1.29`. */
  readonly repoTags: readonly string[];
  readonly sizeBytes: number;
  /** The user that its process runs as, where it is a number. Neither this nor `username`: root. */
  readonly uid?: number;
  /** The same, where it is a name. */
  readonly username?: string;
  /** The runtime needs it itself (for sandboxes): it is not to be removed. Default: no. */
  readonly isPinned?: boolean;
}

/** What a registry wants to see before it gives an image. Upstream: CRI's `AuthConfig`. */
export interface ImageAuth {
  readonly username?: string;
  readonly password?: string;
  /** `USERNAME:PASSWORD` in base64, where it came so. */
  readonly auth?: string;
  readonly serverAddress?: string;
  readonly identityToken?: string;
  readonly registryToken?: string;
}

/** Where images are kept. */
export interface ImageFsInfo {
  /** A directory of its file system. */
  readonly mountpoint: string;
  /** By images and containers' own files. */
  readonly usedBytes: number;
}

export interface PulledImage {
  readonly id: string;
  readonly sizeBytes: number;
  /** What the runtime wants the user to know about this image; shown after the Pulled event's text. Usually absent. */
  readonly notice?: string;
}

export type ContainerEventKind = 'created' | 'started' | 'stopped' | 'deleted';

export interface ContainerEvent {
  readonly kind: ContainerEventKind;
  readonly containerId: string;
  readonly podUid: string;
}

export interface ExecSyncResult {
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
  readonly exitCode: number;
}

export interface TerminalSize {
  /** Columns. */
  readonly width: number;
  /** Rows. */
  readonly height: number;
}

/** The streams of a command or a container, as a client has them. Absent: not asked for. */
export interface RemoteStreams {
  /** What the client types; ends when it closes its side, which the command then sees as the end of its input. */
  readonly stdin: AsyncIterable<Uint8Array> | undefined;
  /** Resolves when the client's connection has taken it: until then no more is read of the command. */
  readonly stdout: ((bytes: Uint8Array) => Promise<void>) | undefined;
  /** Absent with a terminal: both come on stdout. */
  readonly stderr: ((bytes: Uint8Array) => Promise<void>) | undefined;
  /** Of the client's terminal: the first one early, then each change. Only with `tty`. */
  readonly resize: AsyncIterable<TerminalSize> | undefined;
}

/** The time given to ExecSync ran out; the runtime has ended the command. */
export class ExecTimeoutError extends Error {
  override readonly name = 'ExecTimeoutError';
}

export interface RuntimeVersion {
  /** `containerd`, `process`, `sim`: the scheme of container ids in statuses (`containerd://ID`). */
  readonly runtimeName: string;
  readonly runtimeVersion: string;
}

export interface RuntimeCondition {
  /** `RuntimeReady` or `NetworkReady`. */
  readonly type: string;
  readonly status: boolean;
  readonly reason: string;
  readonly message: string;
}

export interface RuntimeNetworkConfig {
  readonly podCidr: string;
}

export interface ContainerRuntime {
  version(signal: AbortSignal): Promise<RuntimeVersion>;
  status(signal: AbortSignal): Promise<readonly RuntimeCondition[]>;

  /**
   * From now on new pods have their addresses from `podCidr` (`10.244.1.0/24`; of two families: with a comma); those
   * that are there keep theirs. Comes whenever the range becomes known, and again when another kubelet has started.
   * `Invalid`: not a range that this runtime can use. Runtimes that get their network otherwise ignore it. Upstream:
   * CRI's UpdateRuntimeConfig.
   */
  updateRuntimeConfig(config: RuntimeNetworkConfig, signal: AbortSignal): Promise<void>;

  runPodSandbox(config: PodSandboxConfig, signal: AbortSignal): Promise<string>;
  /** Ends all its containers at once (SIGKILL) and gives its network back; idempotent. */
  stopPodSandbox(podSandboxId: string, signal: AbortSignal): Promise<void>;
  /** Removes it and all its containers, ending what still runs; idempotent. */
  removePodSandbox(podSandboxId: string, signal: AbortSignal): Promise<void>;
  podSandboxStatus(podSandboxId: string, signal: AbortSignal): Promise<PodSandboxStatus>;
  listPodSandboxes(filter: { readonly podUid?: string }, signal: AbortSignal): Promise<readonly PodSandboxStatus[]>;

  createContainer(
    podSandboxId: string,
    config: ContainerConfig,
    sandboxConfig: PodSandboxConfig,
    signal: AbortSignal,
  ): Promise<string>;
  /**
   * Resolves once the command runs. If it cannot be run: fails, and the container is `exited` with StartError and 128.
   */
  startContainer(containerId: string, signal: AbortSignal): Promise<void>;
  /** Sends the stop signal, after `graceMs` SIGKILL; resolves when the container has ended; idempotent. */
  stopContainer(containerId: string, graceMs: number, signal: AbortSignal): Promise<void>;
  /** Ends it if it runs, and forgets it; its log file stays. Idempotent. */
  removeContainer(containerId: string, signal: AbortSignal): Promise<void>;
  containerStatus(containerId: string, signal: AbortSignal): Promise<RuntimeContainerStatus>;
  listContainers(filter: { readonly podUid?: string }, signal: AbortSignal): Promise<readonly RuntimeContainerStatus[]>;
  /** Asks the runtime to open the log file anew, after it was rotated. */
  reopenContainerLog(containerId: string, signal: AbortSignal): Promise<void>;

  /**
   * Runs `command` (no shell) in the container, without stdin or TTY. Output is bounded to `execOutputBytesMax` per
   * stream.
   * `ExecTimeoutError` after `timeoutMs` (0: no limit). Any other failure to run it: `StatusError` with the runtime's
   * text.
   */
  execSync(
    containerId: string,
    command: readonly string[],
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<ExecSyncResult>;

  /**
   * Runs `command` (no shell) in the container with these streams; resolves with its exit code when it has ended and
   * all its output was taken. When `signal` aborts (the client has gone) its input ends and its output is dropped; it
   * is not killed, except by SIGHUP where its terminal goes. Failures as `execSync`. Upstream: CRI's Exec.
   */
  exec(
    containerId: string,
    options: { readonly command: readonly string[]; readonly tty: boolean },
    streams: RemoteStreams,
    signal: AbortSignal,
  ): Promise<number>;
  /**
   * The container's own streams from now on (nothing of what it wrote before), until it ends. Its stdin ends with the
   * client's only if it has `stdinOnce`. `tty`: as the container was made. Upstream: CRI's Attach.
   */
  attach(
    containerId: string,
    options: { readonly tty: boolean },
    streams: RemoteStreams,
    signal: AbortSignal,
  ): Promise<void>;
  /**
   * Joins `stream` to `localhost:port` of the pod's network until both directions have ended, or one has failed.
   * Upstream: CRI's PortForward, for one connection.
   */
  portForward(podSandboxId: string, port: number, stream: ByteStream, signal: AbortSignal): Promise<void>;

  listImages(signal: AbortSignal): Promise<readonly RuntimeImage[]>;
  /** `undefined`: not present. */
  imageStatus(image: string, signal: AbortSignal): Promise<RuntimeImage | undefined>;
  /** Fails with the runtime's text, e.g. `failed to pull and unpack image ...`. */
  pullImage(image: string, signal: AbortSignal, auth?: ImageAuth): Promise<PulledImage>;
  /** By id or name; idempotent. Absent, like `imageFsInfo`: images are not garbage of this runtime's node. */
  removeImage?(image: string, signal: AbortSignal): Promise<void>;
  imageFsInfo?(signal: AbortSignal): Promise<ImageFsInfo>;

  /**
   * Every change from now on, until `signal` aborts. A lost connection ends it with an error: relist and call again.
   */
  events(signal: AbortSignal): AsyncIterable<ContainerEvent>;
}

export const execOutputBytesMax = 16 * 1_024 * 1_024; // as containerd; probes themselves keep 10 KiB

/** Labels that the kubelet puts on every sandbox and container, as upstream does; runtimes read `podUid` from them. */
export const podLabels = {
  podName: 'io.kubernetes.pod.name',
  podNamespace: 'io.kubernetes.pod.namespace',
  podUid: 'io.kubernetes.pod.uid',
  containerName: 'io.kubernetes.container.name',
} as const;
