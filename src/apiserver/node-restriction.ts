import type { Pod } from '../api/gen/types.ts';
import { apiReferenceOf } from '../api/pod-references.ts';
import { resources } from '../api/resources.ts';
import { hasReason } from '../base/status-error.ts';
import type { StatusError } from '../base/status-error.ts';
import type { Registry } from './registry.ts';
import { forbidden } from './respond.ts';
import type { ResourceRoute } from './route.ts';
import { mirrorAnnotation } from './strategy.ts';

const reading: ReadonlySet<string> = new Set(['get', 'list', 'watch']);

export interface NodePodRequest {
  /** Who asks. */
  readonly node: string;
  readonly verb: string;
  readonly route: ResourceRoute;
  /** Of a create; it may refuse. */
  readonly newPod: () => Pod;
  readonly pods: Registry;
  readonly nodes: Registry;
}

/**
 * A node makes only mirrors of its own static pods, and changes or deletes only pods that are bound to it. Upstream:
 * `NodeRestriction`, its part about pods.
 */
export async function checkNodePodRequest(request: NodePodRequest, signal: AbortSignal): Promise<void> {
  const { node, verb, route, pods } = request;
  if (reading.has(verb)) return;
  const refusal = (text: string): StatusError => forbidden(resources.pods, route.name, text);
  const quoted = JSON.stringify(node);
  if (route.subresource !== '' && route.subresource !== 'status') {
    const text = `unexpected pod subresource "${route.subresource}", only 'status' and 'eviction' are allowed`;
    throw refusal(text);
  }
  if (verb === 'create' && route.subresource === '') {
    const pod = request.newPod();
    const problem = mirrorProblem(pod, quoted, node) ?? (await ownerProblem(pod, request, signal));
    if (problem !== undefined) throw forbidden(resources.pods, pod.metadata?.name ?? '', problem);
    return;
  }
  if (verb !== 'delete' && route.subresource === '') {
    const operation = verb === 'deletecollection' ? 'DELETE' : 'UPDATE';
    throw refusal(`unexpected operation "${operation}", node ${quoted} can only create and delete mirror pods`);
  }
  const existing = await find(pods, route, signal);
  if (existing === undefined || existing.spec?.nodeName === node) return;
  const what = verb === 'delete' ? 'delete pods' : 'update pod status for pods';
  throw refusal(`node ${quoted} can only ${what} with spec.nodeName set to itself`);
}

function mirrorProblem({ metadata, spec }: Pod, quoted: string, node: string): string | undefined {
  if (metadata?.annotations?.[mirrorAnnotation] === undefined) {
    return `pod does not have "${mirrorAnnotation}" annotation, node ${quoted} can only create mirror pods`;
  }
  if (spec?.nodeName !== node) return `node ${quoted} can only create pods with spec.nodeName set to itself`;
  const [owner, ...more] = metadata.ownerReferences ?? [];
  const owning = 'owner reference set to itself';
  if (more.length > 0) return `node ${quoted} can only create pods with a single ${owning}`;
  if (owner?.apiVersion !== 'v1' || owner.kind !== 'Node' || owner.name !== node) {
    return `node ${quoted} can only create pods with an ${owning}`;
  }
  if (owner.controller !== true) return `node ${quoted} can only create pods with a controller ${owning}`;
  if (owner.blockOwnerDeletion === true) return `node ${quoted} must not set blockOwnerDeletion on an owner reference`;
  return undefined;
}

async function ownerProblem(pod: Pod, request: NodePodRequest, signal: AbortSignal): Promise<string | undefined> {
  const { node, nodes } = request;
  const { uid = '' } = (await nodes.get('', node, signal)).object.metadata;
  const [owner] = pod.metadata?.ownerReferences ?? [];
  if (owner?.uid !== uid) return `node ${node} UID mismatch: expected ${uid} got ${owner?.uid}`;
  const reference = apiReferenceOf(pod);
  if (reference === undefined) return undefined;
  return `node ${JSON.stringify(node)} can not create pods that reference ${reference}`;
}

/** Which node a pod is bound to never changes, so that an old copy will do. */
async function find(pods: Registry, { namespace, name }: ResourceRoute, signal: AbortSignal): Promise<Pod | undefined> {
  const cached = pods.cache.get(pods.key(namespace, name));
  // Both come from the registry of pods.
  if (cached !== undefined && (cached.object as Pod).spec?.nodeName !== undefined) return cached.object as Pod;
  try {
    return (await pods.get(namespace, name, signal)).object as Pod; // see above
  } catch (error) {
    if (hasReason(error, 'NotFound')) return undefined; // told by what follows
    throw error;
  }
}
