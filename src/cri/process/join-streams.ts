import type net from 'node:net';
import type { ByteStream } from '../../base/byte-stream.ts';
import { StatusError, messageOf } from '../../base/status-error.ts';
import { untilAborted } from '../until-aborted.ts';
import { drained } from './process-streams.ts';

/** Copies in both directions until both have ended. When one fails, or `signal` aborts, both are over at once. */
export async function joinStreams(socket: net.Socket, stream: ByteStream, signal: AbortSignal): Promise<void> {
  try {
    await untilAborted(Promise.all([copyTo(socket, stream, signal), copyFrom(socket, stream)]), signal);
  } catch (error) {
    stream.destroy();
    if (signal.aborted || error instanceof StatusError) throw error;
    throw new StatusError('ServiceUnavailable', messageOf(error), { cause: error });
  } finally {
    socket.destroy();
  }
}

async function copyTo(socket: net.Socket, stream: ByteStream, signal: AbortSignal): Promise<void> {
  for await (const bytes of stream.incoming) {
    if (!socket.writable) return; // the other direction says why
    if (!socket.write(bytes)) await drained(socket, signal);
  }
  socket.end();
}

async function copyFrom(socket: net.Socket, stream: ByteStream): Promise<void> {
  // The end of what is read is not the end of what is written.
  for await (const data of socket.iterator({ destroyOnReturn: false })) {
    // A socket without an encoding gives Buffers.
    await stream.write(data as Buffer);
  }
  await stream.end();
}
