import type { Container, Lifecycle, Pod } from '../api/gen/types.ts';
import { podLabels } from '../cri/runtime.ts';
import type { RuntimeContainerStatus } from '../cri/runtime.ts';
import { podUidOf } from './pod-names.ts';
import { configSourceAnnotation } from './static-pod.ts';

/**
 * What the kubelet writes on sandboxes and containers, so that a restarted kubelet can take them over without the pod:
 * upstream's labels and annotations.
 */
export const containerHashAnnotation = 'io.kubernetes.container.hash';
const restartCountAnnotation = 'io.kubernetes.container.restartCount';
const terminationPathAnnotation = 'io.kubernetes.container.terminationMessagePath';
const terminationPolicyAnnotation = 'io.kubernetes.container.terminationMessagePolicy';
const preStopAnnotation = 'io.kubernetes.container.preStopHandler';
const portsAnnotation = 'io.kubernetes.container.ports';
const podGraceAnnotation = 'io.kubernetes.pod.terminationGracePeriod';

/** Tells whether a container's definition changed: covers name and image only, as upstream's. */
export function containerHash(container: Container): string {
  const text = JSON.stringify({ name: container.name, image: container.image ?? '' });
  let hash = 0x811c9dc5; // FNV-1a, 32 bits
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash.toString(16);
}

export function sandboxLabels(pod: Pod): Record<string, string> {
  return { ...pod.metadata?.labels, ...identityLabels(pod) };
}

export function sandboxAnnotations(pod: Pod): Record<string, string> {
  return { [configSourceAnnotation]: 'api', ...pod.metadata?.annotations };
}

export function containerLabels(pod: Pod, container: Container): Record<string, string> {
  return { ...identityLabels(pod), [podLabels.containerName]: container.name };
}

export function containerAnnotations(pod: Pod, container: Container, restartCount: number): Record<string, string> {
  const { preStop } = container.lifecycle ?? {};
  const grace = pod.spec?.terminationGracePeriodSeconds;
  return {
    [containerHashAnnotation]: containerHash(container),
    [restartCountAnnotation]: String(restartCount),
    [terminationPathAnnotation]: container.terminationMessagePath ?? '',
    [terminationPolicyAnnotation]: container.terminationMessagePolicy ?? '',
    ...(preStop === undefined ? {} : { [preStopAnnotation]: JSON.stringify(preStop) }),
    ...(container.ports === undefined ? {} : { [portsAnnotation]: JSON.stringify(container.ports) }),
    ...(grace === undefined ? {} : { [podGraceAnnotation]: String(grace) }),
  };
}

function identityLabels(pod: Pod): Record<string, string> {
  return {
    [podLabels.podName]: pod.metadata?.name ?? '',
    [podLabels.podNamespace]: pod.metadata?.namespace ?? '',
    [podLabels.podUid]: podUidOf(pod),
  };
}

/** The restart count that this instance was created with. */
export function restartCountOf(instance: RuntimeContainerStatus): number {
  const written = Number(instance.annotations[restartCountAnnotation]);
  return Number.isInteger(written) && written >= 0 ? written : instance.metadata.attempt;
}

/**
 * Where and how this instance leaves its termination message. `File` at the default path if nothing is written on it.
 */
export function terminationMessageOf(instance: RuntimeContainerStatus): { readonly fallsBackToLogs: boolean } {
  return { fallsBackToLogs: instance.annotations[terminationPolicyAnnotation] === 'FallbackToLogsOnError' };
}

/**
 * As much of a container's definition as ending it needs, from what is written on it: for containers whose pod nobody
 * knows any more.
 */
export function definitionFromLabels(instance: RuntimeContainerStatus): Container {
  const preStop = parseLifecycle(instance.annotations[preStopAnnotation]);
  return {
    name: instance.labels[podLabels.containerName] ?? instance.metadata.name,
    image: instance.image,
    ...(preStop === undefined ? {} : { lifecycle: { preStop } }),
  };
}

function parseLifecycle(text: string | undefined): Lifecycle['preStop'] {
  if (text === undefined) return undefined;
  try {
    // We wrote it ourselves, from a LifecycleHandler.
    return JSON.parse(text) as Lifecycle['preStop'];
  } catch {
    return undefined; // unreadable: the container is ended without its hook
  }
}
