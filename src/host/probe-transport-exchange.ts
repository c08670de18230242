import { Buffer } from 'node:buffer';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { joinHostPort } from '../kubelet/probes/go-text.ts';
import type { HttpProbeReply, HttpProbeRequest, TransportFailure } from '../kubelet/probes/probe-transport.ts';
import { transportFailures } from '../kubelet/probes/transport-failures.ts';
import { Deadline } from './probe-transport-deadline.ts';
import { brokenFailure, dialFailure, type Ends, tlsFailure } from './probe-transport-errors.ts';
import { Http1ReplyParser } from './probe-transport-http1.ts';
import { startHttp2Exchange } from './probe-transport-http2.ts';
import type { LingeringSockets } from './probe-transport-lingering.ts';

/** Something under way that ends early when its time is up or when nobody wants it any more. */
export interface Attempt {
  /** Lets go of everything at once, without a result. */
  abort(): void;
}

// One buffer for all: what was read is used up before anything else is read.
const sharedReadBuffer = Buffer.allocUnsafe(64 * 1_024);

/** A host that is not given means this machine, as for Go's dialer. */
export function dialAddress(host: string): string {
  return host === '' ? '127.0.0.1' : host;
}

/**
 * One request and its response over a connection of its own. Plain HTTP takes the short way: one write, and reads
 * into a shared buffer.
 */
export class HttpExchange implements Attempt {
  readonly #request: HttpProbeRequest;
  readonly #wire: Buffer;
  readonly #lingering: LingeringSockets;
  readonly #onReply: (exchange: HttpExchange, reply: HttpProbeReply) => void;
  readonly #socket: Socket;
  readonly #deadline: Deadline;
  readonly #parser: Http1ReplyParser;
  #breakHttp2: ((failure: TransportFailure) => void) | undefined; // once HTTP/2 was agreed on
  #isConnected = false;
  #isSecured = false; // the TLS handshake is done
  #isSettled = false;
  #localAddress = ''; // this and the next: from when it was connected, since nobody can tell once it is broken
  #localPort = 0;

  /** `wire`: the request as it is written. `onReply` is called once, unless the exchange is aborted. */
  constructor(
    request: HttpProbeRequest,
    wire: Buffer,
    lingering: LingeringSockets,
    onReply: (exchange: HttpExchange, reply: HttpProbeReply) => void,
  ) {
    this.#request = request;
    this.#wire = wire;
    this.#lingering = lingering;
    this.#onReply = onReply;
    this.#parser = new Http1ReplyParser(request.bodyBytesMax);
    this.#deadline = new Deadline(request.timeoutMs, () => this.#break(transportFailures.headersTimeout));
    this.#socket = request.scheme === 'http' ? this.#startPlain() : this.#startTls();
    this.#socket.on('error', (error) => this.#onError(error));
    this.#socket.on('end', () => this.#onEnd());
  }

  abort(): void {
    this.#isSettled = true;
    this.#deadline.clear();
    this.#socket.destroy();
  }

  #startPlain(): Socket {
    const host = dialAddress(this.#request.host);
    const onread = {
      buffer: sharedReadBuffer,
      callback: (byteCount: number): boolean => {
        this.#onBytes(sharedReadBuffer, byteCount);
        return !this.#isSettled; // false: reads no more
      },
    };
    const socket = connectTcp({ host, port: this.#request.port, onread });
    socket.on('connect', () => this.#onConnect());
    socket.write(this.#wire);
    return socket;
  }

  #startTls(): Socket {
    const host = dialAddress(this.#request.host);
    const socket = connectTls({
      host,
      port: this.#request.port,
      rejectUnauthorized: false, // as upstream: a probe asks whether it works, not who it is
      ALPNProtocols: ['h2', 'http/1.1'],
      ...(isIP(host) === 0 ? { servername: host } : {}),
    });
    socket.on('connect', () => this.#onConnect());
    socket.on('secureConnect', () => this.#onSecured(socket));
    return socket;
  }

  #onConnect(): void {
    this.#isConnected = true;
    this.#localAddress = this.#socket.localAddress ?? '';
    this.#localPort = this.#socket.localPort ?? 0;
  }

  #onSecured(socket: TLSSocket): void {
    if (this.#isSettled) return;
    this.#isSecured = true;
    if (socket.alpnProtocol === 'h2') {
      this.#breakHttp2 = startHttp2Exchange(socket, this.#request, (reply) => this.#settle(reply));
      return;
    }
    socket.on('data', (piece: Buffer) => this.#onBytes(piece, piece.length));
    socket.write(this.#wire);
  }

  #onBytes(bytes: Buffer, byteCount: number): void {
    if (this.#isSettled) return; // what comes after a complete response
    const reply = this.#parser.push(bytes, byteCount);
    if (reply !== undefined) this.#settle(reply);
  }

  #onEnd(): void {
    if (this.#isSettled) return;
    if (this.#breakHttp2 !== undefined) return; // its session sees it
    if (this.#request.scheme === 'https' && !this.#isSecured) return this.#break(transportFailures.eof);
    const reply = this.#parser.end();
    if (reply !== undefined) this.#settle(reply);
  }

  #onError(error: NodeJS.ErrnoException): void {
    if (this.#isSettled) return;
    const { host, port, scheme } = this.#request;
    if (!this.#isConnected) this.#break(dialFailure(error, host, port));
    else if (scheme === 'https' && !this.#isSecured) this.#break(tlsFailure(error, this.#ends()));
    else this.#break(brokenFailure(error, this.#ends()));
  }

  #ends(): Ends {
    const { host, port } = this.#request;
    return { local: joinHostPort(this.#localAddress, this.#localPort), remote: joinHostPort(dialAddress(host), port) };
  }

  #break(failure: TransportFailure): void {
    if (this.#breakHttp2 !== undefined) return this.#breakHttp2(failure);
    const reply = this.#parser.break(failure);
    if (reply !== undefined) this.#settle(reply);
  }

  #settle(reply: HttpProbeReply): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#deadline.clear();
    if (reply.kind === 'failed') this.#socket.destroy();
    else if (this.#request.scheme === 'http') this.#lingering.add(this.#socket); // `onread` has read its last
    else if (this.#breakHttp2 === undefined) this.#socket.destroySoon(); // after TLS's goodbye; HTTP/2 has its own
    this.#onReply(this, reply);
  }
}
