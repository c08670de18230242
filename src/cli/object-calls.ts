import type { KubernetesObject, ResourceType } from '../api/resources.ts';
import { apiVersionOf } from '../api/resources.ts';
import { ageOf } from '../api/age.ts';
import { goQuote } from '../api/go-text.ts';
import { fromStatus } from '../api/status.ts';
import { bodyLines, bodyText, parseJson } from '../client/answer.ts';
import { resourcePath } from '../client/request.ts';
import { StatusError } from '../base/status-error.ts';
import type { ApiConnection } from './api-connection.ts';
import type { Table } from './printers/table-printer.ts';
import { fieldOf, itemsOf, textOf } from './resource-types.ts';

/** An object as the server sent it. */
export type WireObject = KubernetesObject & Readonly<Record<string, unknown>>;

export interface Selectors {
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
}

export interface Place {
  readonly type: ResourceType;
  readonly namespace?: string;
  readonly name?: string;
  readonly subresource?: string;
}

const tableTypes =
  'application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json';

export function pathOf(place: Place): string {
  const { type, namespace, name, subresource } = place;
  return resourcePath(type, {
    ...(namespace === undefined ? {} : { namespace }),
    ...(name === undefined ? {} : { name }),
    ...(subresource === undefined ? {} : { subresource }),
  });
}

export async function getObject(connection: ApiConnection, place: Place, signal: AbortSignal): Promise<WireObject> {
  const response = await connection.send('GET', pathOf(place), { headers: { accept: 'application/json' } }, signal);
  return asObject(parseJson(await bodyText(response.body)), place.type);
}

/** All pages of a list. `chunkSize` 0: in one. */
export async function listObjects(
  connection: ApiConnection,
  place: Place,
  selectors: Selectors,
  chunkSize: number,
  signal: AbortSignal,
): Promise<{ readonly items: readonly WireObject[]; readonly resourceVersion: string }> {
  const items: WireObject[] = [];
  let resourceVersion = '';
  for await (const page of pages(connection, place, selectors, { chunkSize, accept: 'application/json' }, signal)) {
    items.push(...itemsOf(page, 'items').map((item) => asObject(item, place.type)));
    resourceVersion = textOf(fieldOf(page, 'metadata'), 'resourceVersion');
  }
  return { items, resourceVersion };
}

export interface TablePage {
  readonly table: Table;
  readonly resourceVersion: string;
}

/** One object, or all pages of a list, as the server's own tables. `fullObjects`: rows carry the whole object. */
export async function* getTables(
  connection: ApiConnection,
  place: Place,
  selectors: Selectors,
  options: { readonly chunkSize: number; readonly fullObjects: boolean; readonly nowMs: number },
  signal: AbortSignal,
): AsyncIterable<TablePage> {
  const all = {
    chunkSize: place.name === undefined ? options.chunkSize : 0,
    accept: tableTypes,
    full: options.fullObjects,
  };
  for await (const page of pages(connection, place, selectors, all, signal)) {
    yield {
      table: asTable(page, options.nowMs),
      resourceVersion: textOf(fieldOf(page, 'metadata'), 'resourceVersion'),
    };
  }
}

async function* pages(
  connection: ApiConnection,
  place: Place,
  selectors: Selectors,
  options: { readonly chunkSize: number; readonly accept: string; readonly full?: boolean },
  signal: AbortSignal,
): AsyncIterable<unknown> {
  const query = selectorQuery(selectors);
  if (options.full === true) query.set('includeObject', 'Object');
  if (options.chunkSize > 0) query.set('limit', String(options.chunkSize));
  let token = '';
  do {
    if (token !== '') query.set('continue', token);
    const page = await onePage(connection, place, selectors, query, options.accept, signal);
    yield page;
    token = place.name === undefined ? textOf(fieldOf(page, 'metadata'), 'continue') : '';
  } while (token !== '');
}

async function onePage(
  connection: ApiConnection,
  place: Place,
  selectors: Selectors,
  query: URLSearchParams,
  accept: string,
  signal: AbortSignal,
): Promise<unknown> {
  try {
    const response = await connection.send('GET', pathOf(place), { query, headers: { accept } }, signal);
    return parseJson(await bodyText(response.body));
  } catch (error) {
    throw place.name === undefined ? listError(error, place.type, selectors) : error;
  }
}

/** The error of a list says what was to be listed. Upstream: `EnhanceListError`. */
function listError(error: unknown, type: ResourceType, { labelSelector = '', fieldSelector = '' }: Selectors): unknown {
  if (!(error instanceof StatusError) || (error.reason !== 'BadRequest' && error.reason !== 'NotFound')) return error;
  const subject = goQuote(`${type.group}/${type.version}, Resource=${type.resource}`);
  const what =
    labelSelector === '' && fieldSelector === ''
      ? `Unable to list ${subject}`
      : `Unable to find ${subject} that match label selector ${goQuote(labelSelector)}, field selector ${goQuote(fieldSelector)}`;
  const message = `${what}: ${error.message}`;
  return error.details === undefined
    ? new StatusError(error.reason, message, { cause: error })
    : new StatusError(error.reason, message, { cause: error, details: error.details });
}

export interface RawWatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: unknown;
}

/** Changes after `resourceVersion`, as tables or whole objects; ends when the server ends it or `signal` aborts. */
export async function* watchRaw(
  connection: ApiConnection,
  place: Place,
  selectors: Selectors,
  options: { readonly resourceVersion: string; readonly asTables: boolean },
  signal: AbortSignal,
): AsyncIterable<RawWatchEvent> {
  const query = selectorQuery(selectors);
  query.set('watch', 'true');
  if (options.resourceVersion !== '') query.set('resourceVersion', options.resourceVersion);
  const accept = options.asTables ? tableTypes : 'application/json';
  const response = await connection.send('GET', pathOf(place), { query, headers: { accept } }, signal);
  for await (const line of bodyLines(response.body)) {
    const event = parseJson(line);
    const type = textOf(event, 'type');
    const object = fieldOf(event, 'object');
    if (type === 'ERROR') throw fromStatus(object);
    if (type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED') yield { type, object };
  }
}

function selectorQuery({ labelSelector, fieldSelector }: Selectors): URLSearchParams {
  const query = new URLSearchParams();
  if (labelSelector !== undefined && labelSelector !== '') query.set('labelSelector', labelSelector);
  if (fieldSelector !== undefined && fieldSelector !== '') query.set('fieldSelector', fieldSelector);
  return query;
}

/** Items of a list come without kind and apiVersion; kubectl puts them back, and so do we. */
function asObject(value: unknown, type: ResourceType): WireObject {
  if (typeof value !== 'object' || value === null) {
    throw new StatusError('InternalError', 'the server answered something that is no object');
  }
  return { apiVersion: apiVersionOf(type), kind: type.kind, ...value };
}

/** A server that knows no tables sends the object, or the list: then name and age are shown. */
export function asTable(value: unknown, nowMs: number): Table {
  if (textOf(value, 'kind') === 'Table') {
    return {
      // A Table's columns and rows are as its API says; cells are printed whatever they are.
      columnDefinitions: itemsOf(value, 'columnDefinitions') as Table['columnDefinitions'],
      // See above.
      rows: itemsOf(value, 'rows') as Table['rows'],
    };
  }
  const objects = Array.isArray(fieldOf(value, 'items')) ? itemsOf(value, 'items') : [value];
  return {
    columnDefinitions: [{ name: 'Name' }, { name: 'Age' }],
    rows: objects.map((object) => {
      const metadata = fieldOf(object, 'metadata');
      const shown = { name: textOf(metadata, 'name'), namespace: textOf(metadata, 'namespace') };
      return { cells: [shown.name, ageOf(textOf(metadata, 'creationTimestamp'), nowMs)], object: { metadata: shown } };
    }),
  };
}
