import type { ContainerStatus, Pod, PodCondition } from '../api/gen/types.ts';
import { isSidecar } from './pod-names.ts';
import { anyRegularStarted } from './pod-phase.ts';
import type { PodPhase } from './pod-phase.ts';

/** The conditions that the kubelet owns, in the order in which it writes them. */
export const ownConditionTypes: readonly string[] = [
  'PodReadyToStartContainers',
  'Initialized',
  'Ready',
  'ContainersReady',
  'PodScheduled',
];

/** Whether the kubelet wrote this condition, and nobody else: the above, and that of a pod that it evicted. */
export function isOwnCondition({ type, reason }: PodCondition): boolean {
  return ownConditionTypes.includes(type) || (type === 'DisruptionTarget' && reason === 'TerminationByKubelet');
}

/** Tells why the kubelet ended a pod that would have gone on. */
export function disruptionCondition(pod: Pod, message: string): PodCondition {
  const generation = pod.metadata?.generation;
  return {
    type: 'DisruptionTarget',
    status: 'True',
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    lastProbeTime: null,
    reason: 'TerminationByKubelet',
    message,
  };
}

interface Finding {
  readonly status: 'True' | 'False';
  readonly reason?: string;
  readonly message?: string;
}

export interface ConditionInput {
  readonly pod: Pod;
  readonly phase: PodPhase;
  /** Init containers first, then the regular ones. */
  readonly statuses: readonly ContainerStatus[];
  /** A sandbox with a network exists. */
  readonly hasSandbox: boolean;
}

/**
 * All conditions of a pod: foreign ones as they are in the API, then the kubelet's own (section 6.2). They carry no
 * `lastTransitionTime` yet: `withTransitionTimes` adds it.
 */
export function podConditionsOf(input: ConditionInput): PodCondition[] {
  const { pod } = input;
  const conditions = (pod.status?.conditions ?? []).filter(({ type }) => !ownConditionTypes.includes(type));
  const containersReady = containersReadyOf(input);
  const findings: readonly (readonly [type: string, finding: Finding])[] = [
    ['PodReadyToStartContainers', { status: input.hasSandbox ? 'True' : 'False' }],
    ['Initialized', initializedOf(input)],
    ['Ready', readyOf(pod, conditions, containersReady)],
    ['ContainersReady', containersReady],
    ['PodScheduled', { status: 'True' }],
  ];
  const generation = pod.metadata?.generation;
  return [
    ...conditions,
    ...findings.map(([type, finding]) => ({
      type,
      ...(generation === undefined ? {} : { observedGeneration: generation }),
      lastProbeTime: null,
      ...finding,
    })),
  ];
}

function initializedOf({ pod, phase, statuses }: ConditionInput): Finding {
  const unknown: string[] = [];
  const incomplete: string[] = [];
  for (const container of pod.spec?.initContainers ?? []) {
    const status = statuses.find(({ name }) => name === container.name);
    if (status === undefined) unknown.push(container.name);
    else if (isSidecar(container) ? status.started !== true : !status.ready) incomplete.push(container.name);
  }
  if (phase === 'Succeeded' && unknown.length === 0) return { status: 'True', reason: 'PodCompleted' };
  if (anyRegularStarted(pod, statuses)) return { status: 'True' };
  const message = containerLists([
    ['unknown', unknown],
    ['incomplete', incomplete],
  ]);
  return message === '' ? { status: 'True' } : { status: 'False', reason: 'ContainersNotInitialized', message };
}

function containersReadyOf({ pod, phase, statuses }: ConditionInput): Finding {
  const unknown: string[] = [];
  const unready: string[] = [];
  const counted = [...(pod.spec?.initContainers ?? []).filter(isSidecar), ...(pod.spec?.containers ?? [])];
  for (const { name } of counted) {
    const status = statuses.find((candidate) => candidate.name === name);
    if (status === undefined) unknown.push(name);
    else if (!status.ready) unready.push(name);
  }
  if (phase === 'Succeeded' && unknown.length === 0) return { status: 'False', reason: 'PodCompleted' };
  if (phase === 'Failed') return { status: 'False', reason: 'PodFailed' };
  const message = containerLists([
    ['unknown', unknown],
    ['unready', unready],
  ]);
  return message === '' ? { status: 'True' } : { status: 'False', reason: 'ContainersNotReady', message };
}

function readyOf(pod: Pod, foreign: readonly PodCondition[], containersReady: Finding): Finding {
  if (containersReady.status !== 'True') return containersReady;
  const problems: string[] = [];
  for (const { conditionType } of pod.spec?.readinessGates ?? []) {
    const condition = foreign.find(({ type }) => type === conditionType);
    if (condition === undefined) {
      problems.push(`corresponding condition of pod readiness gate "${conditionType}" does not exist.`);
    } else if (condition.status !== 'True') {
      problems.push(`the status of pod readiness gate "${conditionType}" is not "True", but ${condition.status}`);
    }
  }
  if (problems.length === 0) return { status: 'True' };
  return { status: 'False', reason: 'ReadinessGatesNotReady', message: problems.join(', ') };
}

function containerLists(lists: readonly (readonly [word: string, names: readonly string[]])[]): string {
  return lists
    .filter(([, names]) => names.length > 0)
    .map(([word, names]) => `containers with ${word} status: [${names.join(' ')}]`)
    .join(', ');
}

/** Gives each of the kubelet's own conditions the time at which its status last changed. */
export function withTransitionTimes(
  conditions: readonly PodCondition[],
  previous: readonly PodCondition[],
  now: string,
): PodCondition[] {
  return conditions.map((condition) => {
    if (!isOwnCondition(condition)) return condition;
    const before = previous.find(({ type }) => type === condition.type);
    const isSame = before?.status === condition.status && before.lastTransitionTime !== undefined;
    return { ...condition, lastTransitionTime: isSame ? (before.lastTransitionTime ?? now) : now };
  });
}
