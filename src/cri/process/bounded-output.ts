import type { Readable } from 'node:stream';
import { execOutputBytesMax } from '../runtime.ts';

/**
 * Reads `stream` to its end and keeps the first `execOutputBytesMax` bytes; the rest is read and dropped, so that the
 * writer is not held up. Resolves at the end, or when the stream is destroyed.
 */
export function boundedOutput(stream: Readable): { readonly ended: Promise<void>; bytes(): Uint8Array } {
  const chunks: Buffer[] = [];
  let keptBytes = 0;
  stream.on('data', (chunk: Buffer) => {
    const kept = chunk.subarray(0, execOutputBytesMax - keptBytes);
    if (kept.length === 0) return;
    chunks.push(kept);
    keptBytes += kept.length;
  });
  stream.on('error', () => {}); // 'close' follows
  const ended = new Promise<void>((resolve) => stream.once('close', resolve));
  return { ended, bytes: () => Buffer.concat(chunks) };
}
