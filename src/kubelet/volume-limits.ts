import type { Pod } from '../api/gen/types.ts';
import { quantityOf, quantityValue } from '../api/quantity.ts';
import { StatusError, messageOf } from '../base/status-error.ts';
import type { NodeContext } from './node-context.ts';
import { volumeDirectory } from './node-layout.ts';
import { podUidOf } from './pod-names.ts';

const checkMs = 10_000; // upstream: the eviction manager's monitoringInterval

/**
 * Finds pods whose emptyDir volumes have outgrown their `sizeLimit`: all are measured one after the other, and 10 s
 * later again. Upstream: `localStorageEviction`, of which limits of `ephemeral-storage` are left out: what containers
 * write to their own file systems is not known here.
 */
export class VolumeLimits {
  readonly #context: Pick<NodeContext, 'clock' | 'files' | 'layout' | 'log'>;
  readonly #pods: () => readonly Pod[];
  readonly #evict: (pod: Pod, message: string) => void;

  /** `pods`: those that run now. `evict` gets the text for the pod's status and event. */
  constructor(
    context: Pick<NodeContext, 'clock' | 'files' | 'layout' | 'log'>,
    pods: () => readonly Pod[],
    evict: (pod: Pod, message: string) => void,
  ) {
    this.#context = context;
    this.#pods = pods;
    this.#evict = evict;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#context;
    for (;;) {
      await clock.sleep(checkMs, 'kubelet.volumeLimits', signal);
      for (const pod of this.#pods()) {
        try {
          const problem = await this.#check(pod, signal);
          if (problem !== undefined) this.#evict(pod, problem);
        } catch (error) {
          if (signal.aborted || !(error instanceof StatusError)) throw error;
          log.warn('volumesNotMeasured', { podUid: podUidOf(pod), error: messageOf(error) }); // again in 10 s
        }
      }
    }
  }

  async #check(pod: Pod, signal: AbortSignal): Promise<string | undefined> {
    const { files, layout } = this.#context;
    for (const { name, emptyDir } of pod.spec?.volumes ?? []) {
      const { sizeLimit } = emptyDir ?? {};
      const limitBytes = quantityValue(quantityOf(sizeLimit));
      if (limitBytes === 0) continue;
      const usedBytes = await files.usedBytes(volumeDirectory(layout, podUidOf(pod), 'empty-dir', name), signal);
      if (usedBytes <= limitBytes) continue;
      return `Usage of EmptyDir volume "${name}" exceeds the limit "${sizeLimit}". `;
    }
    return undefined;
  }
}
