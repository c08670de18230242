/** Which nodes a pod asks for, by their labels and names. Upstream: `component-helpers/.../nodeaffinity`. */
import type { NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Taint, Toleration } from './gen/types.ts';

/** What of a node can be selected by. */
export interface SelectableNode {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface NodeSelection {
  /** `spec.nodeSelector`. */
  readonly nodeSelector?: Readonly<Record<string, string>> | undefined;
  /** `spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution`. */
  readonly requiredNodes?: NodeSelector | undefined;
}

/** Whether the node is one of those that are asked for; terms are alternatives. */
export function isSelectedNode({ nodeSelector = {}, requiredNodes }: NodeSelection, node: SelectableNode): boolean {
  const isSelected = Object.entries(nodeSelector).every(([key, value]) => node.labels[key] === value);
  const terms = requiredNodes?.nodeSelectorTerms;
  return isSelected && (terms === undefined || terms.some((term) => matchesNodeTerm(term, node)));
}

/** An empty term matches nothing. */
export function matchesNodeTerm(term: NodeSelectorTerm, node: SelectableNode): boolean {
  const { matchExpressions = [], matchFields = [] } = term;
  if (matchExpressions.length === 0 && matchFields.length === 0) return false;
  return (
    matchExpressions.every((requirement) => holds(requirement, node.labels[requirement.key])) &&
    matchFields.every((requirement) => requirement.key === 'metadata.name' && holds(requirement, node.name))
  );
}

function holds(requirement: NodeSelectorRequirement, value: string | undefined): boolean {
  const { operator, values = [] } = requirement;
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
    case 'Lt': {
      const [limit = ''] = values;
      if (value === undefined || !/^[+-]?\d+$/.test(value) || !/^[+-]?\d+$/.test(limit)) return false;
      return operator === 'Gt' ? BigInt(value) > BigInt(limit) : BigInt(value) < BigInt(limit);
    }
    default:
      return false; // validation lets no other through
  }
}

/** Upstream: `Toleration.ToleratesTaint`. */
export function toleratesTaint(tolerations: readonly Toleration[], taint: Taint): boolean {
  return tolerations.some(({ key = '', operator = 'Equal', value = '', effect = '' }) => {
    if (effect !== '' && effect !== taint.effect) return false;
    if (key !== '' && key !== taint.key) return false;
    if (operator === 'Exists') return true;
    return key !== '' && value === (taint.value ?? '');
  });
}
