import type { Clock } from '../base/clock.ts';
import { withDeadline } from '../base/with-deadline.ts';
import type { ContainerRuntime } from '../cri/runtime.ts';

const requestMs = 120_000; // upstream: runtimeRequestTimeout
const sandboxMs = 2 * requestMs; // upstream allows twice as much for the network to come up
const statusMs = 10_000; // what the node's own state hangs on is asked again in 10 s anyway
const pullMsMax = 3_600_000; // the runtime itself gives up pulls that make no progress

/**
 * The same runtime, of which every call that is to come to an end does so: one that takes longer than upstream would
 * wait fails with `Timeout`, whether or not the runtime ever answers. Streams last as long as their clients.
 */
export function withDeadlines(inner: ContainerRuntime, clock: Clock): ContainerRuntime {
  const within = <T>(
    verb: string,
    limitMs: number,
    signal: AbortSignal,
    call: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> => {
    // As upstream's events show it: whole for a sandbox, bare for all else.
    const prefix = verb === 'runPodSandbox' ? 'rpc error: code = DeadlineExceeded desc = ' : '';
    const message = `${prefix}context deadline exceeded`;
    return withDeadline(clock, { name: `kubelet.runtime.${verb}`, limitMs, message }, signal, call);
  };
  const { removeImage, imageFsInfo } = inner;
  return {
    version: (signal) => within('version', statusMs, signal, (own) => inner.version(own)),
    status: (signal) => within('status', statusMs, signal, (own) => inner.status(own)),
    updateRuntimeConfig: (config, signal) =>
      within('updateRuntimeConfig', requestMs, signal, (own) => inner.updateRuntimeConfig(config, own)),
    runPodSandbox: (config, signal) =>
      within('runPodSandbox', sandboxMs, signal, (own) => inner.runPodSandbox(config, own)),
    stopPodSandbox: (id, signal) => within('stopPodSandbox', requestMs, signal, (own) => inner.stopPodSandbox(id, own)),
    removePodSandbox: (id, signal) =>
      within('removePodSandbox', requestMs, signal, (own) => inner.removePodSandbox(id, own)),
    podSandboxStatus: (id, signal) =>
      within('podSandboxStatus', requestMs, signal, (own) => inner.podSandboxStatus(id, own)),
    listPodSandboxes: (filter, signal) =>
      within('listPodSandboxes', requestMs, signal, (own) => inner.listPodSandboxes(filter, own)),
    createContainer: (sandboxId, config, sandbox, signal) =>
      within('createContainer', requestMs, signal, (own) => inner.createContainer(sandboxId, config, sandbox, own)),
    startContainer: (id, signal) => within('startContainer', requestMs, signal, (own) => inner.startContainer(id, own)),
    stopContainer: (id, graceMs, signal) =>
      within('stopContainer', graceMs + requestMs, signal, (own) => inner.stopContainer(id, graceMs, own)),
    removeContainer: (id, signal) =>
      within('removeContainer', requestMs, signal, (own) => inner.removeContainer(id, own)),
    containerStatus: (id, signal) =>
      within('containerStatus', requestMs, signal, (own) => inner.containerStatus(id, own)),
    listContainers: (filter, signal) =>
      within('listContainers', requestMs, signal, (own) => inner.listContainers(filter, own)),
    reopenContainerLog: (id, signal) =>
      within('reopenContainerLog', requestMs, signal, (own) => inner.reopenContainerLog(id, own)),
    execSync(id, command, timeoutMs, signal) {
      if (timeoutMs === 0) return inner.execSync(id, command, timeoutMs, signal); // a hook: as long as it takes
      return within('execSync', timeoutMs + requestMs, signal, (own) => inner.execSync(id, command, timeoutMs, own));
    },
    exec: (id, options, streams, signal) => inner.exec(id, options, streams, signal),
    attach: (id, options, streams, signal) => inner.attach(id, options, streams, signal),
    portForward: (id, port, stream, signal) => inner.portForward(id, port, stream, signal),
    listImages: (signal) => within('listImages', statusMs, signal, (own) => inner.listImages(own)),
    imageStatus: (image, signal) => within('imageStatus', requestMs, signal, (own) => inner.imageStatus(image, own)),
    pullImage: (image, signal, auth) =>
      within('pullImage', pullMsMax, signal, (own) => inner.pullImage(image, own, auth)),
    ...(removeImage === undefined
      ? {}
      : {
          removeImage: (image: string, signal: AbortSignal) =>
            within('removeImage', requestMs, signal, (own) => removeImage.call(inner, image, own)),
        }),
    ...(imageFsInfo === undefined
      ? {}
      : {
          imageFsInfo: (signal: AbortSignal) =>
            within('imageFsInfo', requestMs, signal, (own) => imageFsInfo.call(inner, own)),
        }),
    events: (signal) => inner.events(signal),
  };
}
