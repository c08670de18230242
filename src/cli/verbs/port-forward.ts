import { once } from 'node:events';
import net from 'node:net';
import type { Pod } from '../../api/gen/types.ts';
import { goQuote } from '../../api/go-text.ts';
import { resources } from '../../api/resources.ts';
import { messageOf } from '../../base/status-error.ts';
import { TaskScope } from '../../base/task-scope.ts';
import type { ChannelSocket } from '../../client/channel-socket.ts';
import type { ApiConnection } from '../api-connection.ts';
import { CliError } from '../cli-error.ts';
import { pathOf } from '../object-calls.ts';
import { dial, namedPod } from '../remote-command.ts';
import type { Verb, VerbCall } from '../verb.ts';

export const verb: Verb = {
  usage: 'port-forward POD [--address IP,...] [LOCAL_PORT:]REMOTE_PORT [...]',
  help:
    'Forward local ports to a pod, until it is interrupted. Without a local port it is the same as the remote one; ' +
    'with an empty one (":8080") any free one is taken. A connection that fails does not end the others.',
  connects: true,
  flags: [
    { name: 'address', kind: 'strings', fallback: 'localhost', help: 'Addresses to listen on: IPs or localhost.' },
  ],
  run: runPortForward,
};

const protocol = 'v4.channel.k8s.io'; // one connection of its own for each one that is forwarded
const [dataChannel, errorChannel] = [0, 1];

interface Ports {
  readonly local: number;
  readonly remote: number;
}

async function runPortForward(call: VerbCall): Promise<number> {
  const { args, flags, io, signal, connect } = call;
  const [target, ...specs] = args;
  if (target === undefined || specs.length === 0) {
    throw new CliError(
      "TYPE/NAME and list of ports are required for port-forward\nSee 'livelet port-forward -h' for help",
    );
  }
  const ports = specs.map(parsePorts);
  const named = flags.strings('address');
  const addresses = (named.length === 0 ? ['localhost'] : named).flatMap(addressesOf);
  const connection = connect();
  const pod = await namedPod(target, connection, io, signal);
  const phase = pod.status?.phase ?? '';
  if (phase !== 'Running') {
    throw new CliError(`unable to forward port because pod is not running. Current status=${phase}`);
  }
  const scope = new TaskScope(signal);
  const servers: net.Server[] = [];
  try {
    for (const pair of ports) servers.push(...(await listenOn(pair, addresses, { call, connection, pod, scope })));
    if (servers.length === 0) throw new CliError('unable to listen on any of the requested ports');
    if (!signal.aborted) await once(signal, 'abort');
  } finally {
    for (const server of servers) server.close();
    await scope.close().catch(() => {}); // each connection has told its own failure
  }
  return 0;
}

function parsePorts(spec: string): Ports {
  const parts = spec.split(':');
  if (parts.length > 2) throw new CliError(`invalid port format '${spec}'`);
  const [localText = '', remoteText = localText] = parts;
  const port = (text: string, what: string): number => {
    if (/^\d+$/.test(text) && Number(text) <= 0xffff) return Number(text);
    throw new CliError(
      `error parsing ${what} port '${text}': strconv.ParseUint: parsing ${goQuote(text)}: invalid syntax`,
    );
  };
  const local = localText === '' && parts.length === 2 ? 0 : port(localText, 'local');
  const remote = port(remoteText, 'remote');
  if (remote === 0) throw new CliError('remote port must be > 0');
  return { local, remote };
}

/** `isOptional`: of `localhost`, one of the two is enough. */
interface Address {
  readonly host: string;
  readonly isOptional: boolean;
}

function addressesOf(text: string): Address[] {
  if (text === 'localhost') return ['127.0.0.1', '::1'].map((host) => ({ host, isOptional: true }));
  if (net.isIP(text) === 0) throw new CliError(`${text} is not a valid IP`);
  return [{ host: text, isOptional: false }];
}

interface Forwarding {
  readonly call: VerbCall;
  readonly connection: ApiConnection;
  readonly pod: Pod;
  readonly scope: TaskScope;
}

async function listenOn(
  { local, remote }: Ports,
  addresses: readonly Address[],
  forwarding: Forwarding,
): Promise<net.Server[]> {
  const { io } = forwarding.call;
  const servers: net.Server[] = [];
  let chosen = local; // the first address chooses, the others take the same port
  for (const { host, isOptional } of addresses) {
    const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true });
    try {
      server.listen(chosen, host);
      await once(server, 'listening');
    } catch (error) {
      if (isOptional && (servers.length > 0 || host === '127.0.0.1')) continue;
      io.err(`Unable to listen on port ${local}: ${messageOf(error)}\n`);
      continue;
    }
    const { port } = server.address() as net.AddressInfo; // it listens on TCP
    chosen = port;
    io.out(`Forwarding from ${host.includes(':') ? `[${host}]` : host}:${port} -> ${remote}\n`);
    server.on('connection', (socket) => {
      socket.on('error', () => {}); // what reads or writes it is told
      io.out(`Handling connection for ${port}\n`);
      forwarding.scope.start(async (signal) => {
        try {
          await forward(socket, remote, forwarding, signal);
        } catch (error) {
          if (!signal.aborted) io.err(`an error occurred forwarding ${port} -> ${remote}: ${messageOf(error)}\n`);
        } finally {
          socket.destroy();
        }
      });
    });
    servers.push(server);
  }
  return servers;
}

async function forward(
  socket: net.Socket,
  remote: number,
  { connection, pod }: Forwarding,
  signal: AbortSignal,
): Promise<void> {
  const { namespace = '', name = '' } = pod.metadata ?? {};
  const path = pathOf({ type: resources.pods, namespace, name, subresource: 'portforward' });
  const channels = await dial(connection, `${path}?ports=${remote}`, protocol, signal);
  const stop = (): void => {
    channels.destroy();
    socket.destroy();
  };
  signal.addEventListener('abort', stop, { once: true });
  socket.once('close', () => channels.close());
  try {
    sendFrom(socket, channels).catch(() => socket.destroy()); // the reader below sees the end
    await receiveInto(socket, channels);
  } finally {
    signal.removeEventListener('abort', stop);
    channels.close();
  }
}

/** This protocol cannot say that a client has closed its side only: the other side goes on until it ends. */
async function sendFrom(socket: net.Socket, channels: ChannelSocket): Promise<void> {
  for await (const bytes of socket.iterator({ destroyOnReturn: false })) {
    // A socket without an encoding gives buffers.
    await channels.send(dataChannel, bytes as Buffer);
  }
}

async function receiveInto(socket: net.Socket, channels: ChannelSocket): Promise<void> {
  const isFirst = [true, true]; // the first message of each is its port
  for await (const { channel, bytes } of channels.messages()) {
    if (isFirst[channel] === true) isFirst[channel] = false;
    else if (channel === errorChannel) throw new CliError(Buffer.from(bytes).toString('utf8'));
    else if (!socket.write(bytes)) await Promise.race([once(socket, 'drain'), once(socket, 'close')]);
  }
  socket.end();
  await once(socket, 'finish').catch(() => {}); // or it broke, which is an end too
}
