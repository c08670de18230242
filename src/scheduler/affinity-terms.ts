/** Which other pods a pod wants near, wants far, or is counted with. Upstream: `framework.AffinityTerm`, and others. */
import type { LabelSelector, PodAffinityTerm, TopologySpreadConstraint } from '../api/gen/types.ts';
import { matcherOfSelector, nothing } from '../api/label-selector.ts';
import type { LabelMatcher } from '../api/label-selector.ts';

type Labels = Readonly<Record<string, string>>;

/** What of a pod others can select by. */
export interface SelectablePod {
  readonly namespace: string;
  readonly labels: Labels;
}

/** `required` or `preferred` pod (anti-)affinity, ready to be matched. */
export interface AffinityTerm {
  /** Terms with the same key mean the same. */
  readonly key: string;
  readonly topologyKey: string;
  readonly namespaces: ReadonlySet<string>;
  /** Of namespaces, besides those that are named; `nothing` if there is none. */
  readonly namespaceSelector: LabelMatcher;
  readonly selector: LabelMatcher;
}

export interface WeightedTerm {
  readonly term: AffinityTerm;
  /** Negative: had better be far. */
  readonly weight: number;
}

export function affinityTermOf(term: PodAffinityTerm, owner: SelectablePod): AffinityTerm {
  const { topologyKey, namespaceSelector, namespaces = [] } = term;
  const { matchLabelKeys = [], mismatchLabelKeys = [] } = term;
  const isOwnNamespace = namespaces.length === 0 && namespaceSelector === undefined;
  const named = isOwnNamespace ? [owner.namespace] : [...namespaces].sort();
  let selector = withLabelKeys(term.labelSelector, matchLabelKeys, 'In', owner.labels);
  selector = withLabelKeys(selector, mismatchLabelKeys, 'NotIn', owner.labels);
  return {
    key: JSON.stringify([topologyKey, named, namespaceSelector, selector]),
    topologyKey,
    namespaces: new Set(named),
    namespaceSelector: namespaceSelector === undefined ? nothing : matcherOfSelector(namespaceSelector),
    selector: matcherOfSelector(selector),
  };
}

/** The API server has merged them already into what was created there; to do it again changes nothing. */
function withLabelKeys(
  selector: LabelSelector | undefined,
  keys: readonly string[],
  operator: 'In' | 'NotIn',
  labels: Labels,
): LabelSelector | undefined {
  if (selector === undefined || keys.length === 0) return selector;
  const more = keys.flatMap((key) => {
    const value = labels[key];
    return value === undefined ? [] : [{ key, operator, values: [value] }];
  });
  return { ...selector, matchExpressions: [...(selector.matchExpressions ?? []), ...more] };
}

/** `namespaceLabels`: of the namespace of `pod`. */
export function termMatches(term: AffinityTerm, pod: SelectablePod, namespaceLabels: Labels): boolean {
  const isInScope = term.namespaces.has(pod.namespace) || term.namespaceSelector.matches(namespaceLabels);
  return isInScope && term.selector.matches(pod.labels);
}

/** A topology spread constraint, ready to be counted. */
export interface SpreadConstraint {
  readonly topologyKey: string;
  readonly maxSkew: number;
  /** With fewer domains than this the least count is taken as 0. */
  readonly minDomains: number;
  readonly selector: LabelMatcher;
  /** Nodes that the pod's node selector and affinity exclude are not counted. Default. */
  readonly honorsAffinity: boolean;
  /** Nodes whose taints the pod does not tolerate are not counted. Not the default. */
  readonly honorsTaints: boolean;
}

export function spreadConstraintOf(constraint: TopologySpreadConstraint, labels: Labels): SpreadConstraint {
  const { topologyKey, maxSkew, minDomains = 1, labelSelector, matchLabelKeys = [] } = constraint;
  return {
    topologyKey,
    maxSkew,
    minDomains,
    selector: matcherOfSelector(withLabelKeys(labelSelector, matchLabelKeys, 'In', labels)),
    honorsAffinity: constraint.nodeAffinityPolicy !== 'Ignore',
    honorsTaints: constraint.nodeTaintsPolicy === 'Honor',
  };
}

/** What upstream scores pods of a controller by that have no constraints of their own: 3 for each node, 5 a zone. */
export function defaultSpreadOf(selector: LabelMatcher): readonly SpreadConstraint[] {
  const common = { minDomains: 1, selector, honorsAffinity: true, honorsTaints: false } as const;
  return [
    { topologyKey: hostnameKey, maxSkew: 3, ...common },
    { topologyKey: 'topology.kubernetes.io/zone', maxSkew: 5, ...common },
  ];
}

/** Its domains are the nodes themselves. */
export const hostnameKey = 'kubernetes.io/hostname';
