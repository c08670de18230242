import type { ObjectReference, Pod, PodTemplateSpec } from '../../api/gen/types.ts';
import { dns1123SubdomainProblems, maskTrailingDash } from '../../api/names.ts';
import { apiVersionOf, resources } from '../../api/resources.ts';
import type { KubernetesObject, ResourceType } from '../../api/resources.ts';
import { StatusError, hasReason } from '../../base/status-error.ts';
import type { Client } from '../../client/client.ts';
import type { EventRecorder } from '../../client/event-recorder.ts';
import { controllerRefOf } from './controller-ref.ts';

/** Makes and deletes the pods of one owner, and says so in events of the owner. Upstream: `RealPodControl`. */
export interface PodControl {
  readonly client: Client;
  readonly events: EventRecorder;
  readonly ownerType: ResourceType;
}

/** For events about an object. */
export function referenceOf(type: ResourceType, object: KubernetesObject): ObjectReference {
  const { name = '', namespace = '', uid = '', resourceVersion } = object.metadata ?? {};
  return {
    apiVersion: apiVersionOf(type),
    kind: type.kind,
    name,
    ...(namespace === '' ? {} : { namespace }),
    uid,
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  };
}

/** A pod as the template has it, with `owner` as its controller. Upstream: `GetPodFromTemplate`. */
export function podFromTemplate(type: ResourceType, owner: KubernetesObject, template: PodTemplateSpec): Pod {
  const { labels, annotations, finalizers } = template.metadata ?? {};
  return {
    metadata: {
      generateName: podNamePrefix(owner.metadata?.name ?? ''),
      ...(labels === undefined ? {} : { labels }),
      ...(annotations === undefined ? {} : { annotations }),
      ...(finalizers === undefined ? {} : { finalizers }),
      ownerReferences: [controllerRefOf(type, owner)],
    },
    ...(template.spec === undefined ? {} : { spec: template.spec }),
  };
}

/** `NAME-`, unless that is too long to be a name. */
export function podNamePrefix(ownerName: string): string {
  const prefix = `${ownerName}-`;
  return dns1123SubdomainProblems(maskTrailingDash(prefix)).length === 0 ? prefix : ownerName;
}

/** A namespace that is going away takes no pods: no failure, and nothing to tell. */
export async function createPod(
  { client, events, ownerType }: PodControl,
  owner: KubernetesObject,
  pod: Pod,
  signal: AbortSignal,
): Promise<Pod | undefined> {
  const namespace = owner.metadata?.namespace ?? '';
  const about = referenceOf(ownerType, owner);
  try {
    if (Object.keys(pod.metadata?.labels ?? {}).length === 0) {
      throw new StatusError('Invalid', 'unable to create pods, no labels');
    }
    const created = await client.create<Pod>(resources.pods, { namespace }, pod, signal);
    events.event(about, 'Normal', 'SuccessfulCreate', `Created pod: ${created.metadata?.name ?? ''}`);
    return created;
  } catch (error) {
    if (!(error instanceof StatusError) || signal.aborted) throw error;
    if (error.details?.causes?.some(({ reason }) => reason === 'NamespaceTerminating') === true) return undefined;
    events.event(about, 'Warning', 'FailedCreate', `Error creating: ${error.message}`);
    throw error;
  }
}

/** False: it had gone before. */
export async function deletePod(
  { client, events, ownerType }: PodControl,
  owner: KubernetesObject,
  pod: Pod,
  signal: AbortSignal,
): Promise<boolean> {
  const { namespace = '', name = '', uid = '' } = pod.metadata ?? {};
  const about = referenceOf(ownerType, owner);
  try {
    await client.delete(resources.pods, { namespace, name }, { preconditions: { uid } }, signal);
  } catch (error) {
    // A Conflict is about the UID: another pod has the name now.
    if (hasReason(error, 'NotFound', 'Conflict')) return false;
    if (!(error instanceof StatusError) || signal.aborted) throw error;
    events.event(about, 'Warning', 'FailedDelete', `Error deleting: ${error.message}`);
    throw error;
  }
  events.event(about, 'Normal', 'SuccessfulDelete', `Deleted pod: ${name}`);
  return true;
}
