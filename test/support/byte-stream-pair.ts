import type { ByteStream } from '../../src/base/byte-stream.ts';
import { StatusError } from '../../src/base/status-error.ts';
import { BytePipe } from '../../src/streaming/byte-pipe.ts';

/** Two ends of a connection in memory. Cut off by either side's `destroy`, as a socket would be. */
export function byteStreamPair(): readonly [ByteStream, ByteStream] {
  const there = new BytePipe();
  const back = new BytePipe();
  const lost = new StatusError('ServiceUnavailable', 'the connection was lost');
  let isLost = false;
  const end = (incoming: BytePipe, outgoing: BytePipe): ByteStream => ({
    incoming,
    write: async (bytes) => {
      if (isLost) throw lost;
      await outgoing.push(Uint8Array.from(bytes));
    },
    end: () => Promise.resolve(outgoing.end()),
    destroy() {
      isLost = true;
      incoming.discard();
      outgoing.fail(lost);
    },
  });
  return [end(back, there), end(there, back)];
}

export async function bytesOf(incoming: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of incoming) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export async function textOf(incoming: AsyncIterable<Uint8Array>): Promise<string> {
  return (await bytesOf(incoming)).toString('utf8');
}
