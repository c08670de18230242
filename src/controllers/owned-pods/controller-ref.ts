import type { OwnerReference } from '../../api/gen/types.ts';
import type { KubernetesObject, ResourceType } from '../../api/resources.ts';
import { apiVersionOf } from '../../api/resources.ts';

/** The one owner that manages `object`. Upstream: `metav1.GetControllerOf`. */
export function controllerOf(object: KubernetesObject): OwnerReference | undefined {
  return object.metadata?.ownerReferences?.find(({ controller }) => controller === true);
}

/** What `owner` writes into what it manages. Upstream: `metav1.NewControllerRef`. */
export function controllerRefOf(type: ResourceType, owner: KubernetesObject): OwnerReference {
  return {
    apiVersion: apiVersionOf(type),
    kind: type.kind,
    name: owner.metadata?.name ?? '',
    uid: owner.metadata?.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  };
}

/** `namespace/name`: the keys of the controllers' queues. */
export function keyOf(object: KubernetesObject): string {
  return `${object.metadata?.namespace ?? ''}/${object.metadata?.name ?? ''}`;
}

/** A key as the client wants it. */
export function refOf(key: string): { readonly namespace: string; readonly name: string } {
  const slash = key.indexOf('/');
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}
