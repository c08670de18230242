/** One request and its answer over HTTP/1.1. */
import http from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { HttpRequest, HttpResponse } from '../../base/http.ts';
import { byteStreamOf } from '../../base/duplex-byte-stream.ts';
import { StatusError } from '../../base/status-error.ts';
import { errorResponse } from '../respond.ts';
import {
  bodyTooLarge,
  discard,
  exchangeFailed,
  emptyBody,
  endWith,
  queryOf,
  splitUrl,
  writePieces,
} from './exchange.ts';
import type { Connection, ExchangeDeps } from './https-listener.ts';

export function serveHttp1(
  deps: ExchangeDeps,
  connection: Connection,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): void {
  deps.scope.start(async () => {
    try {
      await exchange(deps, connection, request, response);
    } catch (error) {
      response.destroy();
      exchangeFailed(deps, error);
    }
  });
}

async function exchange(
  deps: ExchangeDeps,
  connection: Connection,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): Promise<void> {
  const body = await readBody(request, deps.limits.bodyBytesMax);
  if (body === 'tooLarge') {
    await write(deps, response, errorResponse(bodyTooLarge(deps.limits.bodyBytesMax)), true);
    return;
  }
  if (body === 'broken') return; // the client is gone, or was too slow and has been told
  const answer = await deps.handle(requestOf(request, body, connection), connection.signal);
  await write(deps, response, request.method === 'HEAD' ? { ...answer, body: '' } : answer, false);
}

function requestOf(request: http.IncomingMessage, body: Uint8Array, { user }: Connection): HttpRequest {
  const { path, search } = splitUrl(request.url ?? '/');
  // Node joins repeated headers into one text, but for set-cookie, which clients do not send.
  const headers = request.headers as Readonly<Record<string, string>>;
  return { method: request.method ?? 'GET', path, query: queryOf(search), headers, body, user };
}

/**
 * A request that would go on as something else. If the handler takes the connection over, it has it for as long as it
 * likes, without limits of time; otherwise the request is answered as any other, and the connection ends with it.
 */
export function serveUpgrade(
  deps: ExchangeDeps,
  connection: Connection,
  request: http.IncomingMessage,
  socket: Duplex,
  head: Buffer,
): void {
  deps.scope.start(async () => {
    try {
      await upgrade(deps, connection, request, socket, head);
    } catch (error) {
      exchangeFailed(deps, error);
    } finally {
      endAll(socket);
    }
  });
}

async function upgrade(
  deps: ExchangeDeps,
  connection: Connection,
  request: http.IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  if (socket instanceof Socket) socket.setTimeout(0);
  const { 'content-length': length = '0', 'transfer-encoding': encoding } = request.headers;
  const hasBody = length !== '0' || encoding !== undefined; // it would have to be read past the parser
  const answer = hasBody
    ? errorResponse(new StatusError('BadRequest', 'a request with a body cannot be upgraded'))
    : await deps.handle(requestOf(request, emptyBody, connection), connection.signal);
  if (answer.takeOver !== undefined) {
    if (head.length > 0) socket.unshift(head);
    await answer.takeOver(byteStreamOf(socket), connection.signal);
    return;
  }
  const response = new http.ServerResponse(request);
  // It is used only as the stream that it is.
  response.assignSocket(socket as Socket);
  const sent = new Promise<void>((resolve) => {
    response.once('finish', () => resolve());
    socket.once('close', () => resolve());
  });
  socket.resume(); // to see that the client goes
  await write(deps, response, request.method === 'HEAD' ? { ...answer, body: '' } : answer, true);
  await sent;
}

/** When what was written is out. */
function endAll(socket: Duplex): void {
  if (socket instanceof Socket) socket.destroySoon();
  else socket.end(() => socket.destroy());
}

// A client that still writes does not read: what is too much is read to its end and dropped, up to here, so that the
// answer arrives. Beyond it the connection is just closed.
const droppedBytesMax = 32 * 1_024 * 1_024;

/** The whole body; `broken`: it did not come to its end. */
async function readBody(request: http.IncomingMessage, bytesMax: number): Promise<Uint8Array | 'tooLarge' | 'broken'> {
  const { headers } = request;
  if (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined) return emptyBody;
  if (Number(headers['content-length'] ?? 0) > bytesMax + droppedBytesMax) return 'tooLarge';
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  request.on('data', (chunk: Buffer) => {
    sizeBytes += chunk.length;
    if (sizeBytes <= bytesMax) chunks.push(chunk);
    else if (sizeBytes > bytesMax + droppedBytesMax) request.destroy();
  });
  try {
    await finished(request);
  } catch {
    return sizeBytes > bytesMax ? 'tooLarge' : 'broken'; // the connection ended first
  }
  if (sizeBytes > bytesMax) return 'tooLarge';
  const [only] = chunks;
  return chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks);
}

async function write(
  deps: ExchangeDeps,
  response: http.ServerResponse,
  answer: HttpResponse,
  close: boolean,
): Promise<void> {
  const { body } = answer;
  if (response.destroyed) {
    await discard(body);
    return;
  }
  const { writeTimeoutMs } = deps.limits;
  if (typeof body === 'string' || body instanceof Uint8Array) {
    const length = typeof body === 'string' ? Buffer.byteLength(body) : body.length;
    const headers: Record<string, string | number> = { ...answer.headers, 'content-length': length };
    if (close) headers['connection'] = 'close';
    response.writeHead(answer.status, headers);
    endWith(response, body, writeTimeoutMs);
    return;
  }
  response.writeHead(answer.status, close ? { ...answer.headers, connection: 'close' } : answer.headers);
  response.flushHeaders();
  await writePieces(response, body, writeTimeoutMs);
}

const codes: Readonly<Record<string, readonly [status: number, error: StatusError]>> = {
  HPE_HEADER_OVERFLOW: [431, new StatusError('RequestEntityTooLarge', 'the request headers are too large')],
  ERR_HTTP_REQUEST_TIMEOUT: [408, new StatusError('Timeout', 'the request did not come in time')],
};

/** What is no HTTP, or too slow, gets a last answer. */
export function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, failure] = codes[error.code ?? ''] ?? [400, new StatusError('BadRequest', 'the request is not HTTP')];
  const body = errorResponse(failure).body;
  const text = typeof body === 'string' ? body : '';
  socket.end(
    `HTTP/1.1 ${status} ${failure.reason}\r\nConnection: close\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  );
}
