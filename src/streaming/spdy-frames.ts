/**
 * SPDY/3.1 on the wire, as `moby/spdystream` speaks it: no flow control, no settings, the header blocks of each
 * direction in one zlib stream. Frames are read one after the other; data comes in the pieces in which it arrives, so
 * that its length needs no bound; all else is bounded.
 */
import zlib from 'node:zlib';
import { StatusError } from '../base/status-error.ts';
import { spdyDictionary, spdyDictionaryId } from './spdy-dictionary.ts';

export type SpdyHeaders = Readonly<Record<string, string>>;

/** `fin`: its sender will send nothing more on this stream. */
export type SpdyFrame =
  | { readonly kind: 'synStream'; readonly streamId: number; readonly headers: SpdyHeaders; readonly fin: boolean }
  | { readonly kind: 'synReply'; readonly streamId: number; readonly fin: boolean }
  | { readonly kind: 'headers'; readonly streamId: number; readonly fin: boolean }
  | { readonly kind: 'rstStream'; readonly streamId: number; readonly status: number }
  | { readonly kind: 'ping'; readonly id: number }
  | { readonly kind: 'goAway' }
  /** SETTINGS, WINDOW_UPDATE, CREDENTIAL, and what is not known: nothing to do. */
  | { readonly kind: 'ignored' }
  | { readonly kind: 'data'; readonly streamId: number; readonly bytes: Uint8Array; readonly fin: boolean };

/** Status codes of RST_STREAM. */
export const resetStatus = { protocolError: 1, refusedStream: 3, cancel: 5 } as const;

const controlType = { synStream: 1, synReply: 2, rstStream: 3, ping: 6, goAway: 7, headers: 8 } as const;
const finFlag = 0x01;
const spdyVersion = 3;

/** The payload of one control frame, and its headers inflated. Kubernetes' have some hundred bytes. */
export const controlBytesMax = 64 * 1_024;
/** The payload of the data frames that we send: what a socket takes in one go. */
export const dataFrameBytesMax = 64 * 1_024;

export function malformed(what: string): StatusError {
  return new StatusError('BadRequest', `SPDY: ${what}`);
}

/** Takes exact numbers of bytes out of pieces of any size. */
class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>;
  #held: Uint8Array = new Uint8Array(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** At least one byte and at most `countMax` of what is there; `undefined` at the end. */
  async some(countMax: number): Promise<Uint8Array | undefined> {
    while (this.#held.length === 0) {
      const next = await this.#source.next();
      if (next.done === true) return undefined;
      this.#held = next.value;
    }
    const taken = this.#held.subarray(0, countMax);
    this.#held = this.#held.subarray(taken.length);
    return taken;
  }

  /** `undefined`: the end came before the first byte. In the middle it is an error. */
  async exactly(count: number): Promise<Buffer | undefined> {
    const bytes = Buffer.alloc(count);
    let filled = 0;
    while (filled < count) {
      const piece = await this.some(count - filled);
      if (piece === undefined) {
        if (filled === 0) return undefined;
        throw malformed('the connection ended in the middle of a frame');
      }
      bytes.set(piece, filled);
      filled += piece.length;
    }
    return bytes;
  }

  async rest(count: number): Promise<Buffer> {
    const bytes = count === 0 ? Buffer.alloc(0) : await this.exactly(count);
    if (bytes === undefined) throw malformed('the connection ended in the middle of a frame');
    return bytes;
  }
}

/** The header blocks that one side sends are one zlib stream, each flushed. */
class HeaderInflater {
  readonly #inflate = zlib.createInflate({ dictionary: spdyDictionary });
  #chunks: Buffer[] = [];
  #sizeBytes = 0;
  #reject: (error: unknown) => void = () => {}; // of the block under way

  constructor() {
    this.#inflate.on('data', (chunk: Buffer) => {
      this.#sizeBytes += chunk.length;
      if (this.#sizeBytes <= controlBytesMax) this.#chunks.push(chunk);
      else this.#inflate.destroy(malformed(`headers of more than ${controlBytesMax} bytes`));
    });
    // A write that fails is not always told itself.
    this.#inflate.on('error', (error) =>
      this.#reject(error instanceof StatusError ? error : malformed('the headers cannot be inflated')),
    );
  }

  async headers(block: Buffer): Promise<SpdyHeaders> {
    this.#chunks = [];
    this.#sizeBytes = 0;
    await new Promise<void>((resolve, reject) => {
      this.#reject = reject;
      this.#inflate.write(block, (error) => {
        if (!error && !this.#inflate.destroyed) resolve();
      });
    });
    return parseHeaders(Buffer.concat(this.#chunks));
  }

  close(): void {
    this.#inflate.destroy();
  }
}

function parseHeaders(block: Buffer): SpdyHeaders {
  const headers: Record<string, string> = {};
  let at = 0;
  const word = (): number => {
    if (at + 4 > block.length) throw malformed('the headers are cut short');
    at += 4;
    return block.readUInt32BE(at - 4);
  };
  const text = (): string => {
    const length = word();
    if (at + length > block.length) throw malformed('the headers are cut short');
    at += length;
    return block.toString('utf8', at - length, at);
  };
  for (let left = word(); left > 0; left--) {
    const name = text().toLowerCase();
    const [first = ''] = text().split('\0'); // several values of one name: Kubernetes reads the first
    headers[name] ??= first;
  }
  return headers;
}

/** Every frame until the other side ends. Fails with a `BadRequest` for what is no SPDY. */
export async function* readFrames(incoming: AsyncIterable<Uint8Array>): AsyncGenerator<SpdyFrame, void, undefined> {
  const reader = new ByteReader(incoming);
  const inflater = new HeaderInflater();
  try {
    for (;;) {
      const head = await reader.exactly(8);
      if (head === undefined) return;
      const isControl = head.readUInt8(0) >= 0x80;
      const flags = head.readUInt8(4);
      const length = head.readUIntBE(5, 3);
      if (!isControl) {
        yield* readData(reader, head.readUInt32BE(0), length, (flags & finFlag) !== 0);
        continue;
      }
      const version = head.readUInt16BE(0) & 0x7fff;
      if (version !== spdyVersion) throw malformed(`version ${version}`);
      if (length > controlBytesMax) throw malformed(`a control frame of ${length} bytes`);
      const payload = await reader.rest(length);
      yield await parseControl(head.readUInt16BE(2), (flags & finFlag) !== 0, payload, inflater);
    }
  } finally {
    inflater.close();
  }
}

async function* readData(
  reader: ByteReader,
  streamId: number,
  length: number,
  fin: boolean,
): AsyncGenerator<SpdyFrame, void, undefined> {
  if (streamId === 0) throw malformed('data on stream 0');
  if (length === 0) yield { kind: 'data', streamId, bytes: new Uint8Array(0), fin };
  for (let left = length; left > 0;) {
    const bytes = await reader.some(left);
    if (bytes === undefined) throw malformed('the connection ended in the middle of a frame');
    left -= bytes.length;
    yield { kind: 'data', streamId, bytes, fin: fin && left === 0 };
  }
}

async function parseControl(type: number, fin: boolean, payload: Buffer, inflater: HeaderInflater): Promise<SpdyFrame> {
  const word = (at: number): number => {
    if (at + 4 > payload.length) throw malformed(`a control frame of type ${type} is cut short`);
    return payload.readUInt32BE(at) & 0x7fffffff;
  };
  switch (type) {
    case controlType.synStream: {
      const streamId = word(0);
      word(6); // associated stream, priority and slot come first: all without meaning here
      const headers = await inflater.headers(payload.subarray(10));
      return { kind: 'synStream', streamId, headers, fin };
    }
    case controlType.synReply:
    case controlType.headers: {
      const streamId = word(0);
      await inflater.headers(payload.subarray(4)); // nobody reads them, but the next ones build on them
      return { kind: type === controlType.synReply ? 'synReply' : 'headers', streamId, fin };
    }
    case controlType.rstStream:
      return { kind: 'rstStream', streamId: word(0), status: word(4) };
    case controlType.ping:
      return { kind: 'ping', id: word(0) };
    case controlType.goAway:
      return { kind: 'goAway' };
    default:
      return { kind: 'ignored' };
  }
}

/** Makes the frames that one side sends. The order of those with headers on the wire must be that of the calls. */
export class SpdyFrameWriter {
  #begun = false; // the head of the zlib stream was sent

  synStream(streamId: number, headers: SpdyHeaders): Uint8Array {
    const ids = Buffer.alloc(10);
    ids.writeUInt32BE(streamId, 0);
    return control(controlType.synStream, Buffer.concat([ids, this.#block(headers)]));
  }

  synReply(streamId: number): Uint8Array {
    return control(controlType.synReply, Buffer.concat([words(streamId), this.#block({})]));
  }

  rstStream(streamId: number, status: number): Uint8Array {
    return control(controlType.rstStream, words(streamId, status));
  }

  ping(id: number): Uint8Array {
    return control(controlType.ping, words(id));
  }

  goAway(lastStreamId: number): Uint8Array {
    return control(controlType.goAway, words(lastStreamId, 0));
  }

  /** At most `dataFrameBytesMax`. */
  data(streamId: number, bytes: Uint8Array, fin: boolean): Uint8Array {
    const head = words(streamId, bytes.length);
    head.writeUInt8(fin ? finFlag : 0, 4);
    return Buffer.concat([head, bytes]);
  }

  /**
   * In stored blocks: headers this short are not worth compressing, and so no state is kept. The empty block after them
   * is where a flush ends; a reader waits for it.
   */
  #block(headers: SpdyHeaders): Buffer {
    const entries = Object.entries(headers);
    const parts = [words(entries.length)];
    for (const [name, value] of entries) {
      const [nameBytes, valueBytes] = [Buffer.from(name.toLowerCase()), Buffer.from(value)];
      parts.push(words(nameBytes.length), nameBytes, words(valueBytes.length), valueBytes);
    }
    const block = Buffer.concat(parts);
    if (block.length > 0xffff) throw malformed('headers too long to send');
    const head = Buffer.alloc(5); // a first byte that says: stored, not the last
    head.writeUInt16LE(block.length, 1);
    head.writeUInt16LE(0xffff - block.length, 3);
    const flush = Buffer.from([0, 0, 0, 0xff, 0xff]);
    const zlibHead = this.#begun ? [] : [Buffer.from([0x78, 0xbb]), words(spdyDictionaryId)];
    this.#begun = true;
    return Buffer.concat([...zlibHead, head, block, flush]);
  }
}

function control(type: number, payload: Buffer): Uint8Array {
  return Buffer.concat([words((0x80000000 | (spdyVersion << 16) | type) >>> 0, payload.length), payload]);
}

function words(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [index, value] of values.entries()) bytes.writeUInt32BE(value, index * 4);
  return bytes;
}
