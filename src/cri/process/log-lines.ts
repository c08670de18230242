/** One container stream as lines of the CRI log format: `2026-01-02T03:04:05.123456789Z stdout F text`. */

export type LogStream = 'stdout' | 'stderr';

export const logLineBytesMax = 16_384; // as containerd: longer lines go out in pieces, all but the last with the tag P

/**
 * Turns chunks into whole log lines. Bytes pass as they are: text is treated as Latin-1 only to move it around. What
 * has no newline yet is kept, at most `logLineBytesMax` bytes of it.
 */
export class LogLines {
  readonly #stream: LogStream;
  #rest = ''; // of the last line, without its newline

  constructor(stream: LogStream) {
    this.#stream = stream;
  }

  /** The lines that `chunk` completes, ready to be written; empty: none. All of them get `timestamp`. */
  push(chunk: Uint8Array, timestamp: string): Buffer {
    const text = this.#rest + Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength).toString('latin1');
    const full = `${timestamp} ${this.#stream} F `;
    const end = text.lastIndexOf('\n');
    if (!hasLongLine(text)) {
      this.#rest = text.slice(end + 1);
      if (end < 0) return Buffer.alloc(0);
      return Buffer.from(`${full}${text.slice(0, end).replaceAll('\n', `\n${full}`)}\n`, 'latin1');
    }
    const partial = `${timestamp} ${this.#stream} P `;
    const lines = text.split('\n');
    let rest = lines.pop() ?? '';
    let out = '';
    for (const line of lines) {
      const pieces = piecesOf(line);
      out += pieces.map((piece, i) => `${i === pieces.length - 1 ? full : partial}${piece}\n`).join('');
    }
    for (; rest.length > logLineBytesMax; rest = rest.slice(logLineBytesMax)) {
      out += `${partial}${rest.slice(0, logLineBytesMax)}\n`;
    }
    this.#rest = rest;
    return Buffer.from(out, 'latin1');
  }

  /** The last line, if it ended without a newline. */
  end(timestamp: string): Buffer {
    const rest = this.#rest;
    this.#rest = '';
    return rest === '' ? Buffer.alloc(0) : Buffer.from(`${timestamp} ${this.#stream} F ${rest}\n`, 'latin1');
  }
}

/** Looks only at every 16 KiB: from there back there must be a newline. */
function hasLongLine(text: string): boolean {
  let start = 0;
  while (text.length - start > logLineBytesMax) {
    const newline = text.lastIndexOf('\n', start + logLineBytesMax);
    if (newline < start) return true;
    start = newline + 1;
  }
  return false;
}

function piecesOf(line: string): string[] {
  const pieces: string[] = [];
  for (let start = 0; start < line.length || start === 0; start += logLineBytesMax) {
    pieces.push(line.slice(start, start + logLineBytesMax));
  }
  return pieces;
}
