/**
 * Writes src/api/gen/ from the models of the official client (`@kubernetes/client-node`, made from the OpenAPI
 * description of Kubernetes 1.34) and from `go-facts.txt` (what OpenAPI does not tell): TypeScript types in wire form, and
 * the field table that decoding, defaulting, patching, protobuf and OpenAPI read. Descriptions are not copied.
 * `npm run generate` writes, `npm run generate -- --check` fails if what is committed is stale.
 */
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { goTypeOf } from '../src/api/schema.ts';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const modelDir = path.join(
  path.dirname(createRequire(import.meta.url).resolve('@kubernetes/client-node')),
  'gen/models',
);

/** The models that we serve; what they refer to comes along. Left: the client's name. Right: ours. */
const roots: Readonly<Record<string, string>> = {
  V1Pod: 'Pod',
  V1Node: 'Node',
  V1Namespace: 'Namespace',
  CoreV1Event: 'Event',
  EventsV1Event: 'EventsV1Event',
  V1Lease: 'Lease',
  V1Binding: 'Binding',
  V1Eviction: 'Eviction',
  V1PodTemplate: 'PodTemplate',
  V1PriorityClass: 'PriorityClass',
  V1PodDisruptionBudget: 'PodDisruptionBudget',
  V1RuntimeClass: 'RuntimeClass',
  V1CertificateSigningRequest: 'CertificateSigningRequest',
  V1ConfigMap: 'ConfigMap',
  V1Secret: 'Secret',
  V1ServiceAccount: 'ServiceAccount',
  V1Service: 'Service',
  V1ReplicationController: 'ReplicationController',
  V1ReplicaSet: 'ReplicaSet',
  V1Deployment: 'Deployment',
  V1Job: 'Job',
  V1DaemonSet: 'DaemonSet',
  V1ControllerRevision: 'ControllerRevision',
  V1Scale: 'Scale',
  AuthenticationV1TokenRequest: 'TokenRequest',
  V1TokenReview: 'TokenReview',
  V1SelfSubjectReview: 'SelfSubjectReview',
  V1Status: 'Status',
  V1DeleteOptions: 'DeleteOptions',
  V1ListMeta: 'ListMeta',
  V1APIGroup: 'APIGroup',
  V1APIGroupList: 'APIGroupList',
  V1APIResourceList: 'APIResourceList',
  V1APIVersions: 'APIVersions',
  VersionInfo: 'VersionInfo',
};

/** Times that Go writes as `null` when unset (no omitempty), so that clients see the key. */
const nullable: ReadonlySet<string> = new Set([
  'Event.eventTime',
  'Event.firstTimestamp',
  'Event.lastTimestamp',
  'PodCondition.lastProbeTime',
]);

interface Field {
  readonly name: string;
  /** A scalar of `scalars`, or the name of a model. */
  readonly type: string;
  readonly shape: 'one' | 'list' | 'map';
  readonly required: boolean;
}

const scalars: Readonly<Record<string, string>> = {
  string: 'string',
  bool: 'boolean',
  int32: 'number',
  int64: 'number',
  double: 'number',
  time: 'string',
  microTime: 'string',
  bytes: 'string',
  intOrString: 'number | string',
  quantity: 'string',
  stringList: 'readonly string[]',
  any: 'unknown',
};

function ourName(theirs: string): string {
  const mapped = roots[theirs];
  if (mapped !== undefined) return mapped;
  // CoreV1EventSeries -> EventSeries, CoreV1EndpointPort -> EndpointPort; the events.k8s.io ones keep their prefix.
  return theirs.replace(/^CoreV1/, '').replace(/^V1/, '');
}

function scalarOf(type: string, format: string, model: string, name: string): string | undefined {
  if (type === 'number')
    return format === 'int64' || format === 'int32' ? format : format === 'double' ? 'double' : 'int32';
  if (type === 'boolean') return 'bool';
  if (type === 'string') {
    if (format === 'byte') return 'bytes';
    const quantityOwners = [
      'resources',
      'limits',
      'requests',
      'capacity',
      'allocatable',
      'allocatedResources',
      'divisor',
      'sizeLimit',
      'overhead',
    ];
    if (quantityOwners.includes(name) && model !== 'V1Container') return 'quantity';
    return 'string';
  }
  if (type === 'Date') return 'time';
  if (type === 'V1MicroTime') return 'microTime';
  if (type === 'IntOrString') return 'intOrString';
  if (type === 'Array<string>') return 'stringList';
  if (type === 'any' || type === 'object') return 'any';
  return undefined;
}

function parseType(type: string): { shape: Field['shape']; inner: string } {
  const list = /^Array<(.+)>$/.exec(type);
  if (list?.[1] !== undefined) return { shape: 'list', inner: list[1] };
  const map = /^\{ \[key: string\]: (.+); \}$/.exec(type);
  if (map?.[1] !== undefined) return { shape: 'map', inner: map[1] };
  return { shape: 'one', inner: type };
}

async function readModel(theirs: string): Promise<Field[]> {
  const module = (await import(path.join(modelDir, `${theirs}.js`))) as Record<
    string,
    { getAttributeTypeMap(): { name: string; baseName: string; type: string; format: string }[] }
  >;
  const model = module[theirs];
  if (model === undefined) throw new Error(`no model ${theirs}`);
  const declared = fs.readFileSync(path.join(modelDir, `${theirs}.d.ts`), 'utf8');
  return model.getAttributeTypeMap().map(({ name, baseName, type, format }) => {
    const { shape, inner } = parseType(type);
    const required = new RegExp(`^ {4}'${name.replace(/\$/g, '\\$')}':`, 'm').test(declared);
    const scalar = scalarOf(inner, format, theirs, baseName);
    return { name: baseName, type: scalar ?? `model:${inner}`, shape, required };
  });
}

async function collect(): Promise<Map<string, Field[]>> {
  const models = new Map<string, Field[]>();
  const waiting = Object.keys(roots);
  for (let theirs = waiting.shift(); theirs !== undefined; theirs = waiting.shift()) {
    const name = ourName(theirs);
    if (models.has(name)) continue;
    const fields = await readModel(theirs);
    models.set(
      name,
      fields.map((field) => {
        if (!field.type.startsWith('model:')) return field;
        const inner = field.type.slice('model:'.length);
        waiting.push(inner);
        return { ...field, type: ourName(inner) };
      }),
    );
  }
  return new Map([...models].sort(([a], [b]) => (a < b ? -1 : 1)));
}

const banner = '// Generated by scripts/generate-api.ts from @kubernetes/client-node; do not edit.\n';

function key(name: string): string {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) ? name : `'${name}'`;
}

function renderTypes(models: Map<string, Field[]>): string {
  let text = banner;
  for (const [name, fields] of models) {
    text += `\nexport interface ${name} {\n`;
    for (const field of fields) {
      const scalar = scalars[field.type];
      const inner = scalar ?? field.type;
      const element = inner.includes('|') && field.shape === 'list' ? `(${inner})` : inner;
      const type =
        field.shape === 'list'
          ? `readonly ${element}[]`
          : field.shape === 'map'
            ? `Readonly<Record<string, ${inner}>>`
            : inner;
      const orNull = nullable.has(`${name}.${field.name}`) ? ' | null' : '';
      text += `  readonly ${key(field.name)}${field.required ? '' : '?'}: ${type}${orNull};\n`;
    }
    text += '}\n';
  }
  return text;
}

interface GoFact {
  readonly go: string;
  readonly pointer: boolean;
  readonly omitEmpty: boolean;
  readonly tag: string;
  readonly patch: string;
}

function readGoFacts(): Map<string, GoFact> {
  const facts = new Map<string, GoFact>();
  let model = '';
  const text = fs.readFileSync(path.join(root, 'scripts/go-facts.txt'), 'utf8');
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const [name = '', go = '', flags = '', tag = '', patch = ''] = line.trim().split(' ');
    if (!line.startsWith(' ')) model = name;
    else {
      const pointer = flags.includes('p');
      facts.set(`${model}.${name}`, { go, pointer, omitEmpty: flags.includes('o'), tag, patch });
    }
  }
  return facts;
}

const goFacts = readGoFacts();

function renderGoFact(model: string, field: Field): string {
  const fact = goFacts.get(`${model}.${field.name}`);
  if (fact === undefined) throw new Error(`go-facts.txt lacks ${model}.${field.name}`);
  const derived = goTypeOf({ type: field.type, shape: field.shape });
  let text = fact.go === derived ? '' : `, go: '${fact.go}'`;
  if (fact.pointer) text += ', pointer: true';
  if (fact.omitEmpty) text += ', omitEmpty: true';
  if (nullable.has(`${model}.${field.name}`)) text += ', nullable: true';
  const [outer, inner] = fact.tag.split('/');
  if (inner !== undefined) text += `, tag: ${inner}, inside: ${outer}`;
  else if (fact.tag !== '-') text += `, tag: ${fact.tag}`;
  const [strategy = '', mergeKey] = fact.patch.split(':');
  if (strategy.split(',').includes('merge')) text += ', merge: true';
  if (strategy.split(',').includes('replace')) text += ', replace: true';
  if (mergeKey !== undefined) text += `, mergeKey: '${mergeKey}'`;
  if (strategy.split(',').includes('retainKeys')) text += ', retainKeys: true';
  return text;
}

function renderSchema(models: Map<string, Field[]>): string {
  let text = banner;
  text += "import type { ModelTable } from '../schema.ts';\n\n";
  text += 'export const models = {\n';
  for (const [name, fields] of models) {
    text += `  ${name}: {\n`;
    for (const field of fields) {
      const required = field.required ? ', required: true' : '';
      text += `    ${key(field.name)}: { type: '${field.type}', shape: '${field.shape}'${required}${renderGoFact(name, field)} },\n`;
    }
    text += '  },\n';
  }
  text += '} as const satisfies ModelTable;\n';
  return text;
}

const models = await collect();
const outputs: Readonly<Record<string, string>> = {
  'src/api/gen/types.ts': renderTypes(models),
  'src/api/gen/models.ts': renderSchema(models),
};
let staleCount = 0;
for (const [file, text] of Object.entries(outputs)) {
  const target = path.join(root, file);
  if (process.argv.includes('--check')) {
    if (!fs.existsSync(target) || fs.readFileSync(target, 'utf8') !== text) {
      console.error(`${file} is stale: run npm run generate`);
      staleCount += 1;
    }
  } else {
    fs.mkdirSync(path.dirname(target), { recursive: true });
    fs.writeFileSync(target, text);
  }
}
process.exitCode = staleCount > 0 ? 1 : 0;
