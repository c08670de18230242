import { models } from '../gen/models.ts';
import type { FieldSchema, ModelSchema, ModelTable } from '../schema.ts';

/** A field of a protobuf message: one of the model's, or a nested message whose fields JSON has inlined. */
export type MessageField =
  | { readonly kind: 'field'; readonly tag: number; readonly name: string; readonly schema: FieldSchema }
  | { readonly kind: 'inlined'; readonly tag: number; readonly shape: MessageShape };

export interface MessageShape {
  /** Ascending tags. */
  readonly fields: readonly MessageField[];
  readonly byTag: ReadonlyMap<number, MessageField>;
}

const table: ModelTable = models;
const shapes = new Map<string, MessageShape>();
const listSuffix = 'List';

/** Lists and partial objects are no models of their own. */
function schemaOf(model: string): ModelSchema {
  const known = table[model];
  if (known !== undefined) return known;
  if (model === 'PartialObjectMetadata') {
    return { metadata: { type: 'ObjectMeta', shape: 'one', tag: 1 } };
  }
  if (model.endsWith(listSuffix)) {
    return {
      metadata: { type: 'ListMeta', shape: 'one', tag: 1 },
      items: { type: model.slice(0, -listSuffix.length), shape: 'list', required: true, tag: 2 },
    };
  }
  return {};
}

export function isModel(type: string): boolean {
  return table[type] !== undefined || type === 'PartialObjectMetadata';
}

function shapeFrom(fields: MessageField[]): MessageShape {
  fields.sort((a, b) => a.tag - b.tag);
  return { fields, byTag: new Map(fields.map((field) => [field.tag, field])) };
}

/** The message of a model, of `PartialObjectMetadata`, or of the list of either (`PodList`). */
export function shapeOf(model: string): MessageShape {
  const known = shapes.get(model);
  if (known !== undefined) return known;
  const fields: MessageField[] = [];
  const inlined = new Map<number, MessageField[]>();
  for (const [name, schema] of Object.entries(schemaOf(model))) {
    const { tag, inside } = schema;
    if (tag === undefined) continue; // apiVersion and kind travel in the envelope
    const field: MessageField = { kind: 'field', tag, name, schema };
    if (inside === undefined) fields.push(field);
    else inlined.set(inside, [...(inlined.get(inside) ?? []), field]);
  }
  for (const [tag, inner] of inlined) fields.push({ kind: 'inlined', tag, shape: shapeFrom(inner) });
  const shape = shapeFrom(fields);
  shapes.set(model, shape);
  return shape;
}
