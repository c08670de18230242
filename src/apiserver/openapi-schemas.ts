/** Schemas of OpenAPI for the models of the field table. Without descriptions: those are upstream's text. */
import { models } from '../api/gen/models.ts';
import type { FieldSchema, ModelTable } from '../api/schema.ts';

const table: ModelTable = models;

/** Where a document keeps its schemas: `#/components/schemas/` in version 3, `#/definitions/` in version 2. */
export interface SchemaDialect {
  readonly refPrefix: string;
  /** Version 3 can say "integer or string"; version 2 only has the format's name. */
  readonly hasOneOf: boolean;
}

export type JsonSchema = Readonly<Record<string, unknown>>;

const metaPackage = 'io.k8s.apimachinery.pkg.apis.meta.v1';
const metaModels: ReadonlySet<string> = new Set([
  'APIGroup',
  'APIGroupList',
  'APIResource',
  'APIResourceList',
  'APIVersions',
  'DeleteOptions',
  'GroupVersionForDiscovery',
  'LabelSelector',
  'LabelSelectorRequirement',
  'ListMeta',
  'ManagedFieldsEntry',
  'ObjectMeta',
  'OwnerReference',
  'Preconditions',
  'ServerAddressByClientCIDR',
  'Status',
  'StatusCause',
  'StatusDetails',
]);

/** Models of groups of their own, which their names do not tell. */
const groupByModel: ReadonlyMap<string, string> = new Map(
  Object.entries({
    apps: [
      'ControllerRevision',
      'DaemonSet',
      'DaemonSetCondition',
      'DaemonSetSpec',
      'DaemonSetStatus',
      'DaemonSetUpdateStrategy',
      'Deployment',
      'DeploymentCondition',
      'DeploymentSpec',
      'DeploymentStatus',
      'DeploymentStrategy',
      'ReplicaSet',
      'ReplicaSetCondition',
      'ReplicaSetSpec',
      'ReplicaSetStatus',
      'RollingUpdateDaemonSet',
      'RollingUpdateDeployment',
    ],
    batch: [
      'Job',
      'JobCondition',
      'JobSpec',
      'JobStatus',
      'PodFailurePolicy',
      'PodFailurePolicyOnExitCodesRequirement',
      'PodFailurePolicyOnPodConditionsPattern',
      'PodFailurePolicyRule',
      'SuccessPolicy',
      'SuccessPolicyRule',
      'UncountedTerminatedPods',
    ],
    policy: ['Eviction'],
    autoscaling: ['Scale', 'ScaleSpec', 'ScaleStatus'],
  }).flatMap(([group, names]) => names.map((name): [string, string] => [name, group])),
);

const timeName = `${metaPackage}.Time`;
const microTimeName = `${metaPackage}.MicroTime`;
const quantityName = 'io.k8s.apimachinery.pkg.api.resource.Quantity';
const intOrStringName = 'io.k8s.apimachinery.pkg.util.intstr.IntOrString';

const authenticationModels = /^(?:BoundObjectReference|SelfSubjectReview|TokenRequest|TokenReview|UserInfo)/;

/** Upstream's name of a model: `io.k8s.api.core.v1.Pod`. */
export function schemaName(model: string): string {
  if (metaModels.has(model)) return `${metaPackage}.${model}`;
  if (model === 'VersionInfo') return 'io.k8s.apimachinery.pkg.version.Info';
  const group = groupByModel.get(model);
  if (group !== undefined) return `io.k8s.api.${group}.v1.${model}`;
  if (model.startsWith('Lease')) return `io.k8s.api.coordination.v1.${model}`;
  if (authenticationModels.test(model)) return `io.k8s.api.authentication.v1.${model}`;
  if (model.startsWith('EventsV1')) return `io.k8s.api.events.v1.${model.slice('EventsV1'.length)}`;
  return `io.k8s.api.core.v1.${model}`;
}

/** `model` and every model that it refers to, by upstream's name. */
export function collectSchemas(roots: readonly string[], dialect: SchemaDialect): Map<string, JsonSchema> {
  const schemas = new Map<string, JsonSchema>();
  const waiting = [...roots];
  for (let model = waiting.pop(); model !== undefined; model = waiting.pop()) {
    const fields = table[model];
    const name = schemaName(model);
    if (fields === undefined || schemas.has(name)) continue;
    const properties: Record<string, JsonSchema> = {};
    const required: string[] = [];
    for (const [field, schema] of Object.entries(fields)) {
      properties[field] = { ...fieldSchema(schema, dialect), ...patchHints(schema) };
      if (schema.required === true) required.push(field);
      if (table[schema.type] !== undefined) waiting.push(schema.type);
    }
    schemas.set(name, { type: 'object', properties, ...(required.length === 0 ? {} : { required }) });
  }
  addScalars(schemas, dialect);
  return schemas;
}

function addScalars(schemas: Map<string, JsonSchema>, dialect: SchemaDialect): void {
  const either = (types: readonly string[], fallback: JsonSchema): JsonSchema =>
    dialect.hasOneOf ? { oneOf: types.map((type) => ({ type })) } : fallback;
  schemas.set(timeName, { type: 'string', format: 'date-time' });
  schemas.set(microTimeName, { type: 'string', format: 'date-time' });
  schemas.set(quantityName, either(['string', 'number'], { type: 'string' }));
  const intOrString = either(['integer', 'string'], { type: 'string' });
  schemas.set(intOrStringName, { ...intOrString, format: 'int-or-string' });
}

function fieldSchema(field: FieldSchema, dialect: SchemaDialect): JsonSchema {
  const one = valueSchema(field.type, dialect);
  switch (field.shape) {
    case 'list':
      return { type: 'array', items: one };
    case 'map':
      return { type: 'object', additionalProperties: one };
    default:
      return one;
  }
}

const scalarSchemas: Readonly<Record<string, JsonSchema>> = {
  string: { type: 'string' },
  bool: { type: 'boolean' },
  int32: { type: 'integer', format: 'int32' },
  int64: { type: 'integer', format: 'int64' },
  double: { type: 'number', format: 'double' },
  bytes: { type: 'string', format: 'byte' },
  stringList: { type: 'array', items: { type: 'string' } },
  any: { type: 'object' },
};

const namedScalars: Readonly<Record<string, string>> = {
  time: timeName,
  microTime: microTimeName,
  quantity: quantityName,
  intOrString: intOrStringName,
};

function valueSchema(type: string, dialect: SchemaDialect): JsonSchema {
  const scalar = scalarSchemas[type];
  if (scalar !== undefined) return scalar;
  return { $ref: dialect.refPrefix + (namedScalars[type] ?? schemaName(type)) };
}

/** From these kubectl computes its patches; so they must agree with how the server merges. */
function patchHints(field: FieldSchema): JsonSchema {
  const strategies = [
    ...(field.merge === true ? ['merge'] : []),
    ...(field.replace === true ? ['replace'] : []),
    ...(field.retainKeys === true ? ['retainKeys'] : []),
  ];
  return {
    ...(strategies.length === 0 ? {} : { 'x-kubernetes-patch-strategy': strategies.join(',') }),
    ...(field.mergeKey === undefined ? {} : { 'x-kubernetes-patch-merge-key': field.mergeKey }),
  };
}

export interface GroupVersionKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

/** The schema of the list of a kind. */
export function listSchema(itemName: string, gvk: GroupVersionKind, dialect: SchemaDialect): JsonSchema {
  return {
    type: 'object',
    properties: {
      apiVersion: { type: 'string' },
      items: { type: 'array', items: { $ref: dialect.refPrefix + itemName } },
      kind: { type: 'string' },
      metadata: { $ref: `${dialect.refPrefix}${metaPackage}.ListMeta` },
    },
    required: ['items'],
    'x-kubernetes-group-version-kind': [{ ...gvk, kind: `${gvk.kind}List` }],
  };
}
