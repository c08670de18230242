/** What a pod's failure means for its job. Pure. */
import type { ContainerStatus, Pod, PodFailurePolicy, PodFailurePolicyRule } from '../../api/gen/types.ts';

export type FailureVerdict =
  /** One more failure. */
  | { readonly kind: 'counts' }
  | { readonly kind: 'ignored' }
  /** One more failure, and no other pod for its index. */
  | { readonly kind: 'failsIndex' }
  /** The whole job has failed. */
  | { readonly kind: 'failsJob'; readonly message: string };

/** The first rule that fits decides. Upstream: `matchPodFailurePolicy`. */
export function judgeFailure(policy: PodFailurePolicy | undefined, pod: Pod): FailureVerdict {
  const rules = policy?.rules ?? [];
  for (const [index, rule] of rules.entries()) {
    const match = matchOf(rule, pod);
    if (match === undefined) continue;
    if (rule.action === 'Ignore') return { kind: 'ignored' };
    if (rule.action === 'FailIndex') return { kind: 'failsIndex' };
    if (rule.action === 'Count') return { kind: 'counts' };
    return { kind: 'failsJob', message: `${match} matching ${rule.action} rule at index ${index}` };
  }
  return { kind: 'counts' };
}

/** How the rule fits, in upstream's words; `undefined`: it does not. */
function matchOf({ onExitCodes, onPodConditions = [] }: PodFailurePolicyRule, pod: Pod): string | undefined {
  const name = `${pod.metadata?.namespace ?? ''}/${pod.metadata?.name ?? ''}`;
  if (onExitCodes === undefined) {
    const found = pod.status?.conditions?.find((condition) =>
      onPodConditions.some(({ type, status }) => condition.type === type && condition.status === status),
    );
    return found === undefined ? undefined : `Pod ${name} has condition ${found.type}`;
  }
  const { containerName, operator, values } = onExitCodes;
  const { containerStatuses = [], initContainerStatuses = [] } = pod.status ?? {};
  for (const container of [...containerStatuses, ...initContainerStatuses]) {
    const exitCode = exitCodeOf(container);
    if (exitCode === 0 || (containerName !== undefined && container.name !== containerName)) continue;
    if (values.includes(exitCode) !== (operator === 'In')) continue;
    return `Container ${container.name} for pod ${name} failed with exit code ${exitCode}`;
  }
  return undefined;
}

/** 0 if it has not ended. */
function exitCodeOf({ state }: ContainerStatus): number {
  return state?.terminated?.exitCode ?? 0;
}
