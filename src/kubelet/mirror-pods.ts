import type { Node, Pod } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import { runReconciler } from '../base/run-reconciler.ts';
import type { Outcome } from '../base/run-reconciler.ts';
import { InvariantError, StatusError, hasReason, messageOf } from '../base/status-error.ts';
import { WorkQueue } from '../base/work-queue.ts';
import type { Client } from '../client/client.ts';
import type { NodeContext } from './node-context.ts';
import { podKeyOf, podUidOf } from './pod-names.ts';
import { configMirrorAnnotation, isMirrorPod, mirroredUidOf } from './static-pod.ts';

const retryMs = 10_000; // of what did not work; upstream looks at each static pod about as often
const nodeRetryMs = 1_000; // until the node is registered; costs nothing

/** Which static pod bears a name on this node. */
export type StaticPodNow =
  /** To be shown. */
  | { readonly kind: 'runs'; readonly pod: Pod }
  /** One ends, another is about to start, or not all is known yet: what is shown stays as it is. */
  | { readonly kind: 'changes' }
  | { readonly kind: 'none' };

export interface MirrorPodsDeps {
  readonly context: Pick<NodeContext, 'clock' | 'entropy' | 'log'>;
  readonly client: Client;
  /** As the API has it. */
  readonly podOf: (namespace: string, name: string) => Pod | undefined;
  readonly node: () => Node | undefined;
  readonly staticPodOf: (key: string) => StaticPodNow;
}

/**
 * Shows static pods in the API, one mirror each: made when there is none, made anew when it was deleted or shows an
 * older version, removed when its static pod has ended for good. Nothing that happens to a mirror touches a container.
 * Upstream: `MirrorClient`, `tryReconcileMirrorPods`.
 */
export class MirrorPods {
  readonly #deps: MirrorPodsDeps;
  readonly #problemByKey = new Map<string, string>(); // that were told
  #queue: WorkQueue<string> | undefined; // of keys; exists while running

  constructor(deps: MirrorPodsDeps) {
    this.#deps = deps;
  }

  /** Something of this name changed, here or in the API. `key`: `NAMESPACE/NAME`. */
  poke(key: string): void {
    this.#queue?.add(key);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, entropy } = this.#deps.context;
    const queue = new WorkQueue<string>({ clock, signal });
    this.#queue = queue;
    const reconcile = (key: string, inner: AbortSignal): Promise<Outcome> => this.#reconcile(key, inner);
    const onError = (error: unknown): void => {
      throw new InvariantError('a mirror pod', { cause: error }); // all that can happen is looked at there
    };
    try {
      await runReconciler({ name: 'mirrorPods', reconcile }, queue, { entropy, onError }, signal);
    } finally {
      this.#queue = undefined;
    }
  }

  async #reconcile(key: string, signal: AbortSignal): Promise<Outcome> {
    try {
      const outcome = await this.#step(key, signal);
      this.#problemByKey.delete(key);
      return outcome;
    } catch (error) {
      if (signal.aborted || !(error instanceof StatusError)) throw error;
      // Gone, or there already: the informer will tell.
      if (!hasReason(error, 'NotFound', 'Conflict', 'AlreadyExists')) this.#tell(key, messageOf(error));
      return { kind: 'again', afterMs: retryMs };
    }
  }

  async #step(key: string, signal: AbortSignal): Promise<Outcome> {
    const [namespace = '', name = ''] = key.split('/');
    const found = this.#deps.podOf(namespace, name);
    const now = this.#deps.staticPodOf(key);
    if (now.kind === 'changes') return { kind: 'settled' };
    if (found !== undefined && !isMirrorPod(found)) {
      if (now.kind === 'runs') this.#tell(key, 'a pod of this name is in the API already');
      return { kind: 'settled' };
    }
    if (found !== undefined) {
      const isCurrent = now.kind === 'runs' && mirroredUidOf(found) === podUidOf(now.pod);
      if (isCurrent && found.metadata?.deletionTimestamp === undefined) return { kind: 'settled' };
      const options = { gracePeriodSeconds: 0, preconditions: { uid: podUidOf(found) } };
      await this.#deps.client.delete(resources.pods, { namespace, name }, options, signal);
      return { kind: 'settled' }; // that it is gone comes back as a change
    }
    if (now.kind === 'none') return { kind: 'settled' };
    return this.#create(now.pod, signal);
  }

  async #create(pod: Pod, signal: AbortSignal): Promise<Outcome> {
    const node = this.#deps.node();
    if (node === undefined) return { kind: 'again', afterMs: nodeRetryMs };
    if (node.metadata?.deletionTimestamp !== undefined) return { kind: 'again', afterMs: retryMs };
    const namespace = pod.metadata?.namespace ?? '';
    await this.#deps.client.create(resources.pods, { namespace }, mirrorOf(pod, node), signal);
    this.#deps.context.log.info('mirrorPodCreated', { pod: podKeyOf(pod) });
    return { kind: 'settled' };
  }

  /** Each once, until it is another one or over. */
  #tell(key: string, problem: string): void {
    if (this.#problemByKey.get(key) === problem) return;
    this.#problemByKey.set(key, problem);
    this.#deps.context.log.warn('mirrorPodNotWritten', { pod: key, problem });
  }
}

function mirrorOf(pod: Pod, node: Node): Pod {
  const { uid, ...metadata } = pod.metadata ?? {};
  const { name = '', uid: nodeUid = '' } = node.metadata ?? {};
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...metadata,
      annotations: { ...metadata.annotations, [configMirrorAnnotation]: uid ?? '' },
      ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name, uid: nodeUid, controller: true }],
    },
    ...(pod.spec === undefined ? {} : { spec: pod.spec }),
  };
}
