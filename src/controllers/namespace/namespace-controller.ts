import type { Namespace, Pod } from '../../api/gen/types.ts';
import { resources } from '../../api/resources.ts';
import type { KubernetesObject, ResourceType } from '../../api/resources.ts';
import { formatTime } from '../../api/time.ts';
import type { Outcome, Reconciler } from '../../base/run-reconciler.ts';
import { StatusError, hasReason } from '../../base/status-error.ts';
import type { TaskScope } from '../../base/task-scope.ts';
import { WorkQueue } from '../../base/work-queue.ts';
import type { Informer } from '../../client/informer.ts';
import { startWorkers } from '../run-controller.ts';
import type { ControllerDeps } from '../run-controller.ts';
import { deletionConditions, hasSameConditions } from './deletion-conditions.ts';
import type { Remaining } from './deletion-conditions.ts';

const namespaceFinalizer = 'kubernetes';
const deletePageSize = 500;
const deletesAtOnce = 16;
const recheckMs = 5_000; // what remains waits for a finalizer or a grace period; the end of a pod is told at once
const workers = 4;

/**
 * Empties a namespace that is Terminating, first of its pods, then of all else, and lets it go. Pods end gracefully.
 * Upstream: the namespace controller.
 */
export function startNamespaceController(
  scope: TaskScope,
  deps: ControllerDeps & { readonly namespaces: Informer<Namespace>; readonly pods: Informer<Pod> },
): void {
  const { namespaces, pods, clock } = deps;
  const queue = new WorkQueue<string>({ clock, signal: scope.signal });
  namespaces.onChange(({ current }) => {
    if (isTerminating(current)) queue.add(current.metadata?.name ?? '');
  });
  pods.onChange(({ previous, current }) => {
    if (current !== undefined) return;
    const namespace = previous?.metadata?.namespace ?? '';
    if (isTerminating(namespaces.get('', namespace))) queue.add(namespace);
  });
  startWorkers(scope, deps, new NamespaceController(deps), queue, { workers, synced: [namespaces, pods] });
}

function isTerminating(namespace: Namespace | undefined): namespace is Namespace {
  return namespace?.metadata?.deletionTimestamp !== undefined;
}

/** One view of each thing that is stored: events have two. */
const contentTypes: readonly ResourceType[] = Object.values(resources).filter(
  (type: ResourceType) =>
    type.namespaced && type.verbs.includes('list') && type.verbs.includes('delete') && type !== resources.eventsV1,
);

class NamespaceController implements Reconciler<string> {
  readonly name = 'namespace';
  readonly #deps: ControllerDeps & { readonly namespaces: Informer<Namespace> };

  constructor(deps: ControllerDeps & { readonly namespaces: Informer<Namespace> }) {
    this.#deps = deps;
  }

  async reconcile(name: string, signal: AbortSignal): Promise<Outcome> {
    const namespace = this.#deps.namespaces.get('', name);
    if (!isTerminating(namespace) || !hasFinalizer(namespace)) return { kind: 'settled' };
    const remaining = await this.#empty(name, signal);
    if (remaining.length > 0) {
      await this.#sayWhatRemains(namespace, remaining, signal);
      return { kind: 'again', afterMs: recheckMs };
    }
    await this.#finalize(namespace, signal);
    return { kind: 'settled' };
  }

  /** Deletes what there is; returns what is still there. Nothing but pods is touched before the last pod is gone. */
  async #empty(namespace: string, signal: AbortSignal): Promise<readonly Remaining[]> {
    const pods = await this.#deleteAll(resources.pods, namespace, signal);
    if (pods.count > 0) return [pods];
    const remaining: Remaining[] = [];
    for (const type of contentTypes) {
      const left = await this.#deleteAll(type, namespace, signal);
      if (left.count > 0) remaining.push(left);
    }
    return remaining;
  }

  async #deleteAll(type: ResourceType, namespace: string, signal: AbortSignal): Promise<Remaining> {
    const { client } = this.#deps;
    let count = 0;
    const finalizers = new Map<string, number>();
    let continueToken: string | undefined;
    do {
      const page = continueToken === undefined ? {} : { continueToken };
      const list = await client.list(type, { namespace, limit: deletePageSize, ...page }, signal);
      for (let start = 0; start < list.items.length; start += deletesAtOnce) {
        const objects = list.items.slice(start, start + deletesAtOnce);
        const left = await Promise.all(objects.map((object) => this.#deleteOne(type, namespace, object, signal)));
        for (const object of left.filter((one) => one !== undefined)) {
          count += 1;
          for (const finalizer of object.metadata?.finalizers ?? []) {
            finalizers.set(finalizer, (finalizers.get(finalizer) ?? 0) + 1);
          }
        }
      }
      continueToken = list.metadata.continue === '' ? undefined : list.metadata.continue;
    } while (continueToken !== undefined);
    return { type, count, finalizers };
  }

  /** What is left of `object`, if anything. */
  async #deleteOne(
    type: ResourceType,
    namespace: string,
    object: KubernetesObject,
    signal: AbortSignal,
  ): Promise<KubernetesObject | undefined> {
    const { name = '', uid = '', deletionTimestamp } = object.metadata ?? {};
    if (deletionTimestamp !== undefined) return object;
    const options = { preconditions: { uid }, propagationPolicy: 'Background' };
    try {
      await this.#deps.client.delete(type, { namespace, name }, options, signal);
      return await this.#deps.client.get(type, { namespace, name }, signal);
    } catch (error) {
      if (hasReason(error, 'NotFound')) return undefined;
      if (hasReason(error, 'Conflict')) return object; // replaced meanwhile: the next round sees the new one
      throw error;
    }
  }

  async #sayWhatRemains(namespace: Namespace, remaining: readonly Remaining[], signal: AbortSignal): Promise<void> {
    const before = namespace.status?.conditions ?? [];
    const conditions = deletionConditions(before, remaining, formatTime(this.#deps.clock.wallMs()));
    if (hasSameConditions(before, conditions)) return;
    const name = namespace.metadata?.name ?? '';
    const next = { ...namespace, status: { ...namespace.status, conditions } };
    try {
      await this.#deps.client.update(resources.namespaces, { name, subresource: 'status' }, next, signal);
    } catch (error) {
      if (signal.aborted || !(error instanceof StatusError)) throw error;
      // It has changed meanwhile, and so comes again; the conditions only tell people what goes on.
      this.#deps.log.warn('namespaceConditionsNotWritten', { name, reason: error.reason });
    }
  }

  async #finalize(namespace: Namespace, signal: AbortSignal): Promise<void> {
    const name = namespace.metadata?.name ?? '';
    const finalizers = (namespace.spec?.finalizers ?? []).filter((finalizer) => finalizer !== namespaceFinalizer);
    const next = { ...namespace, spec: { ...namespace.spec, finalizers } };
    try {
      await this.#deps.client.update(resources.namespaces, { name, subresource: 'finalize' }, next, signal);
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error;
    }
    this.#deps.log.info('namespaceFinalized', { name });
  }
}

function hasFinalizer(namespace: Namespace): boolean {
  return namespace.spec?.finalizers?.includes(namespaceFinalizer) === true;
}
