import { setMaxListeners } from 'node:events';
import { StatusError } from '../base/status-error.ts';
import type { TaskScope } from '../base/task-scope.ts';
import type { Kubelet } from '../kubelet/kubelet.ts';
import type { HostParts, Opened } from './opened.ts';
import type { OpenedRuntime } from './runtimes.ts';

const stopGraceMsDefault = 5_000;

/** The end of what runs in this process. */
export interface Running {
  /** Settles when everything has stopped; rejects if it broke down by itself. */
  readonly stopped: Promise<void>;
  /**
   * Ends the containers gracefully (at most `graceMs`, default 5,000, then SIGKILL), then everything else. The objects
   * stay in `dataDir`, and a later start runs their pods again. Idempotent.
   */
  stop(graceMs?: number): Promise<void>;
  /**
   * Ends everything but the containers; resolves to how many run on, as far as the runtime tells. The next start with
   * this `dataDir` takes them over as they are, as it does after this process was killed. Where they cannot outlive it
   * (`runtime: 'process'`, or no `dataDir` to come back to) this is `stop()`. Upstream: a kubelet that is stopped.
   */
  leave(): Promise<number>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** What becomes of the containers. */
export interface Ending {
  /** Ends them all, gracefully. */
  end(graceMs: number): Promise<void>;
  /** How many will run on; `undefined`: they cannot. */
  leave(): Promise<number | undefined>;
}

export function endingOf(
  openedRuntime: OpenedRuntime,
  kubelet: Kubelet,
  { scope, isTemporary }: Pick<HostParts, 'scope' | 'isTemporary'>,
): Ending {
  const { runtime, containersOutlive, cgroups } = openedRuntime;
  return {
    async end(graceMs) {
      const { signal } = new AbortController();
      setMaxListeners(0, signal); // one for each sandbox that is being stopped
      await kubelet.shutdown(graceMs, signal);
      if (!containersOutlive || !isTemporary) return;
      // Nobody will come back for what is left of them.
      const sandboxes = await runtime.listPodSandboxes({}, signal);
      await Promise.all(sandboxes.map(({ id }) => runtime.removePodSandbox(id, signal)));
      await cgroups?.groups.remove(cgroups.root);
    },
    async leave() {
      if (!containersOutlive || isTemporary) return undefined;
      try {
        const containers = await runtime.listContainers({}, scope.signal);
        return containers.filter(({ state }) => state === 'running').length;
      } catch (error) {
        if (error instanceof StatusError) return 0; // it does not answer: no reason to stay
        throw error;
      }
    },
  };
}

/** `ending` undefined: there are no containers here. */
export function runningOf(opened: Opened, scope: TaskScope, ending?: Ending): Running {
  let closing: Promise<number> | undefined;
  const close = (first: () => Promise<number>): Promise<number> => {
    closing ??= (async () => {
      try {
        return scope.failure === undefined ? await first() : 0;
      } finally {
        await opened.close();
      }
    })();
    return closing;
  };
  const end = async (graceMs: number): Promise<number> => {
    await ending?.end(graceMs);
    return 0;
  };
  const stop = async (graceMs = stopGraceMsDefault): Promise<void> => {
    await close(() => end(graceMs));
  };
  const leave = (): Promise<number> => close(async () => (await ending?.leave()) ?? (await end(stopGraceMsDefault)));
  const stopped = new Promise<void>((resolve, reject) => {
    const onAbort = (): void => {
      stop().then(resolve, reject);
    };
    scope.signal.addEventListener('abort', onAbort, { once: true });
  });
  stopped.catch(() => {}); // also told by stop(); nobody need listen here
  return { stopped, stop, leave, [Symbol.asyncDispose]: () => stop() };
}
