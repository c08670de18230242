import { Buffer } from 'node:buffer';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import type {
  HttpProbeHead,
  HttpProbeReply,
  HttpProbeRequest,
  TransportFailure,
} from '../kubelet/probes/probe-transport.ts';
import { transportFailures } from '../kubelet/probes/transport-failures.ts';

/** Belong to a connection, which HTTP/2 shares: never sent there. */
const connectionHeaders: ReadonlySet<string> = new Set([
  'connection',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Sends the request over a TLS connection on which HTTP/2 was agreed, and calls `onReply` once. The returned function
 * ends it early, e.g. when the time is up. The caller owns the socket.
 */
export function startHttp2Exchange(
  socket: TLSSocket,
  request: HttpProbeRequest,
  onReply: (reply: HttpProbeReply) => void,
): (failure: TransportFailure) => void {
  let head: HttpProbeHead | undefined;
  const body: Buffer[] = [];
  let bodyBytes = 0;
  let isDone = false;
  const done = (reply: HttpProbeReply): void => {
    if (isDone) return;
    isDone = true;
    onReply(reply);
    session.destroy();
  };
  const breakOff = (failure: TransportFailure): void => {
    if (head === undefined) return done({ kind: 'failed', failure });
    const detail = failure.kind === 'timeout' ? transportFailures.bodyTimeout.detail : failure.detail;
    done({ kind: 'failed', failure: { kind: 'body', detail, head } });
  };
  const finish = (): void => {
    if (head === undefined) return breakOff(transportFailures.eof);
    const text = Buffer.concat(body).toString('utf8', 0, request.bodyBytesMax);
    done({ kind: 'response', ...head, body: text });
  };
  const onError = (error: Error): void => breakOff({ kind: 'other', detail: `http2: ${error.message}` });
  const session: ClientHttp2Session = connectHttp2(`https://${request.host}`, { createConnection: () => socket });
  session.on('error', onError);
  session.on('close', () => breakOff(transportFailures.eof));
  const stream = session.request(http2Headers(request), { endStream: true });
  stream.on('response', (headers) => {
    head = { status: headers[':status'] ?? 0, location: headers['location'] };
  });
  stream.on('data', (piece: Buffer) => {
    body.push(piece);
    bodyBytes += piece.length;
    if (bodyBytes >= request.bodyBytesMax) finish();
  });
  stream.on('end', finish);
  stream.on('error', onError);
  return breakOff;
}

function http2Headers(request: HttpProbeRequest): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {
    ':method': 'GET',
    ':scheme': 'https',
    ':authority': request.headers.find(([name]) => name === 'Host')?.[1] ?? request.host,
    ':path': request.target,
  };
  for (const [name, value] of request.headers) {
    const lowerName = name.toLowerCase();
    if (connectionHeaders.has(lowerName)) continue;
    const before = headers[lowerName];
    headers[lowerName] = before === undefined ? value : [before, value].flat();
  }
  return headers;
}
