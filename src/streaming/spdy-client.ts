/** The client's side of remote commands and port forwarding, over SPDY/3.1: for the streaming server of a runtime. */
import http from 'node:http';
import type { Socket } from 'node:net';
import type { ByteStream } from '../base/byte-stream.ts';
import { byteStreamOf } from '../base/duplex-byte-stream.ts';
import { StatusError, messageOf } from '../base/status-error.ts';
import { TaskScope } from '../base/task-scope.ts';
import type { RemoteStreams } from '../cri/runtime.ts';
import { exitCodeOf } from './remote-status.ts';
import { SpdyConnection } from './spdy-connection.ts';
import type { SpdyStream } from './spdy-connection.ts';
import { untilAborted } from './until-aborted.ts';

export interface RemoteCommandRequest {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}

const textBytesMax = 64 * 1_024; // of an error stream, or of the body of a refusal

/**
 * Joins `streams` to the command behind `url` (as CRI's Exec or Attach gave it, `http:`), and resolves with its exit
 * code once it has ended and all its output was taken. `request` must say what the runtime was told; a stream that is
 * asked for and absent in `streams` is ended or dropped. Fails with a `StatusError` in the server's bare words; when
 * `signal` aborts, with its reason, and the connection is closed.
 */
export async function dialRemoteCommand(
  url: string,
  request: RemoteCommandRequest,
  streams: RemoteStreams,
  signal: AbortSignal,
): Promise<number> {
  return withSpdy(url, 'v4.channel.k8s.io', signal, async (connection, scope) => {
    const open = (streamtype: string): Promise<SpdyStream> => connection.open({ streamtype });
    // Nothing is written to these. Ended on this side, they just end when the server, which is through, resets all.
    const openOutput = async (streamtype: string): Promise<SpdyStream> => {
      const stream = await open(streamtype);
      await stream.end().catch(() => {}); // a short command may be over, and the server gone
      return stream;
    };
    const errors = await openOutput('error');
    const stdin = request.stdin ? await open('stdin') : undefined;
    const stdout = request.stdout ? await openOutput('stdout') : undefined;
    const stderr = request.stderr && !request.tty ? await openOutput('stderr') : undefined;
    const resize = request.tty ? await open('resize') : undefined;
    const send = (target: SpdyStream, source: (inner: AbortSignal) => AsyncIterable<Uint8Array>): void =>
      scope.start(async (inner) => void (await pump(source(inner), target)));
    if (stdin !== undefined) send(stdin, (inner) => untilAborted(streams.stdin ?? [], inner));
    if (resize !== undefined) send(resize, (inner) => sizes(streams.resize ?? [], inner));
    const outcome = textOf(errors.incoming);
    const outputs = [drain(stdout, streams.stdout, outcome), drain(stderr, streams.stderr, outcome)];
    const [text] = await Promise.all([outcome, ...outputs]);
    return exitCodeOf(text);
  });
}

/**
 * Joins `stream` to `port` behind `url` (as CRI's PortForward gave it, `http:`) until both directions have ended.
 * Failures as above.
 */
export async function dialPortForward(
  url: string,
  port: number,
  stream: ByteStream,
  signal: AbortSignal,
): Promise<void> {
  return withSpdy(url, 'portforward.k8s.io', signal, async (connection, scope) => {
    const headers = { port: String(port), requestid: '0' };
    const errors = await connection.open({ ...headers, streamtype: 'error' });
    await errors.end();
    const data = await connection.open({ ...headers, streamtype: 'data' });
    let sentAll = false;
    scope.start(async (inner) => {
      sentAll = await pump(untilAborted(stream.incoming, inner), data);
    });
    const receive = async (): Promise<void> => {
      for await (const bytes of data.incoming) await stream.write(bytes);
      await stream.end();
    };
    const [text] = await Promise.all([textOf(errors.incoming), receive()]);
    if (text !== '') throw new StatusError('InternalError', text.replace(forwardPrefix, ''));
    if (!sentAll) stream.destroy(); // the server's side is over, whatever else the client would send
  });
}

const forwardPrefix = /^error forwarding port \d+ to pod \S*, uid \S*: /;

/**
 * Whether all was sent. A server that takes no more input says on its error stream why; one that is lost ends that
 * stream with an error.
 */
async function pump(source: AsyncIterable<Uint8Array>, target: SpdyStream): Promise<boolean> {
  const isSent = (sending: Promise<void>): Promise<boolean> =>
    sending.then(
      () => true,
      () => false,
    );
  for await (const bytes of source) if (!(await isSent(target.write(bytes)))) return false;
  return await isSent(target.end());
}

async function* sizes(
  source: AsyncIterable<{ readonly width: number; readonly height: number }> | Iterable<never>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const { width, height } of untilAborted(source, signal)) {
    yield Buffer.from(`${JSON.stringify({ Width: width, Height: height })}\n`);
  }
}

async function drain(
  stream: SpdyStream | undefined,
  write: RemoteStreams['stdout'],
  outcome: Promise<string>,
): Promise<void> {
  if (stream === undefined) return;
  for await (const bytes of upTo(stream.incoming, outcome)) await write?.(bytes);
}

/** The server tells the outcome after all output: when it is there, it does not matter how the connection ends. */
async function* upTo(
  incoming: AsyncIterable<Uint8Array>,
  outcome: Promise<string>,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* incoming;
  } catch {
    await outcome; // which fails where there is none
  }
}

async function textOf(incoming: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  try {
    for await (const bytes of incoming) {
      sizeBytes += bytes.length;
      if (sizeBytes > textBytesMax) break;
      chunks.push(bytes);
    }
  } catch (error) {
    if (chunks.length === 0) throw error; // else what was said is what counts: it comes in one piece
  }
  return Buffer.concat(chunks).toString('utf8').trim();
}

async function withSpdy<T>(
  url: string,
  protocol: string,
  signal: AbortSignal,
  use: (connection: SpdyConnection, scope: TaskScope) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const socket = await upgrade(url, protocol, signal);
  const transport = byteStreamOf(socket);
  const scope = new TaskScope(signal);
  const destroy = (): void => transport.destroy();
  scope.signal.addEventListener('abort', destroy, { once: true });
  const connection = new SpdyConnection(transport, { side: 'client' });
  scope.start(() => connection.run());
  try {
    const result = await use(connection, scope);
    await connection.goAway().catch(() => {}); // the server may have closed it already: it was through too
    return result;
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    await scope.close().catch(() => {}); // what ended it was thrown by `use`
  }
}

/** The raw connection after `101 Switching Protocols`. */
function upgrade(url: string, protocol: string, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const unreachable = (error: unknown): void =>
      reject(signal.aborted ? signal.reason : new StatusError('ServiceUnavailable', `${url}: ${messageOf(error)}`));
    const headers = { connection: 'Upgrade', upgrade: 'SPDY/3.1', 'x-stream-protocol-version': protocol };
    const request = http.request(url, { method: 'POST', headers, agent: false, signal });
    request.on('error', unreachable);
    request.on('upgrade', (_response, socket: Socket, head) => {
      socket.on('error', () => {}); // whoever reads or writes is told
      if (head.length > 0) socket.unshift(head);
      socket.setNoDelay(true);
      resolve(socket);
    });
    request.on('response', (response) => {
      textOf(response).then((text) => {
        request.destroy();
        reject(new StatusError('InternalError', text === '' ? `HTTP ${response.statusCode}` : text));
      }, unreachable);
    });
    request.end();
  });
}
