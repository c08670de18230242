import type { HTTPHeader } from '../../api/gen/types.ts';
import { goQuote } from './go-text.ts';
import { kubeProbeUserAgent } from './probe-outcome.ts';

/** Canonical names, each with its values in the order given. */
export type HeaderMap = ReadonlyMap<string, readonly string[]>;

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// oxlint-disable-next-line no-control-regex -- control characters but for the tab are what makes a value invalid
const invalidInValue = /[\u0000-\u0008\u000a-\u001f\u007f]/;
const validHost = /^[A-Za-z0-9!$%&()*+,\-.:;='[\]_~]*$/;

/** As Go does: `x-foo-bar` becomes `X-Foo-Bar`; what is not a header name stays as it is. */
export function canonicalHeaderName(name: string): string {
  if (!token.test(name)) return name;
  return name.toLowerCase().replace(/(^|-)([a-z])/g, (_, dash: string, letter: string) => dash + letter.toUpperCase());
}

/** The headers of a probe: the user's, with the defaults for User-Agent and Accept. An empty value switches those off. */
export function probeHeaders(given: readonly HTTPHeader[]): HeaderMap {
  const headers = new Map<string, readonly string[]>();
  for (const { name, value } of given) {
    const canonical = canonicalHeaderName(name);
    headers.set(canonical, [...(headers.get(canonical) ?? []), value]);
  }
  if (!headers.has('User-Agent')) headers.set('User-Agent', [kubeProbeUserAgent]);
  if (!headers.has('Accept')) headers.set('Accept', ['*/*']);
  else if (headers.get('Accept')?.[0] === '') headers.delete('Accept');
  return headers;
}

// Go's client writes these itself, or not at all.
const writtenApart: ReadonlySet<string> = new Set([
  'Host',
  'User-Agent',
  'Content-Length',
  'Transfer-Encoding',
  'Trailer',
]);

/** In the order of the wire: Host, User-Agent, the others by name, and `Connection: close` unless the user said so. */
export function wireHeaders(host: string, headers: HeaderMap): readonly (readonly [name: string, value: string])[] {
  const wire: [string, string][] = [['Host', host]];
  const userAgent = trimmed(headers.get('User-Agent')?.[0] ?? '');
  if (userAgent !== '') wire.push(['User-Agent', userAgent]);
  const names = [...headers.keys()].filter((name) => !writtenApart.has(name)).sort();
  for (const name of names) for (const value of headers.get(name) ?? []) wire.push([name, trimmed(value)]);
  const connection = headers.get('Connection') ?? [];
  const isUpgrade = hasToken(connection[0], 'upgrade') && headers.has('Upgrade');
  if (!hasToken(connection[0], 'close') && !isUpgrade) wire.push(['Connection', 'close']);
  return wire;
}

/** Why Go's client refuses to send such headers, in its words. */
export function headerFault(host: string, headers: HeaderMap): string | undefined {
  for (const [name, values] of headers) {
    if (!token.test(name)) return `net/http: invalid header field name ${goQuote(name)}`;
    if (values.some((value) => invalidInValue.test(value))) {
      return `net/http: invalid header field value for ${goQuote(name)}`;
    }
  }
  return validHost.test(host) ? undefined : 'http: invalid Host header';
}

function hasToken(value: string | undefined, wanted: string): boolean {
  return (value ?? '')
    .toLowerCase()
    .split(/[ ,\t]+/)
    .includes(wanted);
}

function trimmed(value: string): string {
  return value.replace(/^[ \t]+|[ \t]+$/g, '');
}
