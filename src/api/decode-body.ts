import { messageOf, StatusError } from '../base/status-error.ts';
import { type Decoded, decode, DecodeError, type FieldValidation } from './decode.ts';
import type { Draft } from './draft.ts';
import { goQuote } from './go-text.ts';
import { scanJson } from './json-scan.ts';
import { apiVersionOf, type KubernetesObject, resources, type ResourceType } from './resources.ts';

/** The words with which upstream names its scheme in errors. */
const schemeName = 'k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30';
const summaryBytesMax = 30;

/**
 * Reads a JSON body as an object of `type`: a missing kind or apiVersion is filled in; another one, broken JSON, or a
 * value that does not fit is a `BadRequest` with upstream's text. Upstream: the decoding half of `createHandler`.
 */
export function decodeBody<T extends KubernetesObject>(
  type: ResourceType<T>,
  body: string | Uint8Array,
  fieldValidation: FieldValidation,
): Decoded<T> {
  const text = typeof body === 'string' ? body : new TextDecoder().decode(body);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const scan = scanJson(text);
    throw unrecognized(type, scan.kind === 'broken' ? scan.error : messageOf(error), text);
  }
  return decodeObject(type, value, fieldValidation, text);
}

/** The same for a value that was parsed already (from YAML, or patched); `text` is only for repeated keys. */
export function decodeObject<T extends KubernetesObject>(
  type: ResourceType<T>,
  value: unknown,
  fieldValidation: FieldValidation,
  text?: string,
): Decoded<T> {
  const apiVersion = apiVersionOf(type);
  const found = kindOf(type, value, text);
  if (found.kind !== type.kind || found.apiVersion !== apiVersion) throw wrongKind(type, found);
  let decoded: Decoded<T>;
  try {
    decoded = decode<T>(type.model, value, fieldValidation, text);
  } catch (error) {
    if (error instanceof DecodeError) throw cannotBeHandled(type, found, error.message);
    throw error;
  }
  // Every object of ours has both; the cast only tells the compiler so.
  const object = decoded.object as Draft<KubernetesObject>;
  object.apiVersion = apiVersion;
  object.kind = type.kind;
  return decoded;
}

interface FoundKind {
  readonly apiVersion: string;
  readonly kind: string;
}

function kindOf(type: ResourceType, value: unknown, text: string | undefined): FoundKind {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    if (value === null) return { apiVersion: apiVersionOf(type), kind: type.kind };
    const goKind = Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : typeof value;
    const target =
      'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }';
    throw unrecognized(
      type,
      `json: cannot unmarshal ${goKind} into Go value of type ${target}`,
      text ?? JSON.stringify(value),
    );
  }
  const read = (name: 'apiVersion' | 'kind', fallback: string): string => {
    const found: unknown = Object.hasOwn(value, name) ? Object.entries(value).find(([key]) => key === name)?.[1] : null;
    if (found === null || found === undefined || found === '') return fallback;
    if (typeof found === 'string') return found;
    const goKind = Array.isArray(found) ? 'array' : typeof found === 'boolean' ? 'bool' : typeof found;
    throw unrecognized(
      type,
      `json: cannot unmarshal ${goKind} into Go struct field .${name} of type string`,
      text ?? JSON.stringify(value),
    );
  };
  return { apiVersion: read('apiVersion', apiVersionOf(type)), kind: read('kind', type.kind) };
}

function unrecognized(type: ResourceType, problem: string, text: string): StatusError {
  const words = `couldn't get version/kind; json parse error: ${problem}`;
  const message = `the object provided is unrecognized (must be of type ${type.kind}): ${words} (${summarize(text)})`;
  return new StatusError('BadRequest', message);
}

function summarize(text: string): string {
  if (text === '') return '<empty>';
  const bytes = new TextEncoder().encode(text);
  const shown = bytes.subarray(0, summaryBytesMax);
  const rest = bytes.length > summaryBytesMax ? ' ...' : '';
  if (text.startsWith('{')) return new TextDecoder().decode(shown) + rest;
  return [...shown].map((byte) => byte.toString(16).padStart(2, '0')).join('') + rest;
}

function cannotBeHandled(type: ResourceType, found: FoundKind, problem: string): StatusError {
  const head = `${found.kind} in version ${goQuote(found.apiVersion)} cannot be handled as a ${type.kind}`;
  return new StatusError('BadRequest', `${head}: ${problem}`);
}

function wrongKind(type: ResourceType, found: FoundKind): StatusError {
  const known = Object.values<ResourceType>(resources).find(
    (other) => other.kind === found.kind && apiVersionOf(other) === found.apiVersion,
  );
  if (known === undefined) {
    const version = goQuote(found.apiVersion);
    const problem = `no kind ${goQuote(found.kind)} is registered for version ${version} in scheme ${goQuote(schemeName)}`;
    return cannotBeHandled(type, found, problem);
  }
  if (known.kind === type.kind) {
    const versions = `(${found.apiVersion}) does not match the expected API version (${apiVersionOf(type)})`;
    return new StatusError('BadRequest', `the API version in the data ${versions}`);
  }
  const internal = type.group === '' || type.kind === 'Event' ? 'core' : (type.group.split('.')[0] ?? '');
  const problem = `converting (${known.version}.${known.kind}) to (${internal}.${type.kind}): unknown conversion`;
  return cannotBeHandled(type, found, problem);
}
