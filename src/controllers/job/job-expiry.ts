import type { Job } from '../../api/gen/types.ts';
import { resources } from '../../api/resources.ts';
import { parseTime } from '../../api/time.ts';
import type { Outcome } from '../../base/run-reconciler.ts';
import { hasReason } from '../../base/status-error.ts';
import type { TaskScope } from '../../base/task-scope.ts';
import { WorkQueue } from '../../base/work-queue.ts';
import type { Informer } from '../../client/informer.ts';
import { keyOf, refOf } from '../owned-pods/controller-ref.ts';
import { startWorkers } from '../run-controller.ts';
import type { ControllerDeps } from '../run-controller.ts';
import { conditionOf } from './job-progress.ts';

/** Deletes jobs with `ttlSecondsAfterFinished`, and their pods first, when that time is over. Upstream: ttlafterfinished. */
export function startJobExpiry(scope: TaskScope, deps: ControllerDeps & { readonly jobs: Informer<Job> }): void {
  const { jobs, client, clock } = deps;
  const queue = new WorkQueue<string>({ clock, signal: scope.signal });
  jobs.onChange(({ current }) => {
    if (current !== undefined && expiresAtMs(current) !== undefined) queue.add(keyOf(current));
  });
  const reconciler = {
    name: 'jobExpiry',
    async reconcile(key: string, signal: AbortSignal): Promise<Outcome> {
      const cached = jobs.get(refOf(key).namespace, refOf(key).name);
      const atMs = cached === undefined ? undefined : expiresAtMs(cached);
      if (atMs === undefined) return { kind: 'settled' };
      const leftMs = atMs - clock.wallMs();
      if (leftMs > 0) return { kind: 'again', afterMs: leftMs };
      try {
        // Its time may have been changed since.
        const live = await client.get<Job>(resources.jobs, refOf(key), signal);
        const liveAtMs = expiresAtMs(live);
        if (liveAtMs === undefined || liveAtMs > clock.wallMs()) return { kind: 'settled' };
        const preconditions = { uid: live.metadata?.uid ?? '', resourceVersion: live.metadata?.resourceVersion ?? '' };
        const options = { preconditions, propagationPolicy: 'Foreground' };
        await client.delete(resources.jobs, refOf(key), options, signal);
      } catch (error) {
        if (!hasReason(error, 'NotFound', 'Conflict')) throw error;
      }
      return { kind: 'settled' };
    },
  };
  startWorkers(scope, deps, reconciler, queue, { workers: 1, synced: [jobs] });
}

function expiresAtMs(job: Job): number | undefined {
  const seconds = job.spec?.ttlSecondsAfterFinished;
  if (seconds === undefined || job.metadata?.deletionTimestamp !== undefined) return undefined;
  const finished = conditionOf(job, 'Complete') ?? conditionOf(job, 'Failed');
  const finishedMs = finished?.lastTransitionTime === undefined ? undefined : parseTime(finished.lastTransitionTime);
  return finishedMs === undefined ? undefined : finishedMs + seconds * 1_000;
}
