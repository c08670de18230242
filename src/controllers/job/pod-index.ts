/** What ties a pod of an Indexed job to its completion index. Pure. */
import type { Container, Job, Pod, PodSpec } from '../../api/gen/types.ts';

/** Annotation and label. */
export const indexKey = 'batch.kubernetes.io/job-completion-index';
const failuresKey = 'batch.kubernetes.io/job-index-failure-count';
const ignoredFailuresKey = 'batch.kubernetes.io/job-index-ignored-failure-count';
const envName = 'JOB_COMPLETION_INDEX';
const namePrefixMax = 58; // upstream: MaxGeneratedNameLength
const int32Max = 2 ** 31 - 1;

export function isIndexed({ spec }: Job): boolean {
  return spec?.completionMode === 'Indexed';
}

/** Each index has failures of its own, and its pods pass on how many. */
export function countsPerIndex(job: Job): boolean {
  return isIndexed(job) && job.spec?.backoffLimitPerIndex !== undefined;
}

/** `undefined` also for one beyond the completions: such a pod counts for nothing. Upstream: `getCompletionIndex`. */
export function indexOf(job: Job, { metadata }: Pod): number | undefined {
  const text = metadata?.annotations?.[indexKey] ?? '';
  const index = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  return index < (job.spec?.completions ?? 0) ? index : undefined;
}

/** How often pods of its index had failed when it was made, and, of that, without being counted. */
export function failuresBefore(pod: Pod): { readonly counted: number; readonly ignored: number } {
  return { counted: countIn(pod, failuresKey), ignored: countIn(pod, ignoredFailuresKey) };
}

/** 0 for what is no count: anybody may have written it. */
function countIn({ metadata }: Pod, key: string): number {
  const count = Number(metadata?.annotations?.[key] ?? 0);
  return Number.isInteger(count) && count >= 0 && count <= int32Max ? count : 0;
}

/** The failed pod that a new one takes the place of. */
export interface ReplacedPod {
  readonly pod: Pod;
  /** Its failure is not counted. */
  readonly isIgnored: boolean;
}

/** `pod`, made of the template, as the one of this index. */
export function podOfIndex(job: Job, pod: Pod, index: number, replaced: ReplacedPod | undefined): Pod {
  const jobName = job.metadata?.name ?? '';
  return {
    ...pod,
    metadata: {
      ...pod.metadata,
      generateName: namePrefixOf(jobName, index),
      labels: { ...pod.metadata?.labels, [indexKey]: String(index) },
      annotations: {
        ...pod.metadata?.annotations,
        [indexKey]: String(index),
        ...(countsPerIndex(job) ? failuresWith(replaced) : {}),
      },
    },
    spec: { ...withIndexEnv(pod.spec ?? { containers: [] }), hostname: `${jobName}-${index}` },
  };
}

function failuresWith(replaced: ReplacedPod | undefined): Readonly<Record<string, string>> {
  if (replaced === undefined) return { [failuresKey]: '0' };
  const { counted, ignored } = failuresBefore(replaced.pod);
  const [nextCounted, nextIgnored] = replaced.isIgnored ? [counted, ignored + 1] : [counted + 1, ignored];
  return { [failuresKey]: String(nextCounted), ...(nextIgnored > 0 ? { [ignoredFailuresKey]: `${nextIgnored}` } : {}) };
}

/** Upstream: `podGenerateNameWithIndex`. */
function namePrefixOf(jobName: string, index: number): string {
  const suffix = `-${index}-`;
  return `${jobName.slice(0, namePrefixMax - suffix.length)}${suffix}`;
}

/** Every container learns its index from the label; one that has a variable of this name keeps it. */
function withIndexEnv(spec: PodSpec): PodSpec {
  const withEnv = (container: Container): Container => {
    const { env = [] } = container;
    if (env.some(({ name }) => name === envName)) return container;
    const valueFrom = { fieldRef: { apiVersion: 'v1', fieldPath: `metadata.labels['${indexKey}']` } };
    return { ...container, env: [...env, { name: envName, valueFrom }] };
  };
  return {
    ...spec,
    ...(spec.initContainers === undefined ? {} : { initContainers: spec.initContainers.map(withEnv) }),
    containers: spec.containers.map(withEnv),
  };
}
