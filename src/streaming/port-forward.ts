/** Port forwarding: over SPDY/3.1, whose streams come in pairs (data and error), and over WebSocket channels. */
import type { ByteStream } from '../base/byte-stream.ts';
import type { HttpRequest } from '../base/http.ts';
import { TaskScope } from '../base/task-scope.ts';
import { BytePipe } from './byte-pipe.ts';
import { channelCodec } from './channel-codec.ts';
import { Activity, clientGone, closeSession, finishMsMax, keepAlive, streamCreationMs, within } from './keep-alive.ts';
import { failureText } from './remote-command.ts';
import type { StreamingDeps } from './remote-command.ts';
import { SpdyConnection } from './spdy-connection.ts';
import type { SpdyStream } from './spdy-connection.ts';
import { openWebSocket } from './web-socket.ts';

export type ForwardPort = (port: number, stream: ByteStream, signal: AbortSignal) => Promise<void>;

/** The streams of one forwarded connection. */
interface Pair {
  data: SpdyStream | undefined;
  error: SpdyStream | undefined;
  readonly complete: () => void;
  readonly completed: Promise<void>;
}

/** `undefined`: none. */
export function parsePort(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,5}$/.test(text)) return undefined;
  const port = Number(text);
  return port >= 1 && port <= 0xffff ? port : undefined;
}

/** Serves until the client ends the connection. `connection` is past the 101, or a tunnel. */
export async function serveSpdyForwards(
  deps: StreamingDeps,
  connection: ByteStream,
  forward: ForwardPort,
  signal: AbortSignal,
): Promise<void> {
  const { clock } = deps;
  const scope = new TaskScope(signal);
  const pairs = new Map<string, Pair>(); // by request id; those that are not complete
  const activity = new Activity(clock);
  const spdy = new SpdyConnection(connection, {
    side: 'server',
    mayOpen: ({ port, streamtype }) =>
      parsePort(port) !== undefined && (streamtype === 'data' || streamtype === 'error'),
    onStream(stream) {
      const id = requestIdOf(stream);
      let pair = pairs.get(id);
      if (pair === undefined) {
        const opened = newPair();
        pairs.set(id, (pair = opened));
        scope.start((inner) => servePair(deps, opened, () => pairs.delete(id), forward, inner));
      }
      const type = stream.headers['streamtype'] === 'data' ? 'data' : 'error';
      if (pair[type] !== undefined) {
        stream.destroy(); // the id was used twice
        return;
      }
      pair[type] = stream;
      if (pair.data !== undefined && pair.error !== undefined) pair.complete();
    },
    onActivity: () => activity.touch(),
  });
  scope.signal.addEventListener('abort', () => connection.destroy(), { once: true });
  scope.start((inner) => keepAlive(clock, activity, () => spdy.ping(), inner));
  try {
    await spdy.run();
    connection.destroy();
  } catch (error) {
    if (!scope.signal.aborted) failureText(deps.log, error); // the connection was lost, or is no SPDY: nobody to tell
  } finally {
    await closeSession(scope);
  }
}

function newPair(): Pair {
  let complete: () => void = () => {};
  const completed = new Promise<void>((resolve) => (complete = resolve));
  return { data: undefined, error: undefined, complete, completed };
}

/** Old clients send none: then the streams of a pair follow one another, error first. */
function requestIdOf({ headers, id }: SpdyStream): string {
  return headers['requestid'] ?? `stream ${headers['streamtype'] === 'data' ? id - 2 : id}`;
}

async function servePair(
  { clock, log }: StreamingDeps,
  pair: Pair,
  forget: () => void,
  forward: ForwardPort,
  signal: AbortSignal,
): Promise<void> {
  try {
    await within(clock, streamCreationMs, 'streaming.open', pair.completed, signal);
  } finally {
    forget();
  }
  const { data, error } = pair;
  if (data === undefined || error === undefined) {
    await error?.write(Buffer.from('timed out waiting for streams'));
    await error?.end();
    data?.destroy();
    return;
  }
  error.incoming.discard();
  const port = parsePort(data.headers['port']) ?? 0; // checked when it was opened
  try {
    await forward(port, data, signal);
  } catch (failure) {
    if (signal.aborted) return;
    // A client that has cut off its connection does not ask why it broke.
    if (!data.isReset) await error.write(Buffer.from(failureText(log, failure)));
  }
  data.incoming.discard();
  await data.end();
  await error.end();
}

/**
 * The older way over WebSocket: `ports` are known from the request, and each is joined once. Port i has channel 2i for
 * data and 2i + 1 for errors; the first message on both is the port, two bytes, little-endian.
 */
export async function serveChannelForwards(
  { clock, log }: StreamingDeps,
  request: HttpRequest,
  connection: ByteStream,
  { protocol, ports }: { readonly protocol: string; readonly ports: readonly number[] },
  forward: ForwardPort,
  signal: AbortSignal,
): Promise<void> {
  const codec = channelCodec(protocol);
  const pipes = ports.map(() => new BytePipe());
  const activity = new Activity(clock);
  const scope = new TaskScope(signal);
  scope.signal.addEventListener('abort', () => connection.destroy(), { once: true });
  let closed: () => void = () => {};
  scope.start(async () => {
    await new Promise<void>((resolve) => (closed = resolve));
    for (const pipe of pipes) pipe.fail(clientGone());
    throw clientGone();
  });
  const received = async (message: Uint8Array): Promise<void> => {
    activity.touch();
    const decoded = codec.decode(message);
    if (decoded !== undefined && decoded.channel % 2 === 0) await pipes[decoded.channel / 2]?.push(decoded.bytes);
  };
  const events = { onMessage: received, onPing: () => activity.touch(), onClosed: () => closed() };
  try {
    const session = await openWebSocket(request, connection, { protocol, closeTimeoutMs: finishMsMax }, events);
    scope.start((inner) => keepAlive(clock, activity, () => session.ping(), inner));
    const joinPort = async (port: number, index: number): Promise<void> => {
      const send = async (number: number, bytes: Uint8Array): Promise<void> => {
        activity.touch();
        await session.send(codec.encode(number, bytes));
      };
      const portBytes = Buffer.alloc(2);
      portBytes.writeUInt16LE(port);
      await send(2 * index, portBytes);
      await send(2 * index + 1, portBytes);
      const incoming = pipes[index] ?? new BytePipe();
      const stream: ByteStream = {
        incoming,
        write: (bytes) => send(2 * index, bytes),
        end: () => Promise.resolve(incoming.end()), // this protocol cannot say it, so it is the end of both directions
        destroy: () => incoming.discard(),
      };
      try {
        await forward(port, stream, scope.signal);
      } catch (failure) {
        if (!scope.signal.aborted) await send(2 * index + 1, Buffer.from(failureText(log, failure)));
      }
      incoming.discard();
    };
    await Promise.all(ports.map(joinPort));
    if (!scope.signal.aborted) await session.close();
  } catch (error) {
    if (!scope.signal.aborted) throw error;
  } finally {
    closed();
    await closeSession(scope);
  }
}
