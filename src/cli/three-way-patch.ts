/**
 * What `apply` sends: a strategic merge patch that carries over what changed from the last applied configuration to
 * the new one, and leaves alone what others have set. Upstream: `strategicpatch.CreateThreeWayMergePatch`.
 */
import { models } from '../api/gen/models.ts';
import type { FieldSchema, ModelTable } from '../api/schema.ts';

export type JsonMap = Readonly<Record<string, unknown>>;

/**
 * `original`: as applied last (`undefined`: never). `modified`: as applied now. `current`: as it is. Adds and changes
 * come from comparing current with modified; removals from comparing original with modified. `{}`: nothing to do.
 * `model`: its name in `gen/models.ts`; `undefined`: a JSON merge patch, for kinds that are not known here.
 */
export function threeWayPatch(
  model: string | undefined,
  original: JsonMap | undefined,
  modified: JsonMap,
  current: JsonMap,
): JsonMap {
  return patchMap(model, original ?? {}, modified, current);
}

const table: ModelTable = models;

function fieldOfModel(model: string | undefined, name: string): FieldSchema | undefined {
  if (model === undefined || !Object.hasOwn(table, model)) return undefined;
  const fields = table[model];
  return fields !== undefined && Object.hasOwn(fields, name) ? fields[name] : undefined;
}

function patchMap(model: string | undefined, original: JsonMap, modified: JsonMap, current: JsonMap): JsonMap {
  const patch: Record<string, unknown> = {};
  for (const [name, wanted] of Object.entries(modified)) {
    if (wanted === null) {
      if (Object.hasOwn(current, name)) patch[name] = null;
      continue;
    }
    const field = fieldOfModel(model, name);
    // A map's values are of the field's type, but the map itself has no fields to look up.
    const inner = field === undefined || field.shape === 'map' ? undefined : field.type;
    Object.assign(patch, patchField(name, field, inner, original[name], wanted, current[name]));
  }
  for (const name of Object.keys(original)) if (!Object.hasOwn(modified, name)) patch[name] = null;
  return patch;
}

function patchField(
  name: string,
  field: FieldSchema | undefined,
  inner: string | undefined,
  before: unknown,
  wanted: unknown,
  now: unknown,
): JsonMap {
  if (isMap(wanted) && isMap(now) && field?.replace !== true) {
    const changes = patchMap(inner, isMap(before) ? before : {}, wanted, now);
    if (Object.keys(changes).length === 0) return {};
    return { [name]: field?.retainKeys === true ? { ...changes, $retainKeys: Object.keys(wanted).sort() } : changes };
  }
  if (Array.isArray(wanted) && Array.isArray(now) && field?.merge === true) {
    const beforeList: readonly unknown[] = Array.isArray(before) ? before : [];
    return field.mergeKey === undefined
      ? patchSet(name, beforeList, wanted, now)
      : patchList(name, { key: field.mergeKey, inner, retainKeys: field.retainKeys === true }, beforeList, wanted, now);
  }
  return isEqual(wanted, now) ? {} : { [name]: wanted };
}

/** A list of plain values that counts as a set. */
function patchSet(
  name: string,
  before: readonly unknown[],
  wanted: readonly unknown[],
  now: readonly unknown[],
): JsonMap {
  const added = wanted.filter((value) => !now.includes(value));
  const removed = before.filter((value) => !wanted.includes(value));
  return {
    ...(added.length === 0 ? {} : { [name]: added }),
    ...(removed.length === 0 ? {} : { [`$deleteFromPrimitiveList/${name}`]: removed }),
    ...(added.length + removed.length === 0 ? {} : { [`$setElementOrder/${name}`]: wanted }),
  };
}

interface ListRule {
  readonly key: string;
  readonly inner: string | undefined;
  readonly retainKeys: boolean;
}

/** A list whose elements are told apart by a key. */
function patchList(
  name: string,
  rule: ListRule,
  before: readonly unknown[],
  wanted: readonly unknown[],
  now: readonly unknown[],
): JsonMap {
  const byKey = (list: readonly unknown[], value: unknown): JsonMap | undefined =>
    list.find((item): item is JsonMap => isMap(item) && item[rule.key] === value);
  const changed: JsonMap[] = [];
  for (const item of wanted) {
    if (!isMap(item)) continue;
    const value = item[rule.key];
    const found = byKey(now, value);
    if (found === undefined) {
      changed.push(item);
      continue;
    }
    const changes = patchMap(rule.inner, byKey(before, value) ?? {}, item, found);
    if (Object.keys(changes).length === 0) continue;
    const retained = rule.retainKeys ? { $retainKeys: Object.keys(item).sort() } : {};
    changed.push({ ...retained, ...changes, [rule.key]: value });
  }
  const removed = before
    .filter((item): item is JsonMap => isMap(item) && byKey(wanted, item[rule.key]) === undefined)
    .map((item) => ({ $patch: 'delete', [rule.key]: item[rule.key] }));
  if (changed.length + removed.length === 0) return {};
  const order = wanted.filter(isMap).map((item) => ({ [rule.key]: item[rule.key] }));
  return { [`$setElementOrder/${name}`]: order, [name]: [...changed, ...removed] };
}

function isMap(value: unknown): value is JsonMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether two JSON values say the same; an order of keys does not matter. */
export function isEqual(a: unknown, b: unknown): boolean {
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((item, index) => isEqual(item, b[index]));
  if (!isMap(a) || !isMap(b)) return a === b;
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length && names.every((name) => Object.hasOwn(b, name) && isEqual(a[name], b[name]))
  );
}
