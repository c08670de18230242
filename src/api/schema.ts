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
  /** Anything. */
  | 'any';

export interface FieldSchema {
  /** A `ScalarType` or the name of another model. */
  readonly type: string;
  /** `map`: keys are strings. */
  readonly shape: 'one' | 'list' | 'map';
  readonly required?: true;
}

export type ModelSchema = Readonly<Record<string, FieldSchema>>;
export type ModelTable = Readonly<Record<string, ModelSchema>>;
