import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from '../../test/support/property.ts';
import { decode, DecodeError } from './decode.ts';

function errorOf(model: string, value: unknown, text?: string): string {
  try {
    decode(model, value, 'Strict', text);
    return 'no error';
  } catch (error) {
    if (error instanceof DecodeError) return error.message;
    throw error;
  }
}

/** A pod whose only container has these fields too. */
function withContainer(container: object): unknown {
  return { spec: { containers: [{ name: 'c', image: 'i', ...container }] } };
}

test('what does not fit is named with its field and Go type', () => {
  const rows: [unknown, string][] = [
    [
      withContainer({ livenessProbe: { periodSeconds: '10' } }),
      'string into Go struct field Probe.spec.containers.livenessProbe.periodSeconds of type int32',
    ],
    [
      withContainer({ livenessProbe: { periodSeconds: 1.5 } }),
      'number 1.5 into Go struct field Probe.spec.containers.livenessProbe.periodSeconds of type int32',
    ],
    [
      withContainer({ livenessProbe: { periodSeconds: 2 ** 31 } }),
      'number 2147483648 into Go struct field Probe.spec.containers.livenessProbe.periodSeconds of type int32',
    ],
    [
      withContainer({ imagePullPolicy: true }),
      'bool into Go struct field Container.spec.containers.imagePullPolicy of type v1.PullPolicy',
    ],
    [
      withContainer({ command: 'sh' }),
      'string into Go struct field Container.spec.containers.command of type []string',
    ],
    [withContainer({ command: [1] }), 'number into Go struct field Container.spec.containers.command of type string'],
    [withContainer({ env: {} }), 'object into Go struct field Container.spec.containers.env of type []v1.EnvVar'],
    [
      withContainer({ livenessProbe: 'x' }),
      'string into Go struct field Container.spec.containers.livenessProbe of type v1.Probe',
    ],
    [
      withContainer({ livenessProbe: { httpGet: { port: true } } }),
      'bool into Go struct field HTTPGetAction.spec.containers.livenessProbe.httpGet.port of type int32',
    ],
    [{ metadata: { labels: { a: 1 } } }, 'number into Go struct field ObjectMeta.metadata.labels of type string'],
    [{ metadata: { labels: [] } }, 'array into Go struct field ObjectMeta.metadata.labels of type map[string]string'],
    [{ metadata: { uid: 7 } }, 'number into Go struct field ObjectMeta.metadata.uid of type types.UID'],
    [
      { metadata: { creationTimestamp: 7 } },
      'number into Go struct field ObjectMeta.metadata.creationTimestamp of type string',
    ],
    [{ spec: { containers: ['x'] } }, 'string into Go struct field PodSpec.spec.containers of type v1.Container'],
    [[], 'array into Go value of type v1.Pod'],
  ];
  for (const [value, text] of rows) assert.equal(errorOf('Pod', value), `json: cannot unmarshal ${text}`);
});

test('quantities, times and base64 give the words of their own decoders', () => {
  const quantity = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
  assert.equal(errorOf('Pod', withContainer({ resources: { limits: { cpu: 'lots' } } })), quantity);
  assert.equal(
    errorOf('Pod', { metadata: { creationTimestamp: 'soon' } }),
    'parsing time "soon" as "2006-01-02T15:04:05Z07:00": cannot parse "soon" as "2006"',
  );
  assert.equal(errorOf('Secret', { data: { a: 'not base64!' } }), 'illegal base64 data at input byte 3');
  assert.equal(errorOf('Secret', { data: { a: 'YQ=' } }), 'illegal base64 data at input byte 3');
});

test('unknown and repeated fields are told in Strict, warned of in Warn, dropped in Ignore', () => {
  const text =
    '{"spec":{"containers":[{"name":"c","httpGet":{"a":1,"a":2},"name":"d"}],"x":1},"metadata":{"labels":{"k":"1","k":"2"}}}';
  const value: unknown = JSON.parse(text);
  const problems = [
    'unknown field "spec.containers[0].httpGet"',
    'unknown field "spec.x"',
    'duplicate field "spec.containers[0].name"',
    'duplicate field "metadata.labels.k"',
  ];
  assert.equal(errorOf('Pod', value, text), `strict decoding error: ${problems.join(', ')}`);
  const warned = decode('Pod', value, 'Warn', text);
  assert.deepEqual(warned.warnings, problems);
  const ignored = decode('Pod', value, 'Ignore', text);
  assert.deepEqual(ignored.warnings, []);
  assert.deepEqual(ignored.object, warned.object);
  assert.doesNotMatch(JSON.stringify(ignored.object), /httpGet|"x"/);
});

test('names are matched with their case, and colons inside of strings are no keys', () => {
  const text = '{"metadata":{"Name":"x"},"spec":{"containers":[{"name":"a:b\\":c","image":"i:1"}]}}';
  assert.equal(errorOf('Pod', JSON.parse(text), text), 'strict decoding error: unknown field "metadata.Name"');
});

test('null is absent, empty values are dropped or written out as Go does', () => {
  const value = {
    metadata: { name: 'p', labels: {}, annotations: null, generateName: '' },
    spec: {
      hostNetwork: false,
      activeDeadlineSeconds: null,
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'c', image: null, livenessProbe: { initialDelaySeconds: 0, httpGet: {} }, env: [null] }],
    },
  };
  assert.deepEqual(decode('Pod', value, 'Strict').object, {
    metadata: { name: 'p' },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'c', livenessProbe: { httpGet: { port: 0 } }, env: [{ name: '' }], resources: {} }],
    },
    status: {},
  });
});

test('times that Go writes as null are null, others canonical', () => {
  const event = { involvedObject: {}, metadata: {}, firstTimestamp: '2026-01-02T05:04:05+02:00' };
  const { object } = decode<{ firstTimestamp: unknown; lastTimestamp: unknown; eventTime: unknown }>(
    'Event',
    event,
    'Strict',
  );
  assert.equal(object.firstTimestamp, '2026-01-02T03:04:05Z');
  assert.equal(object.lastTimestamp, null);
  assert.equal(object.eventTime, null);
});

test('a label named __proto__ is a label like any other', () => {
  const value = JSON.parse('{"data":{"__proto__":"x","constructor":"y"}}') as unknown;
  const { object } = decode('ConfigMap', value, 'Strict');
  assert.equal(JSON.stringify(object), '{"data":{"__proto__":"x","constructor":"y"},"metadata":{}}');
});

test('any JSON at all is decoded or refused, never a crash', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 5 }), (text) => {
      const result = errorOf('Pod', JSON.parse(text), text);
      assert.match(result, /^(no error|json: |strict |quantities |parsing time |illegal )/);
    }),
  );
});
