import http2 from 'node:http2';
import type { Duplex } from 'node:stream';
import { nodeNameOf } from '../apiserver/authorize.ts';
import { errorResponse } from '../apiserver/respond.ts';
import { byteStreamOf } from '../base/duplex-byte-stream.ts';
import type { ByteStream } from '../base/byte-stream.ts';

import type { HttpRequest, HttpResponse } from '../base/http.ts';
import type { Log } from '../base/log.ts';
import { StatusError, messageOf } from '../base/status-error.ts';
import { duplexOf } from '../streaming/duplex-of.ts';

/** What a node asks to go on with, and where. */
export const tunnelProtocol = 'livelet-tunnel';
export function tunnelPath(nodeName: string): string {
  return `/livelet/v1/nodes/${encodeURIComponent(nodeName)}/tunnel`;
}

/** Both sides look so often whether the other is there, and wait so long for the answer. */
export const pingMs = 15_000;
export const pongMsMax = 10_000;
/** Connections at a time through one tunnel; one more is refused. */
export const tunnelConnectionsMax = 256;
export const tunnelWindowBytes = 1_024 * 1_024;
const acceptMsMax = 10_000;
const pathPattern = /^\/livelet\/v1\/nodes\/([^/]+)\/tunnel$/;

/**
 * The tunnels that nodes have opened to this server. Through each runs HTTP/2 in reverse: the server asks, and each of
 * its requests is one connection to the node's own server, on which it then speaks HTTP/1.1.
 */
export class NodeTunnels {
  readonly #log: Log;
  readonly #sessions = new Map<string, http2.ClientHttp2Session>(); // open ones, by node name

  constructor(deps: { readonly log: Log }) {
    this.#log = deps.log;
  }

  /** `undefined`: the request is not for a tunnel. */
  handle(request: HttpRequest): Promise<HttpResponse> | undefined {
    const [, encoded] = pathPattern.exec(request.path) ?? [];
    if (encoded === undefined) return undefined;
    const { user } = request;
    if (user === undefined) return refuse(new StatusError('Unauthorized', 'Unauthorized'));
    const nodeName = nodeNameOf(user);
    if (nodeName === undefined || encodeURIComponent(nodeName) !== encoded) {
      return refuse(new StatusError('Forbidden', `User "${user.name}" cannot open the tunnel of node "${encoded}"`));
    }
    if (request.headers['upgrade'] !== tunnelProtocol) {
      return refuse(new StatusError('BadRequest', `a tunnel is asked for by "Upgrade: ${tunnelProtocol}"`));
    }
    const takeOver = (connection: ByteStream, signal: AbortSignal): Promise<void> =>
      this.#serve(nodeName, connection, signal);
    return Promise.resolve({ status: 101, headers: {}, body: '', takeOver });
  }

  /** A connection to the node's server; `undefined`: it has no tunnel here. `ServiceUnavailable`: it does not answer. */
  connect(nodeName: string, signal: AbortSignal): Promise<Duplex> | undefined {
    const session = this.#sessions.get(nodeName);
    if (session === undefined || session.closed || session.destroyed) return undefined;
    const lost = (why: string): StatusError =>
      new StatusError('ServiceUnavailable', `the tunnel of node ${nodeName} gives no connection: ${why}`);
    return new Promise((resolve, reject) => {
      const stream = session.request({ ':method': 'POST', ':path': '/' }, { endStream: false });
      const onAbort = (): void => void stream.destroy();
      signal.addEventListener('abort', onAbort, { once: true });
      stream.setTimeout(acceptMsMax, () => stream.destroy(new Error(`no answer within ${acceptMsMax} ms`)));
      stream.once('response', (headers) => {
        signal.removeEventListener('abort', onAbort); // from now on it is the caller's
        stream.setTimeout(0);
        if (headers[':status'] === 200) resolve(connectionOver(stream));
        else stream.destroy(new Error(`status ${headers[':status']}`));
      });
      stream.on('error', (error) => reject(lost(messageOf(error))));
      stream.once('close', () => {
        signal.removeEventListener('abort', onAbort);
        if (signal.aborted) reject(signal.reason as Error); // the contract: the reason, unwrapped
        else reject(lost('it was closed'));
      });
    });
  }

  async #serve(nodeName: string, connection: ByteStream, signal: AbortSignal): Promise<void> {
    const head = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${tunnelProtocol}\r\n\r\n`;
    await connection.write(new TextEncoder().encode(head));
    const session = http2.connect('http://node', {
      createConnection: () => duplexOf(connection),
      settings: { enablePush: false, initialWindowSize: tunnelWindowBytes },
      peerMaxConcurrentStreams: tunnelConnectionsMax,
    });
    const onAbort = (): void => session.destroy();
    signal.addEventListener('abort', onAbort, { once: true });
    this.#sessions.get(nodeName)?.destroy(); // the node has come back before we saw that it was gone
    this.#sessions.set(nodeName, session);
    this.#log.info('tunnelOpened', { nodeName });
    let why = 'closed';
    session.on('error', (error) => (why = messageOf(error)));
    const stopPings = keepAlive(session);
    try {
      await new Promise<void>((resolve) => session.once('close', resolve));
    } finally {
      stopPings();
      signal.removeEventListener('abort', onAbort);
      if (this.#sessions.get(nodeName) === session) this.#sessions.delete(nodeName);
      this.#log.info('tunnelClosed', { nodeName, why });
    }
  }
}

/** One connection of a tunnel. Not the stream itself: Node.js garbles texts that are written to one at a time. */
export function connectionOver(stream: http2.Http2Stream): Duplex {
  return duplexOf(byteStreamOf(stream));
}

/** Ends the session when the other side does not answer any more; returns what stops it. */
export function keepAlive(session: http2.Http2Session): () => void {
  let deadline: NodeJS.Timeout | undefined;
  const timer = setInterval(() => {
    if (session.destroyed || deadline !== undefined) return;
    deadline = setTimeout(() => session.destroy(new Error(`no answer within ${pongMsMax} ms`)), pongMsMax);
    const isSent = session.ping(() => {
      clearTimeout(deadline);
      deadline = undefined;
    });
    if (!isSent) session.destroy();
  }, pingMs);
  return () => {
    clearInterval(timer);
    clearTimeout(deadline);
  };
}

function refuse(error: StatusError): Promise<HttpResponse> {
  return Promise.resolve(errorResponse(error));
}
