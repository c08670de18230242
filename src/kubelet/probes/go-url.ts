/**
 * URLs as Go's `net/url` reads and writes them, which differs from the WHATWG rules of JavaScript's `URL` in what probes
 * can see: escapes are kept, dots and empty segments of a path are kept, and bad escapes are an error.
 * Parts are held as "byte strings": one character (0-255) per byte of UTF-8; what is exported takes and gives text.
 */
export interface GoUrl {
  readonly scheme: string;
  readonly opaque: string;
  readonly user: { readonly name: string; readonly password: string | undefined } | undefined;
  /** With the port, decoded. */
  readonly host: string;
  /** Decoded. */
  readonly path: string;
  /** The path as it was written, where that is not how `path` would be written; else empty. */
  readonly rawPath: string;
  readonly forceQuery: boolean;
  readonly rawQuery: string;
  /** Decoded. */
  readonly fragment: string;
  readonly rawFragment: string;
}

export type ParsedUrl = { readonly url: GoUrl } | { readonly error: string };

type Mode = 'path' | 'host' | 'zone' | 'userinfo' | 'fragment';

const noUrl: GoUrl = {
  scheme: '',
  opaque: '',
  user: undefined,
  host: '',
  path: '',
  rawPath: '',
  forceQuery: false,
  rawQuery: '',
  fragment: '',
  rawFragment: '',
};

class UrlSyntaxError extends Error {
  override readonly name = 'UrlSyntaxError';
}

/** Go's `url.Parse`. The error's text is the whole of it: `parse "TEXT": WHY`. */
export function parseGoUrl(text: string): ParsedUrl {
  const bytes = toBytes(text);
  try {
    const [beforeFragment, fragment] = cut(bytes, '#');
    const url = parseWithoutFragment(beforeFragment);
    return { url: fragment === undefined ? url : { ...url, ...decoded('fragment', fragment) } };
  } catch (error) {
    if (error instanceof UrlSyntaxError) return { error: `parse ${quoteBytes(bytes)}: ${error.message}` };
    throw error;
  }
}

/** A URL that is nothing but this literal path. */
export function literalPathUrl(path: string): GoUrl {
  return { ...noUrl, path: toBytes(path) };
}

/** Go's `URL.String`. */
export function goUrlText(url: GoUrl): string {
  let text = url.scheme === '' ? '' : `${url.scheme}:`;
  if (url.opaque === '') text += goUrlTextHierarchy(url, text === '');
  else text += url.opaque;
  if (url.forceQuery || url.rawQuery !== '') text += `?${url.rawQuery}`;
  if (url.fragment !== '') text += `#${escapedOr(url.rawFragment, url.fragment, 'fragment')}`;
  return toText(text);
}

function goUrlTextHierarchy(url: GoUrl, isFirst: boolean): string {
  let text = '';
  if (url.host !== '' || url.user !== undefined || (url.scheme !== '' && url.path !== '')) {
    text += '//';
    if (url.user !== undefined) text += `${userText(url.user)}@`;
    text += escape(url.host, 'host');
  }
  const path = escapedOr(url.rawPath, url.path, 'path');
  if (path !== '' && !path.startsWith('/') && url.host !== '') text += '/';
  if (isFirst && text === '' && (path.split('/', 1)[0] ?? '').includes(':')) text += './';
  return text + path;
}

function userText(user: { readonly name: string; readonly password: string | undefined }): string {
  const name = escape(user.name, 'userinfo');
  return user.password === undefined ? name : `${name}:${escape(user.password, 'userinfo')}`;
}

/** As in messages: a password is shown as `***`. */
export function goUrlTextForPeople(url: GoUrl): string {
  if (url.user?.password === undefined) return goUrlText(url);
  const withMark = { ...url, user: { name: url.user.name, password: '\u0000' } };
  return goUrlText(withMark).replace('%00@', '***@');
}

/** What goes on the request line. Go's `URL.RequestURI`. */
export function requestTarget(url: GoUrl): string {
  let target = url.opaque;
  if (target === '') target = escapedOr(url.rawPath, url.path, 'path') || '/';
  else if (target.startsWith('//')) target = `${url.scheme}:${target}`;
  if (url.forceQuery || url.rawQuery !== '') target += `?${url.rawQuery}`;
  return toText(target);
}

/** The host without port and brackets. */
export function hostnameOf(url: GoUrl): string {
  const close = url.host.indexOf(']');
  if (url.host.startsWith('[') && close > 0) return toText(url.host.slice(1, close));
  const colon = url.host.indexOf(':');
  return toText(colon < 0 ? url.host : url.host.slice(0, colon));
}

/** The port as written, else the scheme's. */
export function portOf(url: GoUrl): number {
  const colon = url.host.lastIndexOf(':');
  const port = colon > url.host.lastIndexOf(']') ? url.host.slice(colon + 1) : '';
  if (port === '') return url.scheme === 'https' ? 443 : 80;
  return Number(port);
}

/** The host as it was put into the URL, e.g. `10.0.0.1:8080`. */
export function hostTextOf(url: GoUrl): string {
  return toText(url.host);
}

/** The same URL at `host` (which has its port and brackets), with another scheme. */
export function withHost(url: GoUrl, scheme: string, host: string): GoUrl {
  return { ...url, scheme, host: toBytes(host) };
}

/** Go's `URL.Parse`: `reference` as seen from `base`. */
export function resolveGoUrl(base: GoUrl, reference: string): ParsedUrl {
  const parsed = parseGoUrl(reference);
  if ('error' in parsed) return parsed;
  const ref = parsed.url;
  const scheme = ref.scheme === '' ? base.scheme : ref.scheme;
  const refPath = escapedOr(ref.rawPath, ref.path, 'path');
  if (ref.scheme !== '' || ref.host !== '' || ref.user !== undefined) {
    return { url: { ...ref, scheme, ...decoded('path', withoutDots(refPath, '')) } };
  }
  if (ref.opaque !== '') return { url: { ...ref, scheme, user: undefined, host: '', path: '' } };
  const isEmpty = ref.path === '' && !ref.forceQuery && ref.rawQuery === '';
  const fragmentOf = isEmpty && ref.fragment === '' ? base : ref;
  const path = withoutDots(escapedOr(base.rawPath, base.path, 'path'), refPath);
  return {
    url: {
      ...ref,
      scheme,
      host: base.host,
      user: base.user,
      rawQuery: isEmpty ? base.rawQuery : ref.rawQuery,
      fragment: fragmentOf.fragment,
      rawFragment: fragmentOf.rawFragment,
      ...decoded('path', path),
    },
  };
}

/** Whether the reference names a scheme itself. */
export function isAbsoluteReference(reference: string): boolean {
  const parsed = parseGoUrl(reference);
  return 'url' in parsed && parsed.url.scheme !== '';
}

function parseWithoutFragment(bytes: string): GoUrl {
  // oxlint-disable-next-line no-control-regex -- control bytes are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(bytes)) throw new UrlSyntaxError('net/url: invalid control character in URL');
  if (bytes === '*') return { ...noUrl, path: '*' };
  const [scheme, afterScheme] = cutScheme(bytes);
  const forceQuery = afterScheme.endsWith('?') && afterScheme.indexOf('?') === afterScheme.length - 1;
  const [rest, rawQuery = ''] = cut(afterScheme, '?');
  const query = { scheme, forceQuery, rawQuery };
  if (!rest.startsWith('/')) {
    if (scheme !== '') return { ...noUrl, ...query, opaque: rest };
    if ((rest.split('/', 1)[0] ?? '').includes(':')) {
      throw new UrlSyntaxError('first path segment in URL cannot contain colon');
    }
  }
  if (rest.startsWith('//') && (scheme !== '' || !rest.startsWith('///'))) {
    const slash = rest.indexOf('/', 2);
    const authority = parseAuthority(slash < 0 ? rest.slice(2) : rest.slice(2, slash));
    return { ...noUrl, ...query, ...authority, ...decoded('path', slash < 0 ? '' : rest.slice(slash)) };
  }
  return { ...noUrl, ...query, ...decoded('path', rest) };
}

function cutScheme(bytes: string): readonly [scheme: string, rest: string] {
  if (bytes.startsWith(':')) throw new UrlSyntaxError('missing protocol scheme');
  const match = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(bytes);
  const scheme = match?.[1];
  return scheme === undefined ? ['', bytes] : [scheme.toLowerCase(), bytes.slice(scheme.length + 1)];
}

function parseAuthority(authority: string): Pick<GoUrl, 'host' | 'user'> {
  const at = authority.lastIndexOf('@');
  const host = parseHost(authority.slice(at + 1));
  if (at < 0) return { host, user: undefined };
  const userinfo = authority.slice(0, at);
  if (!/^[A-Za-z0-9\-._:~!$&'()*+,;=%@]*$/.test(userinfo)) throw new UrlSyntaxError('net/url: invalid userinfo');
  const [name, password] = cut(userinfo, ':');
  return {
    host,
    user: {
      name: unescape(name, 'userinfo'),
      password: password === undefined ? undefined : unescape(password, 'userinfo'),
    },
  };
}

function parseHost(host: string): string {
  if (!host.startsWith('[')) {
    const colon = host.lastIndexOf(':');
    if (colon >= 0) parseHostCheckPort(host.slice(colon));
    return unescape(host, 'host');
  }
  const close = host.lastIndexOf(']');
  if (close < 0) throw new UrlSyntaxError("missing ']' in host");
  parseHostCheckPort(host.slice(close + 1));
  const zone = host.slice(0, close).indexOf('%25');
  if (zone < 0) return unescape(host, 'host');
  return unescape(host.slice(0, zone), 'host') + unescape(host.slice(zone, close), 'zone') + host.slice(close);
}

function parseHostCheckPort(colonPort: string): void {
  if (!/^(:[0-9]*)?$/.test(colonPort)) throw new UrlSyntaxError(`invalid port ${quoteBytes(colonPort)} after host`);
}

/** Path or fragment from how it was written. */
function decoded(mode: 'path', written: string): Pick<GoUrl, 'path' | 'rawPath'>;
function decoded(mode: 'fragment', written: string): Pick<GoUrl, 'fragment' | 'rawFragment'>;
function decoded(mode: 'path' | 'fragment', written: string): Partial<GoUrl> {
  const plain = unescape(written, mode);
  const raw = escape(plain, mode) === written ? '' : written;
  return mode === 'path' ? { path: plain, rawPath: raw } : { fragment: plain, rawFragment: raw };
}

function unescape(bytes: string, mode: Mode): string {
  if (mode === 'host' || mode === 'zone') {
    for (const char of bytes) {
      if (char < '\u0080' && char !== '%' && needsEscape(char, mode)) {
        throw new UrlSyntaxError(`invalid character ${quoteBytes(char)} in host name`);
      }
    }
  }
  return bytes.replace(/%(?:[0-9A-Fa-f]{2}|.{0,2})/gs, (found) => {
    const isHex = /^%[0-9A-Fa-f]{2}$/.test(found);
    // A host may carry escapes of non-ASCII bytes only, and the mark of a zone.
    if (!isHex || (mode === 'host' && found < '%8' && found !== '%25')) {
      throw new UrlSyntaxError(`invalid URL escape ${quoteBytes(found)}`);
    }
    return String.fromCharCode(Number.parseInt(found.slice(1), 16));
  });
}

function escape(bytes: string, mode: Mode): string {
  let escaped = '';
  for (const char of bytes) {
    escaped += needsEscape(char, mode) ? `%${hexOf(char)}` : char;
  }
  return escaped;
}

function hexOf(char: string): string {
  return char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0');
}

const plainChars = {
  path: /[A-Za-z0-9\-_.~$&+,/:;=@]/,
  host: /[A-Za-z0-9\-_.~!$&'()*+,;=:[\]<>"]/,
  zone: /[A-Za-z0-9\-_.~!$&'()*+,;=:[\]<>"]/,
  userinfo: /[A-Za-z0-9\-_.~$&+,;=]/,
  fragment: /[A-Za-z0-9\-_.~$&+,/:;=?@!()*]/,
} as const satisfies Record<Mode, RegExp>;

function needsEscape(char: string, mode: Mode): boolean {
  return !plainChars[mode].test(char);
}

const validWritten = {
  path: /^[A-Za-z0-9\-_.~$&+,/:;=@!'()*[\]%]*$/,
  fragment: /^[A-Za-z0-9\-_.~$&+,/:;=?@!'()*[\]%]*$/,
} as const;

/** As it was written where that is a fair way to write it, else escaped anew. */
function escapedOr(raw: string, plain: string, mode: 'path' | 'fragment'): string {
  if (raw !== '' && validWritten[mode].test(raw)) return raw;
  return plain === '*' && mode === 'path' ? plain : escape(plain, mode);
}

function withoutDots(basePath: string, refPath: string): string {
  let full = refPath;
  if (refPath === '') full = basePath;
  else if (!refPath.startsWith('/')) full = basePath.slice(0, basePath.lastIndexOf('/') + 1) + refPath;
  if (full === '') return '';
  const kept: string[] = [];
  const segments = full.split('/');
  for (const segment of segments) {
    if (segment === '..') kept.pop();
    else if (segment !== '.') kept.push(segment);
  }
  const last = segments.at(-1);
  if (last === '.' || last === '..') kept.push('');
  // A leading empty segment is the path's own slash; the result has exactly one in front.
  const joined = `/${kept.join('/')}`;
  return joined.startsWith('//') ? joined.slice(1) : joined;
}

function cut(bytes: string, separator: string): readonly [before: string, after: string | undefined] {
  const index = bytes.indexOf(separator);
  return index < 0 ? [bytes, undefined] : [bytes.slice(0, index), bytes.slice(index + 1)];
}

function quoteBytes(bytes: string): string {
  // oxlint-disable-next-line no-control-regex -- everything but printable ASCII is written as an escape
  const escaped = toText(bytes).replace(/[\u0000-\u001f"\\\u007f]/g, (char) => {
    if (char === '"' || char === '\\') return `\\${char}`;
    return `\\x${hexOf(char).toLowerCase()}`;
  });
  return `"${escaped}"`;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function toBytes(text: string): string {
  if (!/[^\u0000-\u007f]/.test(text)) return text; // oxlint-disable-line no-control-regex -- ASCII is its own bytes
  let bytes = '';
  for (const byte of encoder.encode(text)) bytes += String.fromCharCode(byte);
  return bytes;
}

function toText(bytes: string): string {
  if (!/[^\u0000-\u007f]/.test(bytes)) return bytes; // oxlint-disable-line no-control-regex -- ASCII is its own bytes
  return decoder.decode(Uint8Array.from(bytes, (char) => char.charCodeAt(0)));
}
