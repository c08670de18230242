import { Duplex } from 'node:stream';
import type { ByteStream } from '../base/byte-stream.ts';
import { messageOf } from '../base/status-error.ts';

/** The other way round from `byteStreamOf`: for a library that wants a socket. */
export function duplexOf(stream: ByteStream): Duplex {
  const iterator = stream.incoming[Symbol.asyncIterator]();
  const settle = (work: Promise<void>, report: (error?: Error | null) => void): void => {
    work.then(
      () => report(),
      (error: unknown) => report(error instanceof Error ? error : new Error(messageOf(error))),
    );
  };
  const duplex = new Duplex({
    read() {
      iterator.next().then(
        (next) => duplex.push(next.done === true ? null : next.value),
        (error: unknown) => duplex.destroy(error instanceof Error ? error : new Error(messageOf(error))),
      );
    },
    write: (chunk: Uint8Array, _encoding, done) => settle(stream.write(chunk), done),
    final: (done) => settle(stream.end(), done),
    destroy(error, done) {
      stream.destroy();
      done(error);
    },
  });
  return duplex;
}
