import type { OwnerReference } from '../../api/gen/types.ts';
import { apiVersionOf, resources } from '../../api/resources.ts';
import type { KubernetesObject, ResourceType } from '../../api/resources.ts';
import type { Outcome, Reconciler } from '../../base/run-reconciler.ts';
import { hasReason } from '../../base/status-error.ts';
import type { TaskScope } from '../../base/task-scope.ts';
import { WorkQueue } from '../../base/work-queue.ts';
import type { Informer } from '../../client/informer.ts';
import { LruMap } from '../../client/lru-map.ts';
import { startWorkers } from '../run-controller.ts';
import type { ControllerDeps } from '../run-controller.ts';
import { OwnerGraph, foregroundFinalizer, orphanFinalizer } from './owner-graph.ts';
import type { GraphNode, GraphWork } from './owner-graph.ts';

const workers = 5;
const absentOwnersMax = 500;
/** As upstream: a kind of events is never owned and owns nothing. */
export const collectedTypes: readonly ResourceType[] = Object.values<ResourceType>(resources).filter(
  ({ verbs, kind }) =>
    ['list', 'watch', 'delete', 'patch'].every((verb) => verbs.some((one) => one === verb)) && kind !== 'Event',
);

export interface GarbageCollectorDeps extends ControllerDeps {
  /** One for each of `collectedTypes`, not running yet. */
  readonly informers: readonly { readonly type: ResourceType; readonly informer: Informer<KubernetesObject> }[];
}

/**
 * Deletes what has only owners that are gone, and makes an object that is deleted in the foreground, or so that what
 * it owns stays, wait until that is done. Owners count by UID. Upstream: the garbage collector.
 */
export function startGarbageCollector(scope: TaskScope, deps: GarbageCollectorDeps): void {
  const graph = new OwnerGraph();
  const checks = new WorkQueue<string>({ clock: deps.clock, signal: scope.signal });
  const orphanings = new WorkQueue<string>({ clock: deps.clock, signal: scope.signal });
  const absentOwners = new LruMap<string, true>(absentOwnersMax);
  const addWork = ({ toCheck, toOrphan }: GraphWork): void => {
    for (const uid of toCheck) checks.add(uid);
    for (const uid of toOrphan) orphanings.add(uid);
  };
  let hasStarted = false; // before, an owner that is not in the graph may only not be listed yet
  const later = (work: GraphWork): void => {
    if (hasStarted) addWork(work);
  };
  for (const { type, informer } of deps.informers) {
    informer.onChange(({ previous, current }) => {
      const goneUid = previous?.metadata?.uid;
      if (goneUid !== undefined && goneUid !== current?.metadata?.uid) {
        const { namespace = '', name = '' } = previous?.metadata ?? {};
        const key = absentKey({ apiVersion: apiVersionOf(type), kind: type.kind, name, uid: goneUid }, namespace);
        if (graph.dependentsOf(goneUid).length > 0) absentOwners.set(key, true);
        later(graph.remove(goneUid));
      }
      if (current !== undefined) later(graph.put(type, current));
    });
  }
  const synced = deps.informers.map(({ informer }) => informer);
  scope.start(async (signal) => {
    for (const informer of synced) await informer.synced(signal);
    hasStarted = true;
    addWork(graph.all());
  });
  const collector = new GarbageCollector({ ...deps, graph, checks, absentOwners });
  const check: Reconciler<string> = {
    name: 'garbageCollector',
    reconcile: (uid, signal) => collector.check(uid, signal),
  };
  const orphan: Reconciler<string> = { name: 'orphaning', reconcile: (uid, signal) => collector.orphan(uid, signal) };
  startWorkers(scope, deps, check, checks, { workers, synced });
  startWorkers(scope, deps, orphan, orphanings, { workers, synced });
}

/** Another place, name or kind with the same UID is another claim: it says nothing about this one. */
function absentKey({ apiVersion, kind, name, uid }: OwnerReference, namespace: string): string {
  return [apiVersion, kind, namespace, name, uid].join(' ');
}

interface CollectorDeps extends ControllerDeps {
  readonly graph: OwnerGraph;
  readonly checks: WorkQueue<string>;
  /** By `absentKey`: owners that are known to be gone. */
  readonly absentOwners: LruMap<string, true>;
}

type OwnerState = 'solid' | 'dangling' | 'waiting' | 'unknown';
const settled: Outcome = { kind: 'settled' };

class GarbageCollector {
  readonly #deps: CollectorDeps;

  constructor(deps: CollectorDeps) {
    this.#deps = deps;
  }

  /** Upstream: `attemptToDeleteItem`. */
  async check(uid: string, signal: AbortSignal): Promise<Outcome> {
    const node = this.#deps.graph.get(uid);
    if (node === undefined || (node.isGoing && !node.waitsForDependents)) return settled;
    const latest = await this.#live(node.type, node, signal);
    if (latest?.metadata?.uid !== uid) return settled; // its end is on its way to the graph
    if (node.waitsForDependents) return this.#advance(node, signal);
    const owners = latest.metadata.ownerReferences ?? [];
    if (owners.length === 0) return settled;
    const states = await Promise.all(owners.map((owner) => this.#stateOf(node, owner, signal)));
    if (states.includes('unknown')) return settled; // nothing that happens here makes it known
    const lost = owners.filter((_owner, index) => states[index] !== 'solid');
    if (states.includes('solid')) {
      if (lost.length > 0)
        await this.#removeOwners(
          node,
          lost.map((owner) => owner.uid),
          signal,
        );
      return settled;
    }
    const dependents = this.#deps.graph.dependentsOf(uid);
    if (states.includes('waiting') && dependents.length > 0) {
      // A circle of objects that wait for one another would wait for ever.
      if (dependents.some(({ waitsForDependents }) => waitsForDependents)) {
        await this.#unblockOwners(node, owners, signal);
      }
      await this.#delete(node, latest, 'Foreground', signal);
      return settled;
    }
    const finalizers = latest.metadata.finalizers ?? [];
    const policy = finalizers.includes(orphanFinalizer)
      ? 'Orphan'
      : finalizers.includes(foregroundFinalizer)
        ? 'Foreground'
        : 'Background';
    await this.#delete(node, latest, policy, signal);
    return settled;
  }

  /** Of an object that waits for what it owns. */
  async #advance(node: GraphNode, signal: AbortSignal): Promise<Outcome> {
    const blocks = ({ owners }: GraphNode): boolean =>
      owners.some(({ uid, blockOwnerDeletion }) => uid === node.uid && blockOwnerDeletion === true);
    const blocking = this.#deps.graph.dependentsOf(node.uid).filter(blocks);
    if (blocking.length === 0) {
      await this.#removeFinalizer(node, foregroundFinalizer, signal);
      return settled;
    }
    for (const dependent of blocking) if (!dependent.isGoing) this.#deps.checks.add(dependent.uid);
    return settled;
  }

  /** Upstream: `attemptToOrphan`. */
  async orphan(uid: string, signal: AbortSignal): Promise<Outcome> {
    const node = this.#deps.graph.get(uid);
    if (node?.orphansDependents !== true) return settled;
    await Promise.all(
      this.#deps.graph.dependentsOf(uid).map((dependent) => this.#removeOwners(dependent, [uid], signal)),
    );
    await this.#removeFinalizer(node, orphanFinalizer, signal);
    return settled;
  }

  async #stateOf(node: GraphNode, owner: OwnerReference, signal: AbortSignal): Promise<OwnerState> {
    const type = collectedTypes.find((one) => apiVersionOf(one) === owner.apiVersion && one.kind === owner.kind);
    if (type === undefined || (type.namespaced && node.namespace === '')) {
      const { name, namespace, type: ownType } = node;
      const ownerName = `${owner.apiVersion} ${owner.kind} ${owner.name}`;
      this.#deps.log.warn('ownerCannotBe', { kind: ownType.kind, namespace, name, owner: ownerName });
      return 'unknown';
    }
    const namespace = type.namespaced ? node.namespace : '';
    const key = absentKey(owner, namespace);
    if (this.#deps.absentOwners.get(key) === true) return 'dangling';
    const found = await this.#live(type, { namespace, name: owner.name }, signal);
    if (found?.metadata?.uid !== owner.uid) {
      this.#deps.absentOwners.set(key, true);
      return 'dangling';
    }
    const { deletionTimestamp, finalizers = [] } = found.metadata;
    return deletionTimestamp !== undefined && finalizers.includes(foregroundFinalizer) ? 'waiting' : 'solid';
  }

  async #live(
    type: ResourceType,
    { namespace, name }: { readonly namespace: string; readonly name: string },
    signal: AbortSignal,
  ): Promise<KubernetesObject | undefined> {
    try {
      return await this.#deps.client.get(type, type.namespaced ? { namespace, name } : { name }, signal);
    } catch (error) {
      if (hasReason(error, 'NotFound')) return undefined;
      throw error;
    }
  }

  async #delete(
    node: GraphNode,
    latest: KubernetesObject,
    propagationPolicy: string,
    signal: AbortSignal,
  ): Promise<void> {
    const { uid, resourceVersion = '' } = latest.metadata ?? {};
    // It may have got another owner since it was read.
    const preconditions = { ...(uid === undefined ? {} : { uid }), resourceVersion };
    try {
      await this.#deps.client.delete(node.type, placeOf(node), { preconditions, propagationPolicy }, signal);
    } catch (error) {
      if (hasReason(error, 'NotFound')) return;
      if (!hasReason(error, 'Conflict')) throw error;
      this.#deps.checks.add(node.uid); // it has changed: look again
    }
  }

  #removeOwners(node: GraphNode, uids: readonly string[], signal: AbortSignal): Promise<void> {
    const ownerReferences = uids.map((uid) => ({ $patch: 'delete', uid }));
    return this.#patch(node, { ownerReferences }, signal);
  }

  #unblockOwners(node: GraphNode, owners: readonly OwnerReference[], signal: AbortSignal): Promise<void> {
    const ownerReferences = owners.map((owner) => ({ ...owner, blockOwnerDeletion: false }));
    return this.#patch(node, { ownerReferences }, signal);
  }

  #removeFinalizer(node: GraphNode, finalizer: string, signal: AbortSignal): Promise<void> {
    return this.#patch(node, { '$deleteFromPrimitiveList/finalizers': [finalizer] }, signal);
  }

  /** Nothing if it has gone, or another object has its name now. */
  async #patch(node: GraphNode, metadata: object, signal: AbortSignal): Promise<void> {
    const body = { metadata: { ...metadata, uid: node.uid } };
    try {
      await this.#deps.client.patch(node.type, placeOf(node), { type: 'strategic', body }, signal);
    } catch (error) {
      if (hasReason(error, 'NotFound')) return;
      if (!hasReason(error, 'Conflict')) throw error;
      const found = await this.#live(node.type, node, signal);
      if (found?.metadata?.uid === node.uid) throw error;
    }
  }
}

function placeOf({ type, namespace, name }: GraphNode): { readonly namespace?: string; readonly name: string } {
  return type.namespaced ? { namespace, name } : { name };
}
