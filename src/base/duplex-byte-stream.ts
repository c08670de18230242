import type { ByteStream } from './byte-stream.ts';
import { StatusError, messageOf } from './status-error.ts';

/** What of Node's `Duplex` (a socket, TLS, a pipe) is needed. */
export interface DuplexLike {
  iterator(options: { readonly destroyOnReturn: boolean }): AsyncIterator<Uint8Array> & AsyncIterable<Uint8Array>;
  write(bytes: Uint8Array, done: (error?: Error | null) => void): unknown;
  end(done: () => void): unknown;
  destroy(): unknown;
  readonly destroyed: boolean;
  readonly writableEnded: boolean;
}

function lost(error: unknown): StatusError {
  return new StatusError('ServiceUnavailable', `the connection was lost: ${messageOf(error)}`, { cause: error });
}

/** A `ByteStream` over a socket. That the socket emits 'error' must be somebody's care; here it only fails calls. */
export function byteStreamOf(duplex: DuplexLike): ByteStream {
  async function* incoming(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield* duplex.iterator({ destroyOnReturn: false });
    } catch (error) {
      throw lost(error);
    }
  }
  return {
    incoming: incoming(),
    write: (bytes) =>
      new Promise((resolve, reject) => {
        duplex.write(bytes, (error) => {
          if (error) reject(lost(error));
          else resolve();
        });
      }),
    end: () =>
      new Promise((resolve) => {
        if (duplex.destroyed || duplex.writableEnded) resolve();
        else duplex.end(() => resolve());
      }),
    destroy: () => {
      duplex.destroy();
    },
  };
}
