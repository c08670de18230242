/** Remote commands over SPDY/3.1: one stream each for error, stdin, stdout, stderr and resize. */
import type { ByteStream } from '../base/byte-stream.ts';
import { StatusError } from '../base/status-error.ts';
import { TaskScope } from '../base/task-scope.ts';
import type { RemoteCommandOptions } from '../kubelet/stream-server.ts';
import { Activity, clientGone, closeSession, finishMsMax, keepAlive, streamCreationMs, within } from './keep-alive.ts';
import { outcomeOf } from './remote-command.ts';
import type { RunCommand, StreamingDeps } from './remote-command.ts';
import { plainTextOf, statusOf } from './remote-status.ts';
import { SpdyConnection } from './spdy-connection.ts';
import type { SpdyStream } from './spdy-connection.ts';
import { TerminalSizes } from './terminal-sizes.ts';

/** In upstream's order of preference; the client's comes first. */
export const spdyCommandProtocols = [
  'v5.channel.k8s.io',
  'v4.channel.k8s.io',
  'v3.channel.k8s.io',
  'v2.channel.k8s.io',
  'channel.k8s.io',
] as const;

type StreamType = 'error' | 'stdin' | 'stdout' | 'stderr' | 'resize';
const streamTypes: ReadonlySet<string> = new Set(['error', 'stdin', 'stdout', 'stderr', 'resize']);

const withResize: ReadonlySet<string> = new Set(['v5.channel.k8s.io', 'v4.channel.k8s.io', 'v3.channel.k8s.io']);
const withStatus: ReadonlySet<string> = new Set(['v5.channel.k8s.io', 'v4.channel.k8s.io']);

/** The streams that the client is to open. */
function expectedTypes(protocol: string, options: RemoteCommandOptions): Set<StreamType> {
  const types = new Set<StreamType>(['error']);
  if (options.stdin) types.add('stdin');
  if (options.stdout) types.add('stdout');
  if (options.stderr && !options.tty) types.add('stderr');
  if (options.tty && withResize.has(protocol)) types.add('resize');
  return types;
}

/** `connection` is past the 101. `protocol` `''`: none was negotiated, which is the first version. */
export async function serveSpdyCommand(
  { clock, log }: StreamingDeps,
  connection: ByteStream,
  protocol: string,
  options: RemoteCommandOptions,
  run: RunCommand,
  signal: AbortSignal,
): Promise<void> {
  const expected = expectedTypes(protocol, options);
  const streams = new Map<string, SpdyStream>();
  let allOpened: () => void = () => {};
  const opened = new Promise<void>((resolve) => (allOpened = resolve));
  const activity = new Activity(clock);
  const spdy = new SpdyConnection(connection, {
    side: 'server',
    mayOpen: ({ streamtype = '' }) => streamTypes.has(streamtype) && !streams.has(streamtype),
    onStream(stream) {
      const type = stream.headers['streamtype'] ?? '';
      streams.set(type, stream);
      if (type !== 'stdin' && type !== 'resize') stream.incoming.discard();
      if ([...expected].every((each) => streams.has(each))) allOpened();
    },
    onActivity: () => activity.touch(),
  });
  const scope = new TaskScope(signal);
  scope.signal.addEventListener('abort', () => connection.destroy(), { once: true });
  scope.start(async () => {
    await spdy.run();
    throw clientGone();
  });
  scope.start((inner) => keepAlive(clock, activity, () => spdy.ping(), inner));
  try {
    const late = await within(clock, streamCreationMs, 'streaming.open', opened, scope.signal);
    if (late === 'late') return; // as upstream: there is no stream to say it on
    await serveOpened({ clock, log }, streams, { protocol, tty: options.tty, run, activity }, scope);
  } catch (error) {
    if (!scope.signal.aborted) throw error;
  } finally {
    await closeSession(scope);
  }
}

interface OpenedCommand {
  readonly protocol: string;
  readonly tty: boolean;
  readonly run: RunCommand;
  readonly activity: Activity;
}

async function serveOpened(
  { clock, log }: StreamingDeps,
  streams: ReadonlyMap<string, SpdyStream>,
  { protocol, tty, run, activity }: OpenedCommand,
  scope: TaskScope,
): Promise<void> {
  const [stdin, resize] = [streams.get('stdin'), streams.get('resize')];
  const sizes = new TerminalSizes();
  if (resize !== undefined) {
    scope.start(async () => {
      for await (const bytes of untilLost(resize.incoming)) sizes.add(bytes);
      sizes.end();
    });
  }
  const writer = (stream: SpdyStream | undefined): ((bytes: Uint8Array) => Promise<void>) | undefined =>
    stream && ((bytes) => writeTo(stream, bytes, activity));
  const remote = {
    stdin: stdin && untilLost(stdin.incoming),
    stdout: writer(streams.get('stdout')),
    stderr: tty ? undefined : writer(streams.get('stderr')),
    resize: tty ? sizes : undefined,
  };
  const outcome = await outcomeOf(log, run, remote, scope.signal);
  sizes.end();
  stdin?.incoming.discard();
  if (outcome === undefined) return;
  const error = streams.get('error');
  const text = withStatus.has(protocol) ? statusOf(outcome) : plainTextOf(outcome);
  if (error !== undefined) await writeTo(error, Buffer.from(text), activity);
  for (const stream of streams.values()) await stream.end();
  await within(clock, finishMsMax, 'streaming.finish', new Promise<never>(() => {}), scope.signal);
}

/** That the client is gone is told by the signal; its input just ends. */
async function* untilLost(incoming: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* incoming;
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
  }
}

/** A client that has cut off one stream does not want to read it: what was meant for it is dropped, as upstream. */
async function writeTo(stream: SpdyStream, bytes: Uint8Array, activity: Activity): Promise<void> {
  activity.touch();
  try {
    await stream.write(bytes);
  } catch (error) {
    if (!stream.isReset) throw error;
  }
}
