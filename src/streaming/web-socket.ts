/** The server's side of a WebSocket, over a `ByteStream`. */
import type { IncomingMessage } from 'node:http';
import type { WebSocket } from 'ws';
import type { ByteStream } from '../base/byte-stream.ts';
import type { HttpRequest } from '../base/http.ts';
import { StatusError, messageOf } from '../base/status-error.ts';
import { BytePipe } from './byte-pipe.ts';
import { duplexOf } from './duplex-of.ts';

export const messageBytesMax = 32 * 1_024 * 1_024; // as golang.org/x/net, which upstream's servers use

export interface WebSocketOptions {
  /** The subprotocol to answer with; `''`: the client asked for none. */
  readonly protocol: string;
  /** For the other side to close, once we have. Until then it may still read what was sent. */
  readonly closeTimeoutMs: number;
}

export interface WebSocketSession {
  send(message: Uint8Array | string): Promise<void>;
  ping(): Promise<void>;
  /** Says that this is the end, and waits until the other side has closed too, or its time is over. */
  close(): Promise<void>;
  destroy(): void;
}

export interface WebSocketEvents {
  /** The next message is delivered when this has resolved. */
  readonly onMessage: (message: Uint8Array) => Promise<void>;
  readonly onPing: () => void;
  /** It is closed, by whomever; nothing comes after. */
  readonly onClosed: () => void;
}

/**
 * Answers the upgrade and resolves with the session; a request that is no proper WebSocket handshake is answered with
 * its 400 or 405, and then it fails.
 */
export async function openWebSocket(
  request: HttpRequest,
  connection: ByteStream,
  options: WebSocketOptions,
  events: WebSocketEvents,
): Promise<WebSocketSession> {
  const { WebSocketServer } = await import('ws'); // not before somebody needs it: it takes a while to load
  const settings = { maxPayload: messageBytesMax, closeTimeout: options.closeTimeoutMs };
  const server = new WebSocketServer({
    ...settings,
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
  });
  // The library knows nothing of subprotocols: kubectl's name of the tunnel has a character that none may have.
  if (options.protocol !== '') {
    server.on('headers', (lines) => lines.push(`Sec-WebSocket-Protocol: ${options.protocol}`));
  }
  const socket = duplexOf(connection);
  return new Promise((resolve, reject) => {
    socket.once('close', () => reject(new StatusError('BadRequest', 'the WebSocket handshake failed')));
    socket.on('error', () => {}); // 'close' follows
    const { method } = request;
    const { 'sec-websocket-protocol': _, ...headers } = request.headers;
    // All that the library reads of a request.
    const incoming = { method, headers, url: request.path } as unknown as IncomingMessage;
    server.handleUpgrade(incoming, socket, Buffer.alloc(0), (webSocket) => resolve(sessionOf(webSocket, events)));
  });
}

function sessionOf(webSocket: WebSocket, events: WebSocketEvents): WebSocketSession {
  const done = new Promise<void>((resolve) => webSocket.once('close', () => resolve()));
  webSocket.once('close', () => events.onClosed());
  webSocket.on('error', () => {}); // 'close' follows
  webSocket.on('ping', () => events.onPing());
  const inbox = new Inbox(webSocket, events.onMessage);
  webSocket.on('message', (data) => {
    // With the default `binaryType` a message is one Buffer.
    if (Buffer.isBuffer(data)) inbox.add(data);
  });
  const sent = (write: (done: (error?: Error | null) => void) => void): Promise<void> =>
    new Promise((resolve, reject) => {
      write((error) => {
        if (error) reject(new StatusError('ServiceUnavailable', `the connection was lost: ${messageOf(error)}`));
        else resolve();
      });
    });
  return {
    send: (message) => sent((done) => webSocket.send(message, done)),
    ping: () => sent((done) => webSocket.ping('', false, done)),
    async close() {
      webSocket.close(1_000);
      await done;
    },
    destroy: () => webSocket.terminate(),
  };
}

/** Delivers one message after the other, and reads no more from the socket while one waits. */
class Inbox {
  readonly #webSocket: WebSocket;
  readonly #deliver: (message: Uint8Array) => Promise<void>;
  readonly #waiting: Uint8Array[] = []; // at most what one read of the socket held
  #isDelivering = false;

  constructor(webSocket: WebSocket, deliver: (message: Uint8Array) => Promise<void>) {
    this.#webSocket = webSocket;
    this.#deliver = deliver;
  }

  add(message: Uint8Array): void {
    this.#waiting.push(message);
    if (this.#isDelivering) return;
    this.#isDelivering = true;
    this.#webSocket.pause();
    this.#deliverAll().catch((error: unknown) => {
      this.#webSocket.close(1_002, messageOf(error).slice(0, 100)); // not what this protocol allows
    });
  }

  async #deliverAll(): Promise<void> {
    for (let message = this.#waiting.shift(); message !== undefined; message = this.#waiting.shift()) {
      await this.#deliver(message);
    }
    this.#isDelivering = false;
    this.#webSocket.resume();
  }
}

/** A WebSocket whose binary messages are the bytes of another connection, wherever they are cut. */
export async function tunnelOf(
  request: HttpRequest,
  connection: ByteStream,
  options: WebSocketOptions,
): Promise<ByteStream> {
  const incoming = new BytePipe();
  const session = await openWebSocket(request, connection, options, {
    onMessage: (message) => incoming.push(message),
    onPing: () => {},
    onClosed: () => incoming.end(),
  });
  return {
    incoming,
    write: (bytes) => session.send(bytes),
    end: () => session.close(),
    destroy: () => session.destroy(),
  };
}
