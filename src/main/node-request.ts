import http from 'node:http';
import type { Duplex } from 'node:stream';
import { byteStreamOf } from '../base/duplex-byte-stream.ts';
import type { ByteStream } from '../base/byte-stream.ts';
import type { HttpRequest, HttpResponse } from '../base/http.ts';
import { StatusError, messageOf } from '../base/status-error.ts';

/** Headers that are about one connection. */
const hopHeaders: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'transfer-encoding', 'content-length']);
const headBytesMax = 64 * 1_024;

/**
 * Sends one request over a connection of its own, and carries the answer back: streams as they come, and an upgrade
 * with both directions of the connection after it. The connection ends with the answer.
 */
export function requestOver(
  connection: Duplex,
  host: string,
  request: HttpRequest,
  signal: AbortSignal,
): Promise<HttpResponse> {
  const { method, path, query, headers, body } = request;
  const search = query.toString();
  const length = typeof body === 'string' ? Buffer.byteLength(body) : body.length;
  const sent = http.request({
    createConnection: () => connection,
    method,
    path: search === '' ? path : `${path}?${search}`,
    headers: { ...headers, host, ...(length > 0 ? { 'content-length': length } : {}) },
    maxHeaderSize: headBytesMax,
  });
  return new Promise((resolve, reject) => {
    const onAbort = (): void => void connection.destroy();
    signal.addEventListener('abort', onAbort, { once: true });
    connection.once('close', () => signal.removeEventListener('abort', onAbort));
    sent.once('response', (response) => {
      resolve({ status: response.statusCode ?? 0, headers: plainHeaders(response), body: bodyOf(response, signal) });
    });
    sent.once('upgrade', (response, socket: Duplex, head: Buffer) => {
      socket.on('error', () => {}); // it fails the calls on its stream
      if (head.length > 0) socket.unshift(head);
      const takeOver = (client: ByteStream, clientSignal: AbortSignal): Promise<void> =>
        splice(client, byteStreamOf(socket), headOf(response), clientSignal);
      resolve({ status: 101, headers: {}, body: '', takeOver });
    });
    // Stays for the life of the request: after the answer's head the body tells of it.
    sent.on('error', (error) => {
      connection.destroy();
      if (signal.aborted) reject(signal.reason as Error); // the contract: the reason, unwrapped
      else reject(new StatusError('InternalError', `${method} ${path}: ${messageOf(error)}`, { cause: error }));
    });
    sent.end(body);
  });
}

function plainHeaders({ headers }: http.IncomingMessage): Record<string, string> {
  const plain: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !hopHeaders.has(name)) plain[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return plain;
}

/** Leaving it early ends the connection. */
async function* bodyOf(response: http.IncomingMessage, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of response) yield chunk;
  } catch (error) {
    if (signal.aborted) return;
    throw new StatusError('ServiceUnavailable', `the connection broke: ${messageOf(error)}`, { cause: error });
  } finally {
    response.destroy();
  }
}

/** The first lines of an answer, as they were. */
function headOf({ statusCode = 0, statusMessage = '', rawHeaders }: http.IncomingMessage): string {
  let head = `HTTP/1.1 ${statusCode} ${statusMessage}\r\n`;
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) head += `${rawHeaders[at]}: ${rawHeaders[at + 1]}\r\n`;
  return `${head}\r\n`;
}

/** Carries bytes both ways until both sides have ended, or one of them is lost. */
async function splice(client: ByteStream, node: ByteStream, head: string, signal: AbortSignal): Promise<void> {
  const endBoth = (): void => {
    client.destroy();
    node.destroy();
  };
  signal.addEventListener('abort', endBoth, { once: true });
  const copy = async (from: ByteStream, to: ByteStream): Promise<void> => {
    for await (const chunk of from.incoming) await to.write(chunk);
    await to.end();
  };
  try {
    await client.write(new TextEncoder().encode(head));
    await Promise.all([copy(client, node), copy(node, client)]);
  } catch (error) {
    if (!(error instanceof StatusError)) throw error; // one side is gone: so is what they had to say
  } finally {
    signal.removeEventListener('abort', endBoth);
    endBoth();
  }
}
