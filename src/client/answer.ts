import { fromStatus } from '../api/status.ts';
import type { HttpResponse } from '../base/http.ts';
import { StatusError } from '../base/status-error.ts';

/** A whole answer larger than this is refused: JavaScript's longest text is a little longer. */
export const answerBytesMax = 512 * 1_024 * 1_024;
/** One line of a watch: an object of the largest size that the API server stores, and its envelope. */
export const watchLineCharsMax = 8 * 1_024 * 1_024;

export type Body = HttpResponse['body'];

/** The whole body as text. Refuses more than `answerBytesMax`. */
export async function bodyText(body: Body): Promise<string> {
  if (typeof body === 'string') return body;
  if (body instanceof Uint8Array) return new TextDecoder().decode(body);
  const decoder = new TextDecoder();
  const pieces: string[] = [];
  let sizeBytes = 0;
  for await (const chunk of body) {
    sizeBytes += chunk.length;
    if (sizeBytes > answerBytesMax) {
      throw new StatusError('RequestEntityTooLarge', `the answer is longer than ${answerBytesMax} bytes`);
    }
    pieces.push(typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true }));
  }
  pieces.push(decoder.decode());
  return pieces.join('');
}

/** The body as it comes, in bytes. */
export async function* bodyChunks(body: Body): AsyncIterable<Uint8Array> {
  const encoder = new TextEncoder();
  if (typeof body === 'string' || body instanceof Uint8Array) {
    yield typeof body === 'string' ? encoder.encode(body) : body;
    return;
  }
  for await (const chunk of body) yield typeof chunk === 'string' ? encoder.encode(chunk) : chunk;
}

/** The body's lines without their ends, as they come, however they are split into pieces. Empty lines are left out. */
export async function* bodyLines(body: Body): AsyncIterable<string> {
  const decoder = new TextDecoder();
  let rest = ''; // the beginning of a line whose end has not come yet
  const pieces = typeof body === 'string' || body instanceof Uint8Array ? [body] : body;
  for await (const piece of pieces) {
    const text = typeof piece === 'string' ? piece : decoder.decode(piece, { stream: true });
    let start = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
      const line = rest + text.slice(start, end);
      rest = '';
      start = end + 1;
      if (line !== '') yield line;
    }
    rest += text.slice(start);
    if (rest.length > watchLineCharsMax) {
      throw new StatusError('RequestEntityTooLarge', `a line is longer than ${watchLineCharsMax} characters`);
    }
  }
  rest += decoder.decode();
  if (rest !== '') yield rest;
}

/** The object in a good answer; a failure is thrown as the `StatusError` that it tells of. */
export async function answerObject(response: HttpResponse): Promise<unknown> {
  await expectOk(response);
  return parseJson(await bodyText(response.body));
}

/** Throws the `StatusError` that an answer of 400 and above tells of. */
export async function expectOk(response: HttpResponse): Promise<void> {
  if (response.status < 400) return;
  throw errorOfAnswer(response.status, await bodyText(response.body));
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new StatusError('InternalError', `the server's answer is not JSON: ${text.slice(0, 200)}`, { cause: error });
  }
}

/** The error of a failed answer: from its `metav1.Status`, or, if it has none (a proxy's page), from the HTTP code. */
export function errorOfAnswer(httpCode: number, text: string): StatusError {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    parsed = undefined; // handled below, as an object that is no Status
  }
  const error = fromStatus(parsed, httpCode);
  const isStatus = typeof parsed === 'object' && parsed !== null && 'kind' in parsed && parsed.kind === 'Status';
  const said = text.trim().slice(0, 1_024);
  if (isStatus || said === '') return error;
  if (httpCode < 500) return new StatusError(error.reason, said);
  const message = `an error on the server ("${said}") has prevented the request from being successful`;
  return new StatusError(error.reason, message);
}
