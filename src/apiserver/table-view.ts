/** Objects as the rows that `kubectl get` prints. */
import type { ResourceType } from '../api/resources.ts';
import type { Clock } from '../base/clock.ts';
import { StatusError } from '../base/status-error.ts';
import type { FullObject } from './stored-object.ts';

/** What a row carries of its object besides the cells. */
type IncludeObject = 'None' | 'Metadata' | 'Object';

export interface TableMaker {
  /** `withColumns`: a watch names the columns only once. */
  table(
    type: ResourceType,
    objects: readonly FullObject[],
    metadata: Readonly<Record<string, unknown>>,
    withColumns: boolean,
  ): object;
}

/** `includeObject`: as in the query; absent means `Metadata`. */
export function tableMaker(includeObject: string | null, clock: Clock): TableMaker {
  const include = parseInclude(includeObject);
  return {
    table: (_type, objects, metadata, withColumns) => ({
      kind: 'Table',
      apiVersion: 'meta.k8s.io/v1',
      metadata,
      columnDefinitions: withColumns ? [] : [],
      rows: objects.map((object) => ({
        cells: [object.metadata.name, clock.wallMs()],
        object: rowObject(object, include),
      })),
    }),
  };
}

function rowObject(object: FullObject, include: IncludeObject): object | null {
  if (include === 'None') return null;
  if (include === 'Object') return object;
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata };
}

function parseInclude(text: string | null): IncludeObject {
  if (text === null || text === '' || text === 'Metadata') return 'Metadata';
  if (text === 'None' || text === 'Object') return text;
  throw new StatusError('BadRequest', `unrecognized includeObject value: ${JSON.stringify(text)}`);
}
