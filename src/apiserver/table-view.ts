/** Objects as the rows that `kubectl get` prints. */
import type { ListMeta } from '../api/gen/types.ts';
import type { ResourceType } from '../api/resources.ts';
import { tableOf } from '../api/tables.ts';
import type { Clock } from '../base/clock.ts';
import { StatusError } from '../base/status-error.ts';
import type { FullObject } from './stored-object.ts';

export interface TableMaker {
  /** `withColumns`: a watch names the columns only once. */
  table(type: ResourceType, objects: readonly FullObject[], metadata: ListMeta, withColumns: boolean): object;
}

/** `includeObject`: as in the query; absent means `Metadata`. */
export function tableMaker(includeObject: string | null, clock: Clock): TableMaker {
  const include = parseInclude(includeObject);
  return {
    table: (type, objects, metadata, withColumns) =>
      tableOf(type, objects, clock.wallMs(), { includeObject: include, includeColumns: withColumns, metadata }),
  };
}

function parseInclude(text: string | null): 'None' | 'Metadata' | 'Object' {
  if (text === null || text === '' || text === 'Metadata') return 'Metadata';
  if (text === 'None' || text === 'Object') return text;
  throw new StatusError('BadRequest', `unrecognized includeObject value: ${JSON.stringify(text)}`);
}
