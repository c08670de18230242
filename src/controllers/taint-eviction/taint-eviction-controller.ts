import type { Node, Pod, Taint } from '../../api/gen/types.ts';
import type { Outcome, Reconciler } from '../../base/run-reconciler.ts';
import type { TaskScope } from '../../base/task-scope.ts';
import { WorkQueue } from '../../base/work-queue.ts';
import { CorrelatingEventRecorder } from '../../client/correlating-event-recorder.ts';
import type { EventRecorder } from '../../client/event-recorder.ts';
import type { Informer } from '../../client/informer.ts';
import { disruptPod } from '../disruption-target.ts';
import { keyOf, refOf } from '../owned-pods/controller-ref.ts';
import { startWorkers } from '../run-controller.ts';
import type { ControllerDeps } from '../run-controller.ts';
import { toleratedMs } from './tolerated.ts';

const workers = 8;
const disruption = { reason: 'DeletionByTaintManager', message: 'Taint manager: deleting due to NoExecute taint' };

export interface TaintEvictionDeps extends ControllerDeps {
  readonly nodes: Informer<Node>;
  readonly pods: Informer<Pod>;
}

/**
 * Deletes the pods that do not tolerate a NoExecute taint of their node, each when its tolerations have run out.
 * Upstream: the taint eviction controller (section 8.4).
 */
export function startTaintEviction(scope: TaskScope, deps: TaintEvictionDeps): void {
  const { clock, nodes, pods } = deps;
  const events = new CorrelatingEventRecorder({ ...deps, source: { component: 'taint-eviction-controller' } });
  const queue = new WorkQueue<string>({ clock, signal: scope.signal });
  const controller = new TaintEviction({ ...deps, events });
  pods.onChange(({ previous, current }) => {
    const pod = current ?? previous;
    if (pod === undefined) return;
    const key = keyOf(pod);
    const node = nodes.get('', pod.spec?.nodeName ?? '');
    if (evictingTaints(node).length > 0 || controller.isScheduled(key)) queue.add(key);
  });
  nodes.onChange(({ previous, current }) => {
    if (JSON.stringify(evictingTaints(previous)) === JSON.stringify(evictingTaints(current))) return;
    const name = (current ?? previous)?.metadata?.name;
    for (const pod of pods.list()) if (pod.spec?.nodeName === name) queue.add(keyOf(pod));
  });
  scope.start((signal) => events.run(signal));
  startWorkers(scope, deps, controller, queue, { workers, synced: [nodes, pods] });
}

function evictingTaints(node: Node | undefined): readonly Taint[] {
  return (node?.spec?.taints ?? []).filter(({ effect }) => effect === 'NoExecute');
}

class TaintEviction implements Reconciler<string> {
  readonly name = 'taintEviction';
  readonly #deps: TaintEvictionDeps & { readonly events: EventRecorder };
  /** Pods that will have to go: since when their node is tainted. */
  readonly #scheduled = new Map<string, { readonly uid: string; readonly sinceMonoMs: number }>();

  constructor(deps: TaintEvictionDeps & { readonly events: EventRecorder }) {
    this.#deps = deps;
  }

  isScheduled(key: string): boolean {
    return this.#scheduled.has(key);
  }

  async reconcile(key: string, signal: AbortSignal): Promise<Outcome> {
    const { clock, nodes, pods, log } = this.#deps;
    const { namespace, name } = refOf(key);
    const pod = pods.get(namespace, name);
    if (pod === undefined || pod.metadata?.deletionTimestamp !== undefined || pod.spec?.nodeName === undefined) {
      this.#scheduled.delete(key);
      return { kind: 'settled' };
    }
    const { uid = '' } = pod.metadata ?? {};
    const before = this.#scheduled.get(key);
    const known = before?.uid === uid ? before : undefined;
    const stayMs = toleratedMs(evictingTaints(nodes.get('', pod.spec.nodeName)), pod.spec.tolerations ?? []);
    if (stayMs === Number.POSITIVE_INFINITY) {
      this.#scheduled.delete(key);
      if (known !== undefined) this.#say(pod, `Cancelling deletion of Pod ${key}`);
      return { kind: 'settled' };
    }
    const { sinceMonoMs } = known ?? { sinceMonoMs: clock.monoMs() };
    this.#scheduled.set(key, { uid, sinceMonoMs });
    const leftMs = sinceMonoMs + stayMs - clock.monoMs();
    if (leftMs > 0) return { kind: 'again', afterMs: leftMs };
    log.info('podEvicted', { pod: key, node: pod.spec.nodeName });
    this.#say(pod, `Marking for deletion Pod ${key}`);
    await disruptPod(this.#deps, pod, disruption, signal);
    this.#scheduled.delete(key);
    return { kind: 'settled' };
  }

  #say({ metadata }: Pod, message: string): void {
    const { namespace = '', name = '', uid = '' } = metadata ?? {};
    const reference = { apiVersion: 'v1', kind: 'Pod', namespace, name, uid };
    this.#deps.events.event(reference, 'Normal', 'TaintManagerEviction', message);
  }
}
