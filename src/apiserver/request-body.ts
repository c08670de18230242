/** Reads what is in a request's body, in any format that the server has a codec for. */
import { decodeBody, decodeObject } from '../api/decode-body.ts';
import type { FieldValidation } from '../api/decode.ts';
import type { Draft } from '../api/draft.ts';
import { scanJson } from '../api/json-scan.ts';
import { decodeProtobuf, decodeProtobufBody } from '../api/protobuf/decode.ts';
import type { ResourceType } from '../api/resources.ts';
import type { HttpRequest } from '../base/http.ts';
import { StatusError, messageOf } from '../base/status-error.ts';
import { bodyFormat } from './negotiate.ts';
import type { BodyFormat, Encoding } from './negotiate.ts';
import type { FullObject } from './stored-object.ts';

/** YAML to a JSON value and back. Throws for what is no YAML. */
export interface YamlCodec {
  parse(text: string): unknown;
  stringify(value: unknown): string;
}

export interface ReadBody {
  readonly object: Draft<FullObject>;
  /** For `Warning` headers. */
  readonly warnings: readonly string[];
}

export class BodyReader {
  readonly #yaml: YamlCodec | undefined;
  readonly #formats: ReadonlySet<BodyFormat>;

  constructor(yaml: YamlCodec | undefined) {
    this.#yaml = yaml;
    this.#formats = new Set(yaml === undefined ? ['json', 'protobuf'] : ['json', 'yaml', 'protobuf']);
  }

  /** Those formats are what answers can be in, too. */
  get encodings(): ReadonlySet<Encoding> {
    return this.#formats;
  }

  /** The body as an object of `type`; its kind and apiVersion are filled in. */
  readObject(type: ResourceType, request: HttpRequest, validation: FieldValidation): ReadBody {
    const format = bodyFormat(request.headers['content-type'], this.#formats);
    switch (format) {
      case 'json':
        return withMetadata(decodeBody(type, request.body, validation));
      case 'protobuf':
        return withMetadata(decodeProtobufBody(type, bytesOf(request.body)));
      default:
        return this.decodeValue(type, this.#parseYaml(request, type.kind), validation);
    }
  }

  /** Decodes a value that is no request's text: parsed from YAML, or patched. */
  decodeValue(type: ResourceType, value: unknown, validation: FieldValidation): ReadBody {
    return withMetadata(decodeObject(type, value, validation));
  }

  /** The options in the body of a DELETE, or another small body of a known model; `undefined` if there is none. */
  readOptions(request: HttpRequest, kind: string): unknown {
    if (request.body.length === 0) return undefined;
    const format = bodyFormat(request.headers['content-type'], this.#formats);
    switch (format) {
      case 'json':
        return parseJson(textOf(request.body), kind);
      case 'protobuf': {
        const { fields, ...typeMeta } = decodeProtobuf(kind, bytesOf(request.body));
        return { ...fields, ...typeMeta };
      }
      default:
        return this.#parseYaml(request, kind);
    }
  }

  #parseYaml(request: HttpRequest, kind: string): unknown {
    try {
      return this.#yaml?.parse(textOf(request.body));
    } catch (error) {
      const problem = `error converting YAML to JSON: yaml: ${messageOf(error)}`;
      throw new StatusError('BadRequest', `the object provided is unrecognized (must be of type ${kind}): ${problem}`);
    }
  }
}

function bytesOf(body: string | Uint8Array): Uint8Array {
  return typeof body === 'string' ? new TextEncoder().encode(body) : body;
}

function withMetadata(read: { readonly object: Draft<object>; readonly warnings: readonly string[] }): ReadBody {
  // It is an object of a served kind; metadata is the only field that may be missing.
  const object = read.object as Draft<FullObject>;
  object.metadata ??= {};
  return { object, warnings: read.warnings };
}

/** JSON text as a value; broken text is a `BadRequest` that says where. */
export function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    const scan = scanJson(text);
    throw new StatusError('BadRequest', `error decoding ${what}: ${scan.kind === 'broken' ? scan.error : 'no JSON'}`);
  }
}

const decoder = new TextDecoder();

export function textOf(body: string | Uint8Array): string {
  return typeof body === 'string' ? body : decoder.decode(body);
}
