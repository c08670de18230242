import { StatusError } from '../../src/base/status-error.ts';
import type { ContainerConfig, ContainerRuntime, PodSandboxConfig } from '../../src/cri/runtime.ts';

/** Verbs that change something. */
export type NotedVerb =
  | 'updateRuntimeConfig'
  | 'runPodSandbox'
  | 'stopPodSandbox'
  | 'removePodSandbox'
  | 'createContainer'
  | 'startContainer'
  | 'stopContainer'
  | 'removeContainer'
  | 'reopenContainerLog'
  | 'execSync'
  | 'pullImage'
  | 'removeImage';

/** Any runtime, with its calls noted, and one verb at a time made to fail. */
export class NotingRuntime {
  /** `start web`, `stop web 30000`: the verb, the container's name, what matters. */
  readonly calls: string[] = [];
  /** By container name: what its newest instance was made from. */
  readonly configs = new Map<string, ContainerConfig>();
  /** Fails these verbs with the text. */
  readonly failures = new Map<NotedVerb, string>();
  readonly runtime: ContainerRuntime;
  readonly #names = new Map<string, string>(); // container or sandbox id -> name

  constructor(inner: ContainerRuntime) {
    this.runtime = {
      version: (signal) => inner.version(signal),
      status: (signal) => inner.status(signal),
      updateRuntimeConfig: (config, signal) => {
        this.#fail('updateRuntimeConfig');
        this.calls.push(`updateRuntimeConfig ${config.podCidr}`);
        return inner.updateRuntimeConfig(config, signal);
      },
      runPodSandbox: (config, signal) => this.#runPodSandbox(inner, config, signal),
      stopPodSandbox: (id, signal) => {
        this.#note('stopPodSandbox', id);
        return inner.stopPodSandbox(id, signal);
      },
      removePodSandbox: (id, signal) => {
        this.#note('removePodSandbox', id);
        return inner.removePodSandbox(id, signal);
      },
      podSandboxStatus: (id, signal) => inner.podSandboxStatus(id, signal),
      listPodSandboxes: (filter, signal) => inner.listPodSandboxes(filter, signal),
      createContainer: async (sandboxId, config, sandbox, signal) => {
        this.#fail('createContainer');
        const id = await inner.createContainer(sandboxId, config, sandbox, signal);
        this.#names.set(id, config.metadata.name);
        this.configs.set(config.metadata.name, config);
        this.#note('createContainer', id, config.metadata.attempt);
        return id;
      },
      startContainer: (id, signal) => {
        this.#note('startContainer', id);
        return inner.startContainer(id, signal);
      },
      stopContainer: (id, graceMs, signal) => {
        this.#note('stopContainer', id, graceMs);
        return inner.stopContainer(id, graceMs, signal);
      },
      removeContainer: (id, signal) => {
        this.#note('removeContainer', id);
        return inner.removeContainer(id, signal);
      },
      containerStatus: (id, signal) => inner.containerStatus(id, signal),
      listContainers: (filter, signal) => inner.listContainers(filter, signal),
      reopenContainerLog: (id, signal) => {
        this.#note('reopenContainerLog', id);
        return inner.reopenContainerLog(id, signal);
      },
      execSync: (id, command, timeoutMs, signal) => {
        this.#note('execSync', id, command.join(' '));
        return inner.execSync(id, command, timeoutMs, signal);
      },
      exec: (id, options, streams, signal) => inner.exec(id, options, streams, signal),
      attach: (id, options, streams, signal) => inner.attach(id, options, streams, signal),
      portForward: (id, port, stream, signal) => inner.portForward(id, port, stream, signal),
      listImages: (signal) => inner.listImages(signal),
      imageStatus: (image, signal) => inner.imageStatus(image, signal),
      pullImage: (image, signal, auth) => {
        this.calls.push(`pullImage ${image} ${auth?.username ?? ''}`.trimEnd());
        this.#fail('pullImage');
        return inner.pullImage(image, signal, auth);
      },
      removeImage: async (image, signal) => {
        this.calls.push(`removeImage ${image.slice(0, 12)}`);
        this.#fail('removeImage');
        await inner.removeImage?.(image, signal);
      },
      ...(inner.imageFsInfo === undefined
        ? {}
        : { imageFsInfo: (signal: AbortSignal) => inner.imageFsInfo?.(signal) ?? Promise.reject(new Error('gone')) }),
      events: (signal) => inner.events(signal),
    };
  }

  /** What was called since the last time. */
  take(): string[] {
    return this.calls.splice(0);
  }

  async #runPodSandbox(inner: ContainerRuntime, config: PodSandboxConfig, signal: AbortSignal): Promise<string> {
    this.#fail('runPodSandbox');
    const id = await inner.runPodSandbox(config, signal);
    this.#names.set(id, config.metadata.name);
    this.#note('runPodSandbox', id, config.metadata.attempt);
    return id;
  }

  #note(verb: NotedVerb, id: string, detail: string | number = ''): void {
    this.calls.push(`${verb} ${this.#names.get(id) ?? id} ${detail}`.trimEnd());
    this.#fail(verb);
  }

  #fail(verb: NotedVerb): void {
    const text = this.failures.get(verb);
    if (text !== undefined) throw new StatusError('InternalError', text);
  }
}
