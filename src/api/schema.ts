/** The shape of the generated field tables (`gen/models.ts`). */

export type ScalarType =
  | 'string'
  | 'bool'
  | 'int32'
  | 'int64'
  | 'double'
  /** RFC 3339 in UTC with whole seconds: `2026-01-02T03:04:05Z`. */
  | 'time'
  /** The same with six decimals. */
  | 'microTime'
  /** Base64. */
  | 'bytes'
  | 'intOrString'
  | 'quantity'
  /** A list of strings inside a map: Go's `ExtraValue`. */
  | 'stringList'
  /** Anything. */
  | 'any';

export interface FieldSchema {
  /** A `ScalarType` or the name of another model. */
  readonly type: string;
  /** `map`: keys are strings. */
  readonly shape: 'one' | 'list' | 'map';
  readonly required?: true;
  /** Its type in Go, as decoding errors name it, where `goTypeOf` cannot tell. */
  readonly go?: string;
  /** In Go a pointer: zero (`0`, `''`, `false`, `{}`) differs from absent. */
  readonly pointer?: true;
  /** In Go `omitempty`: zero is left out. Without it (and not a pointer) zero is written. */
  readonly omitEmpty?: true;
  /** Written as `null` when unset, so that clients see the key. */
  readonly nullable?: true;
  /** Number in Kubernetes' protobuf encoding; absent: not part of it. */
  readonly tag?: number;
  /** Number of the nested message that holds it (in JSON its fields are inlined). */
  readonly inside?: number;
  /** Strategic merge: a list is merged (by `mergeKey`, or as a set of primitives). */
  readonly merge?: true;
  readonly mergeKey?: string;
  /** Strategic merge: an object is replaced as a whole, where others are merged. */
  readonly replace?: true;
  /** Strategic merge: obeys `$retainKeys`. */
  readonly retainKeys?: true;
}

export type ModelSchema = Readonly<Record<string, FieldSchema>>;
export type ModelTable = Readonly<Record<string, ModelSchema>>;

const goScalars: Readonly<Record<string, string>> = {
  string: 'string',
  bool: 'bool',
  int32: 'int32',
  int64: 'int64',
  double: 'float64',
  time: 'v1.Time',
  microTime: 'v1.MicroTime',
  bytes: '[]uint8',
  intOrString: 'intstr.IntOrString',
  quantity: 'resource.Quantity',
  stringList: 'v1.ExtraValue',
};

/** The Go type of a field's values as Go prints it: `[]v1.Container`. */
export function goTypeOf(field: FieldSchema): string {
  if (field.go !== undefined) return field.go;
  const element = goScalars[field.type] ?? `v1.${field.type}`;
  if (field.shape === 'list') return `[]${element}`;
  return field.shape === 'map' ? `map[string]${element}` : element;
}
