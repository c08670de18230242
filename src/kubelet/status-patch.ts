import type { Pod, PodCondition, PodStatus } from '../api/gen/types.ts';
import { isTerminalPhase } from './pod-names.ts';
import { isMirrorPod } from './static-pod.ts';
import { isOwnCondition } from './pod-conditions.ts';

/**
 * What is to be in the API, from what the kubelet computed. A terminal phase is withheld while containers may still
 * run, and is never left again, but by a static pod that is run once more; with it the pod is not ready. Upstream:
 * `mergePodStatus`.
 */
export function statusToWrite(pod: Pod, computed: PodStatus, mayHaveRunning: boolean): PodStatus {
  const inApi = pod.status ?? {};
  const own = (computed.conditions ?? []).filter(isOwnCondition).map((condition) => notOlder(condition, inApi));
  const foreign = (inApi.conditions ?? []).filter((condition) => !own.some(({ type }) => type === condition.type));
  let merged: PodStatus = { ...computed, conditions: [...foreign, ...own] };
  const isOver = isTerminalPhase(inApi.phase) && !isMirrorPod(pod);
  if (isOver && inApi.phase !== undefined) merged = { ...merged, phase: inApi.phase };
  if (!isTerminalPhase(merged.phase) || isOver) return merged;
  if (!mayHaveRunning) return merged;
  const { reason: _reason, message: _message, ...rest } = merged;
  return {
    ...rest,
    ...(inApi.phase === undefined ? {} : { phase: inApi.phase }),
    ...(inApi.reason === undefined ? {} : { reason: inApi.reason }),
    ...(inApi.message === undefined ? {} : { message: inApi.message }),
  };
}

// The API may have changed since: by the last word of a kubelet that died, or by somebody else. Times never go back.
function notOlder(condition: PodCondition, inApi: PodStatus): PodCondition {
  const since = inApi.conditions?.find(({ type }) => type === condition.type)?.lastTransitionTime ?? '';
  return since > (condition.lastTransitionTime ?? since) ? { ...condition, lastTransitionTime: since } : condition;
}

/** The fields of a status that the kubelet writes; others (resize, claims) belong to others. */
const ownFields = [
  'observedGeneration',
  'phase',
  'conditions',
  'message',
  'reason',
  'hostIP',
  'hostIPs',
  'podIP',
  'podIPs',
  'startTime',
  'initContainerStatuses',
  'containerStatuses',
  'ephemeralContainerStatuses',
  'qosClass',
] as const satisfies readonly (keyof PodStatus)[];

/**
 * The strategic merge patch that turns the status `from` into `to`, with only what differs; `undefined` if nothing
 * does. Conditions are merged by type, so those of others stay as they are.
 */
export function statusPatch(from: PodStatus, to: PodStatus): Readonly<Record<string, unknown>> | undefined {
  const patch: Record<string, unknown> = {};
  for (const field of ownFields) {
    if (sameValue(from[field], to[field])) continue;
    if (field === 'conditions') addConditions(patch, from.conditions ?? [], to.conditions ?? []);
    else if (field === 'podIPs' || field === 'hostIPs') addAddresses(patch, field, from[field] ?? [], to[field] ?? []);
    else patch[field] = to[field] ?? null;
  }
  return Object.keys(patch).length === 0 ? undefined : patch;
}

function addConditions(
  patch: Record<string, unknown>,
  from: readonly PodCondition[],
  to: readonly PodCondition[],
): void {
  const changed: Record<string, unknown>[] = [];
  for (const condition of to) {
    const before = from.find(({ type }) => type === condition.type);
    if (before !== undefined && sameValue(before, condition)) continue;
    // What the new one lacks has to be taken out of the old one.
    const dropped = Object.keys(before ?? {}).filter((key) => !(key in condition));
    changed.push({ ...Object.fromEntries(dropped.map((key) => [key, null])), ...condition });
  }
  const gone = from.filter(({ type }) => !to.some((condition) => condition.type === type));
  changed.push(...gone.map(({ type }) => ({ $patch: 'delete', type })));
  patch['$setElementOrder/conditions'] = to.map(({ type }) => ({ type }));
  if (changed.length > 0) patch['conditions'] = changed;
}

function addAddresses(
  patch: Record<string, unknown>,
  field: 'podIPs' | 'hostIPs',
  from: readonly { readonly ip?: string }[],
  to: readonly { readonly ip?: string }[],
): void {
  const has = (list: readonly { readonly ip?: string }[], ip: string | undefined): boolean =>
    list.some((item) => item.ip === ip);
  patch[`$setElementOrder/${field}`] = to;
  patch[field] = [
    ...to.filter(({ ip }) => !has(from, ip)),
    ...from.filter(({ ip }) => !has(to, ip)).map(({ ip }) => ({ $patch: 'delete', ip })),
  ];
}

/** Equality of JSON values, whatever the order of their keys; an absent field equals an undefined one, and null. */
export function sameValue(a: unknown, b: unknown): boolean {
  if (a === b || (isNothing(a) && isNothing(b))) return true;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, index) => sameValue(item, b[index]));
  }
  if (!isRecord(a) || !isRecord(b)) return false;
  for (const key of Object.keys(a)) if (!sameValue(a[key], b[key])) return false;
  for (const key of Object.keys(b)) if (!Object.hasOwn(a, key) && !isNothing(b[key])) return false;
  return true;
}

function isNothing(value: unknown): boolean {
  return value === undefined || value === null;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether two computed statuses say the same, whenever their conditions last changed. */
export function sameStatus(a: PodStatus, b: PodStatus): boolean {
  return sameValue(withoutTimes(a), withoutTimes(b));
}

function withoutTimes(status: PodStatus): PodStatus {
  const conditions = (status.conditions ?? []).map(withoutTransitionTime);
  return { ...status, conditions };
}

function withoutTransitionTime(condition: PodCondition): PodCondition {
  const { lastTransitionTime: _lastTransitionTime, ...rest } = condition;
  return rest;
}
