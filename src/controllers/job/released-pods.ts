import type { Pod } from '../../api/gen/types.ts';
import type { Informer } from '../../client/informer.ts';
import { uidOf } from '../owned-pods/pod-batches.ts';
import { isTracked, trackingFinalizer } from './job-progress.ts';

/**
 * Pods whose finalizer is being taken, or is taken and still stands in the cache: looked at as they were, each would be
 * counted once more. Upstream: `uidTrackingExpectations`.
 */
export class ReleasedPods {
  readonly #pods: Informer<Pod>;
  readonly #uids = new Set<string>(); // of pods that the cache shows with their finalizer

  constructor(pods: Informer<Pod>) {
    this.#pods = pods;
    pods.onChange(({ previous, current }) => {
      const before = previous?.metadata?.uid;
      if (before === undefined) return;
      if (current?.metadata?.uid !== before || !isTracked(current)) this.#uids.delete(before);
    });
  }

  /** Before its finalizer is taken. */
  add(pod: Pod): void {
    const { namespace = '', name = '' } = pod.metadata ?? {};
    const cached = this.#pods.get(namespace, name);
    if (cached?.metadata?.uid === pod.metadata?.uid && cached !== undefined && isTracked(cached)) {
      this.#uids.add(uidOf(pod));
    }
  }

  /** Its finalizer could not be taken. */
  remove(pod: Pod): void {
    this.#uids.delete(uidOf(pod));
  }

  /** The pod without its finalizer, if that is gone or going. */
  asReleased(pod: Pod): Pod {
    if (!this.#uids.has(uidOf(pod))) return pod;
    const finalizers = pod.metadata?.finalizers?.filter((one) => one !== trackingFinalizer) ?? [];
    return { ...pod, metadata: { ...pod.metadata, finalizers } };
  }
}
