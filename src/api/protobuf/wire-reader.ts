/** The bytes are no protobuf; the message is upstream's (that of gogo's decoders). */
export class WireError extends Error {
  override readonly name = 'WireError';
}

const utf8 = new TextDecoder();

/** Reads protobuf's wire format. Every read is bounded by the message; what is cut short throws `WireError`. */
export class WireReader {
  readonly #bytes: Uint8Array;
  #at = 0; // never beyond #bytes.length

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** Tag and wire type of the next field. */
  field(): { readonly tag: number; readonly wireType: number } {
    const { low, high } = this.#varint();
    const tag = (low >>> 3) + (high & 0x7) * 0x2000_0000;
    const wireType = low & 7;
    if (tag === 0) throw new WireError(`proto: illegal tag ${tag} (wire type ${wireType})`);
    return { tag, wireType };
  }

  int32(): number {
    return this.#varint().low | 0;
  }

  /** Exact up to 2^53. */
  int64(): number {
    const { low, high } = this.#varint();
    return (high | 0) * 0x1_0000_0000 + low;
  }

  bool(): boolean {
    const { low, high } = this.#varint();
    return low !== 0 || high !== 0;
  }

  double(): number {
    const bytes = this.#take(8);
    return new DataView(bytes.buffer, bytes.byteOffset, 8).getFloat64(0, true);
  }

  bytes(): Uint8Array {
    const { low, high } = this.#varint();
    if (high !== 0 || low > 0x7fff_ffff) throw new WireError('proto: negative length found during unmarshaling');
    return this.#take(low);
  }

  text(): string {
    return utf8.decode(this.bytes());
  }

  skip(wireType: number): void {
    switch (wireType) {
      case 0:
        this.#varint();
        return;
      case 1:
        this.#take(8);
        return;
      case 2:
        this.bytes();
        return;
      case 5:
        this.#take(4);
        return;
      default: // groups are not used by Kubernetes
        throw new WireError(`proto: illegal wireType ${wireType}`);
    }
  }

  #take(byteCount: number): Uint8Array {
    const end = this.#at + byteCount;
    if (end > this.#bytes.length) throw new WireError('unexpected EOF');
    const bytes = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return bytes;
  }

  #varint(): { readonly low: number; readonly high: number } {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#bytes[this.#at];
      if (byte === undefined) throw new WireError('unexpected EOF');
      this.#at++;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high |= bits >> 4;
      } else if (shift < 63) high |= bits << (shift - 32);
      else high |= (bits & 1) << 31;
      if (byte < 0x80) return { low: low >>> 0, high: high >>> 0 };
    }
    throw new WireError('proto: integer overflow');
  }
}
