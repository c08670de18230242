import { StatusError } from '../base/status-error.ts';
import { goQuote } from './go-text.ts';
import type {
  Event,
  EventsV1Event,
  Job,
  Namespace,
  Node,
  ObjectReference,
  Pod,
  ReplicaSet,
  ReplicationController,
  Secret,
} from './gen/types.ts';
import type { KubernetesObject, ResourceType } from './resources.ts';

/** Which objects are meant, by their fields. Upstream: `fields.Selector`. */
export interface FieldMatcher {
  readonly requirements: readonly FieldRequirement[];
  matches(object: KubernetesObject): boolean;
  /** The value that `field` must have, if the selector says so: for reading one object instead of all. */
  exactValueOf(field: string): string | undefined;
}

export interface FieldRequirement {
  readonly field: string;
  readonly operator: '=' | '!=';
  readonly value: string;
}

type Get = (object: KubernetesObject) => string | undefined;
type Getters = Readonly<Record<string, Get>>;

const metadataGetters: Getters = {
  'metadata.name': (object) => object.metadata?.name,
  'metadata.namespace': (object) => object.metadata?.namespace,
};

/** A row of the table below. */
function of<T extends KubernetesObject>(get: (object: T) => string | boolean | undefined): Get {
  return (object) => {
    // Holds because `getterOf` picks rows by the object's model.
    const value = get(object as T);
    return typeof value === 'boolean' ? String(value) : value;
  };
}

function referenceGetters(prefix: string, get: (object: KubernetesObject) => ObjectReference | undefined): Getters {
  const getters: Record<string, Get> = {};
  for (const name of ['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'] as const) {
    getters[`${prefix}.${name}`] = (object) => get(object)?.[name];
  }
  return getters;
}

/** Fields that selectors of each model may name. Upstream: `AddFieldLabelConversionFunc` and `ToSelectableFields`. */
const gettersByModel: ReadonlyMap<string, Getters> = new Map<string, Getters>([
  [
    'Pod',
    {
      ...metadataGetters,
      'spec.nodeName': of<Pod>((pod) => pod.spec?.nodeName),
      'spec.restartPolicy': of<Pod>((pod) => pod.spec?.restartPolicy),
      'spec.schedulerName': of<Pod>((pod) => pod.spec?.schedulerName),
      'spec.serviceAccountName': of<Pod>((pod) => pod.spec?.serviceAccountName),
      'spec.hostNetwork': of<Pod>((pod) => pod.spec?.hostNetwork ?? false),
      'status.phase': of<Pod>((pod) => pod.status?.phase),
      'status.podIP': of<Pod>((pod) => pod.status?.podIP),
      'status.podIPs': of<Pod>((pod) => (pod.status?.podIPs ?? []).map(({ ip }) => ip).join(',')),
      'status.nominatedNodeName': of<Pod>((pod) => pod.status?.nominatedNodeName),
    },
  ],
  [
    'Node',
    {
      'metadata.name': (object) => object.metadata?.name,
      'spec.unschedulable': of<Node>((node) => node.spec?.unschedulable ?? false),
    },
  ],
  [
    'Namespace',
    {
      'metadata.name': (object) => object.metadata?.name,
      name: (object) => object.metadata?.name,
      'status.phase': of<Namespace>((namespace) => namespace.status?.phase),
    },
  ],
  [
    'ReplicationController',
    {
      ...metadataGetters,
      'status.replicas': of<ReplicationController>((controller) => String(controller.status?.replicas ?? 0)),
    },
  ],
  [
    'ReplicaSet',
    { ...metadataGetters, 'status.replicas': of<ReplicaSet>((replicaSet) => String(replicaSet.status?.replicas ?? 0)) },
  ],
  ['Job', { ...metadataGetters, 'status.successful': of<Job>((job) => String(job.status?.succeeded ?? 0)) }],
  ['Secret', { ...metadataGetters, type: of<Secret>((secret) => secret.type) }],
  [
    'Event',
    {
      ...metadataGetters,
      // The cast holds: the row is for events.
      ...referenceGetters('involvedObject', (object) => (object as Event).involvedObject),
      reason: of<Event>((event) => event.reason),
      reportingComponent: of<Event>((event) => event.reportingComponent),
      source: of<Event>((event) => event.source?.component ?? event.reportingComponent),
      type: of<Event>((event) => event.type),
    },
  ],
  [
    'EventsV1Event',
    {
      ...metadataGetters,
      // The cast holds: the row is for events.
      ...referenceGetters('regarding', (object) => (object as EventsV1Event).regarding),
      reason: of<EventsV1Event>((event) => event.reason),
      reportingController: of<EventsV1Event>((event) => event.reportingController),
      type: of<EventsV1Event>((event) => event.type),
    },
  ],
]);

function getterOf(type: ResourceType, field: string): Get {
  const own = gettersByModel.get(type.model);
  const getters = own ?? metadataGetters;
  const get = Object.hasOwn(getters, field) ? getters[field] : undefined;
  if (get !== undefined) return get;
  if (own !== undefined) throw badSelector(`field label not supported: ${field}`);
  throw badSelector(`${goQuote(field)} is not a known field selector: only "metadata.name", "metadata.namespace"`);
}

function badSelector(message: string): StatusError {
  return new StatusError('BadRequest', message);
}

/** Reads `metadata.name=x,spec.nodeName!=y` for objects of `type`. Fails with `BadRequest` and upstream's text. */
export function parseFieldSelector(type: ResourceType, text: string): FieldMatcher {
  const requirements: FieldRequirement[] = [];
  const tests: ((object: KubernetesObject) => boolean)[] = [];
  for (const term of splitTerms(text).sort()) {
    if (term === '') continue;
    const requirement = parseTerm(text, term);
    const { field, operator, value } = requirement;
    const get = getterOf(type, field);
    requirements.push(requirement);
    tests.push(
      operator === '=' ? (object) => (get(object) ?? '') === value : (object) => (get(object) ?? '') !== value,
    );
  }
  return {
    requirements,
    matches: (object) => tests.every((holds) => holds(object)),
    exactValueOf: (name) => requirements.find(({ field, operator }) => field === name && operator === '=')?.value,
  };
}

/** Splits at commas that no backslash protects. */
function splitTerms(text: string): string[] {
  const terms: string[] = [];
  let term = '';
  for (let at = 0; at < text.length; at++) {
    const char = text.charAt(at);
    if (char === ',') {
      terms.push(term);
      term = '';
    } else if (char === '\\' && at + 1 < text.length) {
      at++;
      term += char + text.charAt(at);
    } else term += char;
  }
  terms.push(term);
  return terms;
}

function parseTerm(selector: string, term: string): FieldRequirement {
  const match = /^(.*?)(!=|==|=)(.*)$/s.exec(term);
  if (match === null) throw badSelector(`invalid selector: '${selector}'; can't understand '${term}'`);
  const [, field = '', operator, value = ''] = match;
  return { field, operator: operator === '!=' ? '!=' : '=', value: unescapeValue(value) };
}

function unescapeValue(text: string): string {
  let value = '';
  for (let at = 0; at < text.length; at++) {
    const char = text.charAt(at);
    if (char === '\\') {
      at++;
      const escaped = text.charAt(at);
      if (escaped === '' || !'\\,='.includes(escaped)) {
        throw badSelector(`invalid field selector: invalid escape sequence: \\${escaped}`);
      }
      value += escaped;
    } else if (char === ',' || char === '=') {
      throw badSelector(`invalid field selector: unescaped character in value: ${char.charCodeAt(0)}`);
    } else value += char;
  }
  return value;
}
