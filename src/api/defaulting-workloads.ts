import { defaultPodSpec } from './defaulting-pod.ts';
import type { Draft } from './draft.ts';
import type { DaemonSet, Deployment, Job, PodTemplateSpec, ReplicaSet, ReplicationController } from './gen/types.ts';

/** The defaults of what makes pods from a template. Upstream: `SetDefaults_ReplicationController`. */
export function defaultReplicationController(controller: Draft<ReplicationController>): void {
  const spec = (controller.spec ??= {});
  const labels = spec.template?.metadata?.labels;
  if (labels !== undefined) {
    spec.selector ??= { ...labels };
    controller.metadata ??= {};
    controller.metadata.labels ??= { ...labels };
  }
  spec.replicas ??= 1;
  defaultTemplate(spec.template);
}

/** Upstream: `SetDefaults_ReplicaSet` of apps/v1. */
export function defaultReplicaSet(replicaSet: Draft<ReplicaSet>): void {
  if (replicaSet.spec === undefined) return; // decoding always fills it in
  replicaSet.spec.replicas ??= 1;
  defaultTemplate(replicaSet.spec.template);
}

/** Upstream: `SetDefaults_Deployment` of apps/v1. */
export function defaultDeployment({ spec }: Draft<Deployment>): void {
  if (spec === undefined) return; // as above
  spec.replicas ??= 1;
  const strategy = (spec.strategy ??= {});
  strategy.type ??= 'RollingUpdate';
  if (strategy.type === 'RollingUpdate') {
    const { maxSurge = '25%', maxUnavailable = '25%' } = strategy.rollingUpdate ?? {};
    strategy.rollingUpdate = { maxSurge, maxUnavailable };
  }
  spec.revisionHistoryLimit ??= 10;
  spec.progressDeadlineSeconds ??= 600;
  defaultTemplate(spec.template);
}

/** Upstream: `SetDefaults_DaemonSet` of apps/v1. */
export function defaultDaemonSet({ spec }: Draft<DaemonSet>): void {
  if (spec === undefined) return; // as above
  const strategy = (spec.updateStrategy ??= {});
  strategy.type ??= 'RollingUpdate';
  if (strategy.type === 'RollingUpdate') {
    const { maxSurge = 0, maxUnavailable = 1 } = strategy.rollingUpdate ?? {};
    strategy.rollingUpdate = { maxSurge, maxUnavailable };
  }
  spec.revisionHistoryLimit ??= 10;
  defaultTemplate(spec.template);
}

const unlimited = 2 ** 31 - 1;

/** Upstream: `SetDefaults_Job`. */
export function defaultJob(job: Draft<Job>): void {
  const { spec } = job;
  if (spec === undefined) return; // as above
  if (spec.parallelism === undefined) spec.completions ??= 1;
  spec.parallelism ??= 1;
  spec.backoffLimit ??= spec.backoffLimitPerIndex === undefined ? 6 : unlimited;
  const { labels } = spec.template.metadata ?? {};
  job.metadata ??= {};
  if (labels !== undefined) job.metadata.labels ??= { ...labels };
  spec.completionMode ??= 'NonIndexed';
  spec.suspend ??= false;
  spec.manualSelector ??= false;
  spec.podReplacementPolicy ??= spec.podFailurePolicy === undefined ? 'TerminatingOrFailed' : 'Failed';
  for (const rule of spec.podFailurePolicy?.rules ?? []) {
    for (const pattern of rule.onPodConditions ?? []) if (pattern.status === '') pattern.status = 'True';
  }
  defaultTemplate(spec.template);
}

/** What a pod alone has on top (requests from limits, ports of the host) comes when it is made of the template. */
export function defaultTemplate(template: Draft<PodTemplateSpec> | undefined): void {
  if (template?.spec === undefined) return;
  template.spec.containers ??= [];
  defaultPodSpec(template.spec);
}
