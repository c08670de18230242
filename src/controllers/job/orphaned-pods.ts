import type { Job, Pod } from '../../api/gen/types.ts';
import { apiVersionOf, resources } from '../../api/resources.ts';
import { hasReason } from '../../base/status-error.ts';
import type { TaskScope } from '../../base/task-scope.ts';
import { WorkQueue } from '../../base/work-queue.ts';
import type { Informer } from '../../client/informer.ts';
import type { ByController } from '../owned-pods/by-controller.ts';
import { controllerOf, keyOf, refOf } from '../owned-pods/controller-ref.ts';
import { startWorkers } from '../run-controller.ts';
import type { ControllerDeps } from '../run-controller.ts';
import { isTracked } from './job-progress.ts';
import { removeTracking } from './job-sync.ts';

/**
 * Pods whose job is gone are counted by nobody: takes their finalizer, so that they can go. Upstream: `syncOrphanPod`.
 */
export function startOrphanedPods(
  scope: TaskScope,
  deps: ControllerDeps & {
    readonly jobs: Informer<Job>;
    readonly pods: Informer<Pod>;
    readonly podsByController: ByController<Pod>;
  },
): void {
  const { jobs, pods, podsByController, client, clock } = deps;
  const queue = new WorkQueue<string>({ clock, signal: scope.signal });
  const hasNoJob = (pod: Pod): boolean => {
    const controller = controllerOf(pod);
    if (controller === undefined) return true;
    if (controller.kind !== resources.jobs.kind || controller.apiVersion !== apiVersionOf(resources.jobs)) return false;
    return jobs.get(pod.metadata?.namespace ?? '', controller.name)?.metadata?.uid !== controller.uid;
  };
  pods.onChange(({ current }) => {
    if (current !== undefined && isTracked(current) && hasNoJob(current)) queue.add(keyOf(current));
  });
  jobs.onChange(({ previous, current }) => {
    const uid = previous?.metadata?.uid;
    if (uid === undefined || uid === current?.metadata?.uid) return;
    for (const pod of podsByController.ownedBy(uid)) if (isTracked(pod)) queue.add(keyOf(pod));
  });
  const reconciler = {
    name: 'jobOrphans',
    async reconcile(key: string, signal: AbortSignal): Promise<{ readonly kind: 'settled' }> {
      const { namespace, name } = refOf(key);
      const pod = pods.get(namespace, name);
      if (pod === undefined || !isTracked(pod) || !hasNoJob(pod)) return { kind: 'settled' };
      if (!(await hasLiveJob(pod, signal))) await removeTracking(client, pod, signal);
      return { kind: 'settled' };
    },
  };
  /** The job may only not have come into the cache yet. */
  const hasLiveJob = async (pod: Pod, signal: AbortSignal): Promise<boolean> => {
    const controller = controllerOf(pod);
    if (controller === undefined) return false;
    const ref = { namespace: pod.metadata?.namespace ?? '', name: controller.name };
    try {
      return (await client.get(resources.jobs, ref, signal)).metadata?.uid === controller.uid;
    } catch (error) {
      if (hasReason(error, 'NotFound')) return false;
      throw error;
    }
  };
  startWorkers(scope, deps, reconciler, queue, { workers: 1, synced: [jobs, pods] });
}
