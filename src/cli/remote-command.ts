/** The client's side of `exec` and `attach`: joins this process's streams to a command's. */
import { goQuote } from '../api/go-text.ts';
import type { Container, Pod } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import { StatusError, hasReason, messageOf } from '../base/status-error.ts';
import { TaskScope } from '../base/task-scope.ts';
import type { ChannelSocket } from '../client/channel-socket.ts';
import type { ApiConnection } from './api-connection.ts';
import { CliError } from './cli-error.ts';
import type { CliIo } from './cli-io.ts';
import { getObject, pathOf } from './object-calls.ts';
import { ResourceTypes } from './resource-types.ts';

export const defaultContainerAnnotation = 'kubectl.kubernetes.io/default-container';
const protocol = 'v5.channel.k8s.io';
const channel = { stdin: 0, stdout: 1, stderr: 2, status: 3, resize: 4, close: 255 } as const;

/** The streams of a command, as a client wants them. */
export interface RemoteCommand {
  readonly subresource: 'exec' | 'attach';
  readonly container: string;
  /** Only for `exec`. */
  readonly command: readonly string[];
  readonly stdin: boolean;
  readonly tty: boolean;
}

/** The pod of `POD` or `TYPE/NAME`. Only pods themselves are found. */
export async function namedPod(
  argument: string,
  connection: ApiConnection,
  io: CliIo,
  signal: AbortSignal,
): Promise<Pod> {
  const [kind = '', name = '', ...more] = argument.includes('/') ? argument.split('/') : ['pods', argument];
  if (more.length > 0) throw new CliError('arguments in resource/name form may not have more than one slash');
  const type = await new ResourceTypes(connection, io).named(kind, signal);
  if (type.resource !== 'pods' || type.group !== '') {
    throw new CliError(`cannot attach to *v1.${type.kind}: selector for *v1.${type.kind} not implemented`);
  }
  const place = { type: resources.pods, namespace: connection.namespace, name };
  // The server's pods are of this shape.
  return (await getObject(connection, place, signal)) as Pod;
}

/** The container that is meant; tells which, where there is a choice. */
export function containerOf(pod: Pod, asked: string, isQuiet: boolean, io: CliIo): Container {
  const { spec, metadata } = pod;
  const all = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])];
  const preferred = metadata?.annotations?.[defaultContainerAnnotation] ?? '';
  const wanted = asked === '' ? preferred : asked;
  const found = all.find(({ name }) => name === wanted);
  if (found !== undefined) return found;
  if (asked !== '') throw new CliError(`container ${asked} not found in pod ${metadata?.name}`);
  const [first] = all;
  if (first === undefined) throw new CliError(`pod ${metadata?.name} has no containers`);
  if (all.length > 1 && !isQuiet) {
    const initial = new Set(spec?.initContainers);
    const names = all.map((each) => (initial.has(each) ? `${each.name} (init)` : each.name));
    io.err(`Defaulted container ${goQuote(first.name)} out of: ${names.join(', ')}\n`);
  }
  return first;
}

/** Whether to ask for a terminal: the program's end of it may be a file. */
export function checkTerminal(wantsTty: boolean, hasStdin: boolean, isQuiet: boolean, io: CliIo): void {
  if (!wantsTty || !hasStdin || io.terminal !== undefined || isQuiet) return;
  io.err('Unable to use a TTY - input is not a terminal or the right kind of file\n');
}

/** Runs until the command has ended; resolves to its exit code, which has been told. */
export async function runRemoteCommand(
  pod: Pod,
  remote: RemoteCommand,
  connection: ApiConnection,
  io: CliIo,
  signal: AbortSignal,
): Promise<number> {
  const { namespace = '', name = '' } = pod.metadata ?? {};
  const path = pathOf({ type: resources.pods, namespace, name, subresource: remote.subresource });
  const query = new URLSearchParams();
  for (const word of remote.command) query.append('command', word);
  query.set('container', remote.container);
  if (remote.stdin) query.set('stdin', 'true');
  query.set('stdout', 'true');
  if (remote.tty) query.set('tty', 'true');
  else query.set('stderr', 'true');
  const socket = await dial(connection, `${path}?${query.toString()}`, protocol, signal);
  const scope = new TaskScope(signal);
  const onAbort = (): void => socket.destroy();
  scope.signal.addEventListener('abort', onAbort, { once: true });
  const terminal = remote.tty && remote.stdin ? io.terminal : undefined;
  let stopResizing: () => void = () => {};
  try {
    if (terminal !== undefined) {
      terminal.setRaw(true);
      const sendSize = (): void => {
        const { width, height } = terminal.size();
        const text = JSON.stringify({ Width: width, Height: height });
        scope.start(() => socket.send(channel.resize, Buffer.from(text)));
      };
      sendSize();
      stopResizing = terminal.onResize(sendSize);
    }
    // Its end is not waited for: whoever types may never say it.
    if (remote.stdin) sendInput(io.stdin, socket).catch(() => {}); // the reader of the socket is told
    const status = await readOutput(socket, io);
    signal.throwIfAborted();
    return exitCodeOf(status, io);
  } finally {
    stopResizing();
    terminal?.setRaw(false);
    await scope.close().catch(() => {}); // what could not be sent was of no use any more
  }
}

/** A refusal is told as kubectl does, also where the node did not answer with an object. */
export async function dial(
  connection: ApiConnection,
  target: string,
  subprotocol: string,
  signal: AbortSignal,
): Promise<ChannelSocket> {
  try {
    return await connection.dial(target, subprotocol, signal);
  } catch (error) {
    if (signal.aborted || !hasReason(error, 'InternalError')) throw error;
    throw new CliError(`unable to upgrade connection: ${messageOf(error)}`, { cause: error });
  }
}

async function sendInput(input: AsyncIterable<Uint8Array>, socket: ChannelSocket): Promise<void> {
  for await (const bytes of input) await socket.send(channel.stdin, bytes);
  await socket.send(channel.close, Buffer.from([channel.stdin]));
}

/** Prints what comes; resolves to the status at the end. */
async function readOutput(socket: ChannelSocket, io: CliIo): Promise<string> {
  const decoder = new TextDecoder();
  let status = '';
  for await (const message of socket.messages()) {
    if (message.channel === channel.stdout) await io.write(message.bytes);
    else if (message.channel === channel.stderr) io.err(decoder.decode(message.bytes, { stream: true }));
    else if (message.channel === channel.status) status += Buffer.from(message.bytes).toString('utf8');
  }
  return status;
}

interface WireStatus {
  readonly status?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly details?: { readonly causes?: readonly { readonly reason?: string; readonly message?: string }[] };
}

function exitCodeOf(text: string, io: CliIo): number {
  if (text === '') throw new StatusError('ServiceUnavailable', 'the server did not tell how the command ended');
  // A metav1.Status, each field of which is optional.
  const status = JSON.parse(text) as WireStatus;
  if (status.status === 'Success') return 0;
  if (status.reason === 'NonZeroExitCode') {
    const cause = status.details?.causes?.find(({ reason }) => reason === 'ExitCode');
    const exitCode = Number(cause?.message ?? Number.NaN);
    if (Number.isInteger(exitCode)) {
      io.err(`command terminated with exit code ${exitCode}\n`);
      return exitCode;
    }
  }
  throw new CliError(status.message ?? text);
}
