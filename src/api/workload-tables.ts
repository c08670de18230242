/** The tables of what manages pods. */
import { ageOf } from './age.ts';
import type {
  ControllerRevision,
  DaemonSet,
  Deployment,
  Job,
  PodTemplate,
  PodTemplateSpec,
  ReplicaSet,
  ReplicationController,
  Scale,
} from './gen/types.ts';
import { formatSelector, matcherOfLabels, selectorText } from './label-selector.ts';
import {
  none,
  orNone,
  column,
  numberColumn,
  nameColumn,
  ageColumn,
  printer,
  nameOf,
  objectAge,
} from './table-parts.ts';
import { parseTime } from './time.ts';

const templateColumns = [
  column('Containers', 'Names of the containers in its template', 1),
  column('Images', 'Images of the containers in its template', 1),
  column('Selector', 'Which pods are its own', 1),
];

function templateCells(template: PodTemplateSpec | undefined, selector: string): string[] {
  const containers = template?.spec?.containers ?? [];
  const names = containers.map(({ name }) => name).join(',');
  const images = containers.map(({ image = '' }) => image).join(',');
  return [names, images, selector];
}

export const podTemplates = printer<PodTemplate>(
  [
    nameColumn,
    column('Containers', 'Names of the containers in it'),
    column('Images', 'Images of the containers in it'),
    column('Pod Labels', 'Labels of the pods that are made of it'),
  ],
  (podTemplate) => [
    nameOf(podTemplate),
    ...templateCells(
      podTemplate.template,
      orNone(selectorText(matcherOfLabels(podTemplate.template?.metadata?.labels ?? {}))),
    ),
  ],
);

const replicaColumns = [
  nameColumn,
  numberColumn('Desired', 'How many pods there are to be'),
  numberColumn('Current', 'How many pods there are'),
  numberColumn('Ready', 'How many of them are ready'),
  ageColumn,
  ...templateColumns,
];

export const replicationControllers = printer<ReplicationController>(replicaColumns, (controller, nowWallMs) => [
  nameOf(controller),
  controller.spec?.replicas ?? 0,
  controller.status?.replicas ?? 0,
  controller.status?.readyReplicas ?? 0,
  objectAge(controller, nowWallMs),
  ...templateCells(controller.spec?.template, orNone(selectorText(matcherOfLabels(controller.spec?.selector ?? {})))),
]);

export const replicaSets = printer<ReplicaSet>(replicaColumns, (replicaSet, nowWallMs) => [
  nameOf(replicaSet),
  replicaSet.spec?.replicas ?? 0,
  replicaSet.status?.replicas ?? 0,
  replicaSet.status?.readyReplicas ?? 0,
  objectAge(replicaSet, nowWallMs),
  ...templateCells(replicaSet.spec?.template, formatSelector(replicaSet.spec?.selector)),
]);

export const deployments = printer<Deployment>(
  [
    nameColumn,
    column('Ready', 'How many pods are ready, of all that there are to be'),
    column('Up-to-date', 'How many pods are as the template has them now'),
    column('Available', 'How many pods have been ready for long enough'),
    ageColumn,
    ...templateColumns,
  ],
  (deployment, nowWallMs) => [
    nameOf(deployment),
    `${deployment.status?.readyReplicas ?? 0}/${deployment.spec?.replicas ?? 0}`,
    deployment.status?.updatedReplicas ?? 0,
    deployment.status?.availableReplicas ?? 0,
    objectAge(deployment, nowWallMs),
    ...templateCells(deployment.spec?.template, formatSelector(deployment.spec?.selector)),
  ],
);

export const jobs = printer<Job>(
  [
    nameColumn,
    column('Status', 'How it stands'),
    column('Completions', 'How many pods have succeeded, of all that are to'),
    column('Duration', 'How long it took, or has taken so far'),
    ageColumn,
    ...templateColumns,
  ],
  (job, nowWallMs) => [
    nameOf(job),
    jobStatus(job),
    jobCompletions(job),
    jobDuration(job, nowWallMs),
    objectAge(job, nowWallMs),
    ...templateCells(job.spec?.template, formatSelector(job.spec?.selector)),
  ],
);

function jobStatus({ metadata, status }: Job): string {
  const holds = (wanted: string): boolean =>
    status?.conditions?.some((condition) => condition.type === wanted && condition.status === 'True') === true;
  const end = ['Complete', 'Failed'].find(holds);
  if (end !== undefined) return end;
  if (metadata?.deletionTimestamp !== undefined) return 'Terminating';
  return ['Suspended', 'FailureTarget', 'SuccessCriteriaMet'].find(holds) ?? 'Running';
}

function jobCompletions({ spec, status }: Job): string {
  const { completions, parallelism = 0 } = spec ?? {};
  const succeeded = status?.succeeded ?? 0;
  if (completions !== undefined) return `${succeeded}/${completions}`;
  return parallelism > 1 ? `${succeeded}/1 of ${parallelism}` : `${succeeded}/1`;
}

function jobDuration({ status }: Job, nowWallMs: number): string {
  if (status?.startTime === undefined) return '';
  const endMs = status.completionTime === undefined ? nowWallMs : (parseTime(status.completionTime) ?? nowWallMs);
  return ageOf(status.startTime, endMs);
}

export const daemonSets = printer<DaemonSet>(
  [
    nameColumn,
    numberColumn('Desired', 'How many nodes are to run its pod'),
    numberColumn('Current', 'How many of them have at least one'),
    numberColumn('Ready', 'How many of them have one that is ready'),
    numberColumn('Up-to-date', 'How many of them have one of the newest template'),
    numberColumn('Available', 'How many of them have one that has been ready for long enough'),
    column('Node Selector', 'Which nodes are to run its pod'),
    ageColumn,
    ...templateColumns,
  ],
  (daemonSet, nowWallMs) => {
    const { status } = daemonSet;
    const template = daemonSet.spec?.template;
    return [
      nameOf(daemonSet),
      status?.desiredNumberScheduled ?? 0,
      status?.currentNumberScheduled ?? 0,
      status?.numberReady ?? 0,
      status?.updatedNumberScheduled ?? 0,
      status?.numberAvailable ?? 0,
      orNone(selectorText(matcherOfLabels(template?.spec?.nodeSelector ?? {}))),
      objectAge(daemonSet, nowWallMs),
      ...templateCells(template, formatSelector(daemonSet.spec?.selector)),
    ];
  },
);

export const controllerRevisions = printer<ControllerRevision>(
  [nameColumn, column('Controller', 'Whose revision it is'), numberColumn('Revision', 'Its number'), ageColumn],
  (revision, nowWallMs) => {
    const owner = revision.metadata?.ownerReferences?.find(({ controller }) => controller === true);
    const group = owner?.apiVersion.includes('/') === true ? `.${owner.apiVersion.split('/')[0] ?? ''}` : '';
    const shown = owner === undefined ? none : `${owner.kind.toLowerCase()}${group}/${owner.name}`;
    return [nameOf(revision), shown, revision.revision, objectAge(revision, nowWallMs)];
  },
);

export const scales = printer<Scale>(
  [
    nameColumn,
    numberColumn('Desired', 'How many there are to be'),
    numberColumn('Available', 'How many there are'),
    ageColumn,
  ],
  (scale, nowWallMs) => [
    nameOf(scale),
    scale.spec?.replicas ?? 0,
    scale.status?.replicas ?? 0,
    objectAge(scale, nowWallMs),
  ],
);
