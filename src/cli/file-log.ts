import fs from 'node:fs';
import type { Clock } from '../base/clock.ts';
import type { Log, LogFields } from '../base/log.ts';
import { formatMicroTime } from '../api/time.ts';

const fileBytesMax = 8 * 1_024 * 1_024; // then it becomes FILE.1, and a new one begins

/**
 * Appends each line as JSON to `file`, of which it keeps the last two of bounded size. What cannot be written is
 * lost.
 */
export function fileLog(file: string, clock: Clock): Log {
  let writtenBytes = sizeOf(file);
  const write = (level: string, event: string, fields: LogFields = {}): void => {
    const line = `${JSON.stringify({ time: formatMicroTime(clock.wallMs()), level, event, ...fields })}\n`;
    try {
      if (writtenBytes > fileBytesMax) {
        fs.renameSync(file, `${file}.1`);
        writtenBytes = 0;
      }
      fs.appendFileSync(file, line, { mode: 0o600 });
      writtenBytes += Buffer.byteLength(line);
    } catch {
      // A full or read-only disk must not end the cluster that logs to it.
    }
  };
  return {
    info: (event, fields) => write('info', event, fields),
    warn: (event, fields) => write('warn', event, fields),
    error: (event, fields) => write('error', event, fields),
  };
}

function sizeOf(file: string): number {
  try {
    return fs.statSync(file).size;
  } catch {
    return 0; // not there yet
  }
}
