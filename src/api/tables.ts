import { ageOf, humanDuration } from './age.ts';
import type {
  CertificateSigningRequest,
  ConfigMap,
  Event,
  EventsV1Event,
  Lease,
  ListMeta,
  Namespace,
  Node,
  ObjectReference,
  Pod,
  PodDisruptionBudget,
  PriorityClass,
  RuntimeClass,
  Service,
  Secret,
  ServiceAccount,
} from './gen/types.ts';
import { podStatusText } from './pod-status-text.ts';
import type { KubernetesObject, ResourceType } from './resources.ts';
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
import type { Printer, TableColumn, Cell, TableRow } from './table-parts.ts';
import {
  controllerRevisions,
  daemonSets,
  deployments,
  jobs,
  podTemplates,
  replicaSets,
  replicationControllers,
  scales,
} from './workload-tables.ts';

/** `meta.k8s.io/v1` Table: what `kubectl get` prints. */
export interface Table {
  readonly kind: 'Table';
  readonly apiVersion: 'meta.k8s.io/v1';
  readonly metadata: ListMeta;
  readonly columnDefinitions: readonly TableColumn[];
  readonly rows: readonly TableRow[];
}

export interface TableOptions {
  /** Default `Metadata`. */
  readonly includeObject?: 'Metadata' | 'Object' | 'None';
  /** Default true; a watch tells the columns only once. */
  readonly includeColumns?: boolean;
  /** Of the list; its resourceVersion, continue and remainingItemCount. */
  readonly metadata?: ListMeta;
}

const pods = printer<Pod>(
  [
    nameColumn,
    column('Ready', 'Ready containers of all'),
    column('Status', 'State of the pod as a whole'),
    column('Restarts', 'How often its containers were restarted, and when last'),
    ageColumn,
    column('IP', 'IP address of the pod', 1),
    column('Node', 'Node that runs it', 1),
    column('Nominated Node', 'Node where room is being made for it', 1),
    column('Readiness Gates', 'Readiness gates that hold, of all', 1),
  ],
  (pod, nowWallMs) => {
    const { ready, status, restarts } = podStatusText(pod, nowWallMs);
    const wide = [
      orNone(pod.status?.podIPs?.[0]?.ip),
      orNone(pod.spec?.nodeName),
      orNone(pod.status?.nominatedNodeName),
      readinessGates(pod),
    ];
    return [nameOf(pod), ready, status, restarts, objectAge(pod, nowWallMs), ...wide];
  },
  (pod) => {
    const phase = pod.status?.phase;
    if (phase !== 'Succeeded' && phase !== 'Failed') return undefined;
    const message = phase === 'Succeeded' ? 'The pod has completed successfully.' : 'The pod failed.';
    return [{ type: 'Completed', status: 'True', reason: phase, message }];
  },
);

function readinessGates(pod: Pod): string {
  const gates = pod.spec?.readinessGates ?? [];
  if (gates.length === 0) return none;
  const holding = gates.filter(({ conditionType }) => {
    return pod.status?.conditions?.find(({ type }) => type === conditionType)?.status === 'True';
  });
  return `${holding.length}/${gates.length}`;
}

const roleLabelPrefix = 'node-role.kubernetes.io/';

function nodeRoles(node: Node): string {
  const roles = new Set<string>();
  for (const [key, value] of Object.entries(node.metadata?.labels ?? {})) {
    if (key.startsWith(roleLabelPrefix) && key !== roleLabelPrefix) roles.add(key.slice(roleLabelPrefix.length));
    else if (key === 'kubernetes.io/role' && value !== '') roles.add(value);
  }
  return orNone([...roles].sort().join(','));
}

function nodeStatus(node: Node): string {
  const ready = node.status?.conditions?.find(({ type }) => type === 'Ready');
  const word = ready === undefined ? 'Unknown' : ready.status === 'True' ? 'Ready' : 'NotReady';
  return node.spec?.unschedulable === true ? `${word},SchedulingDisabled` : word;
}

const unknown = '<unknown>';

function orUnknown(text: string | undefined): string {
  return text === undefined || text === '' ? unknown : text;
}

const nodes = printer<Node>(
  [
    nameColumn,
    column('Status', 'Whether it is ready, and takes new pods'),
    column('Roles', 'What its labels say it is for'),
    ageColumn,
    column('Version', 'Version of its kubelet'),
    column('Internal-IP', 'Address inside of the cluster', 1),
    column('External-IP', 'Address outside of the cluster', 1),
    column('OS-Image', 'Operating system', 1),
    column('Kernel-Version', 'Version of its kernel', 1),
    column('Container-Runtime', 'Container runtime and its version', 1),
  ],
  (node, nowWallMs) => {
    const info = node.status?.nodeInfo;
    const addressOf = (kind: string): string =>
      orNone(node.status?.addresses?.find(({ type }) => type === kind)?.address);
    return [
      nameOf(node),
      nodeStatus(node),
      nodeRoles(node),
      objectAge(node, nowWallMs),
      info?.kubeletVersion ?? '',
      addressOf('InternalIP'),
      addressOf('ExternalIP'),
      orUnknown(info?.osImage),
      orUnknown(info?.kernelVersion),
      orUnknown(info?.containerRuntimeVersion),
    ];
  },
);

const namespaces = printer<Namespace>(
  [nameColumn, column('Status', 'Phase of its life'), ageColumn],
  (namespace, nowWallMs) => [nameOf(namespace), namespace.status?.phase ?? '', objectAge(namespace, nowWallMs)],
);

const eventColumns = [
  column('Last Seen', 'Time since it happened last'),
  column('Type', 'Normal or Warning'),
  column('Reason', 'Why, in one word'),
  column('Object', 'What it is about'),
  column('Subobject', 'Part of the object that it is about', 1),
  column('Source', 'Who tells', 1),
  column('Message', 'What happened'),
  column('First Seen', 'Time since it happened first', 1),
  column('Count', 'How often it happened', 1),
  column('Name', 'Name of the event', 1),
] as const;

/** An event of either version, in the words of the newer one. */
interface EventParts {
  readonly object: ObjectReference;
  readonly first: string | null | undefined;
  readonly last: string | null | undefined;
  readonly component: string;
  readonly host: string;
  readonly note: string;
  readonly count: number;
}

function eventCells(event: Event | EventsV1Event, parts: EventParts, nowWallMs: number): Cell[] {
  const isSet = (time: string | null | undefined): boolean => time !== null && time !== undefined && time !== '';
  const first = ageOf(isSet(parts.first) ? parts.first : event.eventTime, nowWallMs);
  const last = isSet(parts.last) ? ageOf(parts.last, nowWallMs) : first;
  const { series } = event;
  const { kind = '', name = '', fieldPath = '' } = parts.object;
  return [
    series === undefined ? last : ageOf(series.lastObservedTime, nowWallMs),
    event.type ?? '',
    event.reason ?? '',
    name === '' ? kind.toLowerCase() : `${kind.toLowerCase()}/${name}`,
    fieldPath,
    parts.host === '' ? parts.component : `${parts.component}, ${parts.host}`,
    parts.note.trim(),
    first,
    series?.count ?? (parts.count === 0 ? 1 : parts.count),
    nameOf(event),
  ];
}

const events = printer<Event>(eventColumns, (event, nowWallMs) => {
  const parts: EventParts = {
    object: event.involvedObject,
    first: event.firstTimestamp,
    last: event.lastTimestamp,
    component: event.source?.component ?? event.reportingComponent ?? '',
    host: event.source?.host ?? event.reportingInstance ?? '',
    note: event.message ?? '',
    count: event.count ?? 0,
  };
  return eventCells(event, parts, nowWallMs);
});

const eventsV1 = printer<EventsV1Event>(eventColumns, (event, nowWallMs) => {
  const parts: EventParts = {
    object: event.regarding ?? {},
    first: event.deprecatedFirstTimestamp,
    last: event.deprecatedLastTimestamp,
    component: event.deprecatedSource?.component ?? event.reportingController ?? '',
    host: event.deprecatedSource?.host ?? event.reportingInstance ?? '',
    note: event.note ?? '',
    count: event.deprecatedCount ?? 0,
  };
  return eventCells(event, parts, nowWallMs);
});

const leases = printer<Lease>([nameColumn, column('Holder', 'Who holds it'), ageColumn], (lease, nowWallMs) => [
  nameOf(lease),
  lease.spec?.holderIdentity ?? '',
  objectAge(lease, nowWallMs),
]);

function sizeOf(map: Readonly<Record<string, string>> | undefined): number {
  return map === undefined ? 0 : Object.keys(map).length;
}

const configMaps = printer<ConfigMap>(
  [nameColumn, column('Data', 'How many keys it has'), ageColumn],
  (map, nowWallMs) => [nameOf(map), sizeOf(map.data) + sizeOf(map.binaryData), objectAge(map, nowWallMs)],
);

const secrets = printer<Secret>(
  [nameColumn, column('Type', 'What it is for'), column('Data', 'How many keys it has'), ageColumn],
  (secret, nowWallMs) => [nameOf(secret), secret.type ?? '', sizeOf(secret.data), objectAge(secret, nowWallMs)],
);

const serviceAccounts = printer<ServiceAccount>(
  [nameColumn, column('Secrets', 'How many secrets it lists'), ageColumn],
  (account, nowWallMs) => [nameOf(account), account.secrets?.length ?? 0, objectAge(account, nowWallMs)],
);

const disruptionBudgets = printer<PodDisruptionBudget>(
  [
    nameColumn,
    column('Min Available', 'How many of its pods stay at least'),
    column('Max Unavailable', 'How many of its pods may be missing'),
    numberColumn('Allowed Disruptions', 'How many of its pods may be evicted now'),
    ageColumn,
  ],
  (budget, nowWallMs) => [
    nameOf(budget),
    String(budget.spec?.minAvailable ?? 'N/A'),
    String(budget.spec?.maxUnavailable ?? 'N/A'),
    budget.status?.disruptionsAllowed ?? 0,
    objectAge(budget, nowWallMs),
  ],
);

const priorityClasses = printer<PriorityClass>(
  [
    nameColumn,
    numberColumn('Value', 'The priority of its pods; more is more important'),
    { ...column('Global-Default', 'Whether pods have it that name none'), type: 'boolean' },
    ageColumn,
    column('PreemptionPolicy', 'Whether its pods may end others'),
  ],
  (priorityClass, nowWallMs) => [
    nameOf(priorityClass),
    priorityClass.value,
    priorityClass.globalDefault ?? false,
    objectAge(priorityClass, nowWallMs),
    priorityClass.preemptionPolicy ?? '',
  ],
);

const runtimeClasses = printer<RuntimeClass>(
  [nameColumn, column('Handler', 'What the container runtime calls it'), ageColumn],
  (runtimeClass, nowWallMs) => [nameOf(runtimeClass), runtimeClass.handler, objectAge(runtimeClass, nowWallMs)],
);

const services = printer<Service>(
  [
    nameColumn,
    column('Type', 'How it is reached'),
    column('Cluster-IP', 'Its address in the cluster'),
    column('External-IP', 'Its addresses outside'),
    column('Port(s)', 'Where it listens'),
    ageColumn,
    column('Selector', 'Whose pods it leads to', 1),
  ],
  (service, nowWallMs) => {
    const { type = '', clusterIP = '', externalIPs = [], ports = [], selector = {} } = service.spec ?? {};
    const pairs = Object.entries(selector).map(([key, value]) => `${key}=${value}`);
    return [
      nameOf(service),
      type,
      clusterIP || '<none>',
      externalIPs.join(',') || '<none>',
      ports.map(({ port, protocol = 'TCP' }) => `${port}/${protocol}`).join(',') || '<none>',
      objectAge(service, nowWallMs),
      pairs.join(',') || '<none>',
    ];
  },
);

const signingRequests = printer<CertificateSigningRequest>(
  [
    nameColumn,
    ageColumn,
    column('SignerName', 'Who is asked to sign it'),
    column('Requestor', 'User that asks for it'),
    column('RequestedDuration', 'How long it is to be valid'),
    column('Condition', 'Whether it was approved and issued'),
  ],
  (request, nowWallMs) => {
    const { signerName, username = '', expirationSeconds } = request.spec;
    const duration = expirationSeconds === undefined ? none : humanDuration(expirationSeconds * 1_000);
    const age = objectAge(request, nowWallMs);
    return [nameOf(request), age, signerName, username, duration, signingState(request)];
  },
);

function signingState({ status }: CertificateSigningRequest): string {
  const has = (type: string): boolean => status?.conditions?.some((condition) => condition.type === type) === true;
  const verdict = has('Denied') ? 'Denied' : has('Approved') ? 'Approved' : 'Pending';
  return verdict + (has('Failed') ? ',Failed' : '') + ((status?.certificate ?? '') === '' ? '' : ',Issued');
}

const otherKinds = printer<KubernetesObject>([nameColumn, column('Created At', 'When it was created')], (object) => [
  nameOf(object),
  object.metadata?.creationTimestamp ?? '',
]);

const printerByModel: ReadonlyMap<string, Printer> = new Map([
  ['Pod', pods],
  ['PodTemplate', podTemplates],
  ['ReplicationController', replicationControllers],
  ['Deployment', deployments],
  ['Job', jobs],
  ['DaemonSet', daemonSets],
  ['ControllerRevision', controllerRevisions],
  ['ReplicaSet', replicaSets],
  ['Scale', scales],
  ['Node', nodes],
  ['Namespace', namespaces],
  ['Event', events],
  ['EventsV1Event', eventsV1],
  ['Lease', leases],
  ['ConfigMap', configMaps],
  ['Secret', secrets],
  ['ServiceAccount', serviceAccounts],
  ['PodDisruptionBudget', disruptionBudgets],
  ['PriorityClass', priorityClasses],
  ['RuntimeClass', runtimeClasses],
  ['Service', services],
  ['CertificateSigningRequest', signingRequests],
]);

/** The Table for some objects of one kind, as the API server answers it; cells of wide columns are always there. */
export function tableOf(
  type: ResourceType,
  objects: readonly KubernetesObject[],
  nowWallMs: number,
  options: TableOptions = {},
): Table {
  const { columns, cells, conditions } = printerByModel.get(type.model) ?? otherKinds;
  const { includeObject = 'Metadata', includeColumns = true, metadata = {} } = options;
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata,
    columnDefinitions: includeColumns ? columns : [],
    rows: objects.map((object) => {
      const found = conditions?.(object);
      return {
        cells: cells(object, nowWallMs),
        ...(found === undefined ? {} : { conditions: found }),
        ...(includeObject === 'None' ? {} : { object: includeObject === 'Object' ? object : metadataOnly(object) }),
      };
    }),
  };
}

function metadataOnly(object: KubernetesObject): KubernetesObject {
  const kind = { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1' };
  return object.metadata === undefined ? kind : { ...kind, metadata: object.metadata };
}
