import type { Pod } from '../../api/gen/types.ts';
import type { LabelMatcher } from '../../api/label-selector.ts';
import type { KubernetesObject, ResourceType } from '../../api/resources.ts';
import { sameValue } from '../../api/validation/same-value.ts';
import type { Informer } from '../../client/informer.ts';
import { controllerOf, keyOf } from './controller-ref.ts';

/** A kind whose objects manage pods. */
export interface PodOwners<T extends KubernetesObject> {
  readonly type: ResourceType<T>;
  readonly informer: Informer<T>;
  selectorOf(owner: T): LabelMatcher;
}

/**
 * Told by the key of the owner. A pod that is being deleted counts as gone: its replacement need not wait for its end.
 */
export interface PodChangeHandler {
  created(ownerKey: string): void;
  gone(ownerKey: string, podUid: string): void;
  /** Something may have to be done for this owner, also after each of the two above. */
  changed(ownerKey: string, pod: Pod): void;
  /** Whether a controller has to look at this change of its pod, which is still there. Absent: at every one. */
  isNews?(previous: Pod, current: Pod): boolean;
}

/** Tells whom each change of a pod is about: its controller, or, if it has none, every owner that may adopt it. */
export function watchPods<T extends KubernetesObject>(
  pods: Informer<Pod>,
  owners: PodOwners<T>,
  handler: PodChangeHandler,
): void {
  pods.onChange(({ previous, current }) => {
    const isSame = previous?.metadata?.uid === current?.metadata?.uid;
    if (previous !== undefined && !isSame) podGone(owners, handler, previous);
    if (current === undefined) return;
    if (current.metadata?.deletionTimestamp !== undefined) {
      podGone(owners, handler, current);
      const wasOfAnother = isSame && controllerOf(previous ?? current)?.uid !== controllerOf(current)?.uid;
      if (previous !== undefined && wasOfAnother) podGone(owners, handler, previous);
    } else if (previous === undefined || !isSame) podCreated(owners, handler, current);
    else podChanged(owners, handler, previous, current);
  });
}

/** The key of the controller that a pod names, if that is there. */
function ownerKeyOf<T extends KubernetesObject>(owners: PodOwners<T>, pod: Pod): string | undefined {
  const controller = controllerOf(pod);
  if (controller?.kind !== owners.type.kind) return undefined;
  const owner = owners.informer.get(pod.metadata?.namespace ?? '', controller.name);
  return owner !== undefined && owner.metadata?.uid === controller.uid ? keyOf(owner) : undefined;
}

function podGone<T extends KubernetesObject>(owners: PodOwners<T>, handler: PodChangeHandler, pod: Pod): void {
  const key = ownerKeyOf(owners, pod);
  if (key === undefined) return;
  handler.gone(key, pod.metadata?.uid ?? '');
  handler.changed(key, pod);
}

function podCreated<T extends KubernetesObject>(owners: PodOwners<T>, handler: PodChangeHandler, pod: Pod): void {
  const key = ownerKeyOf(owners, pod);
  if (key !== undefined) {
    handler.created(key);
    handler.changed(key, pod);
  } else if (controllerOf(pod) === undefined) offerOrphan(owners, handler, pod);
}

function podChanged<T extends KubernetesObject>(
  owners: PodOwners<T>,
  handler: PodChangeHandler,
  previous: Pod,
  current: Pod,
): void {
  const before = ownerKeyOf(owners, previous);
  const key = ownerKeyOf(owners, current);
  if (before !== undefined && before !== key) handler.changed(before, current);
  if (before !== undefined && before === key && handler.isNews?.(previous, current) === false) return undefined;
  if (key !== undefined) return handler.changed(key, current);
  if (controllerOf(current) !== undefined) return;
  const isNews = before !== undefined || !sameValue(previous.metadata?.labels, current.metadata?.labels);
  if (isNews || controllerOf(previous) !== undefined) offerOrphan(owners, handler, current);
}

function offerOrphan<T extends KubernetesObject>(owners: PodOwners<T>, handler: PodChangeHandler, pod: Pod): void {
  for (const owner of owners.informer.list()) {
    if (owner.metadata?.namespace !== pod.metadata?.namespace) continue;
    if (owners.selectorOf(owner).matches(pod.metadata?.labels)) handler.changed(keyOf(owner), pod);
  }
}
