import type { Namespace } from '../api/gen/types.ts';
import type { KubernetesObject, ResourceType } from '../api/resources.ts';
import type { Outcome, Reconciler } from '../base/run-reconciler.ts';
import { hasReason } from '../base/status-error.ts';
import type { TaskScope } from '../base/task-scope.ts';
import { WorkQueue } from '../base/work-queue.ts';
import type { Informer } from '../client/informer.ts';
import { ListWatchInformer } from '../client/list-watch-informer.ts';
import { startWorkers } from './run-controller.ts';
import type { ControllerDeps } from './run-controller.ts';

/** An object of one name that every namespace is to have. */
export interface NamespaceObject<T extends KubernetesObject> {
  /** Of the controller, for the log. */
  readonly controller: string;
  readonly type: ResourceType<T>;
  readonly name: string;
  /** A new one; `metadata.name` is in it. */
  make(): T;
  /** `found` as it should be; `undefined`: it is. */
  corrected(found: T): T | undefined;
}

export type OnePerNamespaceDeps = ControllerDeps & { readonly namespaces: Informer<Namespace> };

/** Sees to it that each namespace that is not going away has the object, again when somebody changes or deletes it. */
export function startOnePerNamespace<T extends KubernetesObject>(
  scope: TaskScope,
  deps: OnePerNamespaceDeps,
  wanted: NamespaceObject<T>,
): void {
  const { namespaces, clock } = deps;
  const { type, name } = wanted;
  const objects = new ListWatchInformer<T>({ ...deps, type, fieldSelector: `metadata.name=${name}` });
  const queue = new WorkQueue<string>({ clock, signal: scope.signal });
  namespaces.onChange(({ current }) => {
    if (isActive(current)) queue.add(current.metadata?.name ?? '');
  });
  objects.onChange(({ previous, current }) => queue.add((current ?? previous)?.metadata?.namespace ?? ''));
  const reconciler = new OnePerNamespace({ ...deps, objects }, wanted);
  startWorkers(scope, deps, reconciler, queue, { workers: 1, synced: [namespaces, objects] });
  scope.start((signal) => objects.run(signal));
}

class OnePerNamespace<T extends KubernetesObject> implements Reconciler<string> {
  readonly name: string;
  readonly #deps: OnePerNamespaceDeps & { readonly objects: Informer<T> };
  readonly #wanted: NamespaceObject<T>;

  constructor(deps: OnePerNamespaceDeps & { readonly objects: Informer<T> }, wanted: NamespaceObject<T>) {
    this.name = wanted.controller;
    this.#deps = deps;
    this.#wanted = wanted;
  }

  async reconcile(namespace: string, signal: AbortSignal): Promise<Outcome> {
    const { client, namespaces, objects } = this.#deps;
    const { type, name } = this.#wanted;
    if (!isActive(namespaces.get('', namespace))) return { kind: 'settled' };
    const found = objects.get(namespace, name);
    try {
      if (found === undefined) await client.create(type, { namespace }, this.#wanted.make(), signal);
      else {
        const next = this.#wanted.corrected(found);
        if (next !== undefined) await client.update(type, { namespace, name }, next, signal);
      }
    } catch (error) {
      // The namespace is going, or the watch has yet to tell what is there by now.
      if (!hasReason(error, 'NotFound', 'Forbidden', 'AlreadyExists', 'Conflict')) throw error;
    }
    return { kind: 'settled' };
  }
}

function isActive(namespace: Namespace | undefined): namespace is Namespace {
  return namespace !== undefined && namespace.metadata?.deletionTimestamp === undefined;
}
