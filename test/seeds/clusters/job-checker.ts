import type { Job, Pod } from '../../../src/api/gen/types.ts';
import { invariant } from '../../../src/base/status-error.ts';

/** What a Job says of its pods is no more than there was of them. */
export class JobChecker {
  readonly #app: string;
  readonly #created = new Set<string>(); // uids of its pods, also of those that are gone
  readonly #succeeded = new Set<string>(); // of those whose phase was Succeeded
  #job: Job | undefined;

  /** `app`: the label of its pods. */
  constructor(app: string) {
    this.#app = app;
  }

  onPod({ metadata, status }: Pod): void {
    if (metadata?.labels?.['app'] !== this.#app || metadata.uid === undefined) return;
    this.#created.add(metadata.uid);
    if (status?.phase === 'Succeeded') this.#succeeded.add(metadata.uid);
  }

  onJob(job: Job): void {
    const { succeeded = 0, failed = 0 } = job.status ?? {};
    const before = this.#job?.status;
    invariant(
      succeeded >= (before?.succeeded ?? 0),
      `the job's succeeded fell from ${before?.succeeded} to ${succeeded}`,
    );
    invariant(failed >= (before?.failed ?? 0), `the job's failed fell from ${before?.failed} to ${failed}`);
    this.#job = job;
  }

  /** Between two timers: the watches of pods and of jobs have both told what there is. */
  check(): void {
    const { succeeded = 0, failed = 0, uncountedTerminatedPods } = this.#job?.status ?? {};
    const uncounted = [...(uncountedTerminatedPods?.succeeded ?? []), ...(uncountedTerminatedPods?.failed ?? [])];
    invariant(
      succeeded <= this.#succeeded.size,
      `the job counts ${succeeded} of ${this.#succeeded.size} succeeded pods`,
    );
    const ended = succeeded + failed + uncounted.length;
    invariant(ended <= this.#created.size, `the job counts ${ended} ended pods where ${this.#created.size} ever were`);
    const { completions = 1 } = this.#job?.spec ?? {};
    invariant(succeeded <= completions, `the job counts ${succeeded} of ${completions} completions`);
  }

  /** At rest: each pod that ever was is in one of the counts. */
  unrest(): readonly string[] {
    const { succeeded = 0, failed = 0 } = this.#job?.status ?? {};
    const count = this.#created.size;
    return succeeded + failed === count ? [] : [`the job counts ${succeeded} + ${failed} of the ${count} pods it made`];
  }
}
