import { models } from './gen/models.ts';
import type { Draft } from './draft.ts';
import { goQuote } from './go-text.ts';
import { countWrittenKeys, scanJson } from './json-scan.ts';
import { canonicalQuantity } from './quantity.ts';
import { type FieldSchema, goTypeOf, type ModelTable } from './schema.ts';
import { setMember } from './set-member.ts';
import { formatMicroTime, formatTime, isCanonicalTime, parseGoTime, rfc3339, rfc3339Micro } from './time.ts';

/**
 * Decodes parsed JSON into a model's object as Go's decoder and encoder together would leave it: only known fields,
 * `null` as absent, zero values dropped or written out as Go does, times and quantities in canonical form. What it
 * returns shares nothing with its input (but for values of type `any`), so that its owner may fill it in place.
 */
export type FieldValidation = 'Strict' | 'Warn' | 'Ignore';

export interface Decoded<T> {
  readonly object: Draft<T>;
  /** With `Warn`: `unknown field "spec.foo"`, `duplicate field "metadata.name"`. */
  readonly warnings: readonly string[];
}

/**
 * The value does not fit the model; the message is Go's (`json: cannot unmarshal ...`, `strict decoding error: ...`).
 */
export class DecodeError extends Error {
  override readonly name = 'DecodeError';
}

const strictProblemsMax = 100; // upstream's bound on unknown and duplicate fields told at once

interface Context {
  /** Names, `[0]` as numbers, and keys of maps as one-element arrays, from the object down to the value being read. */
  readonly path: (string | number | readonly [string])[];
  readonly unknown: string[];
  /** The first type error; decoding goes on after it, as in Go. */
  typeError: string | undefined;
  /** Members of all objects read so far; less than those written means that some were repeated. */
  keyCount: number;
}

/** Reads one value; `undefined` means that the field is left out. */
type Read = (value: unknown, context: Context) => unknown;

interface CompiledModel {
  readonly reads: Map<string, Read>;
  /** Fields that Go writes even if they were not given. */
  readonly zeros: (readonly [name: string, make: () => unknown])[];
}

/** Go names of models that have another name here. */
const goStructs: Readonly<Record<string, string>> = {
  EventsV1Event: 'Event',
  EventsV1EventSeries: 'EventSeries',
  VersionInfo: 'Info',
};

const table: ModelTable = models;
const compiled = new Map<string, CompiledModel>();

/** Decodes `value` as `model`. `text` is what it was parsed from: only with it are repeated keys noticed. */
export function decode<T>(model: string, value: unknown, fieldValidation: FieldValidation, text?: string): Decoded<T> {
  const context: Context = { path: [], unknown: [], typeError: undefined, keyCount: 0 };
  const object = readModel(modelOf(model), model, '', value, context);
  if (context.typeError !== undefined) throw new DecodeError(context.typeError);
  // The object was made after the model's table, from which T was generated too.
  const decoded = object as Draft<T>;
  if (fieldValidation === 'Ignore') return { object: decoded, warnings: [] };
  const problems = strictProblems(context, text);
  if (problems.length > 0 && fieldValidation === 'Strict') {
    throw new DecodeError(`strict decoding error: ${problems.join(', ')}`);
  }
  return { object: decoded, warnings: problems };
}

const noProblems: readonly string[] = [];

function strictProblems(context: Context, text: string | undefined): readonly string[] {
  let duplicates: readonly string[] = [];
  if (text !== undefined && countWrittenKeys(text) !== context.keyCount) {
    const scan = scanJson(text);
    const isKnown = (path: string): boolean =>
      !context.unknown.some((unknown) => path === unknown || /^[.[]/.test(path.slice(unknown.length)));
    if (scan.kind === 'whole') duplicates = scan.duplicates.filter(isKnown);
  }
  if (context.unknown.length === 0 && duplicates.length === 0) return noProblems;
  const unknownTexts = context.unknown.map((path) => `unknown field ${goQuote(path)}`);
  return [...unknownTexts, ...duplicates.map((path) => `duplicate field ${goQuote(path)}`)].slice(0, strictProblemsMax);
}

function modelOf(name: string): CompiledModel {
  const known = compiled.get(name);
  if (known !== undefined) return known;
  const schema = table[name];
  if (schema === undefined) throw new DecodeError(`no model ${name}`);
  const model: CompiledModel = { reads: new Map(), zeros: [] };
  compiled.set(name, model); // before its fields: models may refer to one another
  const owner = goStructs[name] ?? name;
  for (const [fieldName, field] of Object.entries(schema)) {
    model.reads.set(fieldName, compileField(owner, field));
    const zero = zeroOf(field);
    if (zero !== undefined) model.zeros.push([fieldName, zero]);
  }
  return model;
}

function readModel(model: CompiledModel, goType: string, owner: string, value: unknown, context: Context): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return value === null ? zeroObject(model) : saveTypeError(value, owner, goType, context);
  }
  const output: Record<string, unknown> = {};
  const { path } = context;
  for (const [key, member] of Object.entries(value)) {
    context.keyCount++;
    const read = model.reads.get(key);
    path.push(key);
    if (read === undefined) {
      context.unknown.push(strictPath(path));
      context.keyCount += countKeys(member);
    } else {
      const decoded = read(member, context);
      if (decoded !== undefined) output[key] = decoded;
    }
    path.pop();
  }
  for (const [name, make] of model.zeros) if (output[name] === undefined) output[name] = make();
  return output;
}

function zeroObject(model: CompiledModel): unknown {
  const output: Record<string, unknown> = {};
  for (const [name, make] of model.zeros) output[name] = make();
  return output;
}

/** What Go writes for the field when nothing was given; `undefined`: nothing (or a bare `null` that nobody misses). */
function zeroOf(field: FieldSchema): (() => unknown) | undefined {
  if (field.nullable === true) return () => null;
  if (field.shape === 'list' && field.required === true && field.omitEmpty !== true) return () => [];
  if (field.pointer === true || field.shape !== 'one') return undefined;
  const { type } = field;
  if (table[type] !== undefined) return () => zeroObject(modelOf(type));
  if (type === 'quantity') return () => '0';
  if (type === 'intOrString') return () => 0;
  if (field.omitEmpty === true) return undefined;
  if (type === 'string') return () => '';
  if (type === 'bool') return () => false;
  return type === 'int32' || type === 'int64' || type === 'double' ? () => 0 : undefined;
}

function compileField(owner: string, field: FieldSchema): Read {
  const goType = goTypeOf(field);
  if (field.shape === 'list') return compileList(owner, field, goType);
  if (field.shape === 'map') return compileMap(owner, field, goType);
  const read = compileOne(owner, field.type, goType);
  // Go leaves out zero scalars that are `omitempty`; structs, times and quantities count as structs there.
  const dropsZero = field.omitEmpty === true && field.pointer !== true;
  if (field.nullable === true) return (value, context) => (value === null ? null : read(value, context));
  return (value, context) => {
    if (value === null) return undefined;
    const decoded = read(value, context);
    return dropsZero && (decoded === '' || decoded === 0 || decoded === false) ? undefined : decoded;
  };
}

function elementType(goType: string, fallback: string): string {
  const match = /^(?:\[\]|map\[\w+\])(.*)$/.exec(goType);
  return match?.[1] ?? fallback;
}

function compileList(owner: string, field: FieldSchema, goType: string): Read {
  const readOne = compileOne(owner, field.type, elementType(goType, 'string'));
  const model = table[field.type] === undefined ? undefined : field.type;
  const dropsEmpty = field.omitEmpty === true && field.pointer !== true;
  return (value, context) => {
    if (!Array.isArray(value)) return value === null ? undefined : saveTypeError(value, owner, goType, context);
    if (value.length === 0 && dropsEmpty) return undefined;
    const output: unknown[] = [];
    for (let index = 0; index < value.length; index++) {
      context.path.push(index);
      const element: unknown = value[index];
      output.push(element === null ? zeroElement(model, field.type) : readOne(element, context));
      context.path.pop();
    }
    return output;
  };
}

function zeroElement(model: string | undefined, type: string): unknown {
  if (model !== undefined) return zeroObject(modelOf(model));
  return type === 'string' ? '' : type === 'bool' ? false : 0;
}

function compileMap(owner: string, field: FieldSchema, goType: string): Read {
  const readOne = compileOne(owner, field.type, elementType(goType, 'resource.Quantity'));
  const zero = field.type === 'quantity' ? '0' : field.type === 'stringList' ? [] : '';
  const dropsEmpty = field.omitEmpty === true && field.pointer !== true;
  return (value, context) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return value === null ? undefined : saveTypeError(value, owner, goType, context);
    }
    // Go writes `null` for a time that is none; it is left out here.
    const members = Object.entries(value).filter(([, member]) => member !== null || field.type !== 'time');
    if (members.length === 0 && dropsEmpty) return undefined;
    const output: Record<string, unknown> = {};
    for (const [key, member] of members) {
      context.keyCount++;
      context.path.push([key]);
      setMember(output, key, member === null ? zero : readOne(member, context));
      context.path.pop();
    }
    return output;
  };
}

function compileOne(owner: string, type: string, goType: string): Read {
  switch (type) {
    case 'string':
      return (value, context) => (typeof value === 'string' ? value : saveTypeError(value, owner, goType, context));
    case 'bool':
      return (value, context) => (typeof value === 'boolean' ? value : saveTypeError(value, owner, goType, context));
    case 'int32':
      return (value, context) => readInteger(value, 2 ** 31, owner, goType, context);
    case 'int64':
      return (value, context) => readInteger(value, 2 ** 63, owner, goType, context);
    case 'double':
      return (value, context) => (typeof value === 'number' ? value : saveTypeError(value, owner, goType, context));
    case 'time':
      return (value, context) => readTime(value, false, owner, context);
    case 'microTime':
      return (value, context) => readTime(value, true, owner, context);
    case 'bytes':
      return (value, context) => readBytes(value, owner, context);
    case 'intOrString':
      return (value, context) => {
        if (typeof value === 'string') return value;
        return throwTypeError(readInteger(value, 2 ** 31, owner, 'int32', context), context);
      };
    case 'quantity':
      return readQuantity;
    case 'stringList':
      return compileList(owner, { type: 'string', shape: 'list' }, '[]string');
    case 'any':
      return (value, context) => {
        context.keyCount += countKeys(value);
        return value;
      };
    default: {
      let model: CompiledModel | undefined; // looked up on first use: models may refer to one another
      return (value, context) => readModel((model ??= modelOf(type)), goType, owner, value, context);
    }
  }
}

function readInteger(value: unknown, bound: number, owner: string, goType: string, context: Context): unknown {
  if (typeof value !== 'number') return saveTypeError(value, owner, goType, context);
  if (Number.isInteger(value) && value >= -bound && value < bound) return value;
  return saveTypeError(value, owner, goType, context, ` ${value}`);
}

function readTime(value: unknown, micro: boolean, owner: string, context: Context): unknown {
  if (typeof value !== 'string') return throwTypeError(saveTypeError(value, owner, 'string', context), context);
  if (isCanonicalTime(value, micro)) return value;
  const parsed = parseGoTime(value, micro ? rfc3339Micro : rfc3339);
  if (parsed.error !== undefined) throw new DecodeError(parsed.error);
  return micro ? formatMicroTime(parsed.wallMs) : formatTime(parsed.wallMs);
}

const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

function readBytes(value: unknown, owner: string, context: Context): unknown {
  if (typeof value !== 'string') return saveTypeError(value, owner, '[]uint8', context);
  const text = /[\r\n]/.test(value) ? value.replace(/[\r\n]/g, '') : value; // Go skips line ends
  if (base64.test(text)) return text;
  context.typeError ??= `illegal base64 data at input byte ${base64ProblemAt(value)}`;
  return undefined;
}

/** Offset of the first byte that cannot be right, as Go's decoder counts. */
function base64ProblemAt(text: string): number {
  const bad = /[^A-Za-z0-9+/\r\n]/.exec(text)?.index ?? text.length;
  if (text.charAt(bad) !== '=') return bad < text.length ? bad : text.length - (text.length % 4);
  const before = text.slice(0, bad).replace(/[\r\n]/g, '').length % 4;
  if (before < 2) return bad;
  const padding = before === 2 ? 2 : 1;
  return text.startsWith('='.repeat(padding), bad) ? bad + padding : bad + 1;
}

function readQuantity(value: unknown): unknown {
  const text = typeof value === 'string' ? value : typeof value === 'number' ? String(value) : JSON.stringify(value);
  const canonical = canonicalQuantity(text);
  if ('error' in canonical) throw new DecodeError(canonical.error);
  return canonical.text;
}

function goKind(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  return typeof value === 'boolean' ? 'bool' : typeof value;
}

/** Notes the first type error and reads the value as absent. `owner` is the innermost Go struct; `''` at the top. */
function saveTypeError(value: unknown, owner: string, goType: string, context: Context, number = ''): undefined {
  if (context.typeError !== undefined) return;
  const fields = context.path.filter((part) => typeof part === 'string').join('.');
  const target = owner === '' ? `value of type v1.${goType}` : `struct field ${owner}.${fields} of type ${goType}`;
  context.typeError = `json: cannot unmarshal ${goKind(value)}${number} into Go ${target}`;
}

/** Types that decode themselves end the decoding at once. */
function throwTypeError(value: unknown, context: Context): unknown {
  if (value === undefined && context.typeError !== undefined) throw new DecodeError(context.typeError);
  return value;
}

function strictPath(path: Context['path']): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else {
      const name = typeof part === 'string' ? part : part[0];
      text += text === '' ? name : `.${name}`;
    }
  }
  return text;
}

/** Members of all objects in `value`. */
function countKeys(value: unknown): number {
  let count = 0;
  const waiting: unknown[] = [value];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (typeof next !== 'object' || next === null) continue;
    const members: unknown[] = Object.values(next);
    if (!Array.isArray(next)) count += members.length;
    for (const member of members) if (typeof member === 'object') waiting.push(member);
  }
  return count;
}
