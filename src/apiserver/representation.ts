/** How objects are written into answers: whole or only their metadata, as JSON, YAML or protobuf. */
import type { ListMeta } from '../api/gen/types.ts';
import { apiVersionOf } from '../api/resources.ts';
import type { ResourceType } from '../api/resources.ts';
import type { HttpResponse } from '../base/http.ts';
import type { KeyValue } from '../store/store.ts';
import type { Page } from './list.ts';
import type { Accepted, Encoding } from './negotiate.ts';
import { mediaTypeOf } from './negotiate.ts';
import type { BodyCodecs } from './request-body.ts';
import type { Served } from './served.ts';
import { StoredObject, itemText, objectText, wireHead } from './stored-object.ts';
import type { FullObject } from './stored-object.ts';
import type { TableMaker } from './table-view.ts';
import type { WatchEncoder, WatchEventType } from './watch-stream.ts';

/** Writes the objects of one kind in one way. */
export interface Representation {
  /** Of an answer that is one object or list. */
  readonly contentType: string;
  /** Of a watch. */
  readonly watchContentType: string;
  object(stored: StoredObject): string | Uint8Array;
  list(page: Page): string | Uint8Array;
  watch(): WatchEncoder;
}

/** Whole objects as JSON: stored text is copied, not parsed. */
export function jsonObjects(served: Served): Representation {
  const { type, conversion, registry } = served;
  const apiVersion = apiVersionOf(type);
  const head = wireHead(type.kind, apiVersion);
  const text = (stored: StoredObject): string =>
    conversion === undefined
      ? objectText(head, stored.value, stored.modRevision)
      : JSON.stringify(conversion.fromStored(stored.object));
  const item = (each: KeyValue): string =>
    conversion === undefined
      ? itemText(each.value, each.modRevision)
      : JSON.stringify({ ...conversion.fromStored(registry.cache.intern(each).object), ...noKind });
  return {
    contentType: 'application/json',
    watchContentType: 'application/json',
    object: text,
    list(page) {
      const items: string[] = [];
      for (const each of page.items) items.push(item(each));
      return `${listHead(`${type.kind}List`, apiVersion, page)}"items":[${items.join(',')}]}\n`;
    },
    watch: () => ({
      shareKey: `json/${apiVersion}`,
      line: (event, stored) => `{"type":"${event}","object":${text(stored)}}\n`,
      bookmark: (revision, initialEventsEnd) => bookmarkLine(type, revision, initialEventsEnd),
    }),
  };
}

const noKind = { kind: undefined, apiVersion: undefined } as const;

export function listMeta(page: Page): ListMeta {
  return {
    resourceVersion: String(page.revision),
    ...(page.continueToken === '' ? {} : { continue: page.continueToken }),
    ...(page.remainingItemCount === undefined ? {} : { remainingItemCount: page.remainingItemCount }),
  };
}

function listHead(kind: string, apiVersion: string, page: Page): string {
  return `${JSON.stringify({ kind, apiVersion, metadata: listMeta(page) }).slice(0, -1)},`;
}

const initialEventsEndAnnotation = 'k8s.io/initial-events-end';

export function bookmarkMeta(revision: number, initialEventsEnd: boolean): Record<string, unknown> {
  return {
    resourceVersion: String(revision),
    creationTimestamp: null,
    ...(initialEventsEnd ? { annotations: { [initialEventsEndAnnotation]: 'true' } } : {}),
  };
}

function bookmarkLine(type: ResourceType, revision: number, initialEventsEnd: boolean): string {
  const object = {
    kind: type.kind,
    apiVersion: apiVersionOf(type),
    metadata: bookmarkMeta(revision, initialEventsEnd),
  };
  return `{"type":"BOOKMARK","object":${JSON.stringify(object)}}\n`;
}

/** Writes values that were made for the answer, one by one. */
interface Views {
  object(stored: StoredObject): object;
  list(page: Page): object;
  /** `first`: nothing was sent on this watch before. */
  event(stored: StoredObject, first: boolean): object;
  bookmark(revision: number, initialEventsEnd: boolean): object;
}

function encodedValues(views: Views, shareKey: string | undefined): Representation {
  return {
    contentType: 'application/json',
    watchContentType: 'application/json',
    object: (stored) => JSON.stringify(views.object(stored)),
    list: (page) => JSON.stringify(views.list(page)),
    watch() {
      let first = true;
      const line = (type: WatchEventType, object: object): string => {
        first = false;
        return `{"type":"${type}","object":${JSON.stringify(object)}}\n`;
      };
      return {
        shareKey,
        line: (type, stored) => line(type, views.event(stored, first)),
        bookmark: (revision, end) => line('BOOKMARK', views.bookmark(revision, end)),
      };
    },
  };
}

const metaApiVersion = 'meta.k8s.io/v1';

/** Only the metadata. Upstream: `PartialObjectMetadata`. */
function partialObjects(served: Served): Representation {
  const partial = (object: FullObject): object => ({
    kind: 'PartialObjectMetadata',
    apiVersion: metaApiVersion,
    metadata: object.metadata,
  });
  return encodedValues(
    {
      object: (stored) => partial(stored.object),
      list: (page) => ({
        kind: 'PartialObjectMetadataList',
        apiVersion: metaApiVersion,
        metadata: listMeta(page),
        items: page.items.map((item) => partial(served.registry.cache.intern(item).object)),
      }),
      event: (stored) => partial(stored.object),
      bookmark: (revision, end) => ({
        kind: 'PartialObjectMetadata',
        apiVersion: metaApiVersion,
        metadata: bookmarkMeta(revision, end),
      }),
    },
    'partial',
  );
}

/** Rows of a table: they tell ages, so that each is made when it is sent. */
function tables(served: Served, maker: TableMaker): Representation {
  const { type, conversion, registry } = served;
  const shown = (stored: StoredObject): FullObject =>
    conversion === undefined ? stored.object : conversion.fromStored(stored.object);
  return encodedValues(
    {
      object: (stored) => maker.table(type, [shown(stored)], { resourceVersion: String(stored.modRevision) }, true),
      list: (page) =>
        maker.table(
          type,
          page.items.map((item) => shown(registry.cache.intern(item))),
          listMeta(page),
          true,
        ),
      event: (stored, first) =>
        maker.table(type, [shown(stored)], { resourceVersion: String(stored.modRevision) }, first),
      bookmark: (revision, end) => ({
        ...maker.table(type, [], {}, false),
        metadata: bookmarkMeta(revision, end),
      }),
    },
    undefined,
  );
}

export interface RepresentationOptions {
  readonly accepted: Accepted;
  readonly codecs: BodyCodecs;
  readonly tableMaker: TableMaker;
}

export function representationOf(served: Served, options: RepresentationOptions): Representation {
  const { view, encoding } = options.accepted;
  const json =
    view === 'table'
      ? tables(served, options.tableMaker)
      : view === 'partial'
        ? partialObjects(served)
        : jsonObjects(served);
  return encoding === 'json' ? json : recoded(json, encoding, served.type, options.codecs);
}

/** Another encoding of what the JSON says. */
function recoded(json: Representation, encoding: Encoding, type: ResourceType, codecs: BodyCodecs): Representation {
  const encode = (body: string | Uint8Array, model: string): string | Uint8Array => {
    if (typeof body !== 'string') return body;
    // It was made by `JSON.stringify` from an object.
    const value = JSON.parse(body) as object;
    if (encoding === 'yaml' && codecs.yaml !== undefined) return codecs.yaml.stringify(value);
    if (encoding === 'protobuf' && codecs.protobuf !== undefined) return codecs.protobuf.encode(model, value);
    return body;
  };
  return {
    ...json,
    contentType: mediaTypeOf(encoding),
    object: (stored) => encode(json.object(stored), type.model),
    list: (page) => encode(json.list(page), `${type.model}List`),
  };
}

/** Text for people who read it in a terminal or a browser. */
export function prettyJson(response: HttpResponse): HttpResponse {
  if (typeof response.body !== 'string' || response.headers['content-type'] !== 'application/json') return response;
  return { ...response, body: `${JSON.stringify(JSON.parse(response.body), null, 2)}\n` };
}
