/**
 * What a node may do: what its own kubelet does, and no more. It reads the secrets and config maps of its own pods
 * only. Upstream: the node authorizer, with the rules of `NodeRules`; about pods see also `node-restriction.ts`.
 */
import { clusterSettingsRef } from '../api/cluster-settings.ts';
import { podNetworksRef } from '../api/pod-networks.ts';
import { parseFieldSelector } from '../api/field-selector.ts';
import type { Container, Node, Pod } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import type { ResourceType } from '../api/resources.ts';
import { sameValue } from '../api/validation/same-value.ts';
import type { HttpRequest } from '../base/http.ts';
import { StatusError } from '../base/status-error.ts';
import type { Registry } from './registry.ts';
import type { ResourceRoute } from './route.ts';
import type { FullObject, StoredObject } from './stored-object.ts';

export interface NodeAuthorizerDeps {
  readonly pods: Registry;
}

/** `reason` empty: nothing more is to be said. */
export type NodeVerdict = { readonly allowed: true } | { readonly allowed: false; readonly reason: string };

const allowed: NodeVerdict = { allowed: true };
const reading: readonly string[] = ['get', 'list', 'watch'];
const leaseNamespace = 'kube-node-lease';

export class NodeAuthorizer {
  readonly #pods: Registry;
  #keysByNode: ReadonlyMap<string, ReadonlySet<string>> | undefined; // of bound pods; undefined: to be made anew

  constructor({ pods }: NodeAuthorizerDeps) {
    this.#pods = pods;
  }

  /** Of a node's request for an object. */
  judge(node: string, verb: string, route: ResourceRoute, request: HttpRequest): NodeVerdict {
    const { type, subresource } = route;
    switch (type) {
      case resources.nodes:
        return judgeNodes(node, verb, route, request);
      case resources.pods:
        return this.#judgePods(node, verb, route, request);
      case resources.leases:
        return judgeLeases(node, verb, route);
      case resources.secrets:
      case resources.configmaps:
        return this.#judgeReferred(node, verb, route, request);
      case resources.events:
      case resources.eventsV1:
        return verdict(subresource === '' && ['create', 'patch', 'update'].includes(verb), '');
      case resources.serviceaccounts:
        return verdict(subresource === 'token' && verb === 'create', ''); // for which pods: `checkNodeToken`
      case resources.certificatesigningrequests:
        return verdict(subresource === '' && ['create', ...reading].includes(verb), '');
      case resources.runtimeclasses:
      case resources.services:
        return verdict(subresource === '' && reading.includes(verb), '');
      case resources.tokenreviews:
      case resources.selfsubjectreviews:
        return verdict(verb === 'create', '');
      default:
        return refused('');
    }
  }

  #judgePods(node: string, verb: string, route: ResourceRoute, request: HttpRequest): NodeVerdict {
    if (verb === 'list' || verb === 'watch') {
      const isScoped = exactField(route, request, 'spec.nodeName') === node;
      return verdict(isScoped, 'can only list/watch pods with spec.nodeName field selector');
    }
    if (verb === 'connect') return refused('');
    if (verb !== 'get') return allowed; // which of them: `checkNodePodRequest`
    if (route.subresource !== '' && route.subresource !== 'status') return refused(''); // exec and log are no business of it
    const { cache } = this.#pods;
    // It comes from the registry of pods. One that is not there is answered with 404.
    const pod = cache.get(this.#pods.key(route.namespace, route.name))?.object as Pod | undefined;
    return verdict(pod === undefined || pod.spec?.nodeName === node, unrelated(node));
  }

  #judgeReferred(node: string, verb: string, route: ResourceRoute, request: HttpRequest): NodeVerdict {
    if (!reading.includes(verb)) return refused('can only read resources of this type');
    if (route.subresource !== '') return refused('cannot read subresource');
    if (route.namespace === '') return refused('can only read namespaced object of this type');
    const name = route.name === '' ? exactField(route, request, 'metadata.name') : route.name;
    if (name === undefined || name === '') return refused('No Object name found');
    const { namespace } = route;
    const isForNodes = [clusterSettingsRef, podNetworksRef].some(
      (ref) => ref.namespace === namespace && ref.name === name,
    );
    if (route.type === resources.configmaps && isForNodes) return allowed;
    return verdict(this.#isNeeded(node, route, name), unrelated(node));
  }

  /** Whether a pod of this node refers to the object. */
  #isNeeded(node: string, { type, namespace }: ResourceRoute, name: string): boolean {
    const kind = type === resources.secrets ? 'secret' : 'configMap';
    const prefix = this.#pods.prefixOf(namespace);
    for (const key of this.#index().get(node) ?? []) {
      // It comes from the registry of pods.
      const pod = this.#pods.cache.get(key)?.object as Pod | undefined;
      if (pod !== undefined && key.startsWith(prefix) && refersTo(pod, kind, name)) return true;
    }
    return false;
  }

  /** From the first question on it follows the cache. */
  #index(): ReadonlyMap<string, ReadonlySet<string>> {
    if (this.#keysByNode !== undefined) return this.#keysByNode;
    const { cache } = this.#pods;
    const keysByNode = new Map<string, Set<string>>();
    const add = (pod: StoredObject): void => {
      const node = nodeOf(pod);
      const keys = keysByNode.get(node);
      if (keys !== undefined) keys.add(pod.key);
      else if (node !== '') keysByNode.set(node, new Set([pod.key]));
    };
    const remove = (pod: StoredObject): void => {
      const keys = keysByNode.get(nodeOf(pod));
      if (keys?.delete(pod.key) === true && keys.size === 0) keysByNode.delete(nodeOf(pod));
    };
    for (const pod of cache.items(cache.prefix)) add(pod);
    cache.subscribe({
      onEvent: ({ current, previous }) => {
        if (current !== undefined) add(current);
        else if (previous !== undefined) remove(previous);
      },
      onReset: () => (this.#keysByNode = undefined),
    });
    this.#keysByNode = keysByNode;
    return keysByNode;
  }
}

/** Which node a pod is bound to never changes while it is there. */
function nodeOf({ object }: StoredObject): string {
  // It comes from the registry of pods.
  return (object as Pod).spec?.nodeName ?? '';
}

function verdict(isAllowed: boolean, reason: string): NodeVerdict {
  return isAllowed ? allowed : refused(reason);
}

function refused(reason: string): NodeVerdict {
  return { allowed: false, reason };
}

function unrelated(node: string): string {
  return `no relationship found between node '${node}' and this object`;
}

/** Upstream: `authorizeNode`, and the part of NodeRestriction about nodes. */
function judgeNodes(node: string, verb: string, route: ResourceRoute, request: HttpRequest): NodeVerdict {
  const { name, subresource } = route;
  if (verb === 'list' || verb === 'watch') {
    const isScoped = exactField(route, request, 'metadata.name') === node;
    return verdict(isScoped, `node '${node}' cannot read all nodes, only its own Node object`);
  }
  if (verb === 'get' && subresource === '') {
    return verdict(name === node, `node '${node}' cannot read '${name}', only its own Node object`);
  }
  if (verb === 'create' && name === '') return allowed; // of which name: `newObjectProblem`
  const isWrite = (verb === 'update' || verb === 'patch') && (subresource === '' || subresource === 'status');
  if (!isWrite) return refused('');
  return verdict(name === node, `node ${JSON.stringify(node)} is not allowed to modify node ${JSON.stringify(name)}`);
}

/**
 * Why this node may not make the object; `undefined`: it may. Upstream: `NodeRestriction`, which lets a node say what
 * its pods' addresses are. Not here: other nodes send it what is for them.
 */
export function newObjectProblem(node: string, type: ResourceType, object: FullObject): string | undefined {
  if (object.metadata.name === node) {
    // The type says that it is a Node.
    return type === resources.nodes ? podCidrProblem(node, object as Node, {}) : undefined;
  }
  if (type === resources.leases) return otherLease;
  if (type !== resources.nodes) return undefined;
  return `node ${JSON.stringify(node)} is not allowed to modify node ${JSON.stringify(object.metadata.name ?? '')}`;
}

const restrictedLabel = /^(?:[^/]+\.)?node-restriction\.kubernetes\.io\//;

/** What a node may not change on its own Node, as it stands in the change; `undefined`: nothing. As above. */
export function ownNodeProblem(node: string, next: Node, current: Node): string | undefined {
  const quoted = JSON.stringify(node);
  if (!sameValue(next.spec?.taints ?? [], current.spec?.taints ?? [])) {
    return `node ${quoted} is not allowed to modify taints`;
  }
  const cidrProblem = podCidrProblem(node, next, current);
  if (cidrProblem !== undefined) return cidrProblem;
  const [before, after] = [current.metadata?.labels ?? {}, next.metadata?.labels ?? {}];
  const changed = [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter((key) => restrictedLabel.test(key) && before[key] !== after[key])
    .sort();
  return changed.length === 0 ? undefined : `node ${quoted} is not allowed to modify labels: ${changed.join(', ')}`;
}

function podCidrProblem(node: string, next: Node, current: Node): string | undefined {
  const cidrsOf = ({ spec }: Node): unknown => [spec?.podCIDR ?? '', spec?.podCIDRs ?? []];
  if (sameValue(cidrsOf(next), cidrsOf(current))) return undefined;
  return `node ${JSON.stringify(node)} is not allowed to modify podCIDRs`;
}

const otherLease = 'can only access node lease with the same name as the requesting node';

/** Upstream: `authorizeLease`. */
function judgeLeases(node: string, verb: string, { namespace, name, subresource }: ResourceRoute): NodeVerdict {
  if (!['get', 'create', 'update', 'patch', 'delete'].includes(verb) || subresource !== '') {
    return refused('can only get, create, update, patch, or delete a node lease');
  }
  if (namespace !== leaseNamespace)
    return refused(`can only access leases in the "${leaseNamespace}" system namespace`);
  return verdict(verb === 'create' || name === node, otherLease); // of which name: `newObjectProblem`
}

/** The value that the field selector of a list or watch asks of `field`. */
function exactField({ type, name }: ResourceRoute, { query }: HttpRequest, field: string): string | undefined {
  if (name !== '' && field === 'metadata.name') return name;
  try {
    return parseFieldSelector(type, query.get('fieldSelector') ?? '').exactValueOf(field);
  } catch (error) {
    if (error instanceof StatusError) return undefined; // it does not ask for it
    throw error;
  }
}

/** Whether something in the pod's description names the secret or config map. */
function refersTo({ spec }: Pod, kind: 'secret' | 'configMap', name: string): boolean {
  if (spec === undefined) return false;
  const containers: readonly Container[] = [
    ...(spec.initContainers ?? []),
    ...spec.containers,
    // They have the fields of containers.
    ...((spec.ephemeralContainers ?? []) as readonly Container[]),
  ];
  const [from, key] =
    kind === 'secret' ? (['secretRef', 'secretKeyRef'] as const) : (['configMapRef', 'configMapKeyRef'] as const);
  return (
    containers.some(
      ({ env, envFrom }) =>
        env?.some(({ valueFrom }) => valueFrom?.[key]?.name === name) === true ||
        envFrom?.some((source) => source[from]?.name === name) === true,
    ) ||
    spec.volumes?.some(
      ({ secret, configMap, projected }) =>
        (kind === 'secret' ? secret?.secretName : configMap?.name) === name ||
        projected?.sources?.some((source) => source[kind]?.name === name) === true,
    ) === true ||
    (kind === 'secret' && spec.imagePullSecrets?.some((secret) => secret.name === name) === true)
  );
}
