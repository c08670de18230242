import { humanDuration } from '../../api/age.ts';
import type {
  DaemonSet,
  Deployment,
  Event,
  Job,
  Pod,
  PodTemplateSpec,
  ReplicaSet,
  ReplicationController,
} from '../../api/gen/types.ts';
import { formatSelector, matcherOfSelector, selectorText } from '../../api/label-selector.ts';
import { isSameTemplate } from '../../api/pod-template-hash.ts';
import type { KubernetesObject } from '../../api/resources.ts';
import { describeContainers } from './describe-containers.ts';
import { describeEvents } from './describe-events.ts';
import { describeSpread, describeTolerations } from './describe-pod.ts';
import { describeVolumes } from './describe-volumes.ts';
import { DescribeWriter, wallMsOf, type DescribeContext } from './describe-writer.ts';
import { labelsText } from './table-printer.ts';

type Events = readonly Event[] | undefined;

function identity(writer: DescribeWriter, { metadata }: KubernetesObject, selector: string): void {
  writer.line(0, `Name:\t${metadata?.name ?? ''}`);
  writer.line(0, `Namespace:\t${metadata?.namespace ?? ''}`);
  writer.line(0, `Selector:\t${selector}`);
}

function labelling(writer: DescribeWriter, { metadata }: KubernetesObject): void {
  writer.labels('Labels', metadata?.labels);
  writer.annotations('Annotations', metadata?.annotations);
}

function controlledBy(writer: DescribeWriter, { metadata }: KubernetesObject): void {
  const controller = metadata?.ownerReferences?.find((owner) => owner.controller === true);
  if (controller !== undefined) writer.line(0, `Controlled By:\t${controller.kind}/${controller.name}`);
}

/** `1 Running / 0 Waiting / 0 Succeeded / 0 Failed`: of the pods that the object with this UID manages. */
function podsText(owner: KubernetesObject, pods: readonly Pod[]): string {
  const own = pods.filter(({ metadata }) =>
    metadata?.ownerReferences?.some(({ controller, uid }) => controller === true && uid === owner.metadata?.uid),
  );
  const countOf = (phase: string): number => own.filter(({ status }) => status?.phase === phase).length;
  return `${countOf('Running')} Running / ${countOf('Pending')} Waiting / ${countOf('Succeeded')} Succeeded / ${countOf('Failed')} Failed`;
}

function conditions(
  writer: DescribeWriter,
  all: readonly { readonly type: string; readonly status: string; readonly reason?: string }[] = [],
): void {
  if (all.length === 0) return;
  writer.line(0, 'Conditions:');
  writer.line(1, 'Type\tStatus\tReason');
  writer.line(1, '----\t------\t------');
  for (const { type, status, reason = '' } of all) writer.line(1, `${type} \t${status}\t${reason}`);
}

/** Upstream: `DescribePodTemplate`. */
export function describeTemplate(writer: DescribeWriter, template: PodTemplateSpec | undefined): void {
  writer.line(0, 'Pod Template:');
  if (template === undefined) return writer.raw('  <unset>');
  const { metadata, spec } = template;
  writer.labels('  Labels', metadata?.labels);
  if (Object.keys(metadata?.annotations ?? {}).length > 0) writer.annotations('  Annotations', metadata?.annotations);
  if (spec?.serviceAccountName) writer.line(1, `Service Account:\t${spec.serviceAccountName}`);
  const { initContainers = [] } = spec ?? {};
  if (initContainers.length > 0) describeContainers(writer, 'Init Containers', initContainers, [], undefined);
  describeContainers(writer, 'Containers', spec?.containers ?? [], [], undefined);
  describeVolumes(writer, spec?.volumes ?? [], true);
  describeSpread(writer, '  Topology Spread Constraints', spec);
  if (spec?.priorityClassName) writer.line(1, `Priority Class Name:\t${spec.priorityClassName}`);
  writer.labels('  Node-Selectors', spec?.nodeSelector);
  describeTolerations(writer, '  Tolerations', spec);
}

function ending(writer: DescribeWriter, events: Events): string {
  if (events !== undefined) describeEvents(writer, events);
  return writer.text();
}

export function describeReplicated(
  owner: ReplicationController | ReplicaSet,
  selector: string,
  pods: readonly Pod[],
  events: Events,
  context: DescribeContext,
): string {
  const writer = new DescribeWriter(context);
  identity(writer, owner, selector);
  labelling(writer, owner);
  controlledBy(writer, owner);
  writer.line(0, `Replicas:\t${owner.status?.replicas ?? 0} current / ${owner.spec?.replicas ?? 0} desired`);
  writer.line(0, `Pods Status:\t${podsText(owner, pods)}`);
  describeTemplate(writer, owner.spec?.template);
  conditions(writer, owner.status?.conditions);
  return ending(writer, events);
}

export function describeReplicationController(
  controller: ReplicationController,
  pods: readonly Pod[],
  events: Events,
  context: DescribeContext,
): string {
  return describeReplicated(controller, labelsText(controller.spec?.selector ?? {}), pods, events, context);
}

export function describeReplicaSet(
  replicaSet: ReplicaSet,
  pods: readonly Pod[],
  events: Events,
  context: DescribeContext,
): string {
  return describeReplicated(replicaSet, formatSelector(replicaSet.spec?.selector), pods, events, context);
}

/** `replicaSets`: all in its namespace. */
export function describeDeployment(
  deployment: Deployment,
  replicaSets: readonly ReplicaSet[],
  events: Events,
  context: DescribeContext,
): string {
  const { metadata, spec, status } = deployment;
  const writer = new DescribeWriter(context);
  writer.line(0, `Name:\t${metadata?.name ?? ''}`);
  writer.line(0, `Namespace:\t${metadata?.namespace ?? ''}`);
  writer.line(0, `CreationTimestamp:\t${writer.time(metadata?.creationTimestamp)}`);
  labelling(writer, deployment);
  writer.line(0, `Selector:\t${selectorText(matcherOfSelector(spec?.selector))}`);
  const counts = [
    `${spec?.replicas ?? 0} desired`,
    `${status?.updatedReplicas ?? 0} updated`,
    `${status?.replicas ?? 0} total`,
    `${status?.availableReplicas ?? 0} available`,
    `${status?.unavailableReplicas ?? 0} unavailable`,
  ];
  writer.line(0, `Replicas:\t${counts.join(' | ')}`);
  writer.line(0, `StrategyType:\t${spec?.strategy?.type ?? ''}`);
  writer.line(0, `MinReadySeconds:\t${spec?.minReadySeconds ?? 0}`);
  const rolling = spec?.strategy?.rollingUpdate;
  if (rolling !== undefined) {
    const { maxUnavailable = 0, maxSurge = 0 } = rolling;
    writer.line(0, `RollingUpdateStrategy:\t${maxUnavailable} max unavailable, ${maxSurge} max surge`);
  }
  describeTemplate(writer, spec?.template);
  conditions(writer, status?.conditions);
  const own = replicaSets.filter((one) =>
    one.metadata?.ownerReferences?.some(({ controller, uid }) => controller === true && uid === metadata?.uid),
  );
  const newest = own
    .toSorted((a, b) => ((a.metadata?.creationTimestamp ?? '') < (b.metadata?.creationTimestamp ?? '') ? -1 : 1))
    .find((one) => isSameTemplate(one.spec?.template, spec?.template));
  if (own.length > 0) {
    writer.line(0, `OldReplicaSets:\t${replicaSetsText(own.filter((one) => one !== newest))}`);
    writer.line(0, `NewReplicaSet:\t${replicaSetsText(newest === undefined ? [] : [newest])}`);
  }
  return ending(writer, events);
}

function replicaSetsText(replicaSets: readonly ReplicaSet[]): string {
  if (replicaSets.length === 0) return '<none>';
  return replicaSets
    .map(({ metadata, spec, status }) => {
      return `${metadata?.name ?? ''} (${status?.replicas ?? 0}/${spec?.replicas ?? 0} replicas created)`;
    })
    .join(', ');
}

export function describeDaemonSet(
  daemonSet: DaemonSet,
  pods: readonly Pod[],
  events: Events,
  context: DescribeContext,
): string {
  const { spec, status } = daemonSet;
  const writer = new DescribeWriter(context);
  identity(writer, daemonSet, selectorText(matcherOfSelector(spec?.selector)));
  writer.line(0, `Node-Selector:\t${labelsText(spec?.template.spec?.nodeSelector ?? {})}`);
  labelling(writer, daemonSet);
  writer.line(0, `Desired Number of Nodes Scheduled: ${status?.desiredNumberScheduled ?? 0}`);
  writer.line(0, `Current Number of Nodes Scheduled: ${status?.currentNumberScheduled ?? 0}`);
  writer.line(0, `Number of Nodes Scheduled with Up-to-date Pods: ${status?.updatedNumberScheduled ?? 0}`);
  writer.line(0, `Number of Nodes Scheduled with Available Pods: ${status?.numberAvailable ?? 0}`);
  writer.line(0, `Number of Nodes Misscheduled: ${status?.numberMisscheduled ?? 0}`);
  writer.line(0, `Pods Status:\t${podsText(daemonSet, pods)}`);
  describeTemplate(writer, spec?.template);
  return ending(writer, events);
}

export function describeJob(job: Job, events: Events, context: DescribeContext): string {
  const { spec, status } = job;
  const writer = new DescribeWriter(context);
  identity(writer, job, selectorText(matcherOfSelector(spec?.selector)));
  labelling(writer, job);
  controlledBy(writer, job);
  const rows: readonly (readonly [label: string, value: number | string | boolean | undefined])[] = [
    ['Parallelism', spec?.parallelism],
    ['Completions', spec?.completions ?? '<unset>'],
    ['Completion Mode', spec?.completionMode],
    ['Suspend', spec?.suspend],
    ['Backoff Limit', spec?.backoffLimit],
    ['TTL Seconds After Finished', spec?.ttlSecondsAfterFinished],
    ['Start Time', status?.startTime === undefined ? undefined : writer.time(status.startTime)],
    ['Completed At', status?.completionTime === undefined ? undefined : writer.time(status.completionTime)],
    ['Duration', durationText(job)],
    [
      'Active Deadline Seconds',
      spec?.activeDeadlineSeconds === undefined ? undefined : `${spec.activeDeadlineSeconds}s`,
    ],
  ];
  for (const [label, value] of rows) if (value !== undefined) writer.line(0, `${label}:\t${value}`);
  const { active = 0, ready, succeeded = 0, failed = 0 } = status ?? {};
  const readyText = ready === undefined ? '' : ` (${ready} Ready)`;
  writer.line(0, `Pods Statuses:\t${active} Active${readyText} / ${succeeded} Succeeded / ${failed} Failed`);
  if (spec?.completionMode === 'Indexed') {
    writer.line(0, `Completed Indexes:\t${cutIndexes(status?.completedIndexes ?? '')}`);
  }
  describeTemplate(writer, spec?.template);
  return ending(writer, events);
}

const indexesLengthAbout = 50;

/** At the first comma after so much. Upstream: `capIndexesListOrNone`. */
function cutIndexes(indexes: string): string {
  if (indexes === '') return '<none>';
  const comma = indexes.indexOf(',', indexesLengthAbout);
  return comma < 0 ? indexes : `${indexes.slice(0, comma + 1)}...`;
}

function durationText({ status }: Job): string | undefined {
  const [startMs, endMs] = [wallMsOf(status?.startTime), wallMsOf(status?.completionTime)];
  return startMs === undefined || endMs === undefined ? undefined : humanDuration(endMs - startMs);
}
