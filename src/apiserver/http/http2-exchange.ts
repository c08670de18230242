/** One request and its answer over HTTP/2. */
import http2 from 'node:http2';
import type { HttpResponse } from '../../base/http.ts';
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

export function serveHttp2(
  deps: ExchangeDeps,
  connection: Connection,
  stream: http2.ServerHttp2Stream,
  headers: http2.IncomingHttpHeaders,
): void {
  const controller = new AbortController();
  const onAbort = (): void => controller.abort(connection.signal.reason);
  connection.signal.addEventListener('abort', onAbort, { once: true });
  stream.once('close', () => {
    connection.signal.removeEventListener('abort', onAbort);
    controller.abort(new Error('the stream was closed'));
  });
  stream.on('error', () => {}); // 'close' follows
  deps.scope.start(async () => {
    try {
      await exchange(deps, connection, stream, headers, controller.signal);
    } catch (error) {
      stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
      exchangeFailed(deps, error);
    }
  });
}

async function exchange(
  deps: ExchangeDeps,
  connection: Connection,
  stream: http2.ServerHttp2Stream,
  headers: http2.IncomingHttpHeaders,
  signal: AbortSignal,
): Promise<void> {
  const { bodyBytesMax, requestTimeoutMs } = deps.limits;
  const body = await readBody(stream, bodyBytesMax, requestTimeoutMs);
  if (body === 'tooLarge') {
    await write(deps, stream, errorResponse(bodyTooLarge(bodyBytesMax)), false);
    return;
  }
  if (body === 'broken') return;
  const method = headers[':method'] ?? 'GET';
  const { path, search } = splitUrl(headers[':path'] ?? '/');
  const answer = await deps.handle(
    { method, path, query: queryOf(search), headers: plainHeaders(headers), body, user: connection.user },
    signal,
  );
  await write(deps, stream, answer, method === 'HEAD');
}

function plainHeaders(headers: http2.IncomingHttpHeaders): Record<string, string> {
  const plain: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(':') || value === undefined) continue;
    plain[name] = typeof value === 'string' ? value : value.join(', ');
  }
  return plain;
}

function readBody(
  stream: http2.ServerHttp2Stream,
  bytesMax: number,
  timeoutMs: number,
): Promise<Uint8Array | 'tooLarge' | 'broken'> {
  if (stream.endAfterHeaders) return Promise.resolve(emptyBody);
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    const timer = setTimeout(() => stream.close(http2.constants.NGHTTP2_CANCEL), timeoutMs);
    const done = (result: Uint8Array | 'tooLarge' | 'broken'): void => {
      clearTimeout(timer);
      resolve(result); // only the first one counts
    };
    stream.on('data', (chunk: Buffer) => {
      sizeBytes += chunk.length;
      if (sizeBytes <= bytesMax) chunks.push(chunk);
      else done('tooLarge'); // what still comes is dropped
    });
    stream.once('end', () => done(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks)));
    stream.once('close', () => done('broken'));
  });
}

async function write(
  deps: ExchangeDeps,
  stream: http2.ServerHttp2Stream,
  answer: HttpResponse,
  headOnly: boolean,
): Promise<void> {
  const { body } = answer;
  if (stream.destroyed || stream.closed) {
    await discard(body);
    return;
  }
  const { writeTimeoutMs } = deps.limits;
  if (typeof body === 'string' || body instanceof Uint8Array) {
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    stream.respond({ ':status': answer.status, ...answer.headers, 'content-length': bytes.length });
    endWith(stream, headOnly ? emptyBody : bytes, writeTimeoutMs);
    return;
  }
  stream.respond({ ':status': answer.status, ...answer.headers });
  await writePieces(stream, body, writeTimeoutMs);
}
