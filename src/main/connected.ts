import type { Socket } from 'node:net';

const connectMsMax = 10_000;

/**
 * The socket when it is connected. Rejects with what `failed` makes of the error, after 10 s at most, or with the
 * signal's reason; the socket is destroyed then.
 */
export function connected<T extends Socket>(
  socket: T,
  event: 'connect' | 'secureConnect',
  failed: (error: Error) => Error,
  signal: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => void socket.destroy(new Error('aborted'));
    const settled = (): void => {
      signal.removeEventListener('abort', onAbort);
      socket.setTimeout(0);
    };
    socket.setTimeout(connectMsMax, () =>
      socket.destroy(Object.assign(new Error('i/o timeout'), { code: 'ETIMEDOUT' })),
    );
    socket.once(event, () => {
      settled();
      resolve(socket);
    });
    socket.on('error', (error) => {
      settled();
      reject(signal.aborted ? signal.reason : failed(error)); // the contract: the reason, unwrapped
    });
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}
