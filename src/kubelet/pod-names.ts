import type {
  Container,
  ContainerStatus,
  EphemeralContainer,
  ObjectReference,
  Pod,
  PodStatus,
} from '../api/gen/types.ts';

/** How pods and their containers are named and told apart. */

/**
 * `regular`: in spec.containers. `init`: runs once, before the next. `sidecar`: an init container with restartPolicy
 * Always, which runs along with the regular ones (upstream: restartable init container). `ephemeral`: added to a pod
 * that runs, to look into it; it runs once and counts for nothing.
 */
export type ContainerKind = 'regular' | 'init' | 'sidecar' | 'ephemeral';

export interface PodContainer {
  readonly container: Container;
  readonly kind: ContainerKind;
}

export function podUidOf(pod: Pod): string {
  return pod.metadata?.uid ?? '';
}

/** `NAMESPACE/NAME`. */
export function podKeyOf({ metadata }: Pod): string {
  return `${metadata?.namespace ?? ''}/${metadata?.name ?? ''}`;
}

/** `NAME_NAMESPACE(UID)`, as events and messages name a pod. Upstream: `format.Pod`. */
export function podText(pod: Pod): string {
  return `${pod.metadata?.name}_${pod.metadata?.namespace}(${podUidOf(pod)})`;
}

export function isSidecar(container: Container): boolean {
  return container.restartPolicy === 'Always';
}

/** Init containers and sidecars in their order, then the regular ones: what the pod was made of. */
export function containersOf(pod: Pod): PodContainer[] {
  return [
    ...(pod.spec?.initContainers ?? []).map((container): PodContainer => ({ container, kind: initKind(container) })),
    ...(pod.spec?.containers ?? []).map((container): PodContainer => ({ container, kind: 'regular' })),
  ];
}

export function ephemeralContainersOf(pod: Pod): PodContainer[] {
  return (pod.spec?.ephemeralContainers ?? []).map((container) => ({ container, kind: 'ephemeral' }));
}

/** The name of the container whose processes an ephemeral one is to see; `undefined`: only its own. */
export function targetContainerOf(container: Container): string | undefined {
  // Ephemeral containers are containers with this field more.
  const { targetContainerName } = container as Partial<EphemeralContainer>;
  return targetContainerName === '' ? undefined : targetContainerName;
}

/** Of all kinds. */
export function containerStatusesOf(status: PodStatus): readonly ContainerStatus[] {
  const { initContainerStatuses = [], containerStatuses = [], ephemeralContainerStatuses = [] } = status;
  return [...initContainerStatuses, ...containerStatuses, ...ephemeralContainerStatuses];
}

function initKind(container: Container): ContainerKind {
  return isSidecar(container) ? 'sidecar' : 'init';
}

export function findContainer(pod: Pod, name: string): PodContainer | undefined {
  return [...containersOf(pod), ...ephemeralContainersOf(pod)].find(({ container }) => container.name === name);
}

/** What an event about the pod as a whole refers to. */
export function podReference(pod: Pod): ObjectReference {
  const { name, namespace, uid, resourceVersion } = pod.metadata ?? {};
  return {
    kind: 'Pod',
    apiVersion: 'v1',
    ...(namespace === undefined ? {} : { namespace }),
    ...(name === undefined ? {} : { name }),
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  };
}

/** What an event about one of its containers refers to. */
export function containerReference(pod: Pod, name: string): ObjectReference {
  const kind = findContainer(pod, name)?.kind;
  const list = kind === 'regular' ? 'containers' : kind === 'ephemeral' ? 'ephemeralContainers' : 'initContainers';
  return { ...podReference(pod), fieldPath: `spec.${list}{${name}}` };
}

export function restartPolicyOf(pod: Pod): 'Always' | 'OnFailure' | 'Never' {
  const policy = pod.spec?.restartPolicy;
  return policy === 'OnFailure' || policy === 'Never' ? policy : 'Always';
}

export function isTerminalPhase(phase: string | undefined): boolean {
  return phase === 'Succeeded' || phase === 'Failed';
}
