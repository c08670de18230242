/** Remote commands over WebSocket: channel 0 is stdin, 1 stdout, 2 stderr, 3 the status, 4 the terminal's sizes. */
import type { ByteStream } from '../base/byte-stream.ts';
import type { HttpRequest } from '../base/http.ts';
import { TaskScope } from '../base/task-scope.ts';
import type { RemoteCommandOptions } from '../kubelet/stream-server.ts';
import { BytePipe } from './byte-pipe.ts';
import { channelCodec } from './channel-codec.ts';
import { Activity, clientGone, closeSession, finishMsMax, keepAlive } from './keep-alive.ts';
import { outcomeOf } from './remote-command.ts';
import type { RunCommand, StreamingDeps } from './remote-command.ts';
import { plainTextOf, statusOf } from './remote-status.ts';
import { TerminalSizes } from './terminal-sizes.ts';
import { openWebSocket } from './web-socket.ts';

export const channel = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;

/** `''`: a client that asks for none gets the first version. */
export const webSocketCommandProtocols = [
  'v5.channel.k8s.io',
  'v4.channel.k8s.io',
  'v4.base64.channel.k8s.io',
  'channel.k8s.io',
  'base64.channel.k8s.io',
  '',
] as const;

export async function serveWebSocketCommand(
  { clock, log }: StreamingDeps,
  request: HttpRequest,
  connection: ByteStream,
  protocol: string,
  options: RemoteCommandOptions,
  run: RunCommand,
  signal: AbortSignal,
): Promise<void> {
  const stdin = new BytePipe();
  const sizes = new TerminalSizes();
  const activity = new Activity(clock);
  const codec = channelCodec(protocol);
  const mayClose = protocol.startsWith('v5.');
  const scope = new TaskScope(signal);
  const onAbort = (): void => {
    connection.destroy();
    stdin.end();
    sizes.end();
  };
  scope.signal.addEventListener('abort', onAbort, { once: true });
  let closed: () => void = () => {};
  scope.start(async () => {
    await new Promise<void>((resolve) => (closed = resolve));
    throw clientGone();
  });
  if (!options.stdin) stdin.discard();
  const received = async (message: Uint8Array): Promise<void> => {
    activity.touch();
    const decoded = codec.decode(message);
    if (decoded?.channel === channel.stdin) await stdin.push(decoded.bytes);
    else if (decoded?.channel === channel.resize) sizes.add(decoded.bytes);
    else if (decoded?.channel === channel.close && mayClose && decoded.bytes[0] === channel.stdin) stdin.end();
    // Other channels are ours to write, or unknown: dropped, as upstream.
  };
  const events = { onMessage: received, onPing: () => activity.touch(), onClosed: () => closed() };
  try {
    const session = await openWebSocket(request, connection, { protocol, closeTimeoutMs: finishMsMax }, events);
    scope.start((inner) => keepAlive(clock, activity, () => session.ping(), inner));
    const writer = (number: number) => async (bytes: Uint8Array) => {
      activity.touch();
      await session.send(codec.encode(number, bytes));
    };
    const [stdout, stderr] = [options.stdout, options.stderr && !options.tty];
    // An empty message tells the client that the session is established.
    const first = stdout ? channel.stdout : stderr ? channel.stderr : channel.error;
    await writer(first)(new Uint8Array(0));
    const streams = {
      stdin: options.stdin ? stdin : undefined,
      stdout: stdout ? writer(channel.stdout) : undefined,
      stderr: stderr ? writer(channel.stderr) : undefined,
      resize: options.tty ? sizes : undefined,
    };
    const outcome = await outcomeOf(log, run, streams, scope.signal);
    stdin.discard();
    if (outcome === undefined) return;
    const isOld = !protocol.startsWith('v5.') && !protocol.startsWith('v4.');
    const text = isOld ? plainTextOf(outcome) : statusOf(outcome);
    if (text !== '') await writer(channel.error)(Buffer.from(text));
    await session.close();
  } catch (error) {
    if (!scope.signal.aborted) throw error;
  } finally {
    stdin.discard();
    closed();
    await closeSession(scope);
  }
}
