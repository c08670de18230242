import type { ClientRequest, IncomingMessage } from 'node:http';
import type { WebSocket } from 'ws';
import { StatusError, messageOf } from '../../base/status-error.ts';
import { bodyText, errorOfAnswer } from '../answer.ts';
import type { ChannelMessage, ChannelSocket } from '../channel-socket.ts';
import { tlsOptions } from './http-client.ts';
import type { ClusterAccess } from './kubeconfig.ts';

const messageBytesMax = 64 * 1_024 * 1_024;
const waitingMessagesMax = 64; // unread; then no more is read from the network
const handshakeMsMax = 30_000;

/**
 * Opens `target` (path and query) as a WebSocket with this subprotocol. A refusal is the server's own error; a server
 * that cannot be reached is `ServiceUnavailable`.
 */
export async function dialChannels(
  access: ClusterAccess,
  target: string,
  protocol: string,
  signal: AbortSignal,
): Promise<ChannelSocket> {
  signal.throwIfAborted();
  const { WebSocket } = await import('ws'); // not before it is needed: it takes a while to load
  const headers = {
    'user-agent': 'livelet',
    ...(access.token === undefined ? {} : { authorization: `Bearer ${access.token}` }),
  };
  const socket = new WebSocket(access.server.replace(/^http/, 'ws') + target, [protocol], {
    ...tlsOptions(access),
    headers,
    perMessageDeflate: false,
    maxPayload: messageBytesMax,
    handshakeTimeout: handshakeMsMax,
  });
  await new Promise<void>((resolve, reject) => {
    const onAbort = (): void => {
      socket.terminate();
      reject(signal.reason as Error); // the contract: the reason, unwrapped
    };
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('close', () => signal.removeEventListener('abort', onAbort));
    socket.once('open', () => resolve());
    socket.on('error', (error) => {
      const message = `Get "${access.server}${target}": ${messageOf(error)}`;
      reject(new StatusError('ServiceUnavailable', message, { cause: error }));
    });
    socket.once('unexpected-response', (request: ClientRequest, response: IncomingMessage) => {
      bodyText(response)
        .then((text) => reject(errorOfAnswer(response.statusCode ?? 0, text)), reject)
        .finally(() => request.destroy());
    });
  });
  return new WebSocketChannels(socket);
}

class WebSocketChannels implements ChannelSocket {
  readonly #socket: WebSocket;
  readonly #waiting: ChannelMessage[] = [];
  #end: 'open' | 'closed' | 'broken' = 'open';
  #wake: () => void = () => {};

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('message', (data) => {
      // With the default `binaryType` a message is one Buffer.
      const [channel, bytes] = Buffer.isBuffer(data) ? [data[0], data.subarray(1)] : [undefined, undefined];
      if (channel === undefined || bytes === undefined) return;
      this.#waiting.push({ channel, bytes });
      if (this.#waiting.length >= waitingMessagesMax) socket.pause();
      this.#wake();
    });
    socket.once('close', (code: number) => {
      this.#end = code === 1_000 || code === 1_005 ? 'closed' : 'broken';
      this.#wake();
    });
  }

  async *messages(): AsyncGenerator<ChannelMessage, void, undefined> {
    for (;;) {
      const next = this.#waiting.shift();
      if (next !== undefined) {
        if (this.#waiting.length === 0) this.#socket.resume();
        yield next;
      } else if (this.#end === 'broken') {
        throw new StatusError('ServiceUnavailable', 'the connection was lost');
      } else if (this.#end === 'closed') {
        return;
      } else {
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    }
  }

  send(channel: number, bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.send(Buffer.concat([Buffer.from([channel]), bytes]), (error) => {
        if (error) reject(new StatusError('ServiceUnavailable', `the connection was lost: ${messageOf(error)}`));
        else resolve();
      });
    });
  }

  close(): void {
    this.#socket.close(1_000);
  }

  destroy(): void {
    this.#socket.terminate();
  }
}
