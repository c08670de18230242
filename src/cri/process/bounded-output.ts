import type { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../../base/clock.ts';
import { execOutputBytesMax } from '../runtime.ts';

const idleMs = 100;
const idleLooksMax = 20; // for what was left behind and writes without an end

export interface BoundedOutput {
  /**
   * Resolves at the end of the stream, or once nothing more comes for 100 ms, after 2 s at most: the command has ended,
   * but what it left behind may keep its output open.
   */
  drained(clock: Clock): Promise<void>;
  bytes(): Uint8Array;
}

/**
 * Reads `stream` to its end and keeps the first `execOutputBytesMax` bytes; the rest is read and dropped, so that the
 * writer is not held up.
 */
export function boundedOutput(stream: Readable): BoundedOutput {
  const chunks: Buffer[] = [];
  let keptBytes = 0;
  let pieceCount = 0;
  const ended = new AbortController();
  stream.on('data', (chunk: Buffer) => {
    pieceCount += 1;
    const kept = chunk.subarray(0, execOutputBytesMax - keptBytes);
    if (kept.length === 0) return;
    chunks.push(kept);
    keptBytes += kept.length;
  });
  stream.on('error', () => {}); // 'close' follows
  stream.once('close', () => ended.abort(new Error('all was read')));
  return {
    async drained(clock) {
      let seenCount = -1;
      for (let looks = 0; looks < idleLooksMax && seenCount !== pieceCount && !ended.signal.aborted; looks++) {
        seenCount = pieceCount;
        await clock.sleep(idleMs, 'cri.process.execDrain', ended.signal).catch(() => {}); // all was read
        await nextTurn(); // a busy process reads what has come before it decides that nothing has
      }
    },
    bytes: () => Buffer.concat(chunks),
  };
}
