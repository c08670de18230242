import { formatDuration } from '../api/duration.ts';
import { StatusError, messageOf } from '../base/status-error.ts';
import type { PodSandboxStatus, RuntimeContainerStatus } from '../cri/runtime.ts';
import { Alarm } from '../base/alarm.ts';
import type { NodeContext } from './node-context.ts';

// Deaths arrive as events; this finds the ones that were lost. Upstream: 1 s without events, 300 s with them. One round
// is also what house-keeping and log rotation look at, which upstream does every 2 s and 10 s.
const relistMs = 10_000;
const healthyMs = 180_000; // upstream: relistThreshold

/** All that the runtime has, of whichever pod. */
export interface RuntimeView {
  readonly sandboxes: readonly PodSandboxStatus[];
  readonly containers: readonly RuntimeContainerStatus[];
}

/** Looks at the whole runtime every 10 s, and at once when asked to. Upstream: `GenericPLEG`. */
export class Relist {
  readonly #context: Pick<NodeContext, 'clock' | 'log' | 'runtime'>;
  readonly #onView: (view: RuntimeView) => void;
  readonly #alarm: Alarm;
  #view: RuntimeView | undefined;
  #startedMonoMs: number;
  #seenMonoMs: number | undefined;

  /** `onView` gets what each round found; it must not throw. */
  constructor(context: Pick<NodeContext, 'clock' | 'log' | 'runtime'>, onView: (view: RuntimeView) => void) {
    this.#context = context;
    this.#onView = onView;
    this.#alarm = new Alarm(context.clock, 'kubelet.relist');
    this.#startedMonoMs = context.clock.monoMs();
  }

  /** Of the last round; `undefined`: there was none yet. */
  get view(): RuntimeView | undefined {
    return this.#view;
  }

  /** Something may have happened unseen: look now. */
  ring(): void {
    this.#alarm.ring();
  }

  /** Why this node is not Ready: the runtime has not told what it has for more than 3 min. */
  problem(): string | undefined {
    const nowMonoMs = this.#context.clock.monoMs();
    if (this.#seenMonoMs === undefined) {
      const isNew = nowMonoMs - this.#startedMonoMs < relistMs;
      return isNew ? undefined : 'PLEG is not healthy: pleg has yet to be successful';
    }
    const elapsedMs = nowMonoMs - this.#seenMonoMs;
    if (elapsedMs < healthyMs) return undefined;
    const ago = formatDuration(Math.round(elapsedMs));
    return `PLEG is not healthy: pleg was last seen active ${ago} ago; threshold is ${formatDuration(healthyMs)}`;
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#startedMonoMs = this.#context.clock.monoMs();
    for (;;) {
      try {
        await this.#look(signal);
      } catch (error) {
        if (signal.aborted || !(error instanceof StatusError)) throw error;
        this.#context.log.warn('relistFailed', { error: messageOf(error) });
      }
      await this.#alarm.wait(relistMs, signal);
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { clock, runtime } = this.#context;
    const [sandboxes, containers] = await Promise.all([
      runtime.listPodSandboxes({}, signal),
      runtime.listContainers({}, signal),
    ]);
    this.#seenMonoMs = clock.monoMs();
    this.#view = { sandboxes, containers };
    this.#onView(this.#view);
  }
}
