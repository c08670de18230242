import type {
  Binding,
  CertificateSigningRequest,
  ConfigMap,
  ControllerRevision,
  DaemonSet,
  Deployment,
  Event,
  EventsV1Event,
  Eviction,
  Job,
  Lease,
  ListMeta,
  Namespace,
  Node,
  ObjectMeta,
  Pod,
  PodDisruptionBudget,
  PodTemplate,
  PriorityClass,
  RuntimeClass,
  Service,
  ReplicaSet,
  ReplicationController,
  Scale,
  Secret,
  SelfSubjectReview,
  ServiceAccount,
  TokenRequest,
  TokenReview,
} from './gen/types.ts';

/** What every object has. */
export interface KubernetesObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata?: ObjectMeta;
}

/** A list of objects, as the API server answers it. */
export interface ObjectList<T> {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ListMeta;
  readonly items: readonly T[];
}

export type Verb = 'create' | 'delete' | 'deletecollection' | 'get' | 'list' | 'patch' | 'update' | 'watch';

const allVerbs: readonly Verb[] = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];

/**
 * A kind of object that we serve: one row for the API server's routes and discovery, for clients, and for the CLI.
 * `T` is the type of its objects; it exists for the compiler only.
 */
export interface ResourceType<T extends KubernetesObject = KubernetesObject> {
  /** `''` for the core group. */
  readonly group: string;
  readonly version: string;
  /** Plural, lower case: `pods`. */
  readonly resource: string;
  readonly singular: string;
  readonly kind: string;
  /** Its name in `gen/models.ts`. */
  readonly model: string;
  readonly namespaced: boolean;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly verbs: readonly Verb[];
  /** Has a `/status` subresource; a plain update then leaves status alone. */
  readonly hasStatus: boolean;
  /** Has a `/scale` subresource: how many of it there are to be. */
  readonly hasScale: boolean;
  readonly phantom?: T;
}

function define<T extends KubernetesObject>(
  row: Pick<ResourceType, 'resource' | 'singular' | 'kind'> & Partial<ResourceType>,
): ResourceType<T> {
  const type: ResourceType = {
    group: '',
    version: 'v1',
    model: row.kind,
    namespaced: true,
    shortNames: [],
    categories: [],
    verbs: allVerbs,
    hasStatus: false,
    hasScale: false,
    ...row,
  };
  // The cast only adds the phantom type parameter.
  return type as ResourceType<T>;
}

/**
 * Every kind that we serve, by its plural name (events.k8s.io's events as `eventsV1`, which share the core ones'
 * storage).
 */
export const resources = {
  pods: define<Pod>({
    resource: 'pods',
    singular: 'pod',
    kind: 'Pod',
    shortNames: ['po'],
    categories: ['all'],
    hasStatus: true,
  }),
  podtemplates: define<PodTemplate>({ resource: 'podtemplates', singular: 'podtemplate', kind: 'PodTemplate' }),
  replicationcontrollers: define<ReplicationController>({
    resource: 'replicationcontrollers',
    singular: 'replicationcontroller',
    kind: 'ReplicationController',
    shortNames: ['rc'],
    categories: ['all'],
    hasStatus: true,
    hasScale: true,
  }),
  controllerrevisions: define<ControllerRevision>({
    group: 'apps',
    resource: 'controllerrevisions',
    singular: 'controllerrevision',
    kind: 'ControllerRevision',
  }),
  daemonsets: define<DaemonSet>({
    group: 'apps',
    resource: 'daemonsets',
    singular: 'daemonset',
    kind: 'DaemonSet',
    shortNames: ['ds'],
    categories: ['all'],
    hasStatus: true,
  }),
  deployments: define<Deployment>({
    group: 'apps',
    resource: 'deployments',
    singular: 'deployment',
    kind: 'Deployment',
    shortNames: ['deploy'],
    categories: ['all'],
    hasStatus: true,
    hasScale: true,
  }),
  replicasets: define<ReplicaSet>({
    group: 'apps',
    resource: 'replicasets',
    singular: 'replicaset',
    kind: 'ReplicaSet',
    shortNames: ['rs'],
    categories: ['all'],
    hasStatus: true,
    hasScale: true,
  }),
  nodes: define<Node>({
    resource: 'nodes',
    singular: 'node',
    kind: 'Node',
    namespaced: false,
    shortNames: ['no'],
    hasStatus: true,
  }),
  namespaces: define<Namespace>({
    resource: 'namespaces',
    singular: 'namespace',
    kind: 'Namespace',
    namespaced: false,
    shortNames: ['ns'],
    hasStatus: true,
    verbs: allVerbs.filter((verb) => verb !== 'deletecollection'),
  }),
  events: define<Event>({ resource: 'events', singular: 'event', kind: 'Event', shortNames: ['ev'] }),
  eventsV1: define<EventsV1Event>({
    group: 'events.k8s.io',
    resource: 'events',
    singular: 'event',
    kind: 'Event',
    model: 'EventsV1Event',
    shortNames: ['ev'],
  }),
  tokenreviews: define<TokenReview>({
    group: 'authentication.k8s.io',
    resource: 'tokenreviews',
    singular: 'tokenreview',
    kind: 'TokenReview',
    namespaced: false,
    verbs: ['create'],
  }),
  selfsubjectreviews: define<SelfSubjectReview>({
    group: 'authentication.k8s.io',
    resource: 'selfsubjectreviews',
    singular: 'selfsubjectreview',
    kind: 'SelfSubjectReview',
    namespaced: false,
    verbs: ['create'],
  }),
  jobs: define<Job>({
    group: 'batch',
    resource: 'jobs',
    singular: 'job',
    kind: 'Job',
    categories: ['all'],
    hasStatus: true,
  }),
  certificatesigningrequests: define<CertificateSigningRequest>({
    group: 'certificates.k8s.io',
    resource: 'certificatesigningrequests',
    singular: 'certificatesigningrequest',
    kind: 'CertificateSigningRequest',
    namespaced: false,
    shortNames: ['csr'],
    hasStatus: true,
  }),
  poddisruptionbudgets: define<PodDisruptionBudget>({
    group: 'policy',
    resource: 'poddisruptionbudgets',
    singular: 'poddisruptionbudget',
    kind: 'PodDisruptionBudget',
    shortNames: ['pdb'],
    hasStatus: true,
  }),
  leases: define<Lease>({ group: 'coordination.k8s.io', resource: 'leases', singular: 'lease', kind: 'Lease' }),
  configmaps: define<ConfigMap>({
    resource: 'configmaps',
    singular: 'configmap',
    kind: 'ConfigMap',
    shortNames: ['cm'],
  }),
  services: define<Service>({
    resource: 'services',
    singular: 'service',
    kind: 'Service',
    shortNames: ['svc'],
    categories: ['all'],
    verbs: ['get', 'list', 'watch'],
  }),
  secrets: define<Secret>({ resource: 'secrets', singular: 'secret', kind: 'Secret' }),
  serviceaccounts: define<ServiceAccount>({
    resource: 'serviceaccounts',
    singular: 'serviceaccount',
    kind: 'ServiceAccount',
    shortNames: ['sa'],
  }),
  priorityclasses: define<PriorityClass>({
    group: 'scheduling.k8s.io',
    resource: 'priorityclasses',
    singular: 'priorityclass',
    kind: 'PriorityClass',
    namespaced: false,
    shortNames: ['pc'],
  }),
  runtimeclasses: define<RuntimeClass>({
    group: 'node.k8s.io',
    resource: 'runtimeclasses',
    singular: 'runtimeclass',
    kind: 'RuntimeClass',
    namespaced: false,
  }),
  bindings: define<Binding>({ resource: 'bindings', singular: 'binding', kind: 'Binding', verbs: ['create'] }),
} as const satisfies Record<string, ResourceType>;

/** What `/scale` of several kinds reads and writes; it is not stored by itself. */
export const scaleType = define<Scale>({
  group: 'autoscaling',
  resource: 'scales',
  singular: 'scale',
  kind: 'Scale',
  verbs: ['get', 'patch', 'update'],
});

/** What is sent to, and comes from, the subresource `token` of service accounts. It has no path of its own. */
export const tokenRequests: ResourceType<TokenRequest> = define<TokenRequest>({
  group: 'authentication.k8s.io',
  resource: 'tokenrequests',
  singular: 'tokenrequest',
  kind: 'TokenRequest',
  verbs: [],
});

/** What is sent to the subresource `eviction` of pods. It has no path of its own. */
export const evictions: ResourceType<Eviction> = define<Eviction>({
  group: 'policy',
  resource: 'evictions',
  singular: 'eviction',
  kind: 'Eviction',
  verbs: [],
});

/** `v1`, `coordination.k8s.io/v1`. */
export function apiVersionOf(type: Pick<ResourceType, 'group' | 'version'>): string {
  return type.group === '' ? type.version : `${type.group}/${type.version}`;
}
