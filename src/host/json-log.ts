import type { Log, LogFields } from '../base/log.ts';

/** One JSON object per line: `{"time":"...","level":"info","event":"podStarted","podUid":"..."}`. */
export function jsonLog(write: (line: string) => void): Log {
  const log = (level: string, event: string, fields: LogFields | undefined): void => {
    write(`${JSON.stringify({ time: new Date().toISOString(), level, event, ...fields })}\n`);
  };
  return {
    info: (event, fields) => log('info', event, fields),
    warn: (event, fields) => log('warn', event, fields),
    error: (event, fields) => log('error', event, fields),
  };
}
