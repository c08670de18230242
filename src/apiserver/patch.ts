/** Applies a PATCH body to an object as it is on the wire. */
import { invalid, invalidError } from '../api/field-error.ts';
import { goPrint } from '../api/patch/go-print.ts';
import { isJsonObject, mergePatch } from '../api/patch/merge-patch.ts';
import { strategicMerge } from '../api/patch/strategic-merge.ts';
import type { HttpRequest } from '../base/http.ts';
import { StatusError, hasReason } from '../base/status-error.ts';
import { patchFormat, unsupportedMediaType } from './negotiate.ts';
import type { PatchFormat } from './negotiate.ts';
import { parseJson, textOf } from './request-body.ts';

/** RFC 6902. Returns a new value and leaves `document` alone; throws an `Error` that says why it cannot be applied. */
export type JsonPatch = (document: unknown, operations: readonly unknown[]) => unknown;

const operationsMax = 10_000;
/** Objects within objects in a patch: merging recurses. Go's own bound is 10,000; no object of Kubernetes has 20. */
const nestingMax = 1_000;

export interface ParsedPatch {
  apply(model: string, document: unknown): unknown;
  /** What came of `patched` is not an object of the kind: `problem` is the decoder's. */
  invalid(patched: unknown, problem: string): StatusError;
}

export function parsePatch(request: HttpRequest, jsonPatch: JsonPatch): ParsedPatch {
  const format = patchFormat(request.headers['content-type']);
  if (format === 'apply') throw noServerSideApply();
  const value = parseJson(textOf(request.body), 'patch');
  if (isTooDeep(value)) throw new StatusError('BadRequest', 'error decoding patch: exceeded max depth');
  checkShape(format, value);
  switch (format) {
    case 'json': {
      // checkShape saw an array.
      const operations = value as readonly unknown[];
      return { apply: (_model, document) => applyJson(jsonPatch, document, operations), invalid: invalidJson };
    }
    case 'merge':
      return { apply: (_model, document) => mergePatch(document, value), invalid: invalidJson };
    default:
      return {
        apply: (model, document) => applyStrategic(model, document, value),
        invalid: (_patched, problem) => invalidPatch(goPrint(value), converterText(problem)),
      };
  }
}

function isTooDeep(value: unknown): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > nestingMax) return true;
    level = level.flatMap((each) => (typeof each === 'object' && each !== null ? Object.values(each) : []));
  }
  return false;
}

function checkShape(format: PatchFormat, value: unknown): void {
  if (format === 'json') {
    if (!Array.isArray(value)) {
      const found = value === null ? 'null' : typeof value;
      const text = `error decoding patch: json: cannot unmarshal ${found} into Go value of type []handlers.jsonPatchOp`;
      throw new StatusError('BadRequest', text);
    }
    if (value.length > operationsMax) {
      throw new StatusError(
        'RequestEntityTooLarge',
        `The allowed maximum operations in a JSON patch is ${operationsMax}, got ${value.length}`,
      );
    }
    return;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    const found = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
    const text = `error decoding patch: json: cannot unmarshal ${found} into Go value of type map[string]interface {}`;
    throw new StatusError('BadRequest', text);
  }
}

/**
 * Upstream calls some patches that cannot be merged its own error (500); the client made them, so here they are 400.
 */
function applyStrategic(model: string, document: unknown, patch: unknown): unknown {
  if (!isJsonObject(document)) return document;
  try {
    return strategicMerge(model, document, patch);
  } catch (error) {
    if (hasReason(error, 'InternalError')) throw new StatusError('BadRequest', error.message, { cause: error });
    throw error;
  }
}

function applyJson(patch: JsonPatch, document: unknown, operations: readonly unknown[]): unknown {
  let patched: unknown;
  try {
    patched = patch(document, operations);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw cannotApply(error);
  }
  if (patched === undefined) throw cannotApply(new Error('the whole object was removed'));
  return patched;
}

function cannotApply(cause: Error): StatusError {
  const text = 'the server rejected our request due to an error in our request';
  return new StatusError('Invalid', text, { cause, details: {} });
}

/** Without the record of who set which field, an apply could not take fields away; so it is refused, not half done. */
function noServerSideApply(): StatusError {
  const accepted = unsupportedMediaType([
    'application/json-patch+json',
    'application/merge-patch+json',
    'application/strategic-merge-patch+json',
  ]);
  return new StatusError(
    'UnsupportedMediaType',
    `server-side apply is not served, use client-side apply: ${accepted.message}`,
  );
}

function invalidJson(patched: unknown, problem: string): StatusError {
  return invalidPatch(JSON.stringify(patched), problem);
}

function invalidPatch(shown: string, problem: string): StatusError {
  return invalidError({ group: '', kind: '' }, '', [invalid('patch', shown, problem)]);
}

const decoderText = /^json: cannot unmarshal (\w+)(?: \S+)? into Go (?:struct field \S+|value) of type (\S+)$/;
const convertedKinds: Readonly<Record<string, string>> = { array: 'slice', object: 'map', number: 'int64' };
const scalarType = /^(?:string|bool|u?int(?:32|64)?|float64)$/;

/** After a strategic merge upstream does not decode but convert, which has words of its own. */
function converterText(problem: string): string {
  const [, found = '', wanted = ''] = decoderText.exec(problem) ?? [];
  if (found === '') return problem;
  const kind = convertedKinds[found] ?? found;
  if (wanted.startsWith('[]')) return `cannot restore slice from ${kind}`;
  if (wanted.startsWith('map[')) return `cannot restore map from ${kind}`;
  if (!scalarType.test(wanted)) return `cannot restore struct from: ${kind}`;
  const type = found === 'object' ? 'map[string]interface {}' : found === 'array' ? '[]interface {}' : kind;
  return `cannot convert ${type} to ${wanted}`;
}
