import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from '../../test/support/property.ts';
import { StatusError } from '../base/status-error.ts';
import { admitPod } from './admission.ts';
import { decodeObject } from './decode-body.ts';
import { applyDefaults } from './defaulting.ts';
import type { Draft } from './draft.ts';
import { fieldErrorText, invalidError } from './field-error.ts';
import { models } from './gen/models.ts';
import type { Pod } from './gen/types.ts';
import { type JsonObject, mergePatch } from './patch/merge-patch.ts';
import { strategicMerge } from './patch/strategic-merge.ts';
import { decodeProtobufBody } from './protobuf/decode.ts';
import { encodeProtobuf } from './protobuf/encode.ts';
import { type KubernetesObject, resources, type ResourceType } from './resources.ts';
import type { ModelTable } from './schema.ts';
import { tableOf } from './tables.ts';
import { validateCreate, validateUpdate } from './validation/validate.ts';

const table: ModelTable = models;
const depthMax = 5;
const words = [
  '',
  'a',
  'b-1',
  'Always',
  'Never',
  'TCP',
  'HTTP',
  'In',
  'Exists',
  'Not Valid',
  '../x',
  '/abs',
  '10.0.0.1',
  'ü',
];

function scalar(type: string): fc.Arbitrary<unknown> {
  switch (type) {
    case 'bool':
      return fc.boolean();
    case 'int32':
    case 'int64':
      return fc.constantFrom(-1, 0, 1, 80, 420, 65_536);
    case 'double':
      return fc.constantFrom(0.5, -1);
    case 'time':
      return fc.constantFrom('2026-01-02T03:04:05Z', '2024-02-29T23:59:59+01:00');
    case 'microTime':
      return fc.constantFrom('2026-01-02T03:04:05.000001Z');
    case 'bytes':
      return fc.constantFrom('', 'YQ==', 'YWI=');
    case 'quantity':
      return fc.constantFrom('1', '1500m', '0.5', '-1', '1Gi', 3, '1u');
    case 'intOrString':
      return fc.constantFrom(0, 80, 'http', '');
    case 'stringList':
      return fc.array(fc.constantFrom('', 'a', 'ü'), { maxLength: 2 });
    case 'any':
      return fc.constant({ f: {} });
    default:
      return fc.constantFrom(...words);
  }
}

function valueOf(type: string, depth: number): fc.Arbitrary<unknown> {
  if (table[type] === undefined) return scalar(type);
  return depth > depthMax ? fc.constant({}) : modelValue(type, depth);
}

/** Values that fit a model in type, and seldom in sense. */
function modelValue(model: string, depth: number): fc.Arbitrary<JsonObject> {
  const fields: Record<string, fc.Arbitrary<unknown>> = {};
  for (const [name, field] of Object.entries(table[model] ?? {})) {
    if (name === 'apiVersion' || name === 'kind') continue;
    const one = fc.oneof(
      { weight: 9, arbitrary: valueOf(field.type, depth + 1) },
      { weight: 1, arbitrary: fc.constant(null) },
    );
    const list = fc.array(one, { maxLength: 2 });
    const map = fc.dictionary(fc.constantFrom('a', 'cpu', 'x y', '__proto__'), one, { maxKeys: 2 });
    fields[name] = field.shape === 'one' ? one : field.shape === 'list' ? list : map;
  }
  return fc.record(fields, { requiredKeys: [] });
}

const types: readonly ResourceType[] = Object.values<ResourceType>(resources);

function decoded(type: ResourceType, value: JsonObject): Draft<KubernetesObject> {
  return decodeObject(type, value, 'Strict').object;
}

for (const type of types) {
  const values = modelValue(type.model, 0);

  test(`whatever ${type.model} comes, it decodes to what decodes to itself`, () => {
    fc.assert(
      fc.property(values, (value) => {
        const object = decoded(type, value);
        const text = JSON.stringify(object);
        assert.equal(JSON.stringify(decodeObject(type, JSON.parse(text), 'Strict', text).object), text);
      }),
      { numRuns: 50 },
    );
  });

  test(`whatever ${type.model} comes, it is defaulted, checked and printed without a crash`, () => {
    fc.assert(
      fc.property(values, values, (value, otherValue) => {
        const [object, other] = [value, otherValue].map((one) => applyDefaults(type, decoded(type, one)));
        assert.ok(object && other);
        if (type.model === 'Pod') admitPod(object as Draft<Pod>);
        const errors = [
          ...validateCreate(type, object),
          ...validateUpdate(type, object, other, ''),
          ...validateUpdate(type, object, other, 'status'),
        ];
        for (const error of errors) assert.match(fieldErrorText(error), /^[^:]*: /);
        assert.equal(invalidError(type, 'x', errors).httpCode, 422);
        assert.equal(tableOf(type, [object], 0).rows.length, 1);
      }),
      { numRuns: 50 },
    );
  });

  test(`whatever ${type.model} comes, it survives protobuf`, () => {
    fc.assert(
      fc.property(values, (value) => {
        const object = decoded(type, value);
        const back = decodeProtobufBody(type, encodeProtobuf(type.model, object)).object;
        assert.deepEqual(withoutEmptyLists(back), withoutEmptyLists(object));
      }),
      { numRuns: 50 },
    );
  });

  test(`patches of any ${type.model} are applied or refused, and change nothing that is there`, () => {
    fc.assert(
      fc.property(values, values, (value, patch) => {
        const current = decoded(type, value) as unknown as JsonObject;
        const before = JSON.stringify(current);
        const merged = mergePatch(current, patch);
        assert.equal(JSON.stringify(mergePatch(merged, patch)), JSON.stringify(merged), 'twice is once');
        try {
          strategicMerge(type.model, current, patch);
        } catch (error) {
          assert.ok(error instanceof StatusError, String(error));
        }
        assert.equal(JSON.stringify(current), before);
      }),
      { numRuns: 50 },
    );
  });
}

/** Protobuf does not tell an empty list from none. */
function withoutEmptyLists(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_key, member: unknown) =>
      Array.isArray(member) && member.length === 0 ? undefined : member,
    ),
  );
}
