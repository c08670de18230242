import type { OwnerReference } from '../../api/gen/types.ts';
import { apiVersionOf } from '../../api/resources.ts';
import type { KubernetesObject, ResourceType } from '../../api/resources.ts';

export const orphanFinalizer = 'orphan';
export const foregroundFinalizer = 'foregroundDeletion';

/** One object that is there, as far as who owns whom goes. */
export interface GraphNode {
  readonly uid: string;
  readonly type: ResourceType;
  /** `''` for cluster-wide kinds. */
  readonly namespace: string;
  readonly name: string;
  readonly owners: readonly OwnerReference[];
  readonly isGoing: boolean;
  /** Deleted in the foreground: it goes after what it owns. */
  readonly waitsForDependents: boolean;
  /** Deleted so that what it owns stays. */
  readonly orphansDependents: boolean;
}

/** What a change of the graph makes necessary: UIDs to look at. */
export interface GraphWork {
  /** May have to be deleted, or waits for what it owns and may go on. */
  readonly toCheck: readonly string[];
  /** Are to lose what they own. */
  readonly toOrphan: readonly string[];
}

/**
 * Who owns whom, by UID, from what the informers tell; no I/O. An owner need not be there: whether it is, is checked
 * with the server. Upstream: `GraphBuilder`.
 */
export class OwnerGraph {
  readonly #nodes = new Map<string, GraphNode>();
  readonly #dependents = new Map<string, Set<string>>(); // UID of an owner -> UIDs of what names it; no set is empty

  get(uid: string): GraphNode | undefined {
    return this.#nodes.get(uid);
  }

  dependentsOf(uid: string): readonly GraphNode[] {
    const uids = this.#dependents.get(uid) ?? [];
    return [...uids].map((each) => this.#nodes.get(each)).filter((node) => node !== undefined);
  }

  /** What is to be done at the start, when all is known. */
  all(): GraphWork {
    const toCheck: string[] = [];
    const toOrphan: string[] = [];
    for (const node of this.#nodes.values()) {
      if (node.owners.some((owner) => this.#mayBeGone(owner, node)) || node.waitsForDependents) toCheck.push(node.uid);
      if (node.orphansDependents) toOrphan.push(node.uid);
    }
    return { toCheck, toOrphan };
  }

  /** Takes in an object that is new or has changed. */
  put(type: ResourceType, object: KubernetesObject): GraphWork {
    const node = nodeOf(type, object);
    const before = this.#nodes.get(node.uid);
    this.#nodes.set(node.uid, node);
    for (const { uid } of before?.owners ?? []) this.#unlink(uid, node.uid);
    for (const { uid } of node.owners) this.#link(uid, node.uid);
    const toCheck = new Set<string>();
    const isNewOwner = (owner: OwnerReference): boolean => before?.owners.every(({ uid }) => uid !== owner.uid) ?? true;
    if (node.owners.some((owner) => isNewOwner(owner) && this.#mayBeGone(owner, node))) toCheck.add(node.uid);
    for (const owner of before?.owners ?? []) {
      const now = node.owners.find(({ uid }) => uid === owner.uid);
      const unblocks = owner.blockOwnerDeletion === true && now?.blockOwnerDeletion !== true;
      if (unblocks && this.#nodes.get(owner.uid)?.waitsForDependents === true) toCheck.add(owner.uid);
    }
    if (node.waitsForDependents && before?.waitsForDependents !== true) {
      for (const dependent of this.#dependents.get(node.uid) ?? []) toCheck.add(dependent);
      toCheck.add(node.uid);
    }
    const startsToOrphan = node.orphansDependents && before?.orphansDependents !== true;
    return { toCheck: [...toCheck], toOrphan: startsToOrphan ? [node.uid] : [] };
  }

  /** An object is gone. */
  remove(uid: string): GraphWork {
    const node = this.#nodes.get(uid);
    if (node === undefined) return { toCheck: [], toOrphan: [] };
    this.#nodes.delete(uid);
    for (const owner of node.owners) this.#unlink(owner.uid, uid);
    const waiting = node.owners.filter((owner) => this.#nodes.get(owner.uid)?.waitsForDependents === true);
    const dependents = this.#dependents.get(uid) ?? [];
    return { toCheck: [...dependents, ...waiting.map((owner) => owner.uid)], toOrphan: [] };
  }

  /** Not there, or another than the reference says, or going only after this new one. */
  #mayBeGone(reference: OwnerReference, dependent: GraphNode): boolean {
    const owner = this.#nodes.get(reference.uid);
    return owner === undefined || owner.waitsForDependents || !isAsNamed(owner, reference, dependent);
  }

  #link(owner: string, dependent: string): void {
    const known = this.#dependents.get(owner);
    if (known === undefined) this.#dependents.set(owner, new Set([dependent]));
    else known.add(dependent);
  }

  #unlink(owner: string, dependent: string): void {
    const known = this.#dependents.get(owner);
    known?.delete(dependent);
    if (known?.size === 0) this.#dependents.delete(owner);
  }
}

function isAsNamed(owner: GraphNode, reference: OwnerReference, dependent: GraphNode): boolean {
  const { type, name, namespace } = owner;
  if (type.kind !== reference.kind || apiVersionOf(type) !== reference.apiVersion || name !== reference.name)
    return false;
  return !type.namespaced || namespace === dependent.namespace;
}

function nodeOf(type: ResourceType, { metadata = {} }: KubernetesObject): GraphNode {
  const finalizers = metadata.finalizers ?? [];
  const isGoing = metadata.deletionTimestamp !== undefined;
  return {
    uid: metadata.uid ?? '',
    type,
    namespace: metadata.namespace ?? '',
    name: metadata.name ?? '',
    owners: metadata.ownerReferences ?? [],
    isGoing,
    waitsForDependents: isGoing && finalizers.includes(foregroundFinalizer),
    orphansDependents: isGoing && finalizers.includes(orphanFinalizer),
  };
}
