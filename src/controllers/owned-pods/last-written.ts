import type { KubernetesObject } from '../../api/resources.ts';
import type { Informer } from '../../client/informer.ts';

/**
 * What a controller wrote itself and its cache does not show yet: with it, it never counts by an older state than it
 * made. Make it before the informer runs.
 */
export class LastWritten<T extends KubernetesObject> {
  readonly #byUid = new Map<string, T>(); // newer than what the informer has

  constructor(informer: Informer<T>) {
    informer.onChange(({ previous, current }) => {
      const uid = (current ?? previous)?.metadata?.uid ?? '';
      const written = this.#byUid.get(uid);
      if (written === undefined) return;
      if (current === undefined || !isNewer(written, current)) this.#byUid.delete(uid);
    });
  }

  note(written: T): void {
    this.#byUid.set(written.metadata?.uid ?? '', written);
  }

  /** The newer of `cached` and what was written. */
  newest(cached: T): T {
    const written = this.#byUid.get(cached.metadata?.uid ?? '');
    return written !== undefined && isNewer(written, cached) ? written : cached;
  }

  forget(gone: T): void {
    this.#byUid.delete(gone.metadata?.uid ?? '');
  }

  /** What was made and the cache does not have at all: not yet, or no more. */
  missing(isIn: (uid: string) => boolean, isOwn: (object: T) => boolean): readonly T[] {
    return [...this.#byUid].filter(([uid, object]) => !isIn(uid) && isOwn(object)).map(([, object]) => object);
  }
}

function isNewer(a: KubernetesObject, b: KubernetesObject): boolean {
  return Number(a.metadata?.resourceVersion ?? 0) > Number(b.metadata?.resourceVersion ?? 0);
}
