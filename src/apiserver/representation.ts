/** How objects are written into answers: whole or only their metadata, as JSON, YAML or protobuf. */
import type { ListMeta } from '../api/gen/types.ts';
import { encodeProtobuf, protobufWatchFrame } from '../api/protobuf/encode.ts';
import { apiVersionOf } from '../api/resources.ts';
import type { ResourceType } from '../api/resources.ts';
import { statusOf } from '../api/status.ts';
import type { HttpResponse } from '../base/http.ts';
import type { KeyValue } from '../store/store.ts';
import type { Page } from './list.ts';
import type { Accepted, Encoding } from './negotiate.ts';
import { mediaTypeOf } from './negotiate.ts';
import type { YamlCodec } from './request-body.ts';
import type { Served } from './served.ts';
import { itemText, objectText, wireHead } from './stored-object.ts';
import type { FullObject, StoredObject } from './stored-object.ts';
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
      error: (error) => jsonCodec.frame('ERROR', 'Status', statusOf(error)),
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

/** Makes the values that an answer shows, before they are encoded. */
interface Views {
  /** Name of the values in the field table; a list's has `List` after it. `undefined`: has no protobuf. */
  readonly model: string | undefined;
  object(stored: StoredObject): object;
  list(page: Page): object;
  /** `first`: nothing was sent on this watch before. */
  event(stored: StoredObject, first: boolean): object;
  bookmark(revision: number, initialEventsEnd: boolean): object;
  /** See `WatchEncoder`. */
  readonly shareKey: string | undefined;
}

interface Codec {
  readonly contentType: string;
  readonly watchContentType: string;
  encode(model: string, value: object): string | Uint8Array;
  frame(type: WatchEventType, model: string, value: object): string | Uint8Array;
}

const jsonCodec: Codec = {
  contentType: mediaTypeOf('json'),
  watchContentType: mediaTypeOf('json'),
  encode: (_model, value) => JSON.stringify(value),
  frame: (type, _model, value) => `{"type":"${type}","object":${JSON.stringify(value)}}\n`,
};

const protobufCodec: Codec = {
  contentType: mediaTypeOf('protobuf'),
  watchContentType: `${mediaTypeOf('protobuf')};stream=watch`,
  encode: encodeProtobuf,
  frame: (type, model, value) => protobufWatchFrame(type, encodeProtobuf(model, value)),
};

/** Watches are JSON, whatever the rest is. */
function yamlCodec(yaml: YamlCodec): Codec {
  return { ...jsonCodec, contentType: mediaTypeOf('yaml'), encode: (_model, value) => yaml.stringify(value) };
}

function encoded(views: Views, codec: Codec): Representation {
  const model = views.model ?? '';
  return {
    contentType: codec.contentType,
    watchContentType: codec.watchContentType,
    object: (stored) => codec.encode(model, views.object(stored)),
    list: (page) => codec.encode(`${model}List`, views.list(page)),
    watch() {
      let first = true;
      const frame = (type: WatchEventType, value: object): string | Uint8Array => {
        first = false;
        return codec.frame(type, model, value);
      };
      return {
        shareKey: views.shareKey === undefined ? undefined : `${codec.watchContentType}/${views.shareKey}`,
        line: (type, stored) => frame(type, views.event(stored, first)),
        bookmark: (revision, end) => frame('BOOKMARK', views.bookmark(revision, end)),
        error: (error) => codec.frame('ERROR', 'Status', statusOf(error)),
      };
    },
  };
}

/** As stored, but in the version of the path. */
function wholeObjects(served: Served): Views {
  const { type, conversion, registry } = served;
  const apiVersion = apiVersionOf(type);
  const shown = (stored: StoredObject): FullObject =>
    conversion === undefined ? stored.object : conversion.fromStored(stored.object);
  return {
    model: type.model,
    shareKey: apiVersion,
    object: shown,
    list: (page) => ({
      kind: `${type.kind}List`,
      apiVersion,
      metadata: listMeta(page),
      items: page.items.map((item) => ({ ...shown(registry.cache.intern(item)), ...noKind })),
    }),
    event: shown,
    bookmark: (revision, end) => ({ kind: type.kind, apiVersion, metadata: bookmarkMeta(revision, end) }),
  };
}

const metaApiVersion = 'meta.k8s.io/v1';

/** Only the metadata. Upstream: `PartialObjectMetadata`. */
function partialObjects(served: Served): Views {
  const kind = 'PartialObjectMetadata';
  const partial = (stored: StoredObject): object => ({
    kind,
    apiVersion: metaApiVersion,
    metadata: stored.object.metadata,
  });
  return {
    model: kind,
    shareKey: kind,
    object: partial,
    list: (page) => ({
      kind: `${kind}List`,
      apiVersion: metaApiVersion,
      metadata: listMeta(page),
      items: page.items.map((item) => partial(served.registry.cache.intern(item))),
    }),
    event: partial,
    bookmark: (revision, end) => ({ kind, apiVersion: metaApiVersion, metadata: bookmarkMeta(revision, end) }),
  };
}

/** Rows of a table: they tell ages, so that each is made when it is sent. */
function tables(served: Served, maker: TableMaker): Views {
  const { type, conversion, registry } = served;
  const shown = (stored: StoredObject): FullObject =>
    conversion === undefined ? stored.object : conversion.fromStored(stored.object);
  const one = (stored: StoredObject, withColumns: boolean): object =>
    maker.table(type, [shown(stored)], { resourceVersion: String(stored.modRevision) }, withColumns);
  return {
    model: undefined,
    shareKey: undefined,
    object: (stored) => one(stored, true),
    list(page) {
      const objects = page.items.map((item) => shown(registry.cache.intern(item)));
      return maker.table(type, objects, listMeta(page), true);
    },
    event: one,
    bookmark: (revision, end) => ({ ...maker.table(type, [], {}, false), metadata: bookmarkMeta(revision, end) }),
  };
}

export interface RepresentationOptions {
  readonly accepted: Accepted;
  readonly yaml: YamlCodec | undefined;
  readonly tableMaker: TableMaker;
}

export function representationOf(served: Served, options: RepresentationOptions): Representation {
  const { view, encoding } = options.accepted;
  const views =
    view === 'table'
      ? tables(served, options.tableMaker)
      : view === 'partial'
        ? partialObjects(served)
        : wholeObjects(served);
  return encoded(views, codecOf(encoding, options.yaml));
}

/** Negotiation offers only what there is a codec for. */
function codecOf(encoding: Encoding, yaml: YamlCodec | undefined): Codec {
  if (encoding === 'protobuf') return protobufCodec;
  return encoding === 'yaml' && yaml !== undefined ? yamlCodec(yaml) : jsonCodec;
}

/** Text for people who read it in a terminal or a browser. */
export function prettyJson(response: HttpResponse): HttpResponse {
  if (typeof response.body !== 'string' || response.headers['content-type'] !== 'application/json') return response;
  return { ...response, body: `${JSON.stringify(JSON.parse(response.body), null, 2)}\n` };
}
