import type { Draft } from './draft.ts';
import type { LabelSelector, Pod, PodAffinityTerm } from './gen/types.ts';

type Selecting = Draft<Pick<PodAffinityTerm, 'labelSelector' | 'matchLabelKeys' | 'mismatchLabelKeys'>>;

/**
 * Makes `matchLabelKeys` and `mismatchLabelKeys` of a new pod part of the label selectors that they stand beside, in
 * place, with the values of its own labels. Upstream: `applyMatchLabelKeysAndMismatchLabelKeys`, and the same for
 * topology spread constraints.
 */
export function mergeLabelKeys({ metadata, spec }: Draft<Pod>): void {
  const { podAffinity, podAntiAffinity } = spec?.affinity ?? {};
  const all: Selecting[] = [...(spec?.topologySpreadConstraints ?? [])];
  for (const affinity of [podAffinity, podAntiAffinity]) {
    all.push(...(affinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []));
    const preferred = affinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
    all.push(...preferred.map(({ podAffinityTerm }) => podAffinityTerm));
  }
  for (const { labelSelector, matchLabelKeys = [], mismatchLabelKeys = [] } of all) {
    if (labelSelector === undefined) continue;
    addKeys(labelSelector, matchLabelKeys, 'In', metadata?.labels ?? {});
    addKeys(labelSelector, mismatchLabelKeys, 'NotIn', metadata?.labels ?? {});
  }
}

function addKeys(
  selector: Draft<LabelSelector>,
  keys: readonly string[],
  operator: 'In' | 'NotIn',
  labels: Readonly<Record<string, string>>,
): void {
  for (const key of keys) {
    const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
    if (value === undefined) continue;
    selector.matchExpressions ??= [];
    selector.matchExpressions.push({ key, operator, values: [value] });
  }
}
