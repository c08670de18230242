import { parseLogLine, splitLines } from './cri-log.ts';

/**
 * The last `linesMax` lines of the end of a log file, cut to their last `bytesMax` bytes: the termination message of a
 * container that failed without writing one.
 */
export function lastLogText(tail: Uint8Array, linesMax: number, bytesMax: number): string {
  const texts = splitLines(tail)
    .slice(-linesMax)
    .flatMap((stored) => {
      const line = parseLogLine(stored);
      return line === undefined ? [] : [line.content];
    });
  const all = new Uint8Array(texts.reduce((sum, text) => sum + text.length, 0));
  let at = 0;
  for (const text of texts) {
    all.set(text, at);
    at += text.length;
  }
  return new TextDecoder().decode(all.subarray(Math.max(0, all.length - bytesMax)));
}
