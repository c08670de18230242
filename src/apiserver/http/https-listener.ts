/**
 * Puts a `HttpHandler` on the network: HTTPS with HTTP/1.1 and HTTP/2 (by ALPN) on one port.
 *
 *     const listener = new HttpsListener({ handle: server.handle, log }, { host, key, certificate, clientCa });
 *     const { port } = await listener.listen(6443);    // `Conflict` if the port is taken; 0: any free one
 *     await listener.close();                          // bounded by `closeGraceMs`
 *
 * A client certificate that `clientCa` signed makes the user: CN is the name, each O a group. Without one the user is
 * `undefined`, and the handler answers 401.
 */
import { setMaxListeners } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import type { HttpHandler, UserInfo } from '../../base/http.ts';
import type { Log } from '../../base/log.ts';
import { StatusError, messageOf } from '../../base/status-error.ts';
import { TaskScope } from '../../base/task-scope.ts';
import { answerClientError, serveHttp1, serveUpgrade } from './http1-exchange.ts';
import { serveHttp2 } from './http2-exchange.ts';

export interface HttpsListenerOptions {
  /** Address to listen on. */
  readonly host: string;
  /** PEM, of the server's certificate (with its chain). */
  readonly certificate: string;
  /** PEM. */
  readonly key: string;
  /** PEM: who signs client certificates. */
  readonly clientCa: string;
  readonly limits?: Partial<HttpsLimits>;
}

export interface HttpsLimits {
  /** More connections are closed as they come. Default 4,096. */
  readonly connectionsMax: number;
  /** HTTP/2: requests at a time on one connection. Default 250, as in Go's server. */
  readonly streamsPerConnectionMax: number;
  /** All headers of a request; more is answered with 431. Default 64 KiB. */
  readonly headerBytesMax: number;
  /** More is answered with 413. Default 3 MiB, as upstream. */
  readonly bodyBytesMax: number;
  /** For the TLS handshake. Default 10 s. */
  readonly handshakeTimeoutMs: number;
  /** For the headers of a request, from its first byte. Default 15 s. */
  readonly headersTimeoutMs: number;
  /** For a whole request, from its first byte. Default 60 s. */
  readonly requestTimeoutMs: number;
  /** For a client to read what was written to it. Default 60 s. */
  readonly writeTimeoutMs: number;
  /** A connection without a request. Default 120 s. */
  readonly idleTimeoutMs: number;
  /** `close()`: for requests under way to end by themselves. Default 2 s. */
  readonly closeGraceMs: number;
}

const defaultLimits: HttpsLimits = {
  connectionsMax: 4_096,
  streamsPerConnectionMax: 250,
  headerBytesMax: 64 * 1_024,
  bodyBytesMax: 3 * 1_024 * 1_024,
  handshakeTimeoutMs: 10_000,
  headersTimeoutMs: 15_000,
  requestTimeoutMs: 60_000,
  writeTimeoutMs: 60_000,
  idleTimeoutMs: 120_000,
  closeGraceMs: 2_000,
};

/** What belongs to one connection. */
export interface Connection {
  readonly user: UserInfo | undefined;
  /** Aborted when the connection is closed, and when the listener closes. */
  readonly signal: AbortSignal;
}

/** An HTTP/2 session. */
interface Session {
  readonly connection: Connection;
  /** Open ones. */
  streamCount: number;
}

/** What the exchanges of both HTTP versions need. */
export interface ExchangeDeps {
  readonly handle: HttpHandler;
  readonly log: Log;
  readonly limits: HttpsLimits;
  /** Every exchange runs under it. */
  readonly scope: TaskScope;
}

export class HttpsListener {
  readonly #options: HttpsListenerOptions;
  readonly #limits: HttpsLimits;
  readonly #log: Log;
  readonly #scope = new TaskScope();
  readonly #tls: tls.Server;
  readonly #http1: http.Server;
  readonly #http2: http2.Http2Server;
  readonly #connections = new Map<Duplex, Connection & { readonly abort: () => void }>(); // open ones
  readonly #sessions = new Map<http2.Http2Session, Session>(); // open ones
  #opening: Connection | undefined; // set only while an HTTP/2 session is made for it

  constructor(deps: { readonly handle: HttpHandler; readonly log: Log }, options: HttpsListenerOptions) {
    this.#options = options;
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#log = deps.log;
    const exchange: ExchangeDeps = { ...deps, limits: this.#limits, scope: this.#scope };
    this.#http1 = this.#createHttp1(exchange);
    this.#http2 = this.#createHttp2(exchange);
    this.#tls = this.#createTls();
  }

  #createTls(): tls.Server {
    const server = tls.createServer({
      ...this.#tlsIdentity(),
      requestCert: true,
      rejectUnauthorized: false, // the handler says 401, in words
      ALPNProtocols: ['h2', 'http/1.1'],
      handshakeTimeout: this.#limits.handshakeTimeoutMs,
      noDelay: true,
      keepAlive: true,
    });
    server.maxConnections = this.#limits.connectionsMax;
    server.on('secureConnection', (socket) => this.#connected(socket));
    server.on('tlsClientError', () => {}); // a scanner, or a client that does not trust us: it knows
    return server;
  }

  #createHttp1(exchange: ExchangeDeps): http.Server {
    const server = http.createServer({
      maxHeaderSize: this.#limits.headerBytesMax,
      headersTimeout: this.#limits.headersTimeoutMs,
      requestTimeout: this.#limits.requestTimeoutMs,
      keepAliveTimeout: this.#limits.idleTimeoutMs,
      connectionsCheckingInterval: Math.min(this.#limits.headersTimeoutMs, 5_000),
    });
    server.on('request', (request, response) => {
      const connection = this.#connections.get(request.socket);
      if (connection === undefined) request.socket.destroy();
      else serveHttp1(exchange, connection, request, response);
    });
    server.on('upgrade', (request: http.IncomingMessage, socket: Duplex, head) => {
      const connection = this.#connections.get(socket);
      if (connection === undefined) socket.destroy();
      else serveUpgrade(exchange, connection, request, socket, head);
    });
    server.on('clientError', answerClientError);
    return server;
  }

  #createHttp2(exchange: ExchangeDeps): http2.Http2Server {
    const server = http2.createServer({
      settings: { maxConcurrentStreams: this.#limits.streamsPerConnectionMax, initialWindowSize: 256 * 1_024 },
      maxSessionMemory: 64, // MiB
      maxHeaderListPairs: 256,
    });
    server.on('session', (session) => this.#sessionOpened(session));
    server.on('stream', (stream, headers) => {
      const session = stream.session === undefined ? undefined : this.#sessions.get(stream.session);
      if (session === undefined) {
        stream.destroy();
        return;
      }
      session.streamCount += 1;
      stream.once('close', () => (session.streamCount -= 1));
      serveHttp2(exchange, session.connection, stream, headers);
    });
    server.on('sessionError', () => {});
    return server;
  }

  #sessionOpened(session: http2.ServerHttp2Session): void {
    const connection = this.#opening;
    if (connection === undefined) {
      session.destroy();
      return;
    }
    const entry = { connection, streamCount: 0 };
    this.#sessions.set(session, entry);
    session.once('close', () => this.#sessions.delete(session));
    session.setTimeout(this.#limits.idleTimeoutMs, () => {
      if (entry.streamCount === 0) session.close(); // a watch may be silent for long
    });
    session.on('error', () => {}); // the connection broke; its streams are told
  }

  #connected(socket: tls.TLSSocket): void {
    const connection = this.#register(socket, userOf(socket));
    if (socket.alpnProtocol !== 'h2') {
      this.#http1.emit('connection', socket);
      return;
    }
    this.#opening = connection;
    this.#http2.emit('connection', socket);
    this.#opening = undefined;
  }

  /**
   * Serves HTTP/1.1 on a connection that came another way, already authenticated: `user` is who sends its requests. It
   * counts against no limit of connections; the caller bounds them.
   */
  accept(connection: Duplex, user: UserInfo): void {
    this.#register(connection, user);
    this.#http1.emit('connection', connection);
  }

  /** New connections get this certificate (PEM, with its chain); those that are open stay as they are. */
  renew(certificate: string, key: string): void {
    this.#tls.setSecureContext({ ...this.#tlsIdentity(), cert: certificate, key });
  }

  #tlsIdentity(): tls.SecureContextOptions {
    const { certificate, key, clientCa } = this.#options;
    return { cert: certificate, key, ca: clientCa, minVersion: 'TLSv1.2' };
  }

  #register(socket: Duplex, user: UserInfo | undefined): Connection {
    const controller = new AbortController();
    setMaxListeners(0, controller.signal); // one for each stream, and they are bounded
    const abort = (): void => controller.abort(new StatusError('ServiceUnavailable', 'the connection was closed'));
    const connection = { user, signal: controller.signal, abort };
    this.#connections.set(socket, connection);
    socket.once('close', () => {
      this.#connections.delete(socket);
      abort();
    });
    socket.on('error', () => {}); // 'close' follows
    return connection;
  }

  /**
   * Resolves when it is closed; rejects with the `InvariantError` of a request, after which nothing here can be
   * trusted.
   */
  done(): Promise<void> {
    const { signal } = this.#scope;
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        if (this.#scope.failure === undefined) resolve();
        else reject(this.#scope.failure);
      };
      if (signal.aborted) settle();
      else signal.addEventListener('abort', settle, { once: true });
    });
  }

  /** Begins to listen. The port is the one that was asked for, or the one that the system chose for 0. */
  listen(port: number): Promise<{ readonly host: string; readonly port: number }> {
    const { host } = this.#options;
    return new Promise((resolve, reject) => {
      const onError = (error: NodeJS.ErrnoException): void => reject(listenError(error, host, port));
      this.#tls.once('error', onError);
      this.#tls.listen({ host, port }, () => {
        this.#tls.off('error', onError);
        this.#tls.on('error', (error) => this.#log.error('httpsListenerFailed', { error: messageOf(error) }));
        this.#http1.emit('listening'); // it starts to look for slow requests then
        // A TCP server that listens has an address of this kind.
        const address = this.#tls.address() as AddressInfo;
        resolve({ host, port: address.port });
      });
    });
  }

  /** Takes no more connections, ends watches, waits for other requests at most `closeGraceMs`, and closes all. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#tls.close(() => resolve()));
    this.#http1.close(); // the idle connections, and the look-out for slow requests
    for (const session of this.#sessions.keys()) session.close();
    let timer: NodeJS.Timeout | undefined;
    const graceOver = new Promise<'graceOver'>((resolve) => {
      timer = setTimeout(() => resolve('graceOver'), this.#limits.closeGraceMs);
    });
    for (const { abort } of this.#connections.values()) abort();
    try {
      const ended = this.#scope.close().then(() => 'ended' as const);
      if ((await Promise.race([ended, graceOver])) === 'ended') {
        for (const socket of this.#connections.keys()) socket.end();
        await Promise.race([closed, graceOver]);
      }
    } finally {
      clearTimeout(timer);
      for (const socket of this.#connections.keys()) socket.destroy();
    }
    await closed;
  }
}

function userOf(socket: tls.TLSSocket): UserInfo | undefined {
  if (!socket.authorized) return undefined;
  const { subject } = socket.getPeerCertificate();
  // Without a certificate there is no subject; a repeated attribute is a list.
  const attributes = (subject ?? {}) as Readonly<Record<string, string | string[] | undefined>>;
  const name = listOf(attributes['CN'])[0] ?? '';
  return name === '' ? undefined : { name, groups: listOf(attributes['O']) };
}

function listOf(value: string | string[] | undefined): string[] {
  if (value === undefined) return [];
  return typeof value === 'string' ? [value] : value;
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): StatusError {
  const where = `${host}:${port}`;
  switch (error.code) {
    case 'EADDRINUSE':
      return new StatusError('Conflict', `cannot listen on ${where}: the port is in use`, { cause: error });
    case 'EACCES':
      return new StatusError('Forbidden', `cannot listen on ${where}: permission denied`, { cause: error });
    default:
      return new StatusError('InternalError', `cannot listen on ${where}: ${error.message}`, { cause: error });
  }
}
