/** `pods/NAME/log`: checks what is asked for, and hands it on to the server of the pod's node. */
import { forbidden, invalid, invalidError } from '../api/field-error.ts';
import type { FieldError } from '../api/field-error.ts';
import type { Pod } from '../api/gen/types.ts';
import { parseTime } from '../api/time.ts';
import type { HttpRequest, HttpResponse } from '../base/http.ts';
import { StatusError } from '../base/status-error.ts';
import type { StatusReason } from '../base/status-error.ts';
import { parseBool, parseInteger } from './query-options.ts';
import { textResponse } from './respond.ts';

/** Carries a request to the server of a node (upstream: the kubelet's port 10250) and its answer back. */
export type NodeTransport = (nodeName: string, request: HttpRequest, signal: AbortSignal) => Promise<HttpResponse>;

/** Of a failed answer's body, so much becomes the error's text. */
const errorCharsMax = 50_000;

export async function podLog(
  nodes: NodeTransport,
  pod: Pod,
  request: HttpRequest,
  signal: AbortSignal,
): Promise<HttpResponse> {
  const name = pod.metadata?.name ?? '';
  const query = logQuery(name, request.query);
  const container = chooseContainer(pod, request.query.get('container') ?? '');
  const nodeName = pod.spec?.nodeName ?? '';
  if (nodeName === '') return textResponse(200, '');
  const parts = [pod.metadata?.namespace ?? '', name, container].map(encodeURIComponent);
  const path = `/containerLogs/${parts.join('/')}`;
  const answer = await nodes(nodeName, { ...request, method: 'GET', path, query, headers: {}, body: '' }, signal);
  if (answer.status >= 200 && answer.status <= 299) {
    return { ...textResponse(200, ''), body: answer.body };
  }
  throw nodeError(answer.status, await firstText(answer.body), name);
}

/** The options as the node reads them. */
function logQuery(name: string, query: URLSearchParams): URLSearchParams {
  const tailLines = parseInteger(query.get('tailLines'));
  const limitBytes = parseInteger(query.get('limitBytes'));
  const sinceSeconds = parseInteger(query.get('sinceSeconds'));
  const sinceTime = query.get('sinceTime');
  const errors: FieldError[] = [];
  if (tailLines !== undefined && tailLines < 0) {
    errors.push(invalid('tailLines', tailLines, 'must be greater than or equal to 0'));
  }
  if (limitBytes !== undefined && limitBytes < 1) {
    errors.push(invalid('limitBytes', limitBytes, 'must be greater than 0'));
  }
  if (sinceSeconds !== undefined && sinceTime !== null) {
    errors.push(forbidden('', 'at most one of `sinceTime` or `sinceSeconds` may be specified'));
  } else if (sinceSeconds !== undefined && sinceSeconds < 1) {
    errors.push(invalid('sinceSeconds', sinceSeconds, 'must be greater than 0'));
  }
  if (query.get('stream') !== null) errors.push(forbidden('stream', 'may not be specified'));
  if (errors.length > 0) throw invalidError({ group: '', kind: 'PodLogOptions' }, name, errors);
  if (sinceTime !== null && parseTime(sinceTime) === undefined) {
    throw new StatusError('BadRequest', `parsing time ${JSON.stringify(sinceTime)}: it is no RFC 3339 time`);
  }
  const passed = new URLSearchParams();
  for (const flag of ['follow', 'previous', 'timestamps']) if (parseBool(query.get(flag))) passed.set(flag, 'true');
  if (sinceSeconds !== undefined) passed.set('sinceSeconds', String(sinceSeconds));
  if (sinceTime !== null) passed.set('sinceTime', sinceTime);
  if (tailLines !== undefined) passed.set('tailLines', String(tailLines));
  if (limitBytes !== undefined) passed.set('limitBytes', String(limitBytes));
  return passed;
}

/** The container that is meant. Upstream: `podutil` in `registry/core/pod/strategy.go`. */
export function chooseContainer(pod: Pod, asked: string): string {
  const name = pod.metadata?.name ?? '';
  const regular = (pod.spec?.containers ?? []).map((container) => container.name);
  const init = (pod.spec?.initContainers ?? []).map((container) => container.name);
  const ephemeral = (pod.spec?.ephemeralContainers ?? []).map((container) => container.name);
  if (asked !== '') {
    if ([...regular, ...init, ...ephemeral].includes(asked)) return asked;
    throw new StatusError('BadRequest', `container ${asked} is not valid for pod ${name}`);
  }
  const [only] = regular;
  if (regular.length === 1 && only !== undefined) return only;
  let text = `a container name must be specified for pod ${name}, choose one of: [${regular.join(' ')}]`;
  if (init.length > 0) text += ` or one of the init containers: [${init.join(' ')}]`;
  if (ephemeral.length > 0) text += ` or one of the ephemeral containers: [${ephemeral.join(' ')}]`;
  throw new StatusError('BadRequest', text);
}

const reasonByCode: ReadonlyMap<number, readonly [reason: StatusReason, message: string]> = new Map([
  [401, ['Unauthorized', 'the server has asked for the client to provide credentials']],
  [403, ['Forbidden', '']],
  [404, ['NotFound', 'the server could not find the requested resource']],
  [405, ['MethodNotAllowed', 'the server does not allow this method on the requested resource']],
  [409, ['Conflict', 'the server reported a conflict']],
  [422, ['Invalid', 'the server rejected our request due to an error in our request']],
  [503, ['ServiceUnavailable', 'the server is currently unable to handle the request']],
]);

/** A node's failed answer as our own. Upstream: `GenericHttpResponseChecker`. */
function nodeError(status: number, body: string, name: string): StatusError {
  if (status === 400) return new StatusError('BadRequest', body);
  if (status === 500) {
    return new StatusError('InternalError', `Internal error occurred: ${body}`, {
      details: { causes: [{ message: body }] },
    });
  }
  const known = reasonByCode.get(status);
  const [reason, message] = known ?? ['InternalError', `the server responded with the status code ${status}`];
  return new StatusError(reason, `${message === '' ? body : message} ( pods/log ${name})`, {
    details: { name, kind: 'pods/log' },
  });
}

async function firstText(body: HttpResponse['body']): Promise<string> {
  const decoder = new TextDecoder();
  if (typeof body === 'string') return body.slice(0, errorCharsMax);
  if (body instanceof Uint8Array) return decoder.decode(body).slice(0, errorCharsMax);
  let text = '';
  for await (const chunk of body) {
    text += typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true });
    if (text.length >= errorCharsMax) break;
  }
  return text.slice(0, errorCharsMax).trim();
}
