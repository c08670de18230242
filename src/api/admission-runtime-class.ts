import type { Draft } from './draft.ts';
import type { Pod, RuntimeClass, Toleration } from './gen/types.ts';
import { sameValue } from './validation/same-value.ts';

/**
 * Gives a new pod what its runtime class says, in place: overhead, node selector and tolerations. `undefined`: it has
 * none. Returns why it is refused. Upstream: the admission plug-in `RuntimeClass`.
 */
export function admitRuntimeClass(pod: Draft<Pod>, runtimeClass: RuntimeClass | undefined): string | undefined {
  const { spec } = pod;
  if (spec === undefined) return undefined;
  const wanted = runtimeClass?.overhead?.podFixed;
  if (wanted === undefined) {
    return Object.keys(spec.overhead ?? {}).length === 0
      ? undefined
      : 'pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead';
  }
  if (spec.overhead !== undefined && !sameValue(spec.overhead, wanted)) {
    return "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";
  }
  spec.overhead = { ...wanted };
  return undefined;
}

/** Where its class lets it run, in place. Returns why it is refused. As above. */
export function admitRuntimeScheduling(pod: Draft<Pod>, runtimeClass: RuntimeClass | undefined): string | undefined {
  const { spec } = pod;
  const { nodeSelector = {}, tolerations = [] } = runtimeClass?.scheduling ?? {};
  if (spec === undefined) return undefined;
  for (const [key, value] of Object.entries(nodeSelector)) {
    const own = spec.nodeSelector?.[key];
    if (own !== undefined && own !== value) {
      return `conflict: runtimeClass.scheduling.nodeSelector[${key}] = ${value}; pod.spec.nodeSelector[${key}] = ${own}`;
    }
    spec.nodeSelector = { ...spec.nodeSelector, [key]: value };
  }
  if (tolerations.length > 0) spec.tolerations = mergeTolerations([...(spec.tolerations ?? []), ...tolerations]);
  return undefined;
}

/** Without those that another one includes. Upstream: `MergeTolerations`. */
function mergeTolerations(all: readonly Toleration[]): Toleration[] {
  const merged: Toleration[] = [];
  for (const [index, one] of all.entries()) {
    const isKnown = merged.some((other) => includes(other, one));
    const comes = all.slice(index + 1).some((other) => !sameValue(other, one) && includes(other, one));
    if (!isKnown && !comes) merged.push({ ...one });
  }
  return merged;
}

/** Whether `outer` tolerates whatever `inner` does. Upstream: `isSuperset`. */
function includes(outer: Toleration, inner: Toleration): boolean {
  if (sameValue(outer, inner)) return true;
  const { key = '', operator = 'Equal', effect = '', tolerationSeconds } = outer;
  if (key !== (inner.key ?? '') && (key !== '' || operator !== 'Exists')) return false;
  if (effect !== '' && effect !== inner.effect) return false;
  if (effect === 'NoExecute' && tolerationSeconds !== undefined) {
    if (inner.tolerationSeconds === undefined || inner.tolerationSeconds > tolerationSeconds) return false;
  }
  if (operator === 'Exists') return true;
  return (inner.operator ?? 'Equal') === 'Equal' && (inner.value ?? '') === (outer.value ?? '');
}
