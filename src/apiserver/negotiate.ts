/** What the client accepts, and what its body is. */
import { StatusError } from '../base/status-error.ts';

export type Encoding = 'json' | 'yaml' | 'protobuf';
/** How an answer's objects are shown: whole, as table rows, or only their metadata. */
export type View = 'object' | 'table' | 'partial';

export interface Accepted {
  readonly encoding: Encoding;
  readonly view: View;
}

interface MediaRange {
  readonly type: string;
  readonly params: ReadonlyMap<string, string>;
  readonly quality: number;
}

const acceptCacheMax = 256;
const acceptedByHeader = new Map<string, readonly MediaRange[]>(); // bounded by acceptCacheMax; a pure function's memo

export interface AcceptOptions {
  /** Verbs on objects can be shown as tables and as metadata; others (discovery, subresources of text) not. */
  readonly views: boolean;
  readonly encodings: ReadonlySet<Encoding>;
}

/** The first acceptable representation of an `Accept` header; `NotAcceptable` if there is none. */
export function negotiate(header: string | undefined, options: AcceptOptions): Accepted {
  if (header === undefined || header === '' || header === '*/*' || header === 'application/json') {
    return { encoding: 'json', view: 'object' };
  }
  for (const range of parseAccept(header)) {
    const encoding = encodingOf(range.type);
    if (encoding === undefined || !options.encodings.has(encoding)) continue;
    const view = viewOf(range);
    if (view === undefined || (view !== 'object' && !options.views)) continue;
    if (view === 'table' && encoding === 'protobuf') continue; // upstream has none either
    return { encoding, view };
  }
  throw notAcceptable(options.encodings);
}

const mediaTypeByEncoding = {
  json: 'application/json',
  yaml: 'application/yaml',
  protobuf: 'application/vnd.kubernetes.protobuf',
} as const satisfies Record<Encoding, string>;

export function mediaTypeOf(encoding: Encoding): string {
  return mediaTypeByEncoding[encoding];
}

function notAcceptable(encodings: ReadonlySet<Encoding>): StatusError {
  const whole = [...encodings].map(mediaTypeOf);
  const streams = whole.filter((type) => type !== mediaTypeByEncoding.yaml).map((type) => `${type};stream=watch`);
  const available = [...whole, ...streams].join(', ');
  return new StatusError('NotAcceptable', `406: Not Acceptable\n\nAvailable representations: ${available}`, {
    details: {},
  });
}

function parseAccept(header: string): readonly MediaRange[] {
  const known = acceptedByHeader.get(header);
  if (known !== undefined) return known;
  const ranges = header.split(',').map(parseRange);
  ranges.sort((a, b) => b.quality - a.quality);
  if (acceptedByHeader.size >= acceptCacheMax) acceptedByHeader.clear();
  acceptedByHeader.set(header, ranges);
  return ranges;
}

function parseRange(text: string): MediaRange {
  const [type = '', ...rest] = text.split(';').map((part) => part.trim());
  const params = new Map<string, string>();
  let quality = 1;
  for (const param of rest) {
    const equals = param.indexOf('=');
    if (equals < 0) continue;
    const name = param.slice(0, equals).toLowerCase();
    const value = param.slice(equals + 1);
    if (name === 'q') quality = Number.isFinite(Number(value)) ? Number(value) : 1;
    else params.set(name, value);
  }
  return { type: type.toLowerCase(), params, quality };
}

function encodingOf(type: string): Encoding | undefined {
  switch (type) {
    case 'application/json':
    case 'application/*':
    case '*/*':
      return 'json';
    case 'application/yaml':
      return 'yaml';
    case 'application/vnd.kubernetes.protobuf':
      return 'protobuf';
    default:
      return undefined;
  }
}

/** `undefined`: asks for a conversion that we do not have. */
function viewOf(range: MediaRange): View | undefined {
  const as = range.params.get('as');
  if (as === undefined) return 'object';
  if (range.params.get('g') !== 'meta.k8s.io' || range.params.get('v') !== 'v1') return undefined;
  if (as === 'Table') return 'table';
  if (as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList') return 'partial';
  return undefined;
}

export type BodyFormat = 'json' | 'yaml' | 'protobuf';

/** The format of a request's body. Absent or empty: JSON. */
export function bodyFormat(contentType: string | undefined, formats: ReadonlySet<BodyFormat>): BodyFormat {
  const mediaType = mediaTypeOfHeader(contentType);
  const format =
    mediaType === ''
      ? 'json'
      : (['json', 'yaml', 'protobuf'] as const).find((each) => mediaTypeByEncoding[each] === mediaType);
  if (format !== undefined && formats.has(format)) return format;
  throw unsupportedMediaType([...formats].map(mediaTypeOf));
}

export type PatchFormat = 'json' | 'merge' | 'strategic' | 'apply';

const patchFormatByMediaType: Readonly<Record<string, PatchFormat>> = {
  'application/json-patch+json': 'json',
  'application/merge-patch+json': 'merge',
  'application/strategic-merge-patch+json': 'strategic',
  'application/apply-patch+yaml': 'apply',
};

export function patchFormat(contentType: string | undefined): PatchFormat {
  const format = patchFormatByMediaType[mediaTypeOfHeader(contentType)];
  if (format !== undefined) return format;
  throw unsupportedMediaType(Object.keys(patchFormatByMediaType));
}

function mediaTypeOfHeader(contentType: string | undefined): string {
  if (contentType === undefined) return '';
  const end = contentType.indexOf(';');
  return (end < 0 ? contentType : contentType.slice(0, end)).trim().toLowerCase();
}

export function unsupportedMediaType(accepted: readonly string[]): StatusError {
  return new StatusError(
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${accepted.join(', ')}`,
  );
}
