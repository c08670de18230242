import { StatusError } from '../../base/status-error.ts';
import { models } from '../gen/models.ts';
import { goQuote } from '../go-text.ts';
import type { FieldSchema, ModelTable } from '../schema.ts';
import { setMember } from '../set-member.ts';
import { goPrint, goTypeName } from './go-print.ts';
import { isJsonObject, type JsonObject } from './merge-patch.ts';
import { inElementOrder, type ListKey } from './element-order.ts';

/**
 * Kubernetes' strategic merge patch: objects are merged; lists whose field says so (`merge` in `gen/models.ts`) are
 * merged by their key, others are replaced. Directives: `$patch` (replace, delete), `$deleteFromPrimitiveList/FIELD`,
 * `$setElementOrder/FIELD`, `$retainKeys`. Neither argument is changed; the result may share parts with both, so
 * decode it before anything is filled in. Fails with upstream's texts. Upstream:
 * `strategicpatch.StrategicMergeMapPatch`.
 */
export function strategicMerge(model: string, current: JsonObject, patch: unknown): JsonObject {
  if (!isJsonObject(patch)) throw badPatch('invalid JSON document');
  return mergeObjects(current, patch, model);
}

const table: ModelTable = models;
const marker = '$patch';
const retainKeys = '$retainKeys';
const deleteListPrefix = '$deleteFromPrimitiveList';
const orderPrefix = '$setElementOrder';
const badOrderList = 'invalid patch format of setElementOrder list';
const badPrimitiveList = 'invalid patch format of primitive list';
const badRetainKeys = 'invalid patch format of retainKeys';

function badPatch(message: string): StatusError {
  return new StatusError('BadRequest', message);
}

/** Upstream answers these with 500: they are plain Go errors. */
function failed(message: string): StatusError {
  return new StatusError('InternalError', message);
}

function noMergeKey(element: unknown, key: string): StatusError {
  return failed(`map: ${goPrint(element)} does not contain declared merge key: ${key}`);
}

function wrongType(expected: string, actual: unknown): StatusError {
  return failed(`expected a ${expected}, but received a ${goTypeName(actual)}`);
}

/** `model` is `undefined` inside maps and values of any type, which have no fields to look up. */
function mergeObjects(current: JsonObject, patch: JsonObject, model: string | undefined): JsonObject {
  if (Object.hasOwn(patch, marker)) return applyMarker(patch);
  const result: Record<string, unknown> = { ...current };
  applyRetainKeys(result, patch);
  const done = mergeOrderedLists(result, patch, model);
  for (const [key, value] of Object.entries(patch)) {
    if (key === retainKeys || done.has(key)) continue;
    if (key.startsWith(deleteListPrefix)) deleteFromList(result, key, value);
    else mergeMember(result, key, value, model);
  }
  return result;
}

function applyMarker(patch: JsonObject): JsonObject {
  const directive = patch[marker];
  if (directive === 'delete') return {};
  if (directive !== 'replace') throw failed(`unknown patch type: ${goPrint(directive)} in map: ${goPrint(patch)}`);
  const { [marker]: _marker, ...rest } = patch;
  return rest;
}

/** Drops what the directive does not name; all that the patch sets must be named. */
function applyRetainKeys(result: Record<string, unknown>, patch: JsonObject): void {
  if (!Object.hasOwn(patch, retainKeys)) return;
  const names = patch[retainKeys];
  if (!Array.isArray(names)) throw badPatch(badRetainKeys);
  const kept = new Set<unknown>(names);
  for (const [key, value] of Object.entries(patch)) {
    const isDirective = key === retainKeys || key.startsWith(deleteListPrefix) || key.startsWith(orderPrefix);
    if (value !== null && !isDirective && !kept.has(key)) throw badPatch(badRetainKeys);
  }
  for (const key of Object.keys(result)) if (!kept.has(key)) delete result[key];
}

function fieldOf(model: string | undefined, key: string): FieldSchema {
  if (model === undefined) {
    throw failed('merging an object in json but data type is not struct, instead is: map');
  }
  const schema = table[model];
  const field = schema !== undefined && Object.hasOwn(schema, key) ? schema[key] : undefined;
  if (field === undefined)
    throw failed(`unable to find api field in struct ${model} for the json field ${goQuote(key)}`);
  return field;
}

/** The model of a field's objects; `undefined` where they are maps or anything. */
function innerModel(field: FieldSchema): string | undefined {
  return field.shape === 'map' || table[field.type] === undefined ? undefined : field.type;
}

function mergeMember(result: Record<string, unknown>, key: string, value: unknown, model: string | undefined): void {
  if (value === null) {
    delete result[key];
    return;
  }
  const before = Object.hasOwn(result, key) ? result[key] : undefined;
  if (isJsonObject(before) && isJsonObject(value)) {
    const field = fieldOf(model, key);
    setMember(result, key, field.replace === true ? value : mergeObjects(before, value, innerModel(field)));
  } else if (Array.isArray(before) && Array.isArray(value)) {
    const field = fieldOf(model, key);
    setMember(result, key, field.merge === true ? mergeLists(before, value, field) : value);
  } else {
    // Kinds differ, or nothing was there, or a scalar: the patch's value stands, without its directives.
    const clean = withoutDirectives(before === undefined || goTypeName(before) !== goTypeName(value), value);
    if (clean === removed) delete result[key];
    else setMember(result, key, clean);
  }
}

const removed = Symbol('removed');

/** A value that is new: objects with a directive are dropped, and `null` members too. */
function withoutDirectives(dropsNulls: boolean, value: unknown): unknown {
  if (Array.isArray(value)) {
    const elements: unknown[] = value;
    return elements.map((element) => withoutDirectives(dropsNulls, element)).filter((element) => element !== removed);
  }
  if (!isJsonObject(value)) return value;
  if (Object.hasOwn(value, marker)) return removed;
  const result: Record<string, unknown> = {};
  for (const [key, member] of Object.entries(value)) {
    if (member === null && dropsNulls) continue;
    const clean = withoutDirectives(dropsNulls, member);
    if (clean !== removed) setMember(result, key, clean);
  }
  return result;
}

function fieldNameOf(key: string, prefix: string, problem: string): string {
  if (!key.startsWith(`${prefix}/`)) throw badPatch(problem);
  return key.slice(prefix.length + 1);
}

function deleteFromList(result: Record<string, unknown>, key: string, value: unknown): void {
  const name = fieldNameOf(key, deleteListPrefix, badPrimitiveList);
  const before = result[name];
  if (!Array.isArray(before)) return;
  if (!Array.isArray(value)) {
    if (value === null) delete result[name];
    return;
  }
  const gone = new Set<unknown>(value);
  result[name] = before.filter((element) => !gone.has(element));
}

/** Merges the lists whose order the patch gives; returns the members of the patch that are done with. */
function mergeOrderedLists(
  result: Record<string, unknown>,
  patch: JsonObject,
  model: string | undefined,
): ReadonlySet<string> {
  const done = new Set<string>();
  for (const [key, order] of Object.entries(patch)) {
    if (!key.startsWith(orderPrefix)) continue;
    done.add(key);
    if (!Array.isArray(order)) throw wrongType('[]interface {}', order);
    const name = fieldNameOf(key, orderPrefix, badOrderList);
    const before = listOf(result, name);
    const change = listOf(patch, name);
    const field = fieldOf(model, name);
    if (change !== undefined) checkAgainstOrder(change, order, field.mergeKey);
    done.add(name);
    if (before === undefined && change === undefined) continue;
    const merged = mergeOrderedList(before, change, field);
    result[name] = inElementOrder(merged, order, before ?? [], listKeyOf(field, merged));
  }
  return done;
}

function mergeOrderedList(
  before: readonly unknown[] | undefined,
  change: readonly unknown[] | undefined,
  field: FieldSchema,
): readonly unknown[] {
  if (change === undefined) return before ?? [];
  if (before !== undefined) return field.merge === true ? mergeLists(before, change, field) : change;
  const clean = withoutDirectives(false, change);
  return Array.isArray(clean) ? clean : [];
}

function listOf(object: JsonObject, name: string): readonly unknown[] | undefined {
  if (!Object.hasOwn(object, name)) return undefined;
  const value = object[name];
  if (!Array.isArray(value)) throw wrongType('[]interface {}', value);
  return value;
}

function keyOf(element: unknown, mergeKey: string): unknown {
  if (!isJsonObject(element)) throw wrongType('map[string]interface {}', element);
  if (!Object.hasOwn(element, mergeKey)) throw noMergeKey(element, mergeKey);
  return element[mergeKey];
}

/** The elements of the patch must come in the order that it asks for, and be named there. */
function checkAgainstOrder(change: readonly unknown[], order: readonly unknown[], mergeKey: string | undefined): void {
  if (order.length === 0 || change.length === 0) return;
  let at = 0;
  for (const element of change) {
    if (isJsonObject(element) && Object.hasOwn(element, marker)) continue;
    const key = mergeKey === undefined ? element : keyOf(element, mergeKey);
    const keyAt = (index: number): unknown => (mergeKey === undefined ? order[index] : keyOf(order[index], mergeKey));
    while (at < order.length && keyAt(at) !== key) at++;
    if (at >= order.length) {
      const text = `The order in patch list:\n${goPrint(change)}\n doesn't match ${orderPrefix} list:\n${goPrint(order)}\n`;
      throw failed(text);
    }
    at++;
  }
}

function listKeyOf(field: FieldSchema, elements: readonly unknown[]): ListKey {
  const { mergeKey } = field;
  const hasObjects = elements.some((element) => isJsonObject(element));
  if (!hasObjects) return (element) => element;
  if (mergeKey === undefined) throw failed(`cannot merge lists without merge key for ${field.type}`);
  return (element) => keyOf(element, mergeKey);
}

function checkElements(lists: readonly (readonly unknown[])[]): void {
  let first: string | undefined;
  for (const element of lists.flat()) {
    if (Array.isArray(element)) throw new StatusError('Invalid', 'lists of lists are not supported');
    const name = goTypeName(element);
    first ??= name;
    if (name !== first) throw failed('list element types are not identical: ' + goPrint(lists.flat()));
  }
}

/** Merges a list that has the `merge` strategy. */
function mergeLists(before: readonly unknown[], change: readonly unknown[], field: FieldSchema): readonly unknown[] {
  if (before.length === 0 && change.length === 0) return before;
  checkElements([before, change]);
  const key = listKeyOf(field, [...before, ...change]);
  if (![...before, ...change].some(isJsonObject)) {
    return inElementOrder([...new Set([...before, ...change])], change, before, key);
  }
  const mergeKey = field.mergeKey ?? '';
  const { kept, changes } = applyElementMarkers(before, change, mergeKey);
  const merged: unknown[] = [...kept];
  for (const element of changes) {
    const at = merged.findIndex((one) => key(one) === key(element));
    const old = merged[at];
    if (at >= 0 && isJsonObject(old)) merged[at] = mergeObjects(old, element, innerModel(field));
    else merged.push(element);
  }
  return inElementOrder(merged, changes, kept, key);
}

function applyElementMarkers(
  before: readonly unknown[],
  change: readonly unknown[],
  mergeKey: string,
): { readonly kept: readonly unknown[]; readonly changes: readonly JsonObject[] } {
  let kept = before;
  let replaces = false;
  const changes: JsonObject[] = [];
  for (const element of change) {
    if (!isJsonObject(element)) throw wrongType('map[string]interface {}', element);
    const directive = Object.hasOwn(element, marker) ? element[marker] : undefined;
    if (directive === undefined) changes.push(element);
    else if (directive === 'delete') {
      const gone = keyOf(element, mergeKey);
      kept = kept.filter((one) => !isJsonObject(one) || one[mergeKey] !== gone);
    } else if (directive === 'replace') replaces = true;
    else if (directive === 'merge') throw failed('merging lists cannot yet be specified in the patch');
    else throw failed(`unknown patch type: ${goPrint(directive)} in map: ${goPrint(element)}`);
  }
  return replaces ? { kept: changes, changes: [] } : { kept, changes };
}
