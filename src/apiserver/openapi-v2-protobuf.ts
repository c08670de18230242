/**
 * Version 2 documents in protobuf, the only encoding in which old kubectls ask for them. Upstream:
 * `openapi_v2.Document` of github.com/google/gnostic-models; the numbers below are its fields'.
 */
import { invariant } from '../base/status-error.ts';

type Json = Readonly<Record<string, unknown>>;

/** One message being written. */
class Message {
  readonly #chunks: Uint8Array[] = [];
  #length = 0;

  #push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
  }

  #varint(value: number): void {
    invariant(value >= 0 && Number.isSafeInteger(value), `varint ${value}`);
    const bytes: number[] = [];
    let rest = value;
    while (rest > 0x7f) {
      bytes.push((rest & 0x7f) | 0x80);
      rest = Math.floor(rest / 128);
    }
    bytes.push(rest);
    this.#push(Uint8Array.from(bytes));
  }

  #bytes(field: number, bytes: Uint8Array): void {
    this.#varint(field * 8 + 2);
    this.#varint(bytes.length);
    this.#push(bytes);
  }

  /** Leaves out what is no text. */
  text(field: number, value: unknown): this {
    if (typeof value === 'string') this.#bytes(field, new TextEncoder().encode(value));
    return this;
  }

  texts(field: number, values: unknown): this {
    for (const value of arrayOf(values)) this.text(field, value);
    return this;
  }

  /** Leaves out false. */
  flag(field: number, value: unknown): this {
    if (value !== true) return this;
    this.#varint(field * 8);
    this.#varint(1);
    return this;
  }

  message(field: number, value: Message | undefined): this {
    if (value !== undefined) this.#bytes(field, value.finish());
    return this;
  }

  messages(field: number, values: readonly Message[]): this {
    for (const value of values) this.message(field, value);
    return this;
  }

  finish(): Uint8Array {
    const whole = new Uint8Array(this.#length);
    let at = 0;
    for (const chunk of this.#chunks) {
      whole.set(chunk, at);
      at += chunk.length;
    }
    return whole;
  }
}

function objectOf(value: unknown): Json | undefined {
  // JSON that is neither a scalar nor a list is a record.
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
}

function arrayOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** `NamedX { name = 1; value = 2 }` for each entry. */
function named(entries: unknown, write: (value: Json) => Message): Message[] {
  return Object.entries(objectOf(entries) ?? {}).map(([name, value]) =>
    new Message().text(1, name).message(2, write(objectOf(value) ?? {})),
  );
}

/** Vendor extensions are YAML, of which JSON is a part. */
function extensions(owner: Json): Message[] {
  return Object.entries(owner)
    .filter(([name]) => name.startsWith('x-'))
    .map(([name, value]) => new Message().text(1, name).message(2, new Message().text(2, JSON.stringify(value))));
}

/** `content`: a Swagger 2.0 document with the parts that `openapi.ts` writes. */
export function encodeOpenApiV2(content: object): Uint8Array {
  const document = objectOf(content) ?? {};
  const info = objectOf(document['info']) ?? {};
  return new Message()
    .text(1, document['swagger'])
    .message(2, new Message().text(1, info['title']).text(2, info['version']))
    .message(8, new Message().messages(2, named(document['paths'], pathItem)))
    .message(9, new Message().messages(1, named(document['definitions'], schema)))
    .finish();
}

const operationFields = { get: 2, put: 3, post: 4, delete: 5, patch: 8 } as const;

function pathItem(item: Json): Message {
  const message = new Message();
  for (const [method, field] of Object.entries(operationFields)) {
    const found = objectOf(item[method]);
    if (found !== undefined) message.message(field, operation(found));
  }
  return message.messages(9, parameters(item['parameters'])).messages(10, extensions(item));
}

function operation(value: Json): Message {
  const responses = named(value['responses'], (response) =>
    new Message().message(
      1,
      new Message()
        .text(1, response['description'])
        .message(2, new Message().message(1, schema(objectOf(response['schema']) ?? {}))),
    ),
  );
  return new Message()
    .texts(6, value['produces'])
    .texts(7, value['consumes'])
    .messages(8, parameters(value['parameters']))
    .message(9, new Message().messages(1, responses))
    .messages(13, extensions(value));
}

function parameters(values: unknown): Message[] {
  return arrayOf(values).map((value) => new Message().message(1, parameter(objectOf(value) ?? {})));
}

function parameter(value: Json): Message {
  const { in: where, name, required } = value;
  if (where === 'body') {
    const body = new Message().text(2, name).text(3, where).flag(4, required);
    return new Message().message(1, body.message(5, schema(objectOf(value['schema']) ?? {})));
  }
  const start = new Message().flag(1, required).text(2, where).text(4, name);
  const nonBody =
    where === 'path'
      ? new Message().message(4, start.text(5, value['type']))
      : new Message().message(3, start.text(6, value['type']));
  return new Message().message(2, nonBody);
}

function schema(value: Json): Message {
  const items = objectOf(value['items']);
  const additional = objectOf(value['additionalProperties']);
  const { type } = value;
  return new Message()
    .text(1, value['$ref'])
    .text(2, value['format'])
    .texts(19, value['required'])
    .message(21, additional === undefined ? undefined : new Message().message(1, schema(additional)))
    .message(22, type === undefined ? undefined : new Message().text(1, type))
    .message(23, items === undefined ? undefined : new Message().message(1, schema(items)))
    .message(25, properties(value['properties']))
    .messages(31, extensions(value));
}

function properties(value: unknown): Message | undefined {
  return value === undefined ? undefined : new Message().messages(1, named(value, schema));
}
