import type { Clock } from '../base/clock.ts';
import type { Entropy } from '../base/entropy.ts';
import type { Log } from '../base/log.ts';
import { runReconciler } from '../base/run-reconciler.ts';
import type { Reconciler } from '../base/run-reconciler.ts';
import { StatusError } from '../base/status-error.ts';
import type { TaskScope } from '../base/task-scope.ts';
import type { WorkQueue } from '../base/work-queue.ts';
import type { Client } from '../client/client.ts';

/** What every controller gets. */
export interface ControllerDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
}

/** Starts `workers` workers under `scope` once all of `synced` have their first list. Failures are retried. */
export function startWorkers(
  scope: TaskScope,
  deps: ControllerDeps,
  reconciler: Reconciler<string>,
  queue: WorkQueue<string>,
  options: { readonly workers: number; readonly synced: readonly { synced(signal: AbortSignal): Promise<void> }[] },
): void {
  const onError = (error: unknown, key: string): void => {
    if (!(error instanceof StatusError)) throw error; // a bug: better down than wrong
    if (error.reason === 'Conflict') return; // it has changed meanwhile, which is no news
    deps.log.warn('reconcileFailed', { controller: reconciler.name, key, reason: error.reason, error: error.message });
  };
  for (let worker = 0; worker < options.workers; worker++) {
    scope.start(async (signal) => {
      for (const informer of options.synced) await informer.synced(signal);
      await runReconciler(reconciler, queue, { entropy: deps.entropy, onError }, signal);
    });
  }
}
