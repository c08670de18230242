import type { Draft } from './draft.ts';
import type { Pod, Toleration } from './gen/types.ts';

const evictionSeconds = 300;
const evictionTaints = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'] as const;

/**
 * What upstream's admission plug-ins add to a pod on creation, in place, after defaulting and before validation: the
 * name of its service account (what it gets from that: `admitServiceAccount`; its priority: `admitPriority`), and 300 s
 * of patience with nodes that are not ready or unreachable. Upstream: `ServiceAccount`, `DefaultTolerationSeconds`.
 */
export function admitPod(pod: Draft<Pod>): void {
  const spec = (pod.spec ??= { containers: [] });
  const isMirror = pod.metadata?.annotations?.['kubernetes.io/config.mirror'] !== undefined;
  if (!isMirror) {
    spec.serviceAccountName ??= 'default';
    spec.serviceAccount = spec.serviceAccountName;
  }
  for (const key of evictionTaints) {
    if ((spec.tolerations ?? []).some((toleration) => toleratesEviction(toleration, key))) continue;
    spec.tolerations ??= [];
    spec.tolerations.push({ effect: 'NoExecute', key, operator: 'Exists', tolerationSeconds: evictionSeconds });
  }
}

function toleratesEviction(toleration: Toleration, key: string): boolean {
  const sameKey = toleration.key === undefined || toleration.key === '' || toleration.key === key;
  const { effect } = toleration;
  return sameKey && (effect === undefined || effect === '' || effect === 'NoExecute');
}
