import type { NamespaceCondition } from '../../api/gen/types.ts';
import type { ResourceType } from '../../api/resources.ts';

/** What is still in a namespace that is being deleted, of one kind. */
export interface Remaining {
  readonly type: ResourceType;
  readonly count: number;
  /** How many of them wait for each finalizer. */
  readonly finalizers: ReadonlyMap<string, number>;
}

/** The conditions of such a namespace, in upstream's words and order. Times of those that stay are kept. */
export function deletionConditions(
  before: readonly NamespaceCondition[],
  remaining: readonly Remaining[],
  now: string,
): readonly NamespaceCondition[] {
  return wanted(remaining).map((condition) => {
    const same = before.find((one) => one.type === condition.type && one.status === condition.status);
    return { ...condition, lastTransitionTime: same?.lastTransitionTime ?? now };
  });
}

export function hasSameConditions(a: readonly NamespaceCondition[], b: readonly NamespaceCondition[]): boolean {
  const text = (conditions: readonly NamespaceCondition[]): string =>
    JSON.stringify(conditions.map(({ type, status, reason, message }) => [type, status, reason, message]));
  return text(a) === text(b);
}

function wanted(remaining: readonly Remaining[]): readonly NamespaceCondition[] {
  return [
    {
      type: 'NamespaceDeletionDiscoveryFailure',
      status: 'False',
      reason: 'ResourcesDiscovered',
      message: 'All resources successfully discovered',
    },
    {
      type: 'NamespaceDeletionGroupVersionParsingFailure',
      status: 'False',
      reason: 'ParsedGroupVersions',
      message: 'All legacy kube types successfully parsed',
    },
    {
      type: 'NamespaceDeletionContentFailure',
      status: 'False',
      reason: 'ContentDeleted',
      message: 'All content successfully deleted, may be waiting on finalization',
    },
    contentRemaining(remaining),
    finalizersRemaining(remaining),
  ];
}

function contentRemaining(remaining: readonly Remaining[]): NamespaceCondition {
  const type = 'NamespaceContentRemaining';
  if (remaining.length === 0) {
    return { type, status: 'False', reason: 'ContentRemoved', message: 'All content successfully removed' };
  }
  const kinds = remaining
    .map(({ type: { resource, group }, count }) => `${resource}.${group} has ${count} resource instances`)
    .sort();
  return {
    type,
    status: 'True',
    reason: 'SomeResourcesRemain',
    message: `Some resources are remaining: ${kinds.join(', ')}`,
  };
}

function finalizersRemaining(remaining: readonly Remaining[]): NamespaceCondition {
  const type = 'NamespaceFinalizersRemaining';
  const counts = new Map<string, number>();
  for (const { finalizers } of remaining) {
    for (const [finalizer, count] of finalizers) counts.set(finalizer, (counts.get(finalizer) ?? 0) + count);
  }
  if (counts.size === 0) {
    const message = 'All content-preserving finalizers finished';
    return { type, status: 'False', reason: 'ContentHasNoFinalizers', message };
  }
  const texts = [...counts].map(([finalizer, count]) => `${finalizer} in ${count} resource instances`).sort();
  return {
    type,
    status: 'True',
    reason: 'SomeFinalizersRemain',
    message: `Some content in the namespace has finalizers remaining: ${texts.join(', ')}`,
  };
}
