import { Buffer } from 'node:buffer';
import http2, {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
} from 'node:http2';
import { STATUS_CODES } from 'node:http';
import { goQuote, joinHostPort } from '../kubelet/probes/go-text.ts';
import type { GrpcHealthReply } from '../kubelet/probes/probe-transport.ts';
import { Deadline } from './probe-transport-deadline.ts';
import { type Attempt, dialAddress } from './probe-transport-exchange.ts';

/** What is asked, and of whom. */
export interface GrpcHealthTarget {
  readonly host: string;
  readonly port: number;
  readonly service: string;
  readonly userAgent: string;
}

const checkPath = '/grpc.health.v1.Health/Check';
const messageBytesMax = 4 * 1_024 * 1_024; // as grpc-go
// grpc-go's connection back-off, without its jitter.
const redialFirstMs = 1_000;
const redialFactor = 1.6;

/** By number, as Go prints them. */
const codeNames = [
  'OK',
  'Canceled',
  'Unknown',
  'InvalidArgument',
  'DeadlineExceeded',
  'NotFound',
  'AlreadyExists',
  'PermissionDenied',
  'ResourceExhausted',
  'FailedPrecondition',
  'Aborted',
  'OutOfRange',
  'Unimplemented',
  'Internal',
  'Unavailable',
  'DataLoss',
  'Unauthenticated',
] as const;

/** What an HTTP status means for a call that got no gRPC answer. Upstream: `HTTPStatusConvTab`. */
const codeByHttpStatus: Readonly<Record<number, string>> = {
  400: 'Internal',
  401: 'Unauthenticated',
  403: 'PermissionDenied',
  404: 'Unimplemented',
  429: 'Unavailable',
  502: 'Unavailable',
  503: 'Unavailable',
  504: 'Unavailable',
};

const servingStatuses = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'] as const;

/**
 * One health check: connects (again and again, as a blocking gRPC dial does), then calls, all within one timeout.
 * Over node:http2, since one unary call with a message of one field is less code than a library's configuration,
 * starts in a millisecond instead of 30, and its failures can have grpc-go's words.
 */
export class GrpcHealthCheck implements Attempt {
  readonly #target: GrpcHealthTarget;
  readonly #deadlineMs: number;
  readonly #deadline: Deadline;
  readonly #onReply: (check: GrpcHealthCheck, reply: GrpcHealthReply) => void;
  #session: ClientHttp2Session | undefined;
  #redialTimer: NodeJS.Timeout | undefined;
  #redialMs = redialFirstMs;
  #isCalling = false; // connected: from now on it is the call that fails, not the dial
  #isSettled = false;

  constructor(
    target: GrpcHealthTarget,
    timeoutMs: number,
    onReply: (check: GrpcHealthCheck, reply: GrpcHealthReply) => void,
  ) {
    this.#target = target;
    this.#deadlineMs = performance.now() + timeoutMs;
    this.#onReply = onReply;
    this.#deadline = new Deadline(timeoutMs, () => this.#expire());
    this.#dial();
  }

  abort(): void {
    this.#isSettled = true;
    this.#deadline.clear();
    clearTimeout(this.#redialTimer);
    this.#session?.destroy();
  }

  #expire(): void {
    this.#settle(this.#isCalling ? { kind: 'rpcTimeout' } : { kind: 'dialTimeout' });
  }

  #settle(reply: GrpcHealthReply): void {
    if (this.#isSettled) return;
    this.abort();
    this.#onReply(this, reply);
  }

  #dial(): void {
    const authority = joinHostPort(dialAddress(this.#target.host), this.#target.port);
    const session = http2.connect(`http://${authority}`);
    this.#session = session;
    let isReady = false;
    session.on('remoteSettings', () => {
      if (isReady || this.#isSettled) return;
      isReady = true; // the server speaks HTTP/2: that is what grpc-go calls connected
      this.#isCalling = true;
      this.#call(session);
    });
    const onBroken = (message: string): void => {
      if (this.#isSettled || this.#session !== session) return;
      if (isReady) return this.#fail('Unavailable', message);
      this.#session = undefined;
      session.destroy();
      this.#redialTimer = setTimeout(() => this.#dial(), this.#redialMs);
      this.#redialMs *= redialFactor;
    };
    session.on('error', (error) => onBroken(`connection error: desc = ${goQuote(error.message)}`));
    session.on('close', () => onBroken('error reading from server: EOF'));
  }

  #call(session: ClientHttp2Session): void {
    const stream = session.request({
      ':method': 'POST',
      ':path': checkPath,
      ':authority': joinHostPort(this.#target.host, this.#target.port),
      'content-type': 'application/grpc',
      'user-agent': this.#target.userAgent,
      te: 'trailers',
      'grpc-timeout': `${Math.max(1, Math.floor(this.#deadlineMs - performance.now()))}m`,
    });
    const pieces: Buffer[] = [];
    let messageBytes = 0;
    stream.on('response', (headers) => {
      const refusal = refusalOf(headers);
      if (refusal !== undefined) return this.#settle(refusal);
      if (headers['grpc-status'] !== undefined) this.#finish(headers, Buffer.alloc(0)); // nothing but trailers
    });
    stream.on('trailers', (trailers) => this.#finish(trailers, Buffer.concat(pieces)));
    stream.on('data', (piece: Buffer) => {
      pieces.push(piece);
      messageBytes += piece.length;
      if (messageBytes <= messageBytesMax + 5) return;
      const sizes = `(${messageBytes} vs. ${messageBytesMax})`;
      this.#fail('ResourceExhausted', `grpc: received message larger than max ${sizes}`);
    });
    stream.on('error', () => undefined); // `close` follows, and the stream tells why
    stream.on('close', () => this.#onStreamClosed(stream, session.closed || session.destroyed));
    stream.end(healthCheckRequest(this.#target.service));
  }

  /** Without trailers: whose fault was it? */
  #onStreamClosed(stream: ClientHttp2Stream, isDisconnected: boolean): void {
    if (this.#isSettled) return;
    const { rstCode } = stream;
    const isReset = rstCode !== undefined && rstCode !== constants.NGHTTP2_NO_ERROR;
    if (isDisconnected && rstCode !== constants.NGHTTP2_REFUSED_STREAM) {
      return this.#fail('Unavailable', 'error reading from server: EOF');
    }
    if (!isReset) return this.#fail('Internal', 'server closed the stream without sending trailers');
    const code = rstCode === constants.NGHTTP2_REFUSED_STREAM ? 'Unavailable' : 'Internal';
    this.#fail(code, `stream terminated by RST_STREAM with error code: ${http2ErrorName(rstCode)}`);
  }

  #fail(code: string, message: string): void {
    this.#settle({ kind: 'rpcError', code, message });
  }

  #finish(trailers: IncomingHttpHeaders, message: Buffer): void {
    const status = Number(trailers['grpc-status']);
    const code = codeNames[status] ?? `Code(${status})`;
    // The server knows the deadline too, and may be quicker to say so than our own timer.
    if (code === 'DeadlineExceeded') return this.#settle({ kind: 'rpcTimeout' });
    if (code !== 'OK') {
      const text = trailers['grpc-message'];
      this.#fail(code, typeof text === 'string' ? percentDecoded(text) : '');
      return;
    }
    const answer = servingStatusOf(message);
    if (answer === undefined) return this.#fail('Internal', 'received no response message from the health service');
    this.#settle({ kind: 'response', status: answer });
  }
}

/** A response that is no gRPC. */
function refusalOf(headers: IncomingHttpHeaders & IncomingHttpStatusHeader): GrpcHealthReply | undefined {
  const status = headers[':status'] ?? 0;
  const contentType = headers['content-type'];
  const faults: string[] = [];
  if (status !== 200) {
    const words = `${status} (${STATUS_CODES[status] ?? ''})`;
    faults.push(`unexpected HTTP status code received from server: ${words}`);
  }
  if (contentType === undefined) faults.push('malformed header: missing HTTP content-type');
  else if (!/^application\/grpc([+;]|$)/.test(contentType)) {
    faults.push(`transport: received unexpected content-type ${goQuote(contentType)}`);
  }
  if (faults.length === 0) return undefined;
  return { kind: 'rpcError', code: codeByHttpStatus[status] ?? 'Unknown', message: faults.join('; ') };
}

/** The message with its 5 bytes in front: `HealthCheckRequest { string service = 1; }`. */
function healthCheckRequest(service: string): Buffer {
  const name = Buffer.from(service, 'utf8');
  const message = name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a]), varint(name.length), name]);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** `HealthCheckResponse { ServingStatus status = 1; }`: an absent field is UNKNOWN; `undefined`: no whole message. */
function servingStatusOf(framed: Buffer): string | undefined {
  if (framed.length < 5 || framed[0] !== 0) return undefined;
  const end = 5 + framed.readUInt32BE(1);
  if (framed.length < end) return undefined;
  let status = 0;
  for (let offset = 5; offset < end;) {
    const [tag, afterTag] = readVarint(framed, offset);
    if ((tag & 7) === 0) {
      const [value, after] = readVarint(framed, afterTag);
      if (tag >> 3 === 1) status = value;
      offset = after;
    } else if ((tag & 7) === 2) {
      const [length, after] = readVarint(framed, afterTag);
      offset = after + length;
    } else if ((tag & 7) === 5) offset = afterTag + 4;
    else if ((tag & 7) === 1) offset = afterTag + 8;
    else return undefined;
  }
  return servingStatuses[status] ?? String(status);
}

function readVarint(bytes: Buffer, from: number): readonly [value: number, after: number] {
  let value = 0;
  let offset = from;
  for (let factor = 1; ; factor *= 0x80) {
    const byte = bytes[offset++] ?? 0;
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return [value, offset];
  }
}

/** grpc-message is percent-encoded; what is not valid stays as it is. */
function percentDecoded(text: string): string {
  const bytes = text.replaceAll(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

function http2ErrorName(code: number): string {
  for (const [name, value] of Object.entries(constants)) {
    if (value === code && /^NGHTTP2_(?!ERR_|FLAG_|STREAM_|SESSION_|HCAT_|NV_|SETTINGS_|DEFAULT_)/.test(name)) {
      return name.slice('NGHTTP2_'.length);
    }
  }
  return String(code);
}
