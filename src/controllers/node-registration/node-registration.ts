import type { Node } from '../../api/gen/types.ts';
import type { TaskScope } from '../../base/task-scope.ts';
import { WorkQueue } from '../../base/work-queue.ts';
import type { Outcome, Reconciler } from '../../base/run-reconciler.ts';
import type { EventRecorder } from '../../client/event-recorder.ts';
import type { Informer } from '../../client/informer.ts';
import { startWorkers } from '../run-controller.ts';
import type { ControllerDeps } from '../run-controller.ts';

/**
 * Says of each node that it is known now, and when it is known no longer. As upstream it says so again for every node
 * after its own restart. Upstream: the first part of the node lifecycle controller.
 */
export function startNodeRegistration(
  scope: TaskScope,
  deps: ControllerDeps & { readonly nodes: Informer<Node>; readonly events: EventRecorder },
): void {
  const queue = new WorkQueue<string>({ clock: deps.clock, signal: scope.signal });
  deps.nodes.onChange(({ previous, current }) => {
    // What a node says of itself changes nothing here, only its coming, going, and coming again under the same name.
    if (previous?.metadata?.uid !== current?.metadata?.uid) queue.add((current ?? previous)?.metadata?.name ?? '');
  });
  const reconciler = new NodeRegistration(deps);
  startWorkers(scope, deps, reconciler, queue, { workers: 1, synced: [deps.nodes] });
}

class NodeRegistration implements Reconciler<string> {
  readonly name = 'nodeRegistration';
  readonly #deps: { readonly nodes: Informer<Node>; readonly events: EventRecorder };
  readonly #knownUids = new Map<string, string>(); // by node name; what was said last of each

  constructor(deps: { readonly nodes: Informer<Node>; readonly events: EventRecorder }) {
    this.#deps = deps;
  }

  reconcile(name: string): Promise<Outcome> {
    const uid = this.#deps.nodes.get('', name)?.metadata?.uid;
    const knownUid = this.#knownUids.get(name);
    if (knownUid !== undefined && knownUid !== uid) {
      this.#knownUids.delete(name);
      this.#say(name, knownUid, 'RemovingNode', `Removing Node ${name} from Controller`);
    }
    if (uid !== undefined && knownUid !== uid) {
      this.#knownUids.set(name, uid);
      this.#say(name, uid, 'RegisteredNode', `Registered Node ${name} in Controller`);
    }
    return Promise.resolve({ kind: 'settled' });
  }

  #say(name: string, uid: string, reason: string, text: string): void {
    const node = { apiVersion: 'v1', kind: 'Node', name, uid };
    this.#deps.events.event(node, 'Normal', reason, `Node ${name} event: ${text}`);
  }
}
