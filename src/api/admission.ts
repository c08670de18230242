import type { Draft } from './draft.ts';
import type { Pod, Toleration } from './gen/types.ts';

/** How long pods stay on a node that says that it is not Ready, or of which nothing is heard, unless they say it. */
export interface EvictionSeconds {
  readonly notReady: number;
  readonly unreachable: number;
}

/** Upstream's. */
export const defaultEvictionSeconds: EvictionSeconds = { notReady: 300, unreachable: 300 };

/**
 * What upstream's admission plug-ins add to a pod on creation, in place, after defaulting and before validation: the
 * name of its service account (what it gets from that: `admitServiceAccount`; its priority: `admitPriority`), and
 * patience with nodes that are not ready or unreachable. Upstream: `ServiceAccount`, `DefaultTolerationSeconds`.
 */
export function admitPod(pod: Draft<Pod>, evictionSeconds = defaultEvictionSeconds): void {
  const spec = (pod.spec ??= { containers: [] });
  const isMirror = pod.metadata?.annotations?.['kubernetes.io/config.mirror'] !== undefined;
  if (!isMirror) {
    spec.serviceAccountName ??= 'default';
    spec.serviceAccount = spec.serviceAccountName;
  }
  for (const [key, tolerationSeconds] of [
    ['node.kubernetes.io/not-ready', evictionSeconds.notReady],
    ['node.kubernetes.io/unreachable', evictionSeconds.unreachable],
  ] as const) {
    if ((spec.tolerations ?? []).some((toleration) => toleratesEviction(toleration, key))) continue;
    spec.tolerations ??= [];
    spec.tolerations.push({ effect: 'NoExecute', key, operator: 'Exists', tolerationSeconds });
  }
}

function toleratesEviction(toleration: Toleration, key: string): boolean {
  const sameKey = toleration.key === undefined || toleration.key === '' || toleration.key === key;
  const { effect } = toleration;
  return sameKey && (effect === undefined || effect === '' || effect === 'NoExecute');
}
