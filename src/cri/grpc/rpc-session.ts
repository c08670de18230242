import http2 from 'node:http2';
import net from 'node:net';

/**
 * The HTTP/2 session of all calls (a `sessionManager` of connect-node): made when a call needs it and none is up. In
 * place of the library's own, which can end the whole process with an uncaught error when a server says that it shuts
 * down (connect-es #1768, open as of 2.1.2).
 */
export class RpcSession {
  /** What servers on Unix sockets expect. */
  readonly authority = 'http://localhost';
  readonly #socketPath: string;
  #opening: Promise<http2.ClientHttp2Session> | undefined; // shared by those who need it; of the one below
  #session: http2.ClientHttp2Session | undefined; // the one for new calls; old ones end with theirs
  #isClosed = false;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  /** Whether new calls would find it. */
  get isUp(): boolean {
    return this.#session !== undefined && !this.#session.closed && !this.#session.destroyed;
  }

  /** Fails with the system's error when nobody accepts the connection. */
  async request(
    method: string,
    path: string,
    headers: http2.OutgoingHttpHeaders,
    options: http2.ClientSessionRequestOptions,
  ): Promise<http2.ClientHttp2Stream> {
    if (!this.isUp) this.#opening = this.#open();
    const session = await this.#opening;
    if (session === undefined || session.closed || session.destroyed) throw new Error('the connection was closed');
    return session.request({ ...headers, ':method': method, ':path': path }, options);
  }

  notifyResponseByteRead(): void {
    // a Unix socket needs no pings: its other end does not vanish in silence
  }

  /** For ever, with every call. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#session?.destroy();
  }

  #open(): Promise<http2.ClientHttp2Session> {
    const session = http2.connect(this.authority, { createConnection: () => net.connect(this.#socketPath) });
    this.#session = session;
    session.once('goaway', () => {
      if (this.#session === session) this.#session = undefined; // what it has under way may still end well
    });
    const opening = new Promise<http2.ClientHttp2Session>((resolve, reject) => {
      session.once('connect', () => resolve(session));
      session.on('error', reject); // whoever has a call under way is told by its stream
      session.once('close', () => reject(new Error('the connection was closed')));
    });
    if (this.#isClosed) session.destroy();
    return opening;
  }
}
