import type { ByteStream } from '../base/byte-stream.ts';
import { StatusError, unreachable } from '../base/status-error.ts';
import { BytePipe } from './byte-pipe.ts';
import { SpdyFrameWriter, dataFrameBytesMax, malformed, readFrames, resetStatus } from './spdy-frames.ts';
import type { SpdyFrame, SpdyHeaders } from './spdy-frames.ts';

/** Open at a time on one connection; more are refused. A port-forward takes two for each of its connections. */
export const spdyStreamsMax = 1_024;

export interface SpdyOptions {
  /** Who opens streams with odd numbers: the client. */
  readonly side: 'client' | 'server';
  /** Whether the other side may open a stream with these headers; if not, it is reset. Default: none. */
  readonly mayOpen?: (headers: SpdyHeaders) => boolean;
  /** Called for each one that it has opened. */
  readonly onStream?: (stream: SpdyStream) => void;
  /** Called for whatever comes, but for the answers to our own pings. */
  readonly onActivity?: () => void;
}

function lost(): StatusError {
  return new StatusError('ServiceUnavailable', 'the connection was closed');
}

function wasReset(): StatusError {
  return new StatusError('ServiceUnavailable', 'the stream was reset');
}

/** What a stream needs of its connection. */
interface StreamWires {
  send(bytes: Uint8Array): Promise<void>;
  readonly frames: SpdyFrameWriter;
  /** Both sides are through with it. */
  forget(streamId: number): void;
}

/** One stream of a connection. `destroy` resets it. */
export class SpdyStream implements ByteStream {
  readonly id: number;
  readonly headers: SpdyHeaders;
  /** Of the other side; ends with an error when the connection is lost, or when the stream is reset too early. */
  readonly incoming: BytePipe = new BytePipe();
  readonly #wires: StreamWires;
  #isReplied: boolean; // data before the reply would be dropped by the other side
  #whenReplied: (() => void)[] = [];
  #remote: 'open' | 'ended' = 'open';
  #local: 'open' | 'ended' | 'reset' | 'lost' = 'open'; // lost with its connection

  constructor(wires: StreamWires, id: number, headers: SpdyHeaders, isReplied: boolean) {
    this.#wires = wires;
    this.id = id;
    this.headers = headers;
    this.#isReplied = isReplied;
  }

  /** One of the sides cut it off, and the connection goes on. */
  get isReset(): boolean {
    return this.#local === 'reset';
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += dataFrameBytesMax) {
      if (this.#local !== 'open') throw this.#local === 'lost' ? lost() : wasReset();
      const piece = bytes.subarray(at, at + dataFrameBytesMax);
      await this.#wires.send(this.#wires.frames.data(this.id, piece, false));
    }
  }

  async end(): Promise<void> {
    if (this.#local !== 'open') return;
    this.#local = 'ended';
    this.#forgetIfDone();
    await this.#wires.send(this.#wires.frames.data(this.id, new Uint8Array(0), true));
  }

  destroy(): void {
    const isOver = this.#local === 'ended' && this.#remote === 'ended';
    if (this.#local === 'reset' || this.#local === 'lost' || isOver) return;
    this.remoteReset();
    this.incoming.discard();
    // Whoever waits for this stream has been told; that the connection is lost is told by its reader.
    this.#wires.send(this.#wires.frames.rstStream(this.id, resetStatus.cancel)).catch(() => {});
  }

  /** Waits for the other side's reply. */
  async replied(): Promise<void> {
    while (!this.#isReplied) {
      if (this.#local === 'reset') throw wasReset();
      if (this.#local === 'lost') throw lost();
      await new Promise<void>((resolve) => this.#whenReplied.push(resolve));
    }
  }

  remoteReplied(): void {
    this.#isReplied = true;
    for (const wake of this.#whenReplied.splice(0)) wake();
  }

  remoteEnded(): void {
    this.#remote = 'ended';
    this.incoming.end();
    this.#forgetIfDone();
  }

  /** Without our end, or without theirs, something was cut off; after ours, it is just how some clients end. */
  remoteReset(): void {
    const isEarly = this.#local === 'open';
    this.#local = 'reset';
    if (isEarly) this.incoming.fail(wasReset());
    else this.incoming.end();
    this.#wires.forget(this.id);
    for (const wake of this.#whenReplied.splice(0)) wake();
  }

  connectionLost(error: unknown): void {
    this.#local = 'lost';
    this.incoming.fail(error);
    for (const wake of this.#whenReplied.splice(0)) wake();
  }

  #forgetIfDone(): void {
    if (this.#local !== 'open' && this.#remote === 'ended') this.#wires.forget(this.id);
  }
}

/**
 * Either side of a SPDY/3.1 connection. `run` must be running for anything to come. There is no flow control in what
 * Kubernetes speaks: a stream that nobody reads holds up all others once its pipe is full, as upstream.
 */
export class SpdyConnection {
  readonly #transport: ByteStream;
  readonly #options: SpdyOptions;
  readonly #frames = new SpdyFrameWriter();
  readonly #streams = new Map<number, SpdyStream>(); // neither reset, nor ended by both sides
  readonly #wires: StreamWires;
  #lastWrite: Promise<void> = Promise.resolve(); // the transport has one writer at a time
  #nextStreamId: number;
  #nextPingId: number;
  #lastRemoteId = 0; // of the streams that the other side opened: they only rise
  #isLost = false;

  constructor(transport: ByteStream, options: SpdyOptions) {
    this.#transport = transport;
    this.#options = options;
    this.#nextStreamId = options.side === 'client' ? 1 : 2;
    this.#nextPingId = this.#nextStreamId;
    this.#wires = {
      send: (bytes) => this.#send(bytes),
      frames: this.#frames,
      forget: (streamId) => this.#streams.delete(streamId),
    };
  }

  #send(bytes: Uint8Array): Promise<void> {
    if (this.#isLost) return Promise.reject(lost());
    const sent = this.#lastWrite.then(() => this.#transport.write(bytes));
    this.#lastWrite = sent.catch(() => {}); // its own writer is told, and the transport fails the next one too
    return sent;
  }

  /**
   * Reads until the other side has ended the connection; fails where it is lost or speaks no SPDY. All streams have
   * ended then.
   */
  async run(): Promise<void> {
    let failure: unknown = lost();
    try {
      for await (const frame of readFrames(this.#transport.incoming)) await this.#received(frame);
    } catch (error) {
      failure = error;
      throw error;
    } finally {
      this.#isLost = true;
      for (const stream of this.#streams.values()) stream.connectionLost(failure);
      this.#streams.clear();
    }
  }

  async #received(frame: SpdyFrame): Promise<void> {
    const isOwnPing = frame.kind === 'ping' && frame.id % 2 === this.#nextPingId % 2;
    if (!isOwnPing) this.#options.onActivity?.();
    switch (frame.kind) {
      case 'synStream':
        return this.#opened(frame);
      case 'synReply':
        this.#streams.get(frame.streamId)?.remoteReplied();
        break;
      case 'headers':
        break;
      case 'rstStream':
        this.#streams.get(frame.streamId)?.remoteReset();
        return;
      case 'ping':
        if (!isOwnPing) await this.#send(this.#frames.ping(frame.id));
        return;
      case 'data':
        await this.#streams.get(frame.streamId)?.incoming.push(frame.bytes); // what comes after a reset is dropped
        break;
      case 'goAway': // it opens no more streams, which nobody waits for
      case 'ignored':
        return;
      default:
        return unreachable(frame);
    }
    if (frame.fin) this.#streams.get(frame.streamId)?.remoteEnded();
  }

  async #opened(frame: SpdyFrame & { readonly kind: 'synStream' }): Promise<void> {
    const { streamId } = frame;
    const isTheirs = streamId % 2 !== this.#nextStreamId % 2;
    if (!isTheirs || streamId <= this.#lastRemoteId) throw malformed(`stream ${streamId} cannot be opened`);
    this.#lastRemoteId = streamId;
    if (this.#streams.size >= spdyStreamsMax || this.#options.mayOpen?.(frame.headers) !== true) {
      await this.#send(this.#frames.rstStream(streamId, resetStatus.refusedStream));
      return;
    }
    const stream = new SpdyStream(this.#wires, streamId, frame.headers, true);
    this.#streams.set(streamId, stream);
    const replied = this.#send(this.#frames.synReply(streamId)); // before any data that the next line may send
    this.#options.onStream?.(stream);
    if (frame.fin) stream.remoteEnded();
    await replied;
  }

  /** Opens a stream, and waits until the other side has taken it. */
  async open(headers: SpdyHeaders): Promise<SpdyStream> {
    const streamId = this.#nextStreamId;
    this.#nextStreamId += 2;
    const stream = new SpdyStream(this.#wires, streamId, headers, false);
    this.#streams.set(streamId, stream);
    await this.#send(this.#frames.synStream(streamId, headers));
    await stream.replied();
    return stream;
  }

  /** Sends one; that the answer came is not told. It shows whether the other side is still there: else writes fail. */
  async ping(): Promise<void> {
    const id = this.#nextPingId;
    this.#nextPingId = id > 0x7ffffff0 ? (id % 2) + 2 : id + 2;
    await this.#send(this.#frames.ping(id));
  }

  /** Tells the other side that this is the end. */
  async goAway(): Promise<void> {
    await this.#send(this.#frames.goAway(this.#lastRemoteId));
  }
}
