import { InvariantError } from '../../base/status-error.ts';

const firstBytes = 1_024;

/**
 * Writes protobuf from the end to the beginning, so that a nested message's length is known when its head is written.
 * Fields are therefore given last to first.
 */
export class WireWriter {
  #buffer = new Uint8Array(firstBytes);
  #start = firstBytes; // what is written lies in [#start, #buffer.length)

  /** Bytes written so far. */
  get length(): number {
    return this.#buffer.length - this.#start;
  }

  /** A copy of what was written. */
  finish(): Uint8Array {
    return this.#buffer.slice(this.#start);
  }

  #reserve(byteCount: number): void {
    if (this.#start >= byteCount) return;
    const used = this.length;
    const size = Math.max(this.#buffer.length * 2, used + byteCount);
    const larger = new Uint8Array(size);
    larger.set(this.#buffer.subarray(this.#start), size - used);
    this.#buffer = larger;
    this.#start = size - used;
  }

  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#start -= bytes.length;
    this.#buffer.set(bytes, this.#start);
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#start -= 1;
    this.#buffer[this.#start] = value;
  }

  /** A whole number that fits in 64 bits; negative ones take ten bytes, as Go writes them. */
  varint(value: number): void {
    if (!Number.isInteger(value)) throw new InvariantError(`varint of ${value}`);
    if (value >= 0 && value < 0x80) {
      this.byte(value);
      return;
    }
    const groups: number[] = [];
    let low = value % 0x1_0000_0000;
    if (low < 0) low += 0x1_0000_0000;
    let high = Math.floor(value / 0x1_0000_0000) >>> 0;
    do {
      groups.push(low & 0x7f);
      low = ((low >>> 7) | ((high & 0x7f) << 25)) >>> 0;
      high >>>= 7;
    } while (low !== 0 || high !== 0);
    for (let index = groups.length - 1; index >= 0; index--) {
      this.byte((groups[index] ?? 0) | (index === groups.length - 1 ? 0 : 0x80));
    }
  }

  /** UTF-8, without a length. */
  text(text: string): void {
    this.#reserve(text.length);
    let at = this.#start;
    for (let index = text.length - 1; index >= 0; index--) {
      const code = text.charCodeAt(index);
      if (code > 0x7f) {
        this.bytes(utf8.encode(text)); // overwrites the ASCII tail written so far
        return;
      }
      at -= 1;
      this.#buffer[at] = code;
    }
    this.#start = at;
  }

  /** Head of a length-delimited field whose content, `since` bytes long before, was just written. */
  closeField(tag: number, since: number): void {
    this.varint(this.length - since);
    this.varint(tag * 8 + 2);
  }
}

const utf8 = new TextEncoder();
