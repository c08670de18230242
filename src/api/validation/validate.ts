import type { FieldError } from '../field-error.ts';
import type {
  Binding,
  CertificateSigningRequest,
  ConfigMap,
  ControllerRevision,
  DaemonSet,
  Deployment,
  Event,
  EventsV1Event,
  Job,
  Lease,
  Namespace,
  Node,
  Pod,
  PodDisruptionBudget,
  PodTemplate,
  PriorityClass,
  RuntimeClass,
  ReplicaSet,
  ReplicationController,
  Secret,
  ServiceAccount,
  TokenRequest,
} from '../gen/types.ts';
import type { KubernetesObject, ResourceType } from '../resources.ts';
import {
  checkControllerRevision,
  checkControllerRevisionUpdate,
  checkDaemonSet,
  checkDaemonSetStatusUpdate,
  checkDaemonSetUpdate,
} from './daemon-set.ts';
import {
  checkSigningRequest,
  checkSigningRequestApproval,
  checkSigningRequestUpdate,
} from './certificate-signing-request.ts';
import { checkDeployment, checkDeploymentStatusUpdate, checkDeploymentUpdate } from './deployment.ts';
import { checkEvent, checkEventsV1, checkEventsV1Update } from './event.ts';
import { checkJob, checkJobUpdate } from './job.ts';
import { checkJobStatusUpdate } from './job-status.ts';
import { checkMetadata, checkMetadataUpdate, type Errors } from './metadata.ts';
import { checkNode, checkNodeUpdate } from './node.ts';
import { checkNewPod } from './pod.ts';
import { checkEphemeralUpdate, checkPodStatusUpdate, checkPodUpdate } from './pod-update.ts';
import { checkPodTemplate } from './pod-template.ts';
import {
  checkReplicatedStatusUpdate,
  checkReplicaSet,
  checkReplicaSetUpdate,
  checkReplicationController,
  checkReplicationControllerUpdate,
} from './replicated.ts';
import {
  checkDisruptionBudget,
  checkDisruptionBudgetStatusUpdate,
  checkDisruptionBudgetUpdate,
} from './disruption-budget.ts';
import { checkPriorityClass, checkPriorityClassUpdate } from './priority-class.ts';
import { checkRuntimeClass, checkRuntimeClassUpdate } from './runtime-class.ts';
import {
  checkBinding,
  checkConfigMap,
  checkConfigMapUpdate,
  checkLease,
  checkLeaseUpdate,
  checkNamespace,
  checkNamespaceStatusUpdate,
  checkSecret,
  checkSecretUpdate,
  checkServiceAccount,
  checkTokenRequest,
} from './small-kinds.ts';

type CheckNew<T> = (errors: Errors, object: T) => void;
type CheckUpdate<T> = (errors: Errors, next: T, current: T) => void;

interface Rules<T> {
  readonly create: CheckNew<T>;
  readonly update: CheckUpdate<T>;
  /** Of the `/status` subresource. */
  readonly status?: CheckUpdate<T>;
  /** Of the `/approval` subresource. */
  readonly approval?: CheckUpdate<T>;
  /** Of the `/ephemeralcontainers` subresource. */
  readonly ephemeral?: CheckUpdate<T>;
}

type AnyRules = Rules<KubernetesObject>;

function rules<T extends KubernetesObject>(row: Rules<T>): AnyRules {
  // Holds because `rulesOf` picks the row by the model that the object was decoded with.
  return row as unknown as AnyRules;
}

const metadataUpdate: CheckUpdate<KubernetesObject> = (errors, next, current) => {
  checkMetadataUpdate(errors, next.metadata ?? {}, current.metadata ?? {});
};

const rulesByModel: ReadonlyMap<string, AnyRules> = new Map<string, AnyRules>([
  [
    'Pod',
    rules<Pod>({
      create: checkNewPod,
      update: checkPodUpdate,
      status: checkPodStatusUpdate,
      ephemeral: checkEphemeralUpdate,
    }),
  ],
  [
    'ReplicationController',
    rules<ReplicationController>({
      create: checkReplicationController,
      update: checkReplicationControllerUpdate,
      status: checkReplicatedStatusUpdate,
    }),
  ],
  [
    'Deployment',
    rules<Deployment>({
      create: checkDeployment,
      update: checkDeploymentUpdate,
      status: checkDeploymentStatusUpdate,
    }),
  ],
  [
    'DaemonSet',
    rules<DaemonSet>({
      create: checkDaemonSet,
      update: checkDaemonSetUpdate,
      status: checkDaemonSetStatusUpdate,
    }),
  ],
  [
    'ControllerRevision',
    rules<ControllerRevision>({ create: checkControllerRevision, update: checkControllerRevisionUpdate }),
  ],
  ['Job', rules<Job>({ create: checkJob, update: checkJobUpdate, status: checkJobStatusUpdate })],
  [
    'ReplicaSet',
    rules<ReplicaSet>({
      create: checkReplicaSet,
      update: checkReplicaSetUpdate,
      status: checkReplicatedStatusUpdate,
    }),
  ],
  ['Node', rules<Node>({ create: checkNode, update: checkNodeUpdate, status: checkNodeUpdate })],
  [
    'Namespace',
    rules<Namespace>({ create: checkNamespace, update: metadataUpdate, status: checkNamespaceStatusUpdate }),
  ],
  ['Event', rules<Event>({ create: checkEvent, update: checkEvent })],
  ['EventsV1Event', rules<EventsV1Event>({ create: checkEventsV1, update: checkEventsV1Update })],
  ['Lease', rules<Lease>({ create: checkLease, update: checkLeaseUpdate })],
  ['ConfigMap', rules<ConfigMap>({ create: checkConfigMap, update: checkConfigMapUpdate })],
  ['TokenRequest', rules<TokenRequest>({ create: checkTokenRequest, update: metadataUpdate })],
  ['Secret', rules<Secret>({ create: checkSecret, update: checkSecretUpdate })],
  [
    'ServiceAccount',
    rules<ServiceAccount>({
      create: checkServiceAccount,
      update: (errors, next, current) => {
        metadataUpdate(errors, next, current);
        checkServiceAccount(errors, next);
      },
    }),
  ],
  [
    'PodDisruptionBudget',
    rules<PodDisruptionBudget>({
      create: checkDisruptionBudget,
      update: checkDisruptionBudgetUpdate,
      status: checkDisruptionBudgetStatusUpdate,
    }),
  ],
  ['PriorityClass', rules<PriorityClass>({ create: checkPriorityClass, update: checkPriorityClassUpdate })],
  ['RuntimeClass', rules<RuntimeClass>({ create: checkRuntimeClass, update: checkRuntimeClassUpdate })],
  [
    'CertificateSigningRequest',
    rules<CertificateSigningRequest>({
      create: checkSigningRequest,
      update: checkSigningRequestUpdate,
      status: checkSigningRequestUpdate,
      approval: checkSigningRequestApproval,
    }),
  ],
  [
    'PodTemplate',
    rules<PodTemplate>({
      create: (errors, object) => {
        checkMetadata(errors, object.metadata ?? {}, true, 'subdomain');
        checkPodTemplate(errors, 'template', object.template ?? {});
      },
      update: (errors, next, current) => {
        metadataUpdate(errors, next, current);
        checkPodTemplate(errors, 'template', next.template ?? {});
      },
    }),
  ],
  ['Binding', rules<Binding>({ create: checkBinding, update: metadataUpdate })],
]);

function rulesOf(type: ResourceType): AnyRules {
  return (
    rulesByModel.get(type.model) ?? {
      create: (errors, object) => checkMetadata(errors, object.metadata ?? {}, type.namespaced, 'subdomain'),
      update: metadataUpdate,
    }
  );
}

/** What is wrong with a new object, after defaulting and name generation; empty if nothing is. */
export function validateCreate(type: ResourceType, object: KubernetesObject): readonly FieldError[] {
  const errors: FieldError[] = [];
  rulesOf(type).create(errors, object);
  return errors;
}

/**
 * What is wrong with replacing `current` by `next`. `subresource` is `''` for the object itself. The
 * caller has filled in what clients may leave out (uid, creation and deletion times, generation) and kept what the
 * subresource may not touch.
 */
export function validateUpdate(
  type: ResourceType,
  next: KubernetesObject,
  current: KubernetesObject,
  subresource: string,
): readonly FieldError[] {
  const errors: FieldError[] = [];
  const row = rulesOf(type);
  if (subresource === 'status') (row.status ?? metadataUpdate)(errors, next, current);
  else if (subresource === 'approval') (row.approval ?? metadataUpdate)(errors, next, current);
  else if (subresource === 'ephemeralcontainers') row.ephemeral?.(errors, next, current);
  else row.update(errors, next, current);
  return errors;
}
