export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Logs are data with stable names: one line per transition, none per poll. `log.info('podStarted', { podUid })`. */
export interface Log {
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
}

/** Drops everything: for tests and embedders that want silence. */
export const noLog: Log = { info() {}, warn() {}, error() {} };
