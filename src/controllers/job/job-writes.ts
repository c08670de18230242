import type { Job, JobStatus } from '../../api/gen/types.ts';
import { resources } from '../../api/resources.ts';
import { hasReason } from '../../base/status-error.ts';
import type { Client } from '../../client/client.ts';
import type { Informer } from '../../client/informer.ts';
import { keyOf, refOf } from '../owned-pods/controller-ref.ts';
import { LastWritten } from '../owned-pods/last-written.ts';
import { mayHaveHappened } from '../owned-pods/lost-answers.ts';

/**
 * Jobs as they are by what this controller wrote itself, where its cache is behind: an index that the status says has
 * ended, and whose pod is let go, would get another pod. Make it before the informer runs.
 */
export class JobWrites {
  readonly #client: Client;
  readonly #written: LastWritten<Job>;
  readonly #doubtful = new Set<string>(); // keys of jobs of which a write was not answered, or was too late

  constructor(client: Client, jobs: Informer<Job>) {
    this.#client = client;
    this.#written = new LastWritten(jobs);
    jobs.onChange(({ current, previous }) => {
      if (current === undefined && previous !== undefined) this.#doubtful.delete(keyOf(previous));
    });
  }

  /** As the server has it, if there is doubt; `undefined`: it has gone, or is another one. */
  async newest(cached: Job, signal: AbortSignal): Promise<Job | undefined> {
    const key = keyOf(cached);
    if (!this.#doubtful.has(key)) return this.#written.newest(cached);
    try {
      const live = await this.#client.get(resources.jobs, refOf(key), signal);
      if (live.metadata?.uid !== cached.metadata?.uid) return undefined;
      this.#written.note(live);
      this.#doubtful.delete(key);
      return live;
    } catch (error) {
      if (hasReason(error, 'NotFound')) return undefined;
      throw error;
    }
  }

  async write(job: Job, status: JobStatus, signal: AbortSignal): Promise<Job> {
    const ref = { ...refOf(keyOf(job)), subresource: 'status' };
    try {
      const written = await this.#client.update(resources.jobs, ref, { ...job, status }, signal);
      this.#written.note(written);
      return written;
    } catch (error) {
      if (mayHaveHappened(error) || hasReason(error, 'Conflict')) this.#doubtful.add(keyOf(job));
      throw error;
    }
  }
}
