import type { HTTPGetAction } from '../../api/gen/types.ts';
import type { Clock } from '../../base/clock.ts';
import { unreachable } from '../../base/status-error.ts';
import { goQuote, joinHostPort } from './go-text.ts';
import {
  type GoUrl,
  goUrlText,
  goUrlTextForPeople,
  hostnameOf,
  hostTextOf,
  isAbsoluteReference,
  literalPathUrl,
  parseGoUrl,
  portOf,
  requestTarget,
  resolveGoUrl,
  withHost,
} from './go-url.ts';
import { type HeaderMap, headerFault, probeHeaders, wireHeaders } from './http-headers.ts';
import { type ProbeOutcome, probeOutputBytesMax, unknownError } from './probe-outcome.ts';
import type { HttpProbeReply, HttpProbeRequest, ProbeTransport } from './probe-transport.ts';
import { transportFailures } from './transport-failures.ts';

const redirectsMax = 10;

/** An HTTP probe against one address, made once and used for every attempt. */
export type HttpProbePlan =
  | { readonly kind: 'request'; readonly hop: Hop; readonly timeoutMs: number }
  /** Go's client would refuse to send it: every attempt fails with this text. */
  | { readonly kind: 'failing'; readonly output: string }
  /** It cannot be made into a request: every attempt is an error. */
  | { readonly kind: 'error'; readonly message: string };

/** One request of what may be a chain of redirects. */
interface Hop {
  readonly url: GoUrl;
  readonly headers: HeaderMap;
  readonly request: HttpProbeRequest;
}

/** `host`: the pod's address, used unless the action names a host itself. */
export function planHttpProbe(action: HTTPGetAction, host: string, port: number, timeoutMs: number): HttpProbePlan {
  const scheme = action.scheme === undefined || action.scheme === '' ? 'http' : action.scheme.toLowerCase();
  const path = action.path ?? '';
  const parsedPath = parseGoUrl(path);
  const reference = 'url' in parsedPath ? parsedPath.url : literalPathUrl(path);
  const parsed = parseGoUrl(goUrlText(withHost(reference, scheme, joinHostPort(action.host || host, port))));
  if ('error' in parsed) return { kind: 'error', message: parsed.error };
  const headers = probeHeaders(action.httpHeaders ?? []);
  const planned = planHop(parsed.url, headers.get('Host')?.[0] ?? '', headers, timeoutMs);
  if ('fault' in planned)
    return { kind: 'failing', output: failureText(goUrlTextForPeople(parsed.url), planned.fault) };
  return { kind: 'request', hop: planned, timeoutMs };
}

/** One attempt, redirects included, all within the plan's timeout. */
export async function runHttpProbe(
  plan: HttpProbePlan,
  transport: Pick<ProbeTransport, 'httpGet'>,
  clock: Pick<Clock, 'monoMs'>,
  signal: AbortSignal,
): Promise<ProbeOutcome> {
  if (plan.kind === 'failing') return { kind: 'failure', output: plan.output };
  if (plan.kind === 'error') return unknownError(plan.message);
  const startedMonoMs = clock.monoMs();
  let hop = plan.hop;
  for (let redirects = 0; ; redirects++) {
    const reply = await transport.httpGet(hop.request, signal);
    const location = locationOf(reply);
    if (location === undefined) return outcomeOfReply(hop, reply);
    const next = nextHop(plan.hop, hop, location, plan.timeoutMs - (clock.monoMs() - startedMonoMs), redirects);
    if (next.kind === 'failure') return next;
    if (next.kind === 'notFollowed') return outcomeOfReply(hop, reply);
    hop = next.hop;
  }
}

function planHop(
  url: GoUrl,
  hostHeader: string,
  headers: HeaderMap,
  timeoutMs: number,
): Hop | { readonly fault: string } {
  if (hostTextOf(url) === '') return { fault: 'http: no Host in request URL' };
  if (url.scheme !== 'http' && url.scheme !== 'https')
    return { fault: `unsupported protocol scheme ${goQuote(url.scheme)}` };
  const host = hostHeader === '' ? hostTextOf(url) : hostHeader;
  const fault = headerFault(host, headers);
  if (fault !== undefined) return { fault };
  const request: HttpProbeRequest = {
    scheme: url.scheme,
    host: hostnameOf(url),
    port: portOf(url),
    target: requestTarget(url),
    headers: wireHeaders(withoutZone(host), withAuthorization(url, headers)),
    bodyBytesMax: probeOutputBytesMax,
    timeoutMs,
  };
  return { url, headers, request };
}

/** A user and password that were written into the path's authority part go into a header. */
function withAuthorization(url: GoUrl, headers: HeaderMap): HeaderMap {
  if (url.user === undefined || (headers.get('Authorization')?.[0] ?? '') !== '') return headers;
  return new Map([...headers, ['Authorization', [`Basic ${btoa(`${url.user.name}:${url.user.password ?? ''}`)}`]]]);
}

function withoutZone(host: string): string {
  return host.startsWith('[') ? host.replace(/%[^\]]*\]/, ']') : host;
}

/** Where a redirect leads; `undefined`: this is the final response, or none. A redirect's own body is of no interest. */
function locationOf(reply: HttpProbeReply): string | undefined {
  const head = reply.kind === 'response' ? reply : reply.failure.kind === 'body' ? reply.failure.head : undefined;
  if (head === undefined || ![301, 302, 303, 307, 308].includes(head.status)) return undefined;
  return head.location === '' ? undefined : head.location;
}

type NextHop =
  | { readonly kind: 'followed'; readonly hop: Hop }
  | { readonly kind: 'notFollowed' }
  | { readonly kind: 'failure'; readonly output: string };

function nextHop(first: Hop, last: Hop, location: string, remainingMs: number, redirects: number): NextHop {
  const resolved = resolveGoUrl(last.url, location);
  if ('error' in resolved) {
    const why = `failed to parse Location header ${goQuote(location)}: ${resolved.error}`;
    return { kind: 'failure', output: failureText(goUrlTextForPeople(last.url), why) };
  }
  const url = resolved.url;
  if (hostnameOf(url) !== hostnameOf(first.url)) return { kind: 'notFollowed' };
  if (redirects + 1 >= redirectsMax) {
    return { kind: 'failure', output: failureText(location, `stopped after ${redirectsMax} redirects`) };
  }
  const headers = new Map(first.headers);
  const referer = refererOf(last.url, url, first.headers);
  if (referer !== '') headers.set('Referer', [referer]);
  const givenHost = first.headers.get('Host')?.[0] ?? '';
  // A Host of the user's own outlives redirects only as long as they are relative.
  const hostHeader = isAbsoluteReference(location) ? '' : givenHost;
  const hop = planHop(url, hostHeader, headers, remainingMs);
  if ('fault' in hop) return { kind: 'failure', output: failureText(goUrlTextForPeople(url), hop.fault) };
  if (remainingMs <= 0) {
    return { kind: 'failure', output: failureText(goUrlTextForPeople(url), transportFailures.headersTimeout.detail) };
  }
  return { kind: 'followed', hop };
}

function refererOf(last: GoUrl, next: GoUrl, headers: HeaderMap): string {
  if (last.scheme === 'https' && next.scheme === 'http') return '';
  return headers.get('Referer')?.[0] || goUrlText({ ...last, user: undefined });
}

function outcomeOfReply(hop: Hop, reply: HttpProbeReply): ProbeOutcome {
  if (reply.kind === 'response') return outcomeOfResponse(reply.status, reply.body);
  const { failure } = reply;
  switch (failure.kind) {
    case 'body':
      return { kind: 'error', state: 'failure', message: failure.detail };
    case 'refused':
    case 'noRoute':
    case 'dialTimeout':
    case 'timeout':
    case 'eof':
    case 'reset':
    case 'other':
    case 'lookup':
    case 'malformed':
      return { kind: 'failure', output: failureText(goUrlTextForPeople(hop.url), failure.detail) };
    default:
      return unreachable(failure);
  }
}

function outcomeOfResponse(status: number, body: string): ProbeOutcome {
  if (status < 200 || status >= 400) {
    return { kind: 'failure', output: `HTTP probe failed with statuscode: ${status}` };
  }
  if (status >= 300) return { kind: 'warning', output: `Probe terminated redirects, Response body: ${body}` };
  return { kind: 'success', output: body };
}

function failureText(url: string, why: string): string {
  return `Get ${goQuote(url)}: ${why}`;
}
