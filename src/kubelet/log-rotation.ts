import { StatusError, messageOf } from '../base/status-error.ts';
import { podLabels } from '../cri/runtime.ts';
import type { RuntimeContainerStatus } from '../cri/runtime.ts';
import type { NodeContext } from './node-context.ts';

const checkMs = 10_000; // upstream: containerLogMonitorInterval
const logBytesMax = 10 * 1_024 * 1_024; // containerLogMaxSize
const logFilesMax = 5; // containerLogMaxFiles: the current one, and four rotated

/** Keeps the logs of running containers within bounds (section 7.3). */
export class LogRotation {
  readonly #context: Pick<NodeContext, 'clock' | 'files' | 'layout' | 'log' | 'runtime'>;
  readonly #containers: () => readonly RuntimeContainerStatus[];

  /** `containers`: as they were not long ago. */
  constructor(
    context: Pick<NodeContext, 'clock' | 'files' | 'layout' | 'log' | 'runtime'>,
    containers: () => readonly RuntimeContainerStatus[],
  ) {
    this.#context = context;
    this.#containers = containers;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#context;
    for (;;) {
      await clock.sleep(checkMs, 'kubelet.logs.rotate', signal);
      try {
        for (const container of this.#containers()) {
          if (container.state === 'running') await this.#rotateIfLarge(container, signal);
        }
      } catch (error) {
        if (signal.aborted || !(error instanceof StatusError)) throw error;
        this.#context.log.warn('logRotationFailed', { error: messageOf(error) }); // the next round tries again
      }
    }
  }

  async #rotateIfLarge(container: RuntimeContainerStatus, signal: AbortSignal): Promise<void> {
    const { files, log } = this.#context;
    const path = this.#pathOf(container);
    const found = await files.stat(path);
    if (found === undefined || found.sizeBytes <= logBytesMax) return;
    try {
      await this.#rotate(path, container.id, signal);
    } catch (error) {
      if (signal.aborted || !(error instanceof StatusError)) throw error;
      log.warn('logNotRotated', { containerId: container.id, error: messageOf(error) });
    }
  }

  #pathOf({ labels, metadata, logPath }: RuntimeContainerStatus): string {
    if (logPath.startsWith('/')) return logPath;
    const namespace = labels[podLabels.podNamespace];
    const pod = `${namespace}_${labels[podLabels.podName]}_${labels[podLabels.podUid]}`;
    return `${this.#context.layout.podLogsDir}/${pod}/${metadata.name}/${metadata.attempt}.log`;
  }

  /** Old ones first removed and packed, then the current one renamed and the runtime told to open a new one. */
  async #rotate(path: string, containerId: string, signal: AbortSignal): Promise<void> {
    const { clock, files, runtime } = this.#context;
    const directory = path.slice(0, path.lastIndexOf('/'));
    const name = path.slice(directory.length + 1);
    const rotated = (await files.list(directory)).filter((file) => file.startsWith(`${name}.`));
    const keepMax = logFilesMax - 2; // beside the current one and the one that it becomes
    for (const file of rotated.slice(0, Math.max(0, rotated.length - keepMax))) {
      await files.remove(`${directory}/${file}`);
    }
    for (const file of rotated.slice(-keepMax)) {
      if (!file.endsWith('.gz')) await files.gzip(`${directory}/${file}`);
    }
    const stamp = new Date(clock.wallMs()).toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-');
    const aside = `${path}.${stamp}`;
    await files.rename(path, aside);
    try {
      await runtime.reopenContainerLog(containerId, signal);
    } catch (error) {
      await files.rename(aside, path); // the runtime goes on writing to it
      throw error;
    }
  }
}
