/** Reads what is in a request's body, in any format that the server has a codec for. */
import { decodeBody, decodeObject } from '../api/decode-body.ts';
import type { FieldValidation } from '../api/decode.ts';
import type { Draft } from '../api/draft.ts';
import { scanJson } from '../api/json-scan.ts';
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

/** Kubernetes' protobuf: `k8s\0` and an envelope with apiVersion and kind. */
export interface ProtobufCodec {
  /** The object as a JSON value, with its apiVersion and kind. Throws for what it cannot read. */
  decode(body: Uint8Array): unknown;
  /** `model`: its name in the field table. */
  encode(model: string, value: object): Uint8Array;
}

export interface BodyCodecs {
  readonly yaml?: YamlCodec | undefined;
  readonly protobuf?: ProtobufCodec | undefined;
}

export interface ReadBody {
  readonly object: Draft<FullObject>;
  /** For `Warning` headers. */
  readonly warnings: readonly string[];
}

export class BodyReader {
  readonly #codecs: BodyCodecs;
  readonly #formats: ReadonlySet<BodyFormat>;

  constructor(codecs: BodyCodecs) {
    this.#codecs = codecs;
    const formats: BodyFormat[] = ['json'];
    if (codecs.yaml !== undefined) formats.push('yaml');
    if (codecs.protobuf !== undefined) formats.push('protobuf');
    this.#formats = new Set(formats);
  }

  /** Those formats are what answers can be in, too. */
  get encodings(): ReadonlySet<Encoding> {
    return this.#formats;
  }

  /** The body as an object of `type`; its kind and apiVersion are filled in. */
  readObject(type: ResourceType, request: HttpRequest, validation: FieldValidation): ReadBody {
    const format = bodyFormat(request.headers['content-type'], this.#formats);
    if (format !== 'json') return this.decodeValue(type, this.#parse(format, request, type.kind), validation);
    return withMetadata(decodeBody(type, request.body, validation));
  }

  /** Decodes a value that is no request's text: parsed from YAML, or patched. */
  decodeValue(type: ResourceType, value: unknown, validation: FieldValidation): ReadBody {
    return withMetadata(decodeObject(type, value, validation));
  }

  /** The options in the body of a DELETE; `undefined` if it has none. */
  readOptions(request: HttpRequest, kind: string): unknown {
    if (request.body.length === 0) return undefined;
    const format = bodyFormat(request.headers['content-type'], this.#formats);
    return format === 'json' ? parseJson(textOf(request.body), kind) : this.#parse(format, request, kind);
  }

  #parse(format: Exclude<BodyFormat, 'json'>, request: HttpRequest, kind: string): unknown {
    try {
      if (format === 'yaml') return this.#codecs.yaml?.parse(textOf(request.body));
      const { body } = request;
      return this.#codecs.protobuf?.decode(typeof body === 'string' ? new TextEncoder().encode(body) : body);
    } catch (error) {
      const problem = format === 'yaml' ? `error converting YAML to JSON: yaml: ${messageOf(error)}` : messageOf(error);
      throw new StatusError('BadRequest', `the object provided is unrecognized (must be of type ${kind}): ${problem}`);
    }
  }
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
