import { parseTime } from '../time.ts';
import { isModel, type MessageField, type MessageShape, shapeOf } from './message-shapes.ts';
import { WireWriter } from './wire-writer.ts';

/**
 * Kubernetes' protobuf encoding (`application/vnd.kubernetes.protobuf`): four magic bytes, then an envelope
 * (`runtime.Unknown`) with apiVersion, kind and the object's own message.
 */
export const protobufMagic: Uint8Array = Uint8Array.of(0x6b, 0x38, 0x73, 0x00); // "k8s\0"

type Fields = Readonly<Record<string, unknown>>;

interface TypeMeta {
  readonly apiVersion?: string;
  readonly kind?: string;
}

/**
 * Encodes an object in wire form with its envelope. `model` is as in `gen/models.ts`, `PartialObjectMetadata`, or a
 * list of either (`PodList`).
 */
export function encodeProtobuf(model: string, object: TypeMeta): Uint8Array {
  const writer = new WireWriter();
  // Every object is a record of JSON values.
  encodeEnvelope(writer, model, object as TypeMeta & Fields);
  return writer.finish();
}

function encodeEnvelope(writer: WireWriter, model: string, object: TypeMeta & Fields): void {
  writer.closeField(4, writer.length); // contentType: empty
  writer.closeField(3, writer.length); // contentEncoding: empty
  const rawStart = writer.length;
  encodeMessage(writer, shapeOf(model), object);
  writer.closeField(2, rawStart);
  const typeStart = writer.length;
  encodeText(writer, 2, object.kind ?? '');
  encodeText(writer, 1, object.apiVersion ?? '');
  writer.closeField(1, typeStart);
  writer.bytes(protobufMagic);
}

/**
 * One frame of a watch stream (`;stream=watch`): four bytes of length, big-endian, then a `WatchEvent` without
 * envelope whose object is `object`, encoded with its own.
 */
export function protobufWatchFrame(eventType: string, object: Uint8Array): Uint8Array {
  const writer = new WireWriter();
  const start = writer.length;
  writer.bytes(object);
  writer.closeField(1, start); // RawExtension.raw
  writer.closeField(2, start); // WatchEvent.object
  encodeText(writer, 1, eventType);
  const { length } = writer;
  for (let shift = 0; shift < 32; shift += 8) writer.byte((length >>> shift) & 0xff);
  return writer.finish();
}

function encodeText(writer: WireWriter, tag: number, text: string): void {
  const start = writer.length;
  writer.text(text);
  writer.closeField(tag, start);
}

function encodeMessage(writer: WireWriter, shape: MessageShape, object: Fields): void {
  for (let index = shape.fields.length - 1; index >= 0; index--) {
    const field = shape.fields[index];
    if (field !== undefined) encodeField(writer, field, object);
  }
}

function encodeField(writer: WireWriter, field: MessageField, object: Fields): void {
  if (field.kind === 'inlined') {
    const start = writer.length;
    encodeMessage(writer, field.shape, object);
    writer.closeField(field.tag, start);
    return;
  }
  const value = object[field.name];
  if (value === undefined || value === null) return;
  const { type, shape } = field.schema;
  if (shape === 'list') {
    const elements: readonly unknown[] = Array.isArray(value) ? value : [];
    for (let index = elements.length - 1; index >= 0; index--) encodeOne(writer, field.tag, type, elements[index]);
  } else if (shape === 'map') {
    // The field table says that it is a map.
    for (const [key, member] of Object.entries(value as Fields).reverse()) {
      const start = writer.length;
      encodeOne(writer, 2, type, member);
      encodeText(writer, 1, key);
      writer.closeField(field.tag, start);
    }
  } else encodeOne(writer, field.tag, type, value);
}

/** The value's JavaScript type follows from `type`, by the field table that it was decoded with. */
function encodeOne(writer: WireWriter, tag: number, type: string, value: unknown): void {
  const start = writer.length;
  switch (type) {
    case 'bool':
      writer.byte(value === true ? 1 : 0);
      writer.varint(tag * 8);
      return;
    case 'int32':
    case 'int64':
      writer.varint(Number(value));
      writer.varint(tag * 8);
      return;
    case 'double':
      encodeDouble(writer, Number(value));
      writer.varint(tag * 8 + 1);
      return;
    case 'string':
      writer.text(String(value));
      break;
    case 'quantity':
      encodeText(writer, 1, String(value));
      break;
    case 'bytes':
      writer.bytes(bytesOfBase64(String(value)));
      break;
    case 'time':
    case 'microTime':
      encodeTime(writer, String(value));
      break;
    case 'intOrString':
      encodeIntOrString(writer, value);
      break;
    case 'stringList':
      encodeTexts(writer, 1, value);
      break;
    case 'any':
      encodeText(writer, 1, JSON.stringify(value)); // FieldsV1.Raw
      break;
    default:
      if (isModel(type) && typeof value === 'object' && value !== null) {
        // An object of that model: a record of JSON values.
        encodeMessage(writer, shapeOf(type), value as Fields);
      }
  }
  writer.closeField(tag, start);
}

function encodeTexts(writer: WireWriter, tag: number, values: unknown): void {
  if (Array.isArray(values)) for (const value of values.toReversed()) encodeText(writer, tag, String(value));
}

function encodeDouble(writer: WireWriter, value: number): void {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value, true);
  writer.bytes(bytes);
}

function bytesOfBase64(text: string): Uint8Array {
  const chars = atob(text);
  const bytes = new Uint8Array(chars.length);
  for (let index = 0; index < chars.length; index++) bytes[index] = chars.charCodeAt(index);
  return bytes;
}

/** `Timestamp`: seconds and nanoseconds; a zero time is an empty message. */
function encodeTime(writer: WireWriter, text: string): void {
  const wallMs = parseTime(text);
  if (wallMs === undefined) return;
  const micros = Math.round(wallMs * 1000);
  const seconds = Math.floor(micros / 1e6);
  writer.varint((micros - seconds * 1e6) * 1000);
  writer.varint(2 * 8);
  writer.varint(seconds);
  writer.varint(1 * 8);
}

function encodeIntOrString(writer: WireWriter, value: unknown): void {
  const isText = typeof value === 'string';
  encodeText(writer, 3, isText ? value : '');
  writer.varint(isText ? 0 : Number(value));
  writer.varint(2 * 8);
  writer.varint(isText ? 1 : 0);
  writer.varint(1 * 8);
}
