import { Buffer } from 'node:buffer';
import { goQuote, goQuoteBytes } from '../kubelet/probes/go-text.ts';
import type { HttpProbeHead, HttpProbeReply, TransportFailure } from '../kubelet/probes/probe-transport.ts';
import { transportFailures } from '../kubelet/probes/transport-failures.ts';

/** Of all status lines and headers, informational responses included. Upstream: 10 MiB, with the same words. */
export const headBytesMax = 1_024 * 1_024;
const chunkLineBytesMax = 4_096; // as in Go
const noBytes = Buffer.alloc(0);
const noHead: HttpProbeHead = { status: 0, location: undefined };
const noStrings: readonly string[] = [];
const lineFeed = 10;
const carriageReturn = 13;

type Phase =
  | { readonly kind: 'head' }
  | { readonly kind: 'length'; remainingBytes: number }
  | { readonly kind: 'untilClose' }
  | { readonly kind: 'chunkSize' }
  | { readonly kind: 'chunkData'; remainingBytes: number }
  | { readonly kind: 'chunkEnd' }
  | { readonly kind: 'trailer' }
  | { readonly kind: 'done'; readonly reply: HttpProbeReply };

/**
 * Reads one HTTP/1.x response from pieces of any size, as Go's client would, and fails with its words. How the bytes
 * are cut into pieces makes no difference. Keeps no piece: it may be overwritten after `push` returns.
 */
export class Http1ReplyParser {
  readonly #bodyBytesMax: number;
  #phase: Phase = { kind: 'head' };
  #pending: Buffer = noBytes; // bytes of a head or line that is not complete yet
  #headBytes = 0; // of the heads that are complete
  #scannedBytes = 0; // of #pending: it has no end of a head before here
  #head: HttpProbeHead | undefined; // of the final response
  #body: Buffer[] = [];
  #bodyBytes = 0; // in #body, at most #bodyBytesMax

  constructor(bodyBytesMax: number) {
    this.#bodyBytesMax = bodyBytesMax;
  }

  /** The reply once it is known: more bytes make no difference then. */
  get reply(): HttpProbeReply | undefined {
    return this.#phase.kind === 'done' ? this.#phase.reply : undefined;
  }

  /** More bytes came: the first `byteCount` of `bytes`. */
  push(bytes: Buffer, byteCount: number): HttpProbeReply | undefined {
    let data = bytes;
    let end = byteCount;
    if (this.#pending.length > 0) {
      data = Buffer.concat([this.#pending, bytes.subarray(0, byteCount)]);
      end = data.length;
      this.#pending = noBytes;
    }
    for (let offset = 0; offset < end && this.#phase.kind !== 'done';) offset = this.#step(data, offset, end);
    return this.reply;
  }

  /** The other side closed. */
  end(): HttpProbeReply | undefined {
    switch (this.#phase.kind) {
      case 'head':
        this.#endInHead();
        break;
      case 'untilClose':
        this.#finish();
        break;
      case 'trailer':
        this.#fail(bodyFailure('http: unexpected EOF reading trailer'));
        break;
      case 'done':
        break;
      default:
        this.#fail(transportFailures.bodyTooShort);
    }
    return this.reply;
  }

  /** The time is up, or the connection broke: what that means depends on how far the response got. */
  break(failure: TransportFailure): HttpProbeReply | undefined {
    if (this.#phase.kind === 'done') return this.reply;
    if (this.#head !== undefined) {
      this.#fail(failure.kind === 'timeout' ? transportFailures.bodyTimeout : bodyFailure(failure.detail));
    } else if (failure.kind === 'reset' && this.#pending.length > 0) {
      this.#fail(transportFailures.broken(failure.detail));
    } else this.#fail(failure);
    return this.reply;
  }

  /** Takes some of `data` from `offset` to `end`; returns where it stopped. Bytes kept for later count as taken. */
  #step(data: Buffer, offset: number, end: number): number {
    const phase = this.#phase;
    switch (phase.kind) {
      case 'head':
        return this.#stepHead(data, offset, end);
      case 'length':
      case 'chunkData': {
        const taken = Math.min(phase.remainingBytes, end - offset);
        phase.remainingBytes -= taken;
        this.#take(data, offset, offset + taken);
        if (this.#phase.kind === 'done' || phase.remainingBytes > 0) return offset + taken;
        if (phase.kind === 'length') this.#finish();
        else this.#phase = { kind: 'chunkEnd' };
        return offset + taken;
      }
      case 'untilClose':
        this.#take(data, offset, end);
        return end;
      case 'chunkSize':
      case 'trailer':
        return this.#stepLine(data, offset, end, phase.kind);
      case 'chunkEnd':
        return this.#stepChunkEnd(data, offset, end);
      default:
        return end;
    }
  }

  #stepHead(data: Buffer, offset: number, end: number): number {
    const headEnd = endOfHead(data, offset, offset + this.#scannedBytes, end);
    this.#scannedBytes = 0;
    if (this.#headBytes + (headEnd ?? end) - offset > headBytesMax) {
      this.#fail(broken(`net/http: server response headers exceeded ${headBytesMax} bytes; aborted`));
      return end;
    }
    if (headEnd === undefined) {
      const status = firstLineOf(data, offset, end);
      if (typeof status === 'string') this.#fail(transportFailures.broken(status));
      else this.#keep(data, offset, end, end - 2); // an end may have begun in the last two bytes
      return end;
    }
    this.#headBytes += headEnd - offset;
    const head = parseHead(data, offset, headEnd);
    if ('broken' in head) this.#fail(transportFailures.broken(head.broken));
    else if (head.status >= 200 || head.status === 101) return this.#beginBody(head, data, headEnd, end);
    return headEnd; // and after an informational response another head
  }

  #beginBody(head: ParsedHead, data: Buffer, offset: number, end: number): number {
    this.#head = head;
    const { framing } = head;
    if (framing.kind !== 'length') {
      this.#phase = framing.kind === 'chunked' ? { kind: 'chunkSize' } : { kind: 'untilClose' };
      return offset;
    }
    if (end - offset < framing.bytes && end - offset < this.#bodyBytesMax) {
      this.#phase = { kind: 'length', remainingBytes: framing.bytes };
      return offset;
    }
    const taken = Math.min(framing.bytes, this.#bodyBytesMax); // the whole body is there, as nearly always
    this.#finishWith(taken === 0 ? '' : data.toString('utf8', offset, offset + taken));
    return end;
  }

  #stepLine(data: Buffer, offset: number, end: number, kind: 'chunkSize' | 'trailer'): number {
    const found = data.indexOf(lineFeed, offset);
    const lineEnd = found < 0 || found >= end ? undefined : found;
    if ((lineEnd ?? end) - offset >= chunkLineBytesMax) {
      this.#fail(bodyFailure('header line too long'));
      return end;
    }
    if (lineEnd === undefined) {
      this.#keep(data, offset, end, end);
      return end;
    }
    const text = data.toString('latin1', offset, lineEnd).replace(/\r$/, '');
    if (kind === 'trailer') {
      if (text === '') this.#finish();
      return lineEnd + 1;
    }
    const size = parseChunkSize(text);
    if (typeof size === 'string') this.#fail(bodyFailure(size));
    else this.#phase = size === 0 ? { kind: 'trailer' } : { kind: 'chunkData', remainingBytes: size };
    return lineEnd + 1;
  }

  #stepChunkEnd(data: Buffer, offset: number, end: number): number {
    const isWhole = end - offset >= 2;
    if (data[offset] !== carriageReturn || (isWhole && data[offset + 1] !== lineFeed)) {
      this.#fail(bodyFailure('malformed chunked encoding'));
    } else if (isWhole) this.#phase = { kind: 'chunkSize' };
    else this.#keep(data, offset, end, end);
    return offset + 2;
  }

  #take(data: Buffer, from: number, to: number): void {
    const taken = Math.min(to - from, this.#bodyBytesMax - this.#bodyBytes);
    if (taken > 0) {
      this.#body.push(Buffer.from(data.subarray(from, from + taken)));
      this.#bodyBytes += taken;
    }
    if (this.#bodyBytes >= this.#bodyBytesMax) this.#finish();
  }

  /** Keeps bytes until more come; `scannedTo`: up to where they need not be looked at again. */
  #keep(data: Buffer, offset: number, end: number, scannedTo: number): void {
    this.#pending = Buffer.from(data.subarray(offset, end));
    this.#scannedBytes = Math.max(0, scannedTo - offset);
  }

  #endInHead(): void {
    if (this.#pending.length === 0) return this.#fail(transportFailures.eof);
    const status = firstLineOf(this.#pending, 0, this.#pending.length, 'unfinished');
    this.#fail(transportFailures.broken(typeof status === 'string' ? status : 'unexpected EOF'));
  }

  #finish(): void {
    this.#finishWith(Buffer.concat(this.#body).toString('utf8'));
  }

  #finishWith(body: string): void {
    const { status, location } = this.#head ?? noHead;
    this.#phase = { kind: 'done', reply: { kind: 'response', status, location, body } };
  }

  #fail(failure: TransportFailure): void {
    let known = failure;
    if (failure.kind === 'body' && this.#head !== undefined) {
      const { status, location } = this.#head;
      known = { ...failure, head: { status, location } };
    }
    this.#phase = { kind: 'done', reply: { kind: 'failed', failure: known } };
  }
}

function bodyFailure(detail: string): TransportFailure {
  return { kind: 'body', detail };
}

function broken(detail: string): TransportFailure {
  return { kind: 'malformed', detail };
}

/** The index after the empty line that ends a head; lines end in LF or CR LF. `from`: nothing ends before it. */
function endOfHead(data: Buffer, offset: number, from: number, end: number): number | undefined {
  for (let at = from; at < end; at++) {
    if (data[at] !== lineFeed) continue;
    if (at === offset || (at === offset + 1 && data[offset] === carriageReturn)) return at + 1; // an empty first line
    if (at + 1 < end && data[at + 1] === lineFeed) return at + 2;
    if (at + 2 < end && data[at + 1] === carriageReturn && data[at + 2] === lineFeed) return at + 3;
  }
  return undefined;
}

/** What the first line says, once it is complete, or (`unfinished`) as far as it goes. */
function firstLineOf(data: Buffer, offset: number, end: number, which?: 'unfinished'): StatusLine | string | undefined {
  const found = data.indexOf(lineFeed, offset);
  const isComplete = found >= 0 && found < end;
  if (!isComplete && which === undefined) return undefined;
  const bytes = data.subarray(offset, isComplete ? found : end);
  return parseStatusLine(withoutReturn(bytes.toString('latin1')));
}

function withoutReturn(text: string): string {
  return text.endsWith('\r') ? text.slice(0, -1) : text;
}

interface StatusLine {
  readonly status: number;
  readonly isHttp10: boolean;
}

/** `line`: a character for each byte. As text: what is wrong with it. */
function parseStatusLine(line: string): StatusLine | string {
  if (/^HTTP\/1\.1 [0-9]{3}(?: |$)/.test(line)) return { status: Number(line.slice(9, 12)), isHttp10: false };
  const space = line.indexOf(' ');
  if (space < 0) return `malformed HTTP response ${goQuoteBytes(Buffer.from(line, 'latin1'))}`;
  const protocol = line.slice(0, space);
  const code = line.slice(space).trimStart().split(' ', 1)[0] ?? '';
  if (!/^[0-9]{3}$/.test(code)) return `malformed HTTP status code ${goQuote(code)}`;
  if (!/^HTTP\/[0-9]\.[0-9]$/.test(protocol)) return `malformed HTTP version ${goQuote(protocol)}`;
  return { status: Number(code), isHttp10: protocol === 'HTTP/1.0' || protocol.startsWith('HTTP/0') };
}

type Framing =
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'untilClose' };

interface ParsedHead extends HttpProbeHead {
  readonly framing: Framing;
}

function parseHead(data: Buffer, from: number, to: number): ParsedHead | { readonly broken: string } {
  const text = data.toString('latin1', from, to);
  const firstLineEnd = text.indexOf('\n');
  const status = parseStatusLine(withoutReturn(text.slice(0, firstLineEnd)));
  if (typeof status === 'string') return { broken: status };
  const fields = parseFields(text, firstLineEnd + 1);
  if (typeof fields === 'string') return { broken: fields };
  const framing = framingOf(status.status, status.isHttp10, fields);
  if (typeof framing === 'string') return { broken: framing };
  return { status: status.status, location: fields.location, framing };
}

/** What matters of the header fields. */
interface Fields {
  readonly location: string | undefined;
  readonly contentLengths: readonly string[];
  readonly transferEncodings: readonly string[];
}

/** `text`: a character for each byte. As text: what is wrong with it. */
function parseFields(text: string, from: number): Fields | string {
  let location: string | undefined;
  let contentLengths = noStrings;
  let transferEncodings = noStrings;
  let lineEnd: number;
  for (let start = from; start < text.length; start = lineEnd + 1) {
    lineEnd = endOfField(text, start);
    const colon = text.indexOf(':', start);
    const fault = faultOfField(text, start, colon, lineEnd, start === from);
    if (fault !== undefined) return fault === 'end of head' ? { location, contentLengths, transferEncodings } : fault;
    switch (fieldName(text, start, colon)) {
      case 'location':
        location ??= fieldValue(text, colon, lineEnd); // the first one counts
        break;
      case 'content-length':
        contentLengths = [...contentLengths, fieldValue(text, colon, lineEnd)];
        break;
      case 'transfer-encoding':
        transferEncodings = [...transferEncodings, fieldValue(text, colon, lineEnd)];
        break;
      default: // means nothing to a probe
    }
  }
  return { location, contentLengths, transferEncodings };
}

/** Where the line feed is that ends the field: a line that begins with white space continues the one before. */
function endOfField(text: string, start: number): number {
  let end = text.indexOf('\n', start);
  for (; text[end + 1] === ' ' || text[end + 1] === '\t'; end = text.indexOf('\n', end + 1));
  return end;
}

const tokenChars = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

function faultOfField(text: string, start: number, colon: number, end: number, isFirst: boolean): string | undefined {
  const first = text[start];
  if (first === '\n' || (first === '\r' && end === start + 1)) return 'end of head';
  if (isFirst && (first === ' ' || first === '\t')) {
    return `malformed MIME header initial line: ${text.slice(start, end).trim()}`;
  }
  if (colon < 0 || colon > end) {
    return `malformed MIME header: missing colon: ${goQuoteBytes(Buffer.from(unfolded(text, start, end), 'latin1'))}`;
  }
  if (tokenChars.test(text.slice(start, colon))) return undefined;
  return `malformed MIME header line: ${utf8(unfolded(text, start, end))}`;
}

/** In lower case, if it is one of those that matter. */
function fieldName(text: string, start: number, colon: number): string {
  const length = colon - start;
  return length === 8 || length === 14 || length === 17 ? text.slice(start, colon).toLowerCase() : '';
}

function fieldValue(text: string, colon: number, end: number): string {
  return utf8(unfolded(text, colon + 1, end));
}

function unfolded(text: string, from: number, to: number): string {
  return text
    .slice(from, to)
    .trim()
    .replaceAll(/\s*\n\s*/g, ' ');
}

function utf8(bytes: string): string {
  return /[\u0080-\u00ff]/.test(bytes) ? Buffer.from(bytes, 'latin1').toString('utf8') : bytes;
}

function framingOf(status: number, isHttp10: boolean, fields: Fields): Framing | string {
  const { contentLengths, transferEncodings } = fields;
  const isChunked = transferEncodings.length > 0 && !isHttp10; // HTTP/1.0 does not know it
  if (isChunked && transferEncodings.length > 1) {
    return `too many transfer encodings: ${goStrings(transferEncodings)}`;
  }
  if (isChunked && transferEncodings[0]?.toLowerCase() !== 'chunked') {
    return `unsupported transfer encoding: ${goQuote(transferEncodings[0] ?? '')}`;
  }
  const [length] = contentLengths;
  if (contentLengths.some((other) => other !== length)) {
    return `http: message cannot contain multiple Content-Length headers; got ${goStrings(contentLengths)}`;
  }
  if (status === 204 || status === 304) return { kind: 'length', bytes: 0 };
  if (isChunked) return { kind: 'chunked' };
  if (length === undefined) return { kind: 'untilClose' };
  if (!/^[0-9]+$/.test(length)) return `bad Content-Length ${goQuote(length)}`;
  return { kind: 'length', bytes: Number(length) };
}

function goStrings(texts: readonly string[]): string {
  return `[${texts.map(goQuote).join(' ')}]`;
}

/** The size in a chunk's first line, whose extensions are dropped; as text: what is wrong with it. */
function parseChunkSize(text: string): number | string {
  const digits = (text.split(';', 1)[0] ?? '').trimEnd();
  if (digits === '') return 'empty hex number for chunk length';
  if (!/^[0-9a-fA-F]+$/.test(digits)) return 'invalid byte in chunk length';
  return digits.length > 16 ? 'http chunk length too large' : Number.parseInt(digits, 16);
}
