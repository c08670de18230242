import type { KubernetesObject } from '../../api/resources.ts';
import type { Informer } from '../../client/informer.ts';
import { controllerOf, keyOf } from './controller-ref.ts';

/**
 * The objects of an informer by the UID of their controller, those without one by namespace, so that a controller need
 * not look through all of them. Make it before the informer runs. Upstream: the `controllerUID` index.
 */
export class ByController<T extends KubernetesObject> {
  readonly #groups = new Map<string, Map<string, T>>(); // by UID, or `namespace/` for orphans; none is empty

  constructor(informer: Informer<T>) {
    informer.onChange(({ previous, current }) => {
      if (previous !== undefined) this.#remove(previous);
      if (current !== undefined) this.#add(current);
    });
  }

  /** Those that the controller with this UID owns. */
  ownedBy(uid: string): readonly T[] {
    return [...(this.#groups.get(uid)?.values() ?? [])];
  }

  /** Those in the namespace that no controller owns. */
  orphansIn(namespace: string): readonly T[] {
    return [...(this.#groups.get(`${namespace}/`)?.values() ?? [])];
  }

  #add(object: T): void {
    const group = groupOf(object);
    let members = this.#groups.get(group);
    if (members === undefined) this.#groups.set(group, (members = new Map()));
    members.set(keyOf(object), object);
  }

  #remove(object: T): void {
    const group = groupOf(object);
    const members = this.#groups.get(group);
    members?.delete(keyOf(object));
    if (members?.size === 0) this.#groups.delete(group);
  }
}

function groupOf(object: KubernetesObject): string {
  return controllerOf(object)?.uid ?? `${object.metadata?.namespace ?? ''}/`;
}
