import { StatusError } from '../../base/status-error.ts';
import type { Decoded } from '../decode.ts';
import { decodeObject } from '../decode-body.ts';
import type { KubernetesObject, ResourceType } from '../resources.ts';
import { setMember } from '../set-member.ts';
import { formatMicroTime, formatTime } from '../time.ts';
import { protobufMagic } from './encode.ts';
import { isModel, type MessageField, type MessageShape, shapeOf } from './message-shapes.ts';
import { WireError, WireReader } from './wire-reader.ts';

/**
 * Reads a body in Kubernetes' protobuf encoding as an object of `type`. Upstream has no unknown or repeated fields
 * there: unknown ones are skipped. Fails with `BadRequest`.
 */
export function decodeProtobufBody<T extends KubernetesObject>(type: ResourceType<T>, body: Uint8Array): Decoded<T> {
  const { apiVersion, kind, fields } = decodeProtobuf(type.model, body);
  const named = { ...fields, ...(apiVersion === '' ? {} : { apiVersion }), ...(kind === '' ? {} : { kind }) };
  return decodeObject(type, named, 'Ignore');
}

export interface ProtobufObject {
  readonly apiVersion: string;
  readonly kind: string;
  /** In wire form; zero values that Go always writes are there, so pass it on to `decode`. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Takes off the envelope and reads the message as `model`, whatever kind it says it is. Fails with `BadRequest`. */
export function decodeProtobuf(model: string, body: Uint8Array): ProtobufObject {
  try {
    const { apiVersion, kind, raw } = readEnvelope(body);
    return { apiVersion, kind, fields: readMessage(shapeOf(model), raw) };
  } catch (error) {
    if (error instanceof WireError) throw new StatusError('BadRequest', error.message, { cause: error });
    throw error;
  }
}

/** Whether a body begins as one in this encoding. */
export function hasProtobufMagic(body: Uint8Array): boolean {
  return protobufMagic.every((byte, index) => body[index] === byte);
}

interface Envelope {
  readonly apiVersion: string;
  readonly kind: string;
  readonly raw: Uint8Array;
}

function readEnvelope(body: Uint8Array): Envelope {
  if (body.length === 0) throw new WireError('empty data');
  if (!hasProtobufMagic(body)) {
    const prefix = `[${protobufMagic.join(' ')}]`;
    throw new WireError(`provided data does not appear to be a protobuf message, expected prefix ${prefix}`);
  }
  let raw: Uint8Array = new Uint8Array();
  let typeMeta = { apiVersion: '', kind: '' };
  const reader = new WireReader(body.subarray(protobufMagic.length));
  while (!reader.isAtEnd) {
    const { tag, wireType } = reader.field();
    if (wireType === 2 && tag === 1) typeMeta = readTypeMeta(reader.bytes());
    else if (wireType === 2 && tag === 2) raw = reader.bytes();
    else reader.skip(wireType);
  }
  return { ...typeMeta, raw };
}

function readTypeMeta(bytes: Uint8Array): { apiVersion: string; kind: string } {
  const found = { apiVersion: '', kind: '' };
  const reader = new WireReader(bytes);
  while (!reader.isAtEnd) {
    const { tag, wireType } = reader.field();
    if (wireType === 2 && tag === 1) found.apiVersion = reader.text();
    else if (wireType === 2 && tag === 2) found.kind = reader.text();
    else reader.skip(wireType);
  }
  return found;
}

type Target = Record<string, unknown>;

function readMessage(shape: MessageShape, bytes: Uint8Array): Target {
  const target: Target = {};
  readFields(target, shape, bytes);
  return target;
}

function readFields(target: Target, shape: MessageShape, bytes: Uint8Array): void {
  const reader = new WireReader(bytes);
  while (!reader.isAtEnd) {
    const { tag, wireType } = reader.field();
    const field = shape.byTag.get(tag);
    if (field === undefined) reader.skip(wireType);
    else if (field.kind === 'inlined') {
      expectWireType(wireType, 2, `${tag}`);
      readFields(target, field.shape, reader.bytes());
    } else readField(target, field, reader, wireType);
  }
}

const wireTypes: Readonly<Record<string, number>> = { bool: 0, int32: 0, int64: 0, double: 1 };

function expectWireType(actual: number, expected: number, name: string): void {
  if (actual !== expected) throw new WireError(`proto: wrong wireType = ${actual} for field ${name}`);
}

function readField(
  target: Target,
  field: MessageField & { readonly kind: 'field' },
  reader: WireReader,
  wireType: number,
): void {
  const { name } = field;
  const { type, shape } = field.schema;
  const expected = wireTypes[type] ?? 2;
  const before = Object.hasOwn(target, name) ? target[name] : undefined;
  if (shape === 'list') {
    const list: unknown[] = Array.isArray(before) ? before : [];
    target[name] = list;
    if (expected === 0 && wireType === 2) {
      const packed = new WireReader(reader.bytes());
      while (!packed.isAtEnd) list.push(readOne(type, packed));
    } else {
      expectWireType(wireType, expected, name);
      list.push(readOne(type, reader));
    }
  } else if (shape === 'map') {
    expectWireType(wireType, 2, name);
    // What is there was put there by this very line.
    const map = (before ?? {}) as Target;
    target[name] = map;
    readEntry(map, type, reader.bytes());
  } else {
    expectWireType(wireType, expected, name);
    const value = readOne(type, reader);
    if (value !== undefined) target[name] = value;
  }
}

function readEntry(map: Target, type: string, bytes: Uint8Array): void {
  const reader = new WireReader(bytes);
  let key = '';
  let value: unknown = type === 'quantity' ? '0' : type === 'stringList' ? [] : '';
  while (!reader.isAtEnd) {
    const { tag, wireType } = reader.field();
    if (tag === 1 && wireType === 2) key = reader.text();
    else if (tag === 2 && wireType === (wireTypes[type] ?? 2)) value = readOne(type, reader);
    else reader.skip(wireType);
  }
  setMember(map, key, value);
}

function readOne(type: string, reader: WireReader): unknown {
  switch (type) {
    case 'bool':
      return reader.bool();
    case 'int32':
      return reader.int32();
    case 'int64':
      return reader.int64();
    case 'double':
      return reader.double();
    case 'string':
      return reader.text();
    case 'bytes':
      return base64OfBytes(reader.bytes());
    case 'quantity':
      return readNested(reader.bytes()).text.get(1) ?? '0';
    case 'time':
    case 'microTime':
      return readTime(reader.bytes(), type === 'microTime');
    case 'intOrString': {
      const nested = readNested(reader.bytes());
      return nested.number.get(1) === 1 ? (nested.text.get(3) ?? '') : (nested.number.get(2) ?? 0) | 0;
    }
    case 'stringList':
      return readTexts(reader.bytes());
    case 'any':
      return readJson(readNested(reader.bytes()).text.get(1) ?? '');
    default:
      return isModel(type) ? readMessage(shapeOf(type), reader.bytes()) : (reader.bytes(), undefined);
  }
}

function base64OfBytes(bytes: Uint8Array): string {
  let chars = '';
  for (const byte of bytes) chars += String.fromCharCode(byte);
  return btoa(chars);
}

/** The repeated texts that are field 1 of a small message. */
function readTexts(bytes: Uint8Array): readonly string[] {
  const texts: string[] = [];
  const reader = new WireReader(bytes);
  while (!reader.isAtEnd) {
    const { tag, wireType } = reader.field();
    if (wireType === 2 && tag === 1) texts.push(reader.text());
    else reader.skip(wireType);
  }
  return texts;
}

/** The scalar fields of a small message: numbers and texts by tag. */
function readNested(bytes: Uint8Array): {
  readonly number: ReadonlyMap<number, number>;
  readonly text: ReadonlyMap<number, string>;
} {
  const number = new Map<number, number>();
  const text = new Map<number, string>();
  const reader = new WireReader(bytes);
  while (!reader.isAtEnd) {
    const { tag, wireType } = reader.field();
    if (wireType === 0) number.set(tag, reader.int64());
    else if (wireType === 2) text.set(tag, reader.text());
    else reader.skip(wireType);
  }
  return { number, text };
}

function readTime(bytes: Uint8Array, isMicro: boolean): string | undefined {
  const { number } = readNested(bytes);
  const seconds = number.get(1) ?? 0;
  const nanos = number.get(2) ?? 0;
  if (seconds === 0 && nanos === 0) return undefined; // the zero time
  const isDate = Math.abs(seconds) <= 8.64e12; // what a date can hold
  if (!isDate) throw new WireError(`time ${seconds} s is out of range`);
  return isMicro ? formatMicroTime(seconds * 1000 + nanos / 1e6) : formatTime(seconds * 1000);
}

function readJson(text: string): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new WireError('FieldsV1 holds no JSON', { cause: error });
  }
}
